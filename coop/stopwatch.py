"""Stopwatches: the passing of time, by a clock that is handed in.

What lives here: Clock and ManualClock, Stopwatch, and Countdown, which is how timeouts are kept.
What it must not know: who waits, and for what.  Stands on: the standard library alone.

Nothing else in the library reads the time, so whoever holds the clock holds all of it.
"""

from __future__ import annotations

from math import inf
from time import monotonic, time
from typing import Final


class Clock:
    """Tell the time as monotonic seconds: it never goes back, and its zero means nothing.

    A subclass replaces ``now``.
    """

    __slots__ = ()

    def now(self) -> float:
        """Return the time, in seconds."""
        return monotonic()


def wall_seconds() -> float:
    """Return the seconds since 1970 by the wall clock, which may jump: for showing only."""
    return time()


class _Monotonic(Clock):
    """The same without a call in between: a scheduler asks at each turn."""

    __slots__ = ()
    now = staticmethod(monotonic)


MONOTONIC: Final = _Monotonic()
"""The clock of the system, and the default everywhere."""


class ManualClock(Clock):
    """A clock that stands still until it is moved, for tests and simulations."""

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the time on.  Errors: ValueError for a step back, or for NaN."""
        self._now += _not_negative(seconds, "a clock cannot advance by")


class Stopwatch:
    """Measure the time that has passed since it was made, or reset."""

    __slots__ = ("_clock", "_lap_start", "_start")

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self._clock = clock
        self._start = self._lap_start = clock.now()

    @property
    def elapsed(self) -> float:
        """The time since the start, in seconds."""
        return self._clock.now() - self._start

    @property
    def milliseconds(self) -> float:
        """The time since the start, in milliseconds."""
        return self.elapsed * 1000.0

    def reset(self) -> None:
        """Start again from zero."""
        self._start = self._lap_start = self._clock.now()

    def lap(self) -> float:
        """Return the seconds since the last lap, or the start, and begin the next lap."""
        lap_end = self._clock.now()
        seconds, self._lap_start = lap_end - self._lap_start, lap_end
        return seconds


class Countdown(Stopwatch):
    """A stopwatch with an end: this many seconds from its start.  None never ends.

    Errors: ValueError for a negative time, or for NaN.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float | None, clock: Clock = MONOTONIC) -> None:
        super().__init__(clock)
        #: From start to end; ``inf`` if there is no end.
        self.seconds = inf if seconds is None else _not_negative(seconds, "a timeout cannot be")

    @property
    def remaining(self) -> float:
        """The seconds to the end: 0.0 once it has expired, ``inf`` if there is no end."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def expired(self) -> bool:
        """Whether the end has come; then, and only then, nothing remains."""
        return self.elapsed >= self.seconds

    def __repr__(self) -> str:
        return f"<Countdown {self.remaining:.3f} of {self.seconds:.3f} s>"


def _not_negative(seconds: float, complaint: str) -> float:
    if not seconds >= 0.0:  # written so that NaN fails too
        raise ValueError(f"{complaint} {seconds!r} seconds: use 0 or more")
    return seconds
