"""A lock that outlived a run was held, or waited for, by a task that had been thrown away.

A run that cannot end, as a task refuses to, closes every generator by force.  The first to be
closed released its lock, which was handed to the next: a task as dead, that never gave it back.
A second Ctrl-C does the same to tasks that have just been handed a lock and have not run since:
they could not give it back, nor could an ``async with``, nor one that waits on a condition.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import Any

import pytest
from sync_kit import Gen, passes, play

import coop

pytestmark = pytest.mark.core

MAKERS = [coop.Lock, lambda: coop.Semaphore(1, limit=1), lambda: coop.CapacityLimiter(1)]


def use(lock: Any) -> None:
    """Take it and give it back in another run; by its end it is as new."""

    def after() -> Gen[None]:
        with coop.timeout(1):
            (yield from lock.acquire()).release()
        yield from passes(1)

    assert 0 == lock.waiting
    play(after())


def interrupted(main: Gen[None]) -> None:
    """Run it until it asks to be thrown away."""
    with pytest.raises(KeyboardInterrupt):
        play(main)


def throw_away() -> None:
    """Have the run thrown away before any task runs again."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    coop.current_scheduler().call_soon(interrupt)


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
    use(lock)


@pytest.mark.parametrize("make", MAKERS)
def test_an_async_with_that_was_thrown_away_gives_it_back(make: Callable[[], Any]) -> None:
    lock = make()

    async def stubborn() -> None:
        async with lock:
            with coop.shield():
                await coop.Event().wait()

    def main() -> Gen[None]:
        coop.spawn(stubborn())  # type: ignore[arg-type]
        yield from coop.Event().wait()

    with pytest.raises(coop.Deadlock):
        play(main())
    use(lock)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("way", ["acquire", "first"])
def test_what_was_handed_over_and_never_seen_comes_back(make: Callable[[], Any], way: str) -> None:
    lock = make()

    def visit() -> Gen[None]:
        if way == "acquire":
            yield from lock.acquire()
        else:
            yield from coop.first(coop.Event(), lock)
        raise AssertionError("it ran")

    def main() -> Gen[None]:
        yield from lock.acquire()
        coop.spawn(visit())
        coop.spawn(visit())
        yield from passes(2)
        lock.release()
        throw_away()
        yield from coop.Event().wait()

    interrupted(main())
    use(lock)


def test_a_wait_on_a_condition_is_thrown_away_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    condition = coop.Condition()

    def wait() -> Gen[None]:
        with (yield from condition.acquire()):
            yield from condition.wait()

    async def wait_too() -> None:
        async with condition:
            await condition.wait()

    def hold() -> Gen[None]:
        with (yield from condition.acquire()):
            yield from coop.Event().wait()

    def main() -> Gen[None]:
        coop.spawn(wait())
        coop.spawn(wait_too())  # type: ignore[arg-type]
        yield from passes(3)
        coop.spawn(hold())
        coop.spawn(hold())
        yield from passes(2)
        throw_away()
        yield from coop.Event().wait()

    with caplog.at_level(logging.WARNING, "coop"):
        interrupted(main())
    assert [] == caplog.messages
    assert "<condition of <lock free>>" == repr(condition)


def test_a_task_that_was_thrown_away_has_ended_and_cleaned_up_in_its_own_context() -> None:
    place = contextvars.ContextVar("place", default="outside")
    tasks: list[coop.Task] = []
    seen: list[str] = []

    def work() -> Gen[None]:
        place.set("inside")
        try:
            yield from coop.Event().wait()
        finally:
            seen.append(place.get())

    def main() -> Gen[None]:
        tasks.append(coop.spawn(work(), name="gone"))
        yield from passes(2)
        throw_away()
        yield from coop.Event().wait()

    interrupted(main())
    assert ["inside"] == seen
    assert "<task 'gone' cancelled>" == repr(tasks[0])
