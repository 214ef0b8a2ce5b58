"""The cleanup waits before it releases; when the task is cancelled the wait raises, and the place
is never given back.

Source: copas PR#200, trio#1457: "await in finally" without a shield.
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop

PLACES = 2


class Booth:
    def __init__(self, releases_first):
        self.releases_first = releases_first
        self.free = PLACES

    def handle(self, conn):
        if not self.free:
            return
        self.free -= 1
        try:
            yield from conn.sendall(b"welcome\n")
            with coop.timeout(1):
                yield from conn.recv()
        except OSError:
            pass
        finally:
            if self.releases_first:
                self.free += 1
            yield from conn.sendall(b"goodbye\n")
            if not self.releases_first:
                self.free += 1


def visit():
    with (yield from connect()) as conn:
        assert b"welcome\n" == (yield from conn.recv_until(b"\n"))


def scenario(sim, releases_first):
    serve(sim, Booth(releases_first).handle)
    for _ in range(6):
        yield from keep_trying(visit)


def buggy(sim):
    yield from scenario(sim, releases_first=False)


def mended(sim):
    yield from scenario(sim, releases_first=True)
