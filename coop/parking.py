"""Parking: the one line in which tasks wait for each other.

What lives here: ParkingLot, first in, first out, and the Spot of each task in it; every lock,
channel, group and join is built over it.  What it must not know: what is waited for.
Stands on: traps.

The line is a deque, which is twice as fast as an OrderedDict.  A spot that leaves from the middle
stays behind as a husk, until it comes up or husks are as many as those who wait; so leaving costs
O(1) in the long run too.  The first spot is never a husk: ``if lot.spots`` asks whether one waits.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from coop.traps import Coop, Waiter

if TYPE_CHECKING:
    from coop.task import Task

#: How many of those who wait a repr names.
_NAMES_SHOWN: Final = 3

#: What a husk has for a value.
_HUSK: Final = object()


class Spot(Waiter):
    """A place in a parking lot.  ``value`` carries what the waker hands over."""

    __slots__ = ("lot", "value")

    def __init__(self, lot: ParkingLot, value: Any = None) -> None:
        self.task = None
        self.lot = lot
        self.value = value
        lot.spots.append(self)

    def abort(self) -> None:
        self.task = None
        self.lot.leave(self)

    def reason(self) -> str:
        return self.lot.reason()

    def blockers(self) -> Collection[Task[Any]]:
        find: Callable[[], Collection[Task[Any]]] = getattr(self.lot.owner, "blockers", tuple)
        return find()

    def parked_task(self) -> Task[Any] | None:
        """Return the task that stands here; None for the moment before it does."""
        return self.task  # type: ignore[no-any-return]


class ParkingLot:
    """A line of parked tasks, woken first come, first served."""

    __slots__ = ("_husks", "owner", "spots", "verb")

    def __init__(self, owner: object, verb: str) -> None:
        #: Whose line this is; named in the reason.
        self.owner = owner
        #: What the tasks here wait to do, such as "recv".
        self.verb = verb
        #: In order of arrival, with husks in between.
        self.spots: deque[Spot] = deque()
        self._husks = 0

    def __len__(self) -> int:
        return len(self.spots) - self._husks

    def park(self, value: Any = None) -> Coop[Any]:
        """Wait in line; return what the waker handed over."""
        spot = Spot(self, value)
        yield spot
        return spot.value

    def wake_first(self, value: Any = None) -> Spot | None:
        """Wake the first in line, handing it ``value``; return its spot, or None if none waits."""
        if not self.spots:
            return None
        self.spots[0].value = value
        return self.call_first()  # a call that costs 35 ns, of 1,360 for a value handed over

    def call_first(self) -> Spot:
        """Wake the first in line, of whom there must be one; ``value`` is what it brought."""
        spot = self.spots.popleft()
        if self._husks:
            self._drop_husks()
        task = spot.task
        if task is None:
            spot.wake()  # an arm of a choice
        else:
            # What spot.wake() does, in place: channels and locks do little else.
            spot.task = task.waiter = None
            task.scheduler.ready.append(task)
        return spot

    def wake_all(self, value: Any = None) -> int:
        """Wake everyone, in order; return how many."""
        count = 0
        while self.spots:
            self.wake_first(value)
            count += 1
        return count

    def move_first(self, lot: ParkingLot) -> Spot:
        """Move the first in line, of whom there must be one, to the end of another line."""
        spot = self.spots.popleft()
        self._drop_husks()
        spot.lot = lot
        lot.spots.append(spot)
        return spot

    def leave(self, spot: Spot) -> None:
        """Take a spot out of the line; called by the spot."""
        spots = self.spots
        if spots and spots[0] is spot:
            spots.popleft()
            self._drop_husks()
            return
        spot.value = _HUSK
        del spot.lot  # or the two would be left to the cycle collector
        self._husks += 1
        self._drop_husks()

    def _drop_husks(self) -> None:
        """Keep the first spot no husk, and husks no more than those who wait."""
        spots = self.spots
        while spots and spots[0].value is _HUSK:
            spots.popleft()
            self._husks -= 1
        if self._husks > len(self):
            waiting = [each for each in spots if each.value is not _HUSK]
            spots.clear()
            spots.extend(waiting)
            self._husks = 0

    def reason(self) -> str:
        """Say what is waited for here, for the task tree."""
        return f"{self.verb} {self.owner!r}"

    def __repr__(self) -> str:
        return f"<line to {self.reason()}{self.describe()}>"

    def describe(self) -> str:
        """Say who waits here, for a repr: ``, 2 wait: 'a-1', 'b-2'``; nothing when nobody does."""
        if not self.spots:
            return ""
        waiting = (spot for spot in self.spots if spot.value is not _HUSK)
        tasks = [spot.parked_task() for spot in islice(waiting, _NAMES_SHOWN)]
        names = [repr(task.name) for task in tasks if task is not None]
        more = ", …" if len(self) > _NAMES_SHOWN else ""
        return f", {len(self)} wait: {', '.join(names)}{more}"


class OwnedLot(ParkingLot):
    """A lot that its owner holds, and that knows its owner weakly.

    Otherwise each lock and each channel would be left to the cycle collector.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: object, verb: str) -> None:
        self._owner = weakref.ref(owner)
        self.verb = verb
        self.spots = deque()
        self._husks = 0

    @property
    def owner(self) -> object:  # type: ignore[override]
        """Whose line this is; whoever parks here keeps it alive."""
        return self._owner()
