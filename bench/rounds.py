"""Rounds: short alternating slices, and what can be said of them.

Charter: arithmetic and order, no process. On a noisy machine two runs of the same server differ by
30 % from minute to minute, so all servers are loaded in turn (A B C A B C ...) and what is compared
is the two slices of one round; the figure is the median of those ratios, with its quartiles.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
WARM_UPS = 1


class Failed(Exception):
    """Something measured did not work as it should; the message says what and how."""


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float


def alternate(
    names: Sequence[str], measure: Callable[[str], T], rounds: int, warm_ups: int = WARM_UPS
) -> tuple[dict[str, list[T]], dict[str, str]]:
    """Measure each name once a round, in turn; return the measurements by name, warm-ups dropped.

    A name whose measurement raises Failed takes part no more: the second dictionary says why.
    """
    measured: dict[str, list[T]] = {name: [] for name in names}
    failures: dict[str, str] = {}
    for _ in range(rounds + warm_ups):
        for name in list(measured):
            try:
                measured[name].append(measure(name))
            except Failed as err:
                del measured[name]
                failures[name] = str(err)
    return {name: values[warm_ups:] for name, values in measured.items()}, failures


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratio of each round; nothing where a ratio has no meaning."""
    if len(over) != len(under) or not all(under):
        return []
    return [top / bottom for top, bottom in zip(over, under, strict=True)]
