"""Both ends send and neither reads: with every buffer full they wait for each other for ever.

Source: the deadlock of pipes in Python's own subprocess documentation; gevent and trio FAQs.
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop

DATA = b"x" * 400_000


def echo(conn):
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def scenario(sim, client):
    serve(sim, echo)
    yield from keep_trying(client)


def buggy(sim):
    def client():
        with (yield from connect()) as conn:
            yield from conn.sendall(DATA)
            assert DATA == (yield from conn.recv_exactly(len(DATA)))

    yield from scenario(sim, client)


def mended(sim):
    def client():
        with (yield from connect()) as conn:
            sender = coop.spawn(send(conn))
            try:
                assert DATA == (yield from conn.recv_exactly(len(DATA)))
            finally:
                sender.cancel()

    def send(conn):
        try:
            yield from conn.sendall(DATA)
        except OSError:
            pass  # the receiver hears of it too

    yield from scenario(sim, client)
