"""Echo over gevent:  echo_gevent.py PORT [SECONDS]   SECONDS: a timeout around each receive."""

import sys

import gevent
import gevent.socket
from gevent.server import StreamServer


def echo(connection: gevent.socket.socket, address: object) -> None:
    connection.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
    while data := connection.recv(65536):
        connection.sendall(data)


def echo_with_timeout(connection: gevent.socket.socket, address: object) -> None:
    connection.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
    while True:
        with gevent.Timeout(SECONDS):
            data = connection.recv(65536)
        if not data:
            break
        connection.sendall(data)


SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else None
if __name__ == "__main__":
    handler = echo_with_timeout if SECONDS else echo
    StreamServer(("127.0.0.1", int(sys.argv[1])), handler, backlog=4096).serve_forever()
