"""The clock of a simulation: it stands still until the simulation moves it.

What lives here: VirtualClock.  What it must not know: who moves it, and why.  Stands on: stopwatch.
"""

from __future__ import annotations

from typing import Final

from coop.stopwatch import Clock

#: What the wall clock shows at the start of every simulation, in seconds since 1970: the year 2000.
WALL_START: Final = 946_684_800.0


class VirtualClock(Clock):
    """A clock whose time is an attribute: an hour passes as fast as it can be written down."""

    __slots__ = ("time",)

    def __init__(self, start: float = 0.0) -> None:
        #: Seconds since the start of the simulation; only the simulation sets it.
        self.time = start

    def now(self) -> float:
        return self.time

    def wall_seconds(self) -> float:
        """Return what a wall clock would show, in seconds since 1970."""
        return WALL_START + self.time
