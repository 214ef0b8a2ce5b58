"""Every small group: up to three children of seven kinds, disturbed at each turn, beside its rules.

The rules: no child outlives the call; no error is lost, and none is made up; the first of them ends
the others; and a call that returns returns into a scope that is not cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

from sync_kit import Broken, Gen, passes, play, require

import coop


class Child(NamedTuple):
    """So many turns it works, and then it ends so."""

    turns: int
    end: str


CHILDREN = [
    Child(0, "return"),
    Child(2, "return"),
    Child(0, "raise"),
    Child(2, "raise"),
    Child(1, "clean up"),
    Child(3, "clean up and raise"),
]
#: Longer than all of them: the last of the turns in which something comes from outside.
MOMENTS = 7


class Trial:
    """One group, and what became of it."""

    def __init__(self, group: Callable[..., Any], children: tuple[Child, ...], moment: int) -> None:
        self.group = group
        self.children = children
        self.moment = moment
        self.alive: set[int] = set()
        self.cancelled: set[int] = set()
        self.raised: list[int] = []
        self.scope = coop.move_on_after(None)

    def run(self) -> None:
        try:
            play(self._main())
        except Broken as broken:
            raise Broken(f"{self.children}, disturbed in turn {self.moment}: {broken}") from broken

    def _main(self) -> Gen[None]:
        task = coop.spawn(self._hold())
        coop.spawn(self._disturb())
        yield from task.join()

    def _disturb(self) -> Gen[None]:
        yield from passes(self.moment)
        self.scope.cancel()

    def _hold(self) -> Gen[None]:
        heard: list[int] = []
        with self.scope:
            try:
                yield from self.group(self._body)
                require(not self.scope.cancel_requested, "the cancel from outside is hidden")
            except ExceptionGroup as errors:
                heard = [int(str(error)) for error in errors.exceptions]
            finally:
                require(not self.alive, f"{self.alive} outlive the call")
        require(sorted(heard) == sorted(self.raised), f"{heard} were heard, not {self.raised}")
        if not self.raised:
            require(not self.cancelled or self.scope.cancel_requested, "cancelled by nobody")

    def _body(self, members: coop.Group) -> Gen[None]:
        for number, child in enumerate(self.children):
            members.spawn(self._child(number, child))
            self.alive.add(number)
        return
        yield  # the body of a group is a generator

    def _child(self, number: int, child: Child) -> Gen[None]:
        try:
            yield from self._work(number, child)
        finally:
            self.alive.discard(number)

    def _work(self, number: int, child: Child) -> Gen[None]:
        try:
            for _ in range(child.turns):
                late = bool(self.raised)
                yield None
                # It was told in the turn in which the other failed, or in the one after.
                require(not late, f"{number} works on though {self.raised} failed")
        except coop.Cancelled:
            self.cancelled.add(number)
            raise
        finally:
            if child.end.startswith("clean up"):
                with coop.shield():
                    yield from passes(2)
            if child.end.endswith("raise"):
                self.raised.append(number)
                raise ValueError(number)


def trials(group: Callable[..., Any]) -> Iterator[Trial]:
    for count in (1, 2, 3):
        for children in product(CHILDREN, repeat=count):
            for moment in range(MOMENTS):
                yield Trial(group, children, moment)


def try_all(group: Callable[..., Any]) -> int:
    """Try all of them; return how many.  Errors: Broken, whatever went wrong."""
    count = 0
    for trial in trials(group):
        try:
            trial.run()
        except Broken:
            raise
        except BaseException as error:
            raise Broken(f"{trial.children}, turn {trial.moment}: {error!r}") from error
        count += 1
    return count
