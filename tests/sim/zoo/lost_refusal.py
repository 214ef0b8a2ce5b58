"""A refusal is sent and the connection closed with the rest of the request unread: the reset that
this makes takes the refusal with it.

Source: RFC 9112 9.6, nginx's lingering_close; 12,288 of 1,000,000 bytes arrived when measured.
"""

from sim.zoo.keeper import BROKEN, connect, serve, struck

import coop

CULPRITS = ("reset", "cut", "partition", "stall", "stop_reading", "delay", "accept_aborted")


def refuse(conn):
    yield from conn.recv(10)
    yield from conn.sendall(b"413 too large\n")
    conn.close()


def refuse_politely(conn):
    yield from conn.recv(10)
    yield from conn.sendall(b"413 too large\n")
    yield from conn.aclose()


def scenario(sim, handler):
    serve(sim, handler)
    for _ in range(4):
        before = struck(sim, *CULPRITS)
        try:
            conn = yield from connect()
        except OSError:
            continue
        with conn:
            try:
                with coop.timeout(1):
                    yield from conn.sendall(b"x" * 5000)
            except OSError:
                pass  # a refusal may have come all the same
            try:
                with coop.timeout(60):
                    assert b"413 too large\n" == (yield from conn.recv_until(b"\n"))
            except BROKEN:
                assert struck(sim, *CULPRITS) > before, "the refusal was lost by us"


def buggy(sim):
    yield from scenario(sim, refuse)


def mended(sim):
    yield from scenario(sim, refuse_politely)
