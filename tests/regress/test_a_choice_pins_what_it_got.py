"""What ``first`` had received lived on until the cycle collector came.

The choice knew its arms, and the arm that had won knew its choice, and the value.  A program that
turns the collector off, as servers do, lost a message's memory with each wait.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import kit
import pytest
from kit import Gen, Thing

import coop

pytestmark = pytest.mark.core


def dies(way: Callable[[list[weakref.ref[Any]]], Gen[None]]) -> None:
    things: list[weakref.ref[Any]] = []

    def main() -> Gen[None]:
        yield from way(things)
        yield None
        assert [None] * len(things) == [thing() for thing in things]

    with kit.no_collector():
        kit.play(main())
    assert things


def test_a_value_that_was_received_dies_with_its_receiver() -> None:
    def way(things: list[weakref.ref[Any]]) -> Gen[None]:
        channel = coop.Channel[Thing](0)

        def receive() -> Gen[None]:
            kit.watch_death(things, (yield from coop.first(coop.Event(), channel)).value)

        task = kit.watch_death(things, coop.spawn(receive()))
        yield None
        yield from channel.send(Thing())
        yield from task.join()

    dies(way)


@pytest.mark.parametrize("wins", ["descriptor", "timer", "nobody"])
def test_a_chooser_dies_whichever_alternative_was_first(wins: str) -> None:
    def way(things: list[weakref.ref[Any]]) -> Gen[None]:
        ours, theirs = kit.pair()

        def choose(thing: Thing) -> Gen[None]:
            seconds = 1 if wins == "timer" else 100
            yield from coop.first(coop.Event(), coop.readable(ours), coop.after(seconds))

        with ours, theirs:
            thing = kit.watch_death(things, Thing())
            task = kit.watch_death(things, coop.spawn(choose(thing)))
            del thing
            yield from kit.passes(2)
            if wins == "descriptor":
                yield from theirs.sendall(b"x")
            elif wins == "nobody":
                task.cancel()
            yield from coop.sleep(2)

    dies(way)
