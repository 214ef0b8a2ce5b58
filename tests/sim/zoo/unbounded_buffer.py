"""Messages for a reader that reads slowly pile up without a bound.

Source: luvit#12, nodejs/help#2350: the write queue of one slow client is the server's memory.
"""

from collections import deque

from sim.zoo.keeper import BROKEN, connect, serve

import coop
from coop.parking import ParkingLot

BOUND = 100


class Feed:
    def __init__(self, is_bounded):
        self.is_bounded = is_bounded

    def handle(self, conn):
        queue = deque()
        news = ParkingLot(self, "news of")
        writer = coop.spawn(self.write(conn, queue, news))
        try:
            for number in range(600):
                yield from coop.sleep(0.01)
                if self.is_bounded and len(queue) >= BOUND:
                    return  # too slow: it is told by the end
                queue.append(b"%0500d" % number)
                news.wake_first()
                assert len(queue) <= 2 * BOUND, "the queue of a slow reader grows and grows"
        finally:
            writer.cancel()

    def write(self, conn, queue, news):
        try:
            while True:
                while not queue:
                    yield from news.park()
                yield from conn.sendall(queue[0])
                queue.popleft()
        except BROKEN:
            queue.clear()


def scenario(sim, is_bounded):
    serve(sim, Feed(is_bounded).handle)
    for _ in range(2):
        try:
            with (yield from connect()) as conn:
                while (yield from conn.recv()):
                    pass
        except BROKEN:
            pass


def buggy(sim):
    yield from scenario(sim, is_bounded=False)


def mended(sim):
    yield from scenario(sim, is_bounded=True)
