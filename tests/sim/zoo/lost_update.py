"""A balance is read, something is waited for, and the balance is written: a deposit is gone.

Source: check-then-act, the race of every cooperative program that thinks it has none.
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop


class Account:
    def __init__(self, is_careful):
        self.is_careful = is_careful
        self.balance = 0
        self.seen = set()

    def handle(self, conn):
        while (line := (yield from conn.readline())).endswith(b"\n"):
            if line not in self.seen:
                self.seen.add(line)
                if self.is_careful:
                    yield from coop.sleep(0)
                    self.balance += 1
                else:
                    balance = self.balance
                    yield from coop.sleep(0)  # the audit log is written here
                    self.balance = balance + 1
            yield from conn.sendall(b"done\n")


def deposit(number):
    with (yield from connect()) as conn:
        yield from conn.sendall(b"deposit %d\n" % number)
        yield from conn.recv_until(b"\n")


def scenario(sim, is_careful):
    account = Account(is_careful)
    serve(sim, account.handle)
    yield from coop.gather(*(keep_trying(deposit, number) for number in range(4)))
    assert 4 == account.balance


def buggy(sim):
    yield from scenario(sim, is_careful=False)


def mended(sim):
    yield from scenario(sim, is_careful=True)
