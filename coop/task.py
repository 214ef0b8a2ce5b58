"""A task: one scheduled generator, and the table of its states.

What lives here: Task, its life as a table, its scopes reckoned into one deadline and one flag.
What it must not know: how the loop turns, what a poller is, what any waiter waits for.
Stands on: outcomes, traps.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from coop.outcomes import Cancelled, MisuseError, TaskCancelled
from coop.parking import ParkingLot, Spot
from coop.traps import FOREVER, Coop, Runnable, Waiter, current_task, operation

if TYPE_CHECKING:
    from coop.scheduler import Scheduler
    from coop.scopes import Scope

T = TypeVar("T")


class TaskState(Enum):
    """Where a task is in its life."""

    #: In the ready queue: it runs next turn.
    READY = "ready"
    #: Its generator is executing now.  At most one task of a scheduler is.
    RUNNING = "running"
    #: Waiting on a waiter.
    PARKED = "parked"
    #: Ended with a value.
    RETURNED = "returned"
    #: Ended with an error.
    FAILED = "failed"
    #: Ended by the cancellation that was asked for.
    CANCELLED = "cancelled"


#: The life of a task: {state: {event: next state}}.  The docs page and the tests read this table.
TASK_LIFE: Final[dict[TaskState, dict[str, TaskState]]] = {
    TaskState.READY: {"resume": TaskState.RUNNING},
    TaskState.RUNNING: {
        "pass": TaskState.READY,
        "park": TaskState.PARKED,
        "return": TaskState.RETURNED,
        "raise": TaskState.FAILED,
        "leave": TaskState.CANCELLED,
    },
    TaskState.PARKED: {"wake": TaskState.READY, "cancel": TaskState.READY},
    TaskState.RETURNED: {},
    TaskState.FAILED: {},
    TaskState.CANCELLED: {},
}


#: What an ended task has for a context: what was in its own is let go of.
_NO_CONTEXT: Final = contextvars.Context()
_ENDS: Final = TASK_LIFE[TaskState.RUNNING]


class Owner(Protocol):
    """Whoever answers for a task: a group."""

    def task_ended(self, task: Task[Any], was_joined: bool) -> None:
        """Take note that the task has ended; called by the kernel, once."""


class Task(Generic[T]):
    """One scheduled generator: a conversation that gives way wherever it would block.

    Made by ``coop.spawn`` and by a group's ``spawn``, never directly.
    """

    __slots__ = (
        "__weakref__", "_error", "_joiners", "_name", "_traceback", "_value", "alarm",
        "cancel_reason", "cancel_requested", "cancelling", "context", "deadline", "deliveries",
        "end", "error", "generator", "number", "owner", "reckonings",
        "scheduler", "scope", "send", "since", "soft_cancelled", "waiter",
    )  # fmt: skip

    def __init__(
        self,
        generator: Runnable[T],
        scheduler: Scheduler,
        owner: Owner,
        name: str | None = None,
    ) -> None:
        self.scheduler = scheduler
        #: Counts the scheduler's tasks from 1: the order of spawning, and the task's identity.
        self.number = scheduler.spawned
        self.owner = owner
        self.generator = generator
        #: The task's own context variables; every step runs in them.
        self.context = contextvars.copy_context()
        # Bound once: the loop calls it at each step.
        self.send: Callable[[Any], Any] = generator.send
        #: Where it is parked; None unless it is.
        self.waiter: Waiter | None = None
        #: What to throw at the next step instead of sending None.
        self.error: BaseException | None = None
        #: The innermost scope entered, or None.
        self.scope: Scope | None = None
        #: Clock time of the nearest deadline in force; FOREVER without one, and less than any
        #: clock time while ``cancelling``, so that the loop needs one comparison for both.
        self.deadline: float = FOREVER
        #: Clock time of this task's live entry in the alarm heap; FOREVER without one.
        self.alarm: float = FOREVER
        #: The outermost scope (or this task) whose cancellation is in force; None without one.
        self.cancelling: Scope | Task[Any] | None = None
        #: How often the two above were reckoned anew: a scope that finds no change has less to do.
        self.reckonings = 0
        #: How often Cancelled was raised in it: code that swallows it in a loop shows here.
        self.deliveries = 0
        #: Whether ``cancel`` was called, and the reason it gave.
        self.cancel_requested = False
        self.cancel_reason: object = None
        #: Whether ``cancel_soon`` was called: leave at the next convenient point.
        self.soft_cancelled = False
        #: Clock time at which it parked last.
        self.since: float = scheduler.now
        #: How it ended; None as long as it lives.
        self.end: TaskState | None = None
        self._name = name
        self._value: Any = None
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._joiners: ParkingLot | None = None

    # -- what users ask -----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name given at spawn, or the generator's with the task's number."""
        if self._name is None:
            self._name = f"{_name_of(self.generator)}-{self.number}"
        return self._name

    @property
    def state(self) -> TaskState:
        """Where the task is in its life.

        Only the ends are stored: the rest is read off ``current`` and ``waiter``, since storing a
        state at each step made a switch a fifth slower.
        """
        if self.end is not None:
            return self.end
        if self.scheduler.current is self:
            return TaskState.RUNNING
        return TaskState.READY if self.waiter is None else TaskState.PARKED

    @property
    def is_done(self) -> bool:
        """Whether the task has ended, in whatever way."""
        return self.end is not None

    @property
    def result(self) -> T:
        """What the generator returned.

        Errors: the task's own error when it failed; TaskCancelled when it was cancelled;
        MisuseError while it has not ended.
        """
        if self.end is TaskState.RETURNED:
            return self._value  # type: ignore[no-any-return]
        if self._error is not None:
            try:
                # The traceback as it was at the end: each raise would lengthen it.
                raise self._error.with_traceback(self._traceback)
            finally:
                del self  # the traceback keeps this frame, and would keep the task through it
        if self.end is TaskState.CANCELLED:
            raise TaskCancelled(f"{self!r} has no result: it was cancelled{self._why()}")
        raise MisuseError(f"{self!r} has no result yet: 'yield from task.join()' waits for it")

    @property
    def exception(self) -> BaseException | None:
        """The error the task failed with, or None."""
        return self._error

    @operation
    def join(self) -> Coop[T]:
        """Wait until the task has ended; return its result.

        Waits: may.  A joiner that is waiting when the task fails receives the error, and it is the
        joiner's from then on; a failure that nobody is waiting for is the group's.
        Errors: as ``result``; MisuseError for a task that joins itself.
        """
        if self.end is None:
            if current_task() is self:
                raise MisuseError(f"{self!r} cannot join itself")
            yield Spot(self.joiners)
        if self.end is TaskState.RETURNED:  # as in result, which would be one call more
            return self._value  # type: ignore[no-any-return]
        try:
            return self.result
        finally:
            del self  # as in result

    @property
    def joiners(self) -> ParkingLot:
        """The line of those who wait for the end."""
        if self._joiners is None:
            self._joiners = ParkingLot(self, "join")
        return self._joiners

    def cancel(self, reason: object = None) -> None:
        """Ask the task to end: Cancelled is raised at its park, and at every later one.

        Waits: never; ``join`` does.  A task that has not begun still begins.  Calling it again, or
        after the end, changes nothing.
        """
        if self.end is None and not self.cancel_requested:
            self.cancel_requested = True
            self.cancel_reason = reason
            self.reckon()

    def cancel_soon(self, reason: object = None) -> None:
        """Ask the task to end at the next convenient point: inside a ``coop.convenient()`` scope.

        Waits: never.  What it does outside such scopes goes on undisturbed.
        """
        self.soft_cancelled = True
        scope = self.scope
        while scope is not None:
            if scope.is_convenient:
                scope.cancel(reason)
            scope = scope.outer

    def blockers(self) -> list[Task[Any]]:
        """Return whom a joiner waits for: this task."""
        return [self]

    def __repr__(self) -> str:
        joiners = "" if self._joiners is None else self._joiners.describe()
        return f"<task {self.name!r} {self.state.value}{joiners}>"

    def _why(self) -> str:
        return "" if self.cancel_reason is None else f" ({self.cancel_reason})"

    # -- what scopes and the scheduler do -----------------------------------------------------

    def reckon(self) -> None:
        """Work out, after any change to a scope, which deadline and which cancellation hold.

        Walks outward to the first shield; the outermost cancelled scope before it is in force.
        """
        self.reckonings += 1
        deadline = FOREVER
        cancelling: Scope | Task[Any] | None = None
        scope = self.scope
        while scope is not None:
            if scope.deadline < deadline:
                deadline = scope.deadline
            if scope.cancel_requested:
                cancelling = scope
            if scope.is_shielding:
                break
            scope = scope.outer
        else:
            if self.cancel_requested:
                cancelling = self
        self.cancelling = cancelling
        self.deadline = deadline if cancelling is None else -FOREVER
        if self.waiter is not None and self.deadline < self.alarm:
            self.scheduler.attend(self)

    def wake(self) -> None:
        """Put the task at the end of the ready queue; called by the waiter that let go of it."""
        self.waiter = None
        self.scheduler.ready.append(self)

    def interrupt(self) -> None:
        """Have Cancelled raised where the task is parked or has passed."""
        if self.waiter is not None:
            self.waiter.abort()
            self.wake()
        if self.scope is not None:
            # A deadline that has passed while the task computed counts, though no alarm told yet.
            self.scope.expire(self.scheduler.clock.now())
        assert self.cancelling is not None
        if self.error is None:  # or else it yielded badly, which is to be told first
            self.error = Cancelled(self.cancelling.cancel_reason)
        self.deliveries += 1

    def finish(self, event: str, value: Any = None, error: BaseException | None = None) -> bool:
        """End the task's life by this event of the table, and let go of all it held.

        Return whether a joiner was waiting, who now has the result or the error.
        """
        self.end = _ENDS[event]
        self._value = value
        self._error = error
        self._traceback = None if error is None else error.__traceback__
        self.context, self.send = _NO_CONTEXT, _ended
        self.scope = self.cancelling = None
        # No entry of the alarm heap is live any more.
        self.alarm = self.deadline = FOREVER
        joiners = self._joiners
        if joiners is None:
            return False
        self._joiners = None
        return joiners.wake_all() > 0


def _ended(*_args: object) -> Any:
    raise MisuseError("this task has ended")


def _name_of(generator: object) -> str:
    name = getattr(generator, "__qualname__", None)
    if name is None:
        code = getattr(generator, "gi_code", None)  # an operation's wrapper in debug mode has one
        name = type(generator).__qualname__ if code is None else code.co_qualname
    return str(name).rpartition("<locals>.")[2]
