"""A request that failed without an answer is sent again, but the first one had been carried out.

Source: RFC 9110 9.2.2: only idempotent requests may be repeated; every payment API's request key.
"""

from sim.zoo.keeper import connect, keep_trying, serve

AMOUNT = 10
PAYMENTS = 6


class Bank:
    def __init__(self, knows_keys):
        self.knows_keys = knows_keys
        self.balance = 0
        self.done = set()

    def handle(self, conn):
        while (line := (yield from conn.readline())).endswith(b"\n"):
            key, amount = line.split()
            if not (self.knows_keys and key in self.done):
                self.done.add(key)
                self.balance += int(amount)
            yield from conn.sendall(b"done\n")


def pay(key):
    with (yield from connect()) as conn:
        yield from conn.sendall(b"%s %d\n" % (key, AMOUNT))
        yield from conn.recv_until(b"\n")


def scenario(sim, knows_keys):
    bank = Bank(knows_keys)
    serve(sim, bank.handle)
    for number in range(PAYMENTS):
        yield from keep_trying(pay, b"key%d" % number)
    assert bank.balance == AMOUNT * PAYMENTS


def buggy(sim):
    yield from scenario(sim, knows_keys=False)


def mended(sim):
    yield from scenario(sim, knows_keys=True)
