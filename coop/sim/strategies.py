"""Hypothesis strategies: Hypothesis chooses the faults, and shrinks them towards the boring run.

What lives here: plans of faults, schedules, cuttings of a stream, times of crashes.
What it must not know: how a fault strikes.  Stands on: faults; Hypothesis, which only this imports.

Every strategy's simplest value means that nothing goes wrong: no strike, first in first out, one
piece, no crash.  All are plain values, so ``@given``, ``@example``, RuleBasedStateMachine and the
example database work as they always do::

    @given(plans())
    def test_my_handler(plan):
        coop.sim.run(scenario, plan=plan)
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from coop.sim.faults import KINDS, ORDERS, Strike, check_kinds, format_plan

_MOST_STRIKES = 12
_LAST_OPPORTUNITY = 60
_HARDEST = 1000


def plans(
    kinds: Iterable[str] | None = None,
    *,
    most: int = _MOST_STRIKES,
    last: int = _LAST_OPPORTUNITY,
) -> st.SearchStrategy[str]:
    """Draw what is to strike, as a line for ``plan=``; the simplest is the empty one.

    ``kinds`` limits the kinds of fault, ``most`` their number, ``last`` which opportunity for a
    kind may be struck at the latest.
    """
    names = tuple(kind.name for kind in KINDS) if kinds is None else tuple(kinds)
    check_kinds(names)
    strike = st.tuples(
        st.sampled_from(names),
        st.integers(0, last),
        st.one_of(st.just(1), st.integers(1, _HARDEST)),
    )
    return st.lists(strike, max_size=most, unique_by=lambda choice: choice[:2]).map(_write)


def schedules(
    *, most: int = _MOST_STRIKES, last: int = _LAST_OPPORTUNITY
) -> st.SearchStrategy[str]:
    """Draw an order of tasks, events and hosts, as a line for ``plan=``; the simplest is FIFO."""
    return plans(ORDERS, most=most, last=last)


def seeds() -> st.SearchStrategy[int]:
    """Draw a seed; 0, the simplest, is the boring run."""
    return st.integers(0, 2**32 - 1)


def chunkings(data: bytes, *, most: int = 8) -> st.SearchStrategy[list[bytes]]:
    """Draw a way in which a stream of these bytes may be cut; the simplest is one piece."""
    if len(data) < 2:
        return st.just([data] if data else [])
    cuts = st.lists(st.integers(1, len(data) - 1), max_size=most, unique=True)
    return cuts.map(lambda places: _cut(data, sorted(places)))


def crash_times(
    hosts: Iterable[str], *, within: float = 60.0, most: int = 3
) -> st.SearchStrategy[list[tuple[float, str]]]:
    """Draw when which host crashes: (virtual seconds, name), in order; the simplest is never."""
    crash = st.tuples(st.integers(0, int(within * 1000)), st.sampled_from(tuple(hosts)))
    return st.lists(crash, max_size=most).map(
        lambda crashes: sorted((milliseconds / 1000, host) for milliseconds, host in crashes)
    )


def _write(choices: list[tuple[str, int, int]]) -> str:
    return format_plan(Strike(*choice) for choice in choices)


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
