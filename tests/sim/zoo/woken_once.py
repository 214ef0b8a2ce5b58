"""A woken consumer takes an item that somebody else has taken meanwhile: ``if`` where ``while`` is
needed.

Source: Mesa monitors, Lampson and Redell 1980; asyncio's Condition users ever since.
"""

import coop
from coop.parking import ParkingLot


class Items:
    def __init__(self, looks_again):
        self.looks_again = looks_again
        self.items = []
        self.line = ParkingLot(self, "take from")

    def put(self, item):
        self.items.append(item)
        self.line.wake_first()

    def take(self):
        if self.looks_again:
            while not self.items:
                yield from self.line.park()
        elif not self.items:
            yield from self.line.park()
        return self.items.pop(0)


def produce(items):
    for number in range(20):
        items.put(number)
        yield


def consume(items, count):
    taken = []
    for _ in range(count):
        taken.append((yield from items.take()))
        yield
    return taken


def scenario(sim, looks_again):
    items = Items(looks_again)
    results = yield from coop.gather(
        consume(items, 10), consume(items, 10), produce(items), coop.sleep(1)
    )
    assert list(range(20)) == sorted(results[0] + results[1])


def buggy(sim):
    yield from scenario(sim, looks_again=False)


def mended(sim):
    yield from scenario(sim, looks_again=True)
