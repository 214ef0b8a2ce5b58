"""The peer's machine loses power, and a reader without a timeout waits for it for ever.

Source: node#46015, tcp(7): without data or keep-alive nobody hears of it.
"""

from sim.zoo.keeper import BROKEN, connect, serve

import coop


def tick(conn):
    while True:
        yield from conn.sendall(b"tick\n")
        yield from coop.sleep(1)


def scenario(sim, patience):
    serve(sim, tick)
    coop.spawn(lose_power(sim))
    try:
        with (yield from connect()) as conn:
            while True:
                with coop.timeout(patience):
                    yield from conn.recv_until(b"\n")
    except BROKEN:
        return


def lose_power(sim):
    yield from coop.sleep(5)
    sim.crash("server", power=True)


def buggy(sim):
    yield from scenario(sim, patience=None)


def mended(sim):
    yield from scenario(sim, patience=90)
