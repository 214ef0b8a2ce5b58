"""Every small program of every primitive does what its model says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import small_groups
import small_programs as small
from promises import EFFORT

import coop

pytestmark = pytest.mark.core

WORLDS: dict[str, tuple[Callable[[], small.World], int]] = {
    "lock": (small.holders(coop.Lock, 1), 6),
    "semaphore": (small.holders(lambda: coop.Semaphore(1, limit=1), 1), 6),
    "limiter": (small.holders(lambda: coop.CapacityLimiter(1), 1), 6),
    "event": (small.events(coop.Event), 6),
    "barrier": (small.barriers(lambda: coop.Barrier(3), 3), 7),
    "condition": (small.conditions(coop.Condition), 5),
    "rendezvous": (small.channels(lambda: coop.Channel(0), 0), 4),
    "channel": (small.channels(lambda: coop.Channel(1), 1), 4),
    "queue": (small.queues(coop.Queue), 6),
    "priority queue": (
        small.channels(
            lambda: coop.PriorityQueue(key=lambda number: number % 2),
            float("inf"),
            rank=lambda number: number % 2,
        ),
        4,
    ),
    "first": (small.choices(coop.first), 4),
}


@pytest.mark.parametrize("name", WORLDS)
def test_every_small_program_does_what_the_model_says(name: str) -> None:
    make, length = WORLDS[name]
    assert small.try_all(make, length + (EFFORT > 1)) > 500


def test_every_small_group_keeps_the_rules() -> None:
    assert small_groups.try_all(coop.group) > 1000


def test_every_small_program_with_two_permits_does_too() -> None:
    assert small.try_all(small.holders(lambda: coop.Semaphore(2, limit=2), 2), 6) > 500
