"""One recv is taken for one message; TCP keeps order, not pieces.

Source: the oldest question of every sockets FAQ; hardening list "short reads".
"""

from sim.zoo.keeper import connect, keep_trying, serve

GREETING = b"hello, world, this is the server speaking\n"


def greet(conn):
    yield from conn.sendall(GREETING)


def buggy(sim):
    serve(sim, greet)

    def client():
        with (yield from connect()) as conn:
            return (yield from conn.recv())

    greeting = yield from keep_trying(client)
    assert greeting in (b"", GREETING)


def mended(sim):
    serve(sim, greet)

    def client():
        with (yield from connect()) as conn:
            return (yield from conn.recv_until(b"\n"))

    greeting = yield from keep_trying(client)
    assert greeting == GREETING
