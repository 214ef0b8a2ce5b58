"""A lock was lost for ever when the task that had just been woken for it was cancelled.

asyncio: bpo-27585 (Lock), python/asyncio#270 (Semaphore); anyio#947, #1075, #1145.  There the
release woke a waiter, who was to take the lock when it ran; a cancel in between, and nobody did.
Here the release hands the lock over: the woken task has it, so it cannot be cancelled out of it,
and it gives it back on its way out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sync_kit import Gen, passes, play

import coop

MAKERS = [coop.Lock, lambda: coop.Semaphore(1), lambda: coop.CapacityLimiter(1)]


@pytest.mark.parametrize("make", MAKERS)
def test_a_cancel_between_wakeup_and_step_loses_nothing(make: Callable[[], Any]) -> None:
    def main() -> Gen[list[str]]:
        lock = make()
        log: list[str] = []

        def visit(name: str) -> Gen[None]:
            with (yield from lock.acquire()):
                log.append(name)
                yield from coop.sleep(1)
                log.append(f"{name} slept")

        yield from lock.acquire()
        woken, last = coop.spawn(visit("woken")), coop.spawn(visit("last"))
        yield from passes(2)
        lock.release()
        woken.cancel()
        yield from last.join()
        return log

    assert ["woken", "last", "last slept"] == play(main())


@pytest.mark.parametrize("make", MAKERS)
def test_a_cancel_before_the_release_passes_the_lock_to_the_next(make: Callable[[], Any]) -> None:
    def main() -> Gen[bool]:
        lock = make()
        yield from lock.acquire()
        first, second = coop.spawn(lock.acquire()), coop.spawn(lock.acquire())
        yield from passes(2)
        first.cancel()
        lock.release()
        return bool((yield from second.join()))

    assert play(main())
