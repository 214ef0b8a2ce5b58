"""``await coop.sleep(1)`` raised "TypeError: __await__() returned a coroutine" in debug mode.

The guard's ``__await__`` returned the generator inside it, which ``types.coroutine`` has marked as
a coroutine, and Python refuses one from ``__await__``.
"""

from __future__ import annotations

import pytest
from kit import play

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
