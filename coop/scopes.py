"""Scopes: with-blocks that bound how long a task waits inside them, or protect it from that.

What lives here: Scope and the four ways to make one.  What it must not know: the loop, the heap;
a scope changes its fields and asks its task to reckon.  Stands on: outcomes, stopwatch's units,
traps, task.

Cancellation is level-triggered.  Inside a cancelled scope every park raises Cancelled until the
scope is left, and only the outermost cancelled scope swallows it.  Entering and leaving touch the
task's stack alone; ``__exit__`` never waits.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any

from coop.outcomes import Cancelled, MisuseError
from coop.task import Task
from coop.traps import FOREVER, current_scheduler, current_task, running


class Scope:
    """A with-block that can be cancelled, by its deadline or by hand: ``coop.move_on_after``.

    ``with coop.move_on_after(5) as scope: …`` goes on after the block when the time runs out, and
    then ``scope.caught`` tells that it did.  ``seconds`` counts from the entry; None means for
    ever.  ValueError when negative.
    """

    __slots__ = (
        "_deadline", "_outer_deadline", "_reckonings", "_seconds", "cancel_reason",
        "cancel_requested", "caught", "has_expired", "is_convenient", "is_shielding", "outer",
        "task",
    )  # fmt: skip

    def __init__(self, seconds: float | None = None) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(
                f"a timeout is a number of seconds from now, 0 or more, not {seconds!r}; "
                "None means for ever"
            )
        self._seconds = seconds
        self._deadline = FOREVER
        #: Whether ``cancel`` was called or the deadline has passed, and why.
        self.cancel_requested = False
        self.cancel_reason: object = None
        #: Whether it was the deadline that cancelled it.
        self.has_expired = False
        #: Whether leaving the scope swallowed a Cancelled.
        self.caught = False
        #: Whether cancellations from outside stop here.
        self.is_shielding = False
        #: Whether a soft cancel of the task cancels this scope.
        self.is_convenient = False
        #: The next scope outward in the same task, and the task, as long as we are inside.
        self.outer: Scope | None = None
        self.task: Task[Any] | None = None
        #: What was in force at the entry: the task's deadline, and its count of reckonings, which
        #: is negative as long as the scope has not been entered.
        self._outer_deadline = FOREVER
        self._reckonings = -1

    # -- what users ask -----------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """Clock time at which the scope is cancelled; ``math.inf`` without one.  May be set."""
        return self._deadline

    @deadline.setter
    def deadline(self, when: float) -> None:
        if math.isnan(when):
            raise ValueError("a deadline is a clock time, not NaN")
        self._deadline = when
        self._reckon()

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, 0 when it has passed, ``math.inf`` without one."""
        if self.task is None:
            return FOREVER if self._seconds is None else self._seconds
        return max(0.0, self._deadline - self.task.scheduler.clock.now())

    def cancel(self, reason: object = None) -> None:
        """Have Cancelled raised at every park inside; ``reason`` travels with it.

        Waits: never.  From any task or callback; again or after the end it changes nothing.
        """
        if not self.cancel_requested:
            self.cancel_requested = True
            self.cancel_reason = reason
            self._reckon()

    def __repr__(self) -> str:
        state = "cancelled" if self.cancel_requested else "open"
        return f"<{type(self).__name__.lower()} {state}>"

    # -- entering and leaving -----------------------------------------------------------------

    def __enter__(self) -> Any:
        if self._reckonings >= 0:
            raise MisuseError(f"{self!r} has been entered before: make a new one for each 'with'")
        scheduler = running.scheduler or current_scheduler()
        self.task = task = scheduler.current or current_task()
        self.outer = task.scope
        task.scope = self
        self._outer_deadline = task.deadline
        self._reckonings = task.reckonings
        if self._seconds is not None:
            # A fresh reading, not the turn's: a turn's work must not shorten the timeout.
            self._deadline = scheduler.clock.now() + self._seconds
        if self.is_shielding or self.cancel_requested:
            task.reckon()
        elif self._deadline < task.deadline:
            task.deadline = self._deadline
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        task = self.task
        assert task is not None
        if task.scope is not self:
            self._leave_out_of_order(task)
        task.scope = self.outer
        self.task = self.outer = None
        if task.reckonings == self._reckonings:
            # No scope has changed since the entry, so neither has what was in force outside.
            task.deadline = self._outer_deadline
            return False
        task.reckon()
        if self.cancel_requested and task.cancelling is None:
            task.deliveries = 0
            if isinstance(error, Cancelled):
                self.caught = True
                del task  # the traceback of what is raised keeps this frame
                return self._swallow(error)
        return False

    def _leave_out_of_order(self, task: Task[Any]) -> None:
        """Complain, and take with us what is still open inside, so that those outside may go on."""
        scope = task.scope
        while scope is not None and scope is not self:
            scope = scope.outer
        if scope is self:
            task.scope = self.outer
            task.reckon()
        raise MisuseError(
            f"{self!r} is left out of order: scopes of a task must nest, and a scope must not "
            "be held open across the yields of a generator used as an iterator"
        )

    def _swallow(self, error: Cancelled) -> bool:
        """Decide what becomes of the Cancelled that this scope caused: here it ends."""
        return True

    def expire(self, now: float) -> None:
        """Cancel every scope from here outward whose deadline has passed; called by the kernel."""
        scope: Scope | None = self
        while scope is not None:
            if scope.deadline <= now:
                scope.run_out()
            if scope.is_shielding:
                break
            scope = scope.outer
        self._reckon()

    def run_out(self) -> None:
        """Take note that the deadline has passed."""
        if not self.cancel_requested:
            self.has_expired = self.cancel_requested = True
            self.cancel_reason = "its deadline has passed"

    def _reckon(self) -> None:
        if self.task is not None:
            self.task.reckon()


class Timeout(Scope):
    """A with-block whose waits are bounded: ``with coop.timeout(5): …``

    ``seconds`` counts from the entry; None means for ever.  Leaving raises TimeoutError when the
    time ran out inside, with the place where it did as its cause.  ValueError when negative.
    """

    __slots__ = ()

    def _swallow(self, error: Cancelled) -> bool:
        if not self.has_expired:
            return True  # cancelled by hand
        raise TimeoutError(f"timed out after {self._seconds} s") from error


class Shield(Scope):
    """A with-block whose waits no cancellation from outside enters, for at most so many seconds.

    For cleanup: ``with coop.shield(1.0): yield from conn.sendall(goodbye)``.  When the time is up,
    what had been cancelled outside is cancelled inside too.
    """

    __slots__ = ()

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__(seconds)
        self.is_shielding = True

    def run_out(self) -> None:
        """Shield no longer."""
        self.is_shielding = False
        self._deadline = FOREVER


# Classes under the names of what they do: a function around each would be a call more.
timeout = Timeout
move_on_after = Scope
shield = Shield


def convenient() -> Scope:
    """Mark a with-block as a convenient point to stop: ``Task.cancel_soon`` cancels it.

    ``with coop.convenient() as idle: request = yield from next_request()`` and then
    ``if idle.caught: return``.  Entered after the soft cancel, it is cancelled from the start.
    """
    scope = Scope()
    scope.is_convenient = True
    if current_task().soft_cancelled:
        scope.cancel("soft cancel")
    return scope
