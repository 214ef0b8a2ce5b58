"""Echo over coop:  echo_coop.py PORT [SECONDS]   SECONDS: a timeout around each receive."""

import sys

import coop


def echo(conn):
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def echo_with_timeout(conn):
    while True:
        with coop.timeout(SECONDS):
            data = yield from conn.recv()
        if not data:
            break
        yield from conn.sendall(data)


SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else None
if __name__ == "__main__":
    handler = echo_with_timeout if SECONDS else echo
    coop.run(coop.serve(handler, "127.0.0.1", int(sys.argv[1]), max_connections=None, backlog=4096))
