"""Traps: the whole of what a task may yield, and the parking places made of it.

What lives here: Waiter, the one kind of thing a task parks on; ParkingLot, the FIFO line of them
that every primitive is built over; the decorator that makes a generator function an operation; and
the way to ask who is running.  What it must not know: sockets, scopes, how the loop turns.
Stands on: outcomes and the guard.

A task yields a Waiter ("wake me when this happens") or nothing ("run me again next turn").  Nothing
else in the library speaks to the scheduler.  The rules every waiter keeps:

* It holds at most one task, from the yield until it is woken or aborted, never after.
* ``wake`` hands over what was waited for at that moment; the task only learns of it later.  So a
  woken task cannot be cancelled out of what it got, and a cancelled one got nothing.
* ``abort`` is called by the kernel when the parked task is cancelled: leave every queue, at once.
"""

from __future__ import annotations

import functools
import math
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Generator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Protocol, TypeVar

from coop.guard import DEBUG, Guarded
from coop.outcomes import MisuseError

if TYPE_CHECKING:
    from coop.scheduler import Scheduler
    from coop.task import Task

T = TypeVar("T")
P = ParamSpec("P")

FOREVER = math.inf
"""The deadline of what has none."""

#: How many of those who wait a repr names.
_NAMES_SHOWN: Final = 3


class Parkable(Protocol):
    """What a waiter knows of the task parked on it."""

    def wake(self) -> None:
        """Put the task at the end of the ready queue."""


class Waiter:
    """A place where one task parks."""

    __slots__ = ("task",)

    #: Clock time at which this wait is over by itself.
    until: float = FOREVER
    #: Whether something outside this process's tasks can end the wait (a peer, a signal).
    external: bool = False

    #: The task parked here, or None.  Set by the kernel, at the yield.
    task: Any

    def __init__(self) -> None:
        self.task = None

    def wake(self) -> None:
        """End the wait: the task runs next turn.  Nothing happens when none is parked."""
        task = self.task
        if task is not None:
            self.task = None
            task.wake()

    def abort(self) -> None:
        """Forget the task, which was cancelled.  Overridden by waiters that stand in a queue."""
        self.task = None

    def reason(self) -> str:
        """Say what is waited for, for the task tree."""
        return type(self).__name__.lower()

    def blockers(self) -> Collection[Task]:
        """Return the tasks any one of which could end the wait, as far as they are known."""
        return ()


if TYPE_CHECKING:
    Coop = Generator[Waiter | None, None, T]
    """A generator that waits and returns T: the type of a handler."""

    class Operation(Coop[T], Awaitable[T]):
        """A wait of the library's own: for ``yield from`` and for ``await``."""

else:
    # At run time the names are only ever subscripted in annotations.
    class Coop(Generic[T]):
        """A generator that waits and returns T: the type of a handler."""

    class Operation(Generic[T]):
        """A wait of the library's own: for ``yield from`` and for ``await``."""


def operation(function: Callable[P, Generator[Any, Any, T]]) -> Callable[P, Operation[T]]:
    """Make a generator function serve both ``yield from`` and ``await``.

    In debug mode what it returns also complains when it is dropped without having been run.
    """
    make: Any = types.coroutine(function)
    if not DEBUG:
        return make  # type: ignore[no-any-return]

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        return Guarded(make(*args, **kwargs), function.__qualname__)

    return guarded


class Sleep(Waiter):
    """A wait that only the clock ends."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.task = None
        self.until = until

    def reason(self) -> str:
        return "sleep"


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


class _Running(threading.local):
    """The scheduler that runs in this thread: the only mutable global of the library."""

    scheduler: Scheduler | None = None


running = _Running()


def current_scheduler() -> Scheduler:
    """Return the scheduler that runs in this thread.  Errors: MisuseError outside a run."""
    scheduler = running.scheduler
    if scheduler is None:
        raise MisuseError("no scheduler runs in this thread: call this from inside coop.run(...)")
    return scheduler


def current_task() -> Task:
    """Return the task that is running now.  Errors: MisuseError outside a task."""
    task = (running.scheduler or current_scheduler()).current
    if task is None:
        raise MisuseError("no task is running: call this from inside a task, not from a callback")
    return task
