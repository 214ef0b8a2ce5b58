"""A line is collected until it ends, however long: one client takes all the memory.

Source: copas PR#196; CVE-2026-22815 and its family: count while reading, over all pieces.
"""

from sim.zoo.keeper import BROKEN, connect, serve

import coop

LIMIT = 10_000


def buggy_handler(conn):
    line = bytearray()
    while not line.endswith(b"\n"):
        data = yield from conn.recv()
        if not data:
            return
        line += data
        assert len(line) <= 10 * LIMIT, "the line of one client fills the memory"


def mended_handler(conn):
    try:
        yield from conn.recv_until(b"\n", limit=LIMIT)
    except (coop.LimitError, EOFError):
        return


def scenario(sim, handler):
    serve(sim, handler)
    try:
        with (yield from connect()) as conn:
            for _ in range(50):
                yield from conn.sendall(b"x" * 5000)
    except BROKEN:
        pass


def buggy(sim):
    yield from scenario(sim, buggy_handler)


def mended(sim):
    yield from scenario(sim, mended_handler)
