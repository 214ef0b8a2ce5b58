"""A loop that catches all it can catches its own cancellation too, and cannot be stopped.

Source: asyncio's bare ``except:`` around a read; python/asyncio#164 and its many descendants.
"""

import coop


def beat(errors):
    while True:
        try:
            yield from coop.sleep(1)
        except errors:
            pass


def scenario(sim, errors):
    yield
    with coop.move_on_after(10):
        yield from coop.race(beat(errors), coop.sleep(5))


def buggy(sim):
    yield from scenario(sim, (Exception, coop.Cancelled))


def mended(sim):
    yield from scenario(sim, Exception)
