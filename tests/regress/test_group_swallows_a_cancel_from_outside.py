"""A group ended with its own errors, and a cancel that had come from outside was forgotten.

asyncio: gh-155433, where a TaskGroup takes the outer cancel for its own; trio#1457, where one that
ends all the same makes an outer timeout look as if it had not expired.  Here a cancel stays in
force until its scope is left: whatever a group ends with, the next park raises it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sync_kit import Gen, passes, play

import coop

pytestmark = pytest.mark.core


def failing(turns: int) -> Gen[None]:
    yield from passes(turns)
    raise ValueError


def stubborn(turns: int) -> Gen[None]:
    with coop.shield():
        yield from passes(turns)


def in_a_group(*children: Gen[None]) -> Gen[None]:
    def body(group: coop.Group) -> Gen[None]:
        for child in children:
            group.spawn(child)
        return
        yield

    yield from coop.group(body)


WAYS: dict[str, Callable[[Gen[None], Gen[None]], Any]] = {
    "group": in_a_group,
    "gather": coop.gather,
    "race": coop.race,
    "map": lambda *children: coop.map(lambda child: child, children, limit=2),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("fails", [True, False], ids=["fails", "ends"])
@pytest.mark.parametrize("moment", range(8))
def test_a_cancel_at_any_moment_is_met_at_the_next_park(
    way: Callable[..., Any], fails: bool, moment: int
) -> None:
    went_on: list[str] = []

    def work() -> Gen[None]:
        try:
            yield from way(failing(3) if fails else stubborn(3), stubborn(5))
        except* ValueError:
            pass
        yield None
        went_on.append("though it was cancelled")

    def main() -> Gen[None]:
        task = coop.spawn(work())
        yield from passes(moment)
        task.cancel()
        with pytest.raises(coop.TaskCancelled):
            yield from task.join()

    play(main())
    assert [] == went_on


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_timeout_that_expired_while_a_group_ended_is_told(way: Callable[..., Any]) -> None:
    def slow() -> Gen[None]:
        with coop.shield():
            yield from coop.sleep(2)

    def main() -> Gen[None]:
        with pytest.raises(TimeoutError):
            with coop.timeout(1):
                yield from way(slow(), slow())

    play(main())
