"""The second of two connections fails, and the first stays open.

Source: gevent#1044, cpython gh-155934: the socket nobody owns when something between fails.
"""

from sim.zoo.keeper import BROKEN, connect, serve


def echo(conn):
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def buggy(sim):
    serve(sim, echo)
    for _ in range(4):
        try:
            control = yield from connect()
            data = yield from connect()
        except BROKEN:
            continue
        control.close()
        data.close()


def mended(sim):
    serve(sim, echo)
    for _ in range(4):
        try:
            with (yield from connect()), (yield from connect()):
                pass
        except BROKEN:
            continue
