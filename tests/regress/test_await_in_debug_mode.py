"""``await coop.sleep(1)`` raised "TypeError: __await__() returned a coroutine" in debug mode.

The guard's ``__await__`` returned the generator inside it, which ``types.coroutine`` has marked as
a coroutine, and Python refuses one from ``__await__``.

And an awaited operation that was cancelled lived on until the cycle collector came, with all that
its task had held: the guard's ``throw`` kept the error, whose traceback kept the guard.
"""

from __future__ import annotations

import weakref
from typing import Any

import kit
import pytest
from kit import Gen, play

import coop

pytestmark = pytest.mark.core


def test_a_guarded_operation_can_be_awaited() -> None:
    async def main() -> str:
        await coop.sleep(1)
        return "awake"

    assert "awake" == play(main())


def test_a_coroutine_that_awaits_a_guarded_operation_can_be_cancelled() -> None:
    async def main() -> bool:
        with coop.move_on_after(1) as scope:
            await coop.sleep(5)
        return scope.caught

    assert play(main())


def test_a_cancelled_await_leaves_nothing_to_the_collector() -> None:
    things: list[weakref.ref[Any]] = []

    async def wait(thing: kit.Thing) -> None:
        await coop.sleep(5)

    def main() -> Gen[list[Any]]:
        task = coop.spawn(wait(kit.watch_death(things, kit.Thing())))  # type: ignore[arg-type]
        yield from kit.passes(2)
        task.cancel()
        del task
        yield from kit.passes(2)
        return [thing() for thing in things]

    with kit.no_collector():
        assert [None] == play(main())
