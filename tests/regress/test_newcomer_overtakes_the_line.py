"""A newcomer took the permit that had been released for the first in line.

asyncio: gh-90155 (bpo-45997), where a semaphore's waiters starved behind tasks that came later,
and could hang in the end.  Here a permit is handed over at the release: it is never free while
somebody waits.
"""

from __future__ import annotations

from sync_kit import Gen, passes, play

import coop


def test_whoever_releases_cannot_take_the_permit_back_at_once() -> None:
    def main() -> Gen[list[str]]:
        semaphore = coop.Semaphore(1)
        order: list[str] = []

        def visit(name: str) -> Gen[None]:
            for _ in range(3):
                with (yield from semaphore.acquire()):
                    order.append(name)
                    yield None

        yield from coop.gather(visit("a"), visit("b"))
        return order

    assert ["a", "b"] * 3 == play(main())


def test_a_try_between_release_and_wakeup_finds_nothing() -> None:
    def main() -> Gen[None]:
        semaphore = coop.Semaphore(1)
        yield from semaphore.acquire()
        waiter = coop.spawn(semaphore.acquire())
        yield from passes(2)
        semaphore.release()
        assert semaphore.try_acquire() is coop.WOULDBLOCK
        yield from waiter.join()

    play(main())
