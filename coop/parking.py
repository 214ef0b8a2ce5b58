"""Parking: the one line in which tasks wait for each other.

What lives here: ParkingLot, first in, first out, and the Spot of each task in it; every lock,
channel, group and join is built over it.  What it must not know: what is waited for.
Stands on: traps.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from coop.traps import Coop, Waiter

if TYPE_CHECKING:
    from coop.task import Task

#: How many of those who wait a repr names.
_NAMES_SHOWN: Final = 3


class Spot(Waiter):
    """A place in a parking lot.  ``value`` carries what the waker hands over."""

    __slots__ = ("lot", "value")

    def __init__(self, lot: ParkingLot, value: Any = None) -> None:
        self.task = None
        self.lot = lot
        self.value = value
        lot.spots[self] = None

    def abort(self) -> None:
        self.task = None
        self.lot.spots.pop(self, None)

    def reason(self) -> str:
        return self.lot.reason()

    def blockers(self) -> Collection[Task]:
        find: Callable[[], Collection[Task]] = getattr(self.lot.owner, "blockers", tuple)
        return find()

    def parked_task(self) -> Task | None:
        """Return the task that stands here; None for the moment before it does."""
        return self.task  # type: ignore[no-any-return]


class ParkingLot:
    """A line of parked tasks, woken first come, first served."""

    __slots__ = ("owner", "spots", "verb")

    def __init__(self, owner: object, verb: str) -> None:
        #: Whose line this is; named in the reason.
        self.owner = owner
        #: What the tasks here wait to do, such as "recv".
        self.verb = verb
        #: In order of arrival.  An OrderedDict, so that leaving from the middle costs O(1).
        self.spots: OrderedDict[Spot, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.spots)

    def park(self, value: Any = None) -> Coop[Any]:
        """Wait in line; return what the waker handed over."""
        spot = Spot(self, value)
        yield spot
        return spot.value

    def wake_first(self, value: Any = None) -> Spot | None:
        """Wake the first in line, handing it ``value``; return its spot, or None if none waits."""
        if not self.spots:
            return None
        spot, _ = self.spots.popitem(last=False)
        spot.value = value
        task = spot.task
        if task is None:
            spot.wake()  # an arm of a choice
        else:
            # What spot.wake() does, in place: channels and locks do little else.
            spot.task = task.waiter = None
            task.scheduler.ready.append(task)
        return spot

    def call_first(self) -> Spot:
        """Wake the first in line, of whom there must be one; ``value`` is what it brought."""
        spot, _ = self.spots.popitem(last=False)
        task = spot.task
        if task is None:
            spot.wake()
        else:
            spot.task = task.waiter = None
            task.scheduler.ready.append(task)
        return spot

    def wake_all(self, value: Any = None) -> int:
        """Wake everyone, in order; return how many."""
        count = len(self.spots)
        for _ in range(count):
            self.wake_first(value)
        return count

    def reason(self) -> str:
        """Say what is waited for here, for the task tree."""
        return f"{self.verb} {self.owner!r}"

    def describe(self) -> str:
        """Say who waits here, for a repr: ``, 2 wait: 'a-1', 'b-2'``; nothing when nobody does."""
        if not self.spots:
            return ""
        tasks = [spot.parked_task() for spot in islice(self.spots, _NAMES_SHOWN)]
        names = [repr(task.name) for task in tasks if task is not None]
        more = ", …" if len(self.spots) > _NAMES_SHOWN else ""
        return f", {len(self.spots)} wait: {', '.join(names)}{more}"


class OwnedLot(ParkingLot):
    """A lot that its owner holds, and that knows its owner weakly.

    Otherwise each lock and each channel would be left to the cycle collector.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: object, verb: str) -> None:
        self._owner = weakref.ref(owner)
        self.verb = verb
        self.spots = OrderedDict()

    @property
    def owner(self) -> object:  # type: ignore[override]
        """Whose line this is; whoever parks here keeps it alive."""
        return self._owner()
