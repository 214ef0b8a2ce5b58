"""Lines over coop:  line_coop.py PORT   Each line is sent back."""

import sys

import coop


def answer(conn):
    while line := (yield from conn.readline()):
        yield from conn.sendall(line)


if __name__ == "__main__":
    coop.run(coop.serve(answer, "127.0.0.1", int(sys.argv[1]), max_connections=None, backlog=4096))
