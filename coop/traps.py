"""Traps: the whole of what a task may yield.

What lives here: Waiter, the one kind of thing a task parks on; the decorator that makes a generator
function an operation; and the way to ask who is running.  What it must not know: sockets, scopes,
how the loop turns.  Stands on: outcomes and the guard.

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
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from coop.guard import DEBUG, Guarded
from coop.outcomes import MisuseError

if TYPE_CHECKING:
    from coop.scheduler import Scheduler
    from coop.task import Task

T = TypeVar("T")
P = ParamSpec("P")

FOREVER = math.inf
"""The deadline of what has none."""


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

    def blockers(self) -> Collection[Task[Any]]:
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


Runnable = Generator[Any, Any, T] | Coroutine[Any, Any, T]
"""What a task can run."""


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


def current_task() -> Task[Any]:
    """Return the task that is running now.  Errors: MisuseError outside a task."""
    task = (running.scheduler or current_scheduler()).current
    if task is None:
        raise MisuseError("no task is running: call this from inside a task, not from a callback")
    return task
