"""Orders: a small program in every order of its ready tasks, events and hosts.

What lives here: ``every_order``, a search in depth over the choices of order, and Path, which takes
the choices of one run.  What it must not know: what is put in order, how a run is judged.
Stands on: faults, explore.

A run is a path: at each place where something could go before something else, how far ahead it
was taken from; 0 is first in, first out.  The next path changes the last choice that has another
possibility left, and forgets what came after it.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any, Final, NamedTuple

from coop.outcomes import LimitError
from coop.sim.explore import SimulationFailed, attempt, report
from coop.sim.faults import NUMBERS, ORDERS, Faults
from coop.sim.sealed import Uncontrolled
from coop.sim.simulation import Scenario

_ORDERS: Final = frozenset(NUMBERS[name] for name in ORDERS)


class Choice(NamedTuple):
    """One choice of order."""

    kind: int
    #: What was taken, and the most that could have been.
    value: int
    span: int


def every_order(
    scenario: Scenario, *, limit: int = 10_000, changes: int | None = None, **options: Any
) -> int:
    """Run a scenario in every order that its tasks, events and hosts may take; return how many.

    ``limit``: so many runs at most.  ``changes``: look only at orders that differ from first in,
    first out by so many choices; most races need two or three.  No other fault strikes.
    Errors: SimulationFailed, with a plan that repeats the order; LimitError when there are more
    orders than ``limit``; Uncontrolled when one order does not repeat itself.
    """
    path: list[Choice] | None = []
    runs = 0
    while path is not None:
        if runs >= limit:
            raise LimitError(
                f"{runs} orders went well, and there are more: make the program smaller, or give "
                "a greater limit=, or changes=2"
            )
        taken = Path(path)
        outcome = attempt(scenario, plan=taken, **options)
        runs += 1
        if outcome.has_failed:
            raise SimulationFailed(report(scenario, outcome, **options))
        path = following(taken.choices, changes)
    return runs


def following(choices: list[Choice], changes: int | None = None) -> list[Choice] | None:
    """Return the path to take after this one; None after the last."""
    for place in reversed(range(len(choices))):
        kind, value, span = choices[place]
        changed = sum(choice.value > 0 for choice in choices[:place])
        if value < span and (changes is None or changed < changes):
            return [*choices[:place], Choice(kind, value + 1, span)]
    return None


class Path(Faults):
    """Takes the choices of order that it is told, then first in, first out; and keeps them all."""

    __slots__ = ("_is_calm", "_told", "choices")

    def __init__(self, told: list[Choice]) -> None:
        super().__init__()
        self._told = told
        self._is_calm = False
        #: What was chosen so far.
        self.choices: list[Choice] = []

    def strike(self, kind: int, span: int) -> int:
        if kind not in _ORDERS or self._is_calm:
            return super().strike(kind, span)
        place = len(self.choices)
        choice = self._told[place] if place < len(self._told) else Choice(kind, 0, span)
        if (choice.kind, choice.span) != (kind, span):
            raise Uncontrolled(f"choice {place} was {choice} before, and now is of {kind}, {span}")
        self.choices.append(choice)
        number = self._seen[kind]
        self._seen[kind] = number + 1
        if choice.value:
            self._log(kind, number, choice.value)
        return choice.value

    def reorder(self, kind: int, things: MutableSequence[Any]) -> None:
        if self._is_calm:
            super().reorder(kind, things)
        else:
            self._take_places(kind, things)

    def calm(self) -> None:
        super().calm()
        self._is_calm = True
