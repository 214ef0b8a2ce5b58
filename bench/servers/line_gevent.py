"""Lines over gevent:  line_gevent.py PORT   Lines are read by the socket's file."""

import sys

import gevent.socket
from gevent.server import StreamServer


def answer(connection: gevent.socket.socket, address: object) -> None:
    connection.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
    with connection.makefile("rb") as lines:
        while line := lines.readline():
            connection.sendall(line)


if __name__ == "__main__":
    StreamServer(("127.0.0.1", int(sys.argv[1])), answer, backlog=4096).serve_forever()
