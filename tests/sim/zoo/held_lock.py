"""A lock server keeps a lock for a client whose connection is gone: nobody gets it any more.

Source: every lock service before leases; hardening list "peer crash and restart".
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop
from coop.parking import ParkingLot


class Locks:
    def __init__(self, releases):
        self.releases = releases
        self.is_taken = False
        self.line = ParkingLot(self, "lock")

    def handle(self, conn):
        has_lock = False
        try:
            while word := (yield from conn.readline()):
                if word == b"lock\n":
                    while self.is_taken:
                        yield from self.line.park()
                    self.is_taken = has_lock = True
                    yield from conn.sendall(b"yours\n")
                elif word == b"unlock\n" and has_lock:
                    has_lock = False
                    self.free()
                    yield from conn.sendall(b"free\n")
        finally:
            if has_lock and self.releases:
                self.free()

    def free(self):
        self.is_taken = False
        self.line.wake_first()


def use_lock():
    with (yield from connect()) as conn:
        yield from conn.sendall(b"lock\n")
        yield from conn.recv_until(b"\n")
        yield from coop.sleep(0.1)
        yield from conn.sendall(b"unlock\n")
        yield from conn.recv_until(b"\n")


def scenario(sim, releases):
    serve(sim, Locks(releases).handle)
    yield from coop.gather(*(keep_trying(use_lock) for _ in range(4)))


def buggy(sim):
    yield from scenario(sim, releases=False)


def mended(sim):
    yield from scenario(sim, releases=True)
