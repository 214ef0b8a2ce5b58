"""A wait that timed out is taken for one that succeeded: the answer of before is used again.

Source: copas#189 (rated 9.1): the handshake's timeout answered nil, and the handler went on.
"""

from sim.zoo.keeper import BROKEN, connect, serve

import coop


def square(conn):
    while (line := (yield from conn.readline())).endswith(b"\n"):
        yield from conn.sendall(b"%d %d\n" % (int(line), int(line) ** 2))


def scenario(sim, is_checked):
    serve(sim, square)
    answer = b""
    for number in range(5):
        try:
            with (yield from connect()) as conn:
                yield from conn.sendall(b"%d\n" % number)
                with coop.move_on_after(0.5) as patience:
                    answer = yield from conn.recv_until(b"\n")
        except BROKEN:
            continue
        if is_checked and patience.caught:
            continue
        assert answer == b"%d %d\n" % (number, number**2)


def buggy(sim):
    yield from scenario(sim, is_checked=False)


def mended(sim):
    yield from scenario(sim, is_checked=True)
