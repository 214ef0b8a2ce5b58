"""A lock that outlived a run was held, or waited for, by a task that had been thrown away.

A run that cannot end, as a task refuses to, closes every generator by force.  The first to be
closed released its lock, which was handed to the next: a task as dead, that never gave it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sync_kit import Gen, passes, play

import coop

MAKERS = [coop.Lock, lambda: coop.Semaphore(1), lambda: coop.CapacityLimiter(1)]


@pytest.mark.parametrize("make", MAKERS)
def test_a_lock_is_free_after_a_run_that_was_thrown_away(make: Callable[[], Any]) -> None:
    lock = make()

    def stubborn() -> Gen[None]:
        with (yield from lock.acquire()), coop.shield():
            yield from coop.Event().wait()

    def main() -> Gen[None]:
        for _ in range(3):
            coop.spawn(stubborn())
        yield from coop.Event().wait()

    with pytest.raises(coop.Deadlock):
        play(main())
    assert 0 == lock.waiting

    def after() -> Gen[None]:
        with coop.timeout(1):
            (yield from lock.acquire()).release()
        yield from passes(1)

    play(after())
