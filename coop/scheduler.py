"""The scheduler: turns of poll, alarms, and one step for each task that is ready.

What lives here: the loop, the ready queue, the alarm heap, the door for other threads.
What it must not know: sockets, protocols, groups.  Clock and poller are handed in.
Stands on: outcomes, frames, traps, task, readiness.

A turn: poll; expire alarms; run a snapshot of the ready queue, one step each, first in, first out.
What becomes ready meanwhile waits for the next turn.  When nothing is ready the poll blocks until
the next alarm, or for ever: an idle scheduler costs no CPU.
"""

from __future__ import annotations

import linecache
import logging
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final

from coop.deadlock import explain_deadlock
from coop.frames import frames_of
from coop.outcomes import Cancelled, Deadlock, MisuseError
from coop.readiness import BUDGET, Descriptors
from coop.stopwatch import Clock
from coop.task import Owner, Task
from coop.traps import FOREVER, Runnable, Waiter, running

if TYPE_CHECKING:
    from coop.doorbell import Doorbell
    from coop.poller import Poller

logger = logging.getLogger("coop")

#: The alarm heap may hold this many entries beyond two for each task before it is pruned.
HEAP_SLACK: Final = 256
#: So many Cancelled raised in one task without its leaving the scope deserve a warning.
STUBBORN: Final = 100
#: Seconds between two looks whether other threads, which could wake a task, are still alive.
THREADS_PATIENCE: Final = 1.0


class Scheduler:
    """A round-robin scheduler of generators over one poller and one clock."""

    def __init__(
        self, clock: Clock, poller: Poller, *, network: Any = None, doorbell: Doorbell | None = None
    ) -> None:
        self.clock = clock
        self.poller = poller
        #: Where ``connect`` and ``listen`` get their sockets; the scheduler never looks inside.
        self.network = network
        self.doorbell = doorbell
        #: Tasks to step, in order.
        self.ready: deque[Task[Any]] = deque()
        #: Every live task by number, in the order of spawning: the strong references.
        self.tasks: dict[int, Task[Any]] = {}
        self.descriptors = Descriptors(self)
        #: The task that is executing now.
        self.current: Task[Any] | None = None
        #: How many more operations of this step may succeed at once.
        self.budget = BUDGET
        #: Clock time of this turn.
        self.now = clock.now()
        #: The group of tasks spawned at top level; set by ``run``.
        self.root: Any = None
        #: Counts turns and spawned tasks, for the curious.
        self.turns = 0
        self.spawned = 0
        # When, in which order they were set, and the number of the task; not the task itself,
        # which an alarm of long ago would keep alive when it has ended.
        self._alarms: list[tuple[float, int, int]] = []
        self._alarms_set = 0
        self._inbox: deque[Callable[[], object]] = deque()

    def __repr__(self) -> str:
        return f"<scheduler of {len(self.tasks)} tasks, {len(self.ready)} of them ready>"

    # -- tasks --------------------------------------------------------------------------------

    def spawn(self, generator: Runnable[Any], owner: Owner, name: str | None = None) -> Task[Any]:
        """Make a task of a generator, to run from the next turn on.

        Anything with ``send`` and ``throw`` will do, so ``async def`` and Cython's generators too.
        """
        if type(generator) is not GeneratorType:
            check_generator(generator, "spawn")
        self.spawned += 1
        task = Task(generator, self, owner, name)
        self.tasks[task.number] = task
        self.ready.append(task)
        return task

    def run_until_done(self, task: Task[Any]) -> None:
        """Turn until this task has ended.  Errors: Deadlock when it can never end."""
        if running.scheduler is not None:
            raise MisuseError(
                "a scheduler is already running in this thread: use 'yield from' on the generator, "
                "or coop.spawn, instead of a run inside a run"
            )
        running.scheduler = self
        try:
            turn = self.turn
            while task.end is None:
                turn()
        finally:
            running.scheduler = None
            del task  # see step_all

    # -- the loop -----------------------------------------------------------------------------

    def turn(self) -> None:
        """Poll, expire alarms, and step every task that is ready by then."""
        self.turns += 1
        if self.descriptors.table or not self.ready:
            events = self.poller.poll(self._patience())
            if events:
                self.descriptors.dispatch(events)
        if self._inbox:
            self._empty_inbox()
        self.now = now = self.clock.now()
        if self._alarms and self._alarms[0][0] <= now:
            self._expire(now)
        self.step_all()

    def step_all(self) -> None:
        """Run the snapshot: one step of each task that is ready now."""
        ready = self.ready
        for _ in range(len(ready)):
            task = ready.popleft()
            self.current = task
            self.budget = BUDGET
            try:
                if task.error is None:
                    waiter = task.context.run(task.send, None)
                else:
                    waiter = self._throw(task)
            except StopIteration as stop:
                self._retire(task, "return", stop.value)
            except BaseException as error:
                self._bury(task, error)
            else:
                if waiter is None:
                    ready.append(task)
                elif isinstance(waiter, Waiter) and waiter.task is None:
                    waiter.task = task
                    task.waiter = waiter
                    task.since = self.now
                else:
                    task.error = TypeError(_bad_yield(task, waiter))
                    ready.append(task)
                if task.deadline < task.alarm:
                    self.attend(task)
        # From Python 3.12 on, a traceback keeps the frames that its frames were called from.
        self.current = task = waiter = None  # type: ignore[assignment]

    def attend(self, task: Task[Any]) -> None:
        """See to a task that gave way with a deadline or a cancellation pending."""
        if task.cancelling is None:
            self.arm(task, task.deadline)
            return
        task.interrupt()
        if task.deliveries % STUBBORN == 0:
            complaint = "%r was told %d times that it is cancelled and goes on: let Cancelled pass"
            logger.warning(complaint, task, task.deliveries)

    def _throw(self, task: Task[Any]) -> Any:
        error, task.error = task.error, None
        try:
            return task.context.run(task.generator.throw, error)  # type: ignore[arg-type]
        finally:
            del error, task  # or its traceback would pin this frame, and with it the task

    def _bury(self, task: Task[Any], error: BaseException) -> None:
        if isinstance(error, Cancelled) and task.cancel_requested:
            self._retire(task, "leave")
            return
        # The first frames are the loop's: they tell nothing, and would pin the task.
        while (trace := error.__traceback__) and trace.tb_frame.f_code.co_filename == __file__:
            error.__traceback__ = trace.tb_next
        self._retire(task, "raise", None, error)

    def _retire(
        self, task: Task[Any], event: str, value: Any = None, error: BaseException | None = None
    ) -> None:
        del self.tasks[task.number]
        task.owner.task_ended(task, was_joined=task.finish(event, value, error))

    # -- alarms -------------------------------------------------------------------------------

    def arm(self, task: Task[Any], when: float) -> None:
        """Make sure that the task is looked at by this clock time.

        A task has one live entry in the heap, ``task.alarm``.  Leaving a scope does not touch it:
        an alarm that comes early is set anew.  Entries that an earlier one superseded are stale;
        they go when they come up, or all at once when they outnumber the tasks.
        """
        if when >= task.alarm:
            return
        task.alarm = when
        self._alarms_set += 1
        heappush(self._alarms, (when, self._alarms_set, task.number))
        if len(self._alarms) > 2 * len(self.tasks) + HEAP_SLACK:
            alarm_of = {number: task.alarm for number, task in self.tasks.items()}
            self._alarms[:] = [
                alarm for alarm in self._alarms if alarm_of.get(alarm[2]) == alarm[0]
            ]
            heapify(self._alarms)

    @property
    def alarm_count(self) -> int:
        """How many entries the alarm heap holds, the stale ones included."""
        return len(self._alarms)

    def _expire(self, now: float) -> None:
        alarms = self._alarms
        while alarms and alarms[0][0] <= now:
            when, _, number = heappop(alarms)
            task = self.tasks.get(number)
            if task is None or when != task.alarm:
                continue
            task.alarm = FOREVER
            waiter = task.waiter
            if waiter is not None and waiter.until <= now:
                waiter.wake()
            if task.scope is not None and task.deadline <= now:
                task.scope.expire(now)
            if task.waiter is not None:
                self.arm(task, min(task.deadline, task.waiter.until))

    def _patience(self) -> float | None:
        """How long the poll may block: not at all, until the next alarm, or for ever (None)."""
        if self.ready or self._inbox:
            return 0.0
        if self._alarms:
            return max(0.0, self._alarms[0][0] - self.clock.now())
        if not any(task.waiter and task.waiter.external for task in self.tasks.values()):
            if self.doorbell is None or not self.doorbell.may_be_rung():
                raise Deadlock(explain_deadlock(self.tasks.values()))
            return THREADS_PATIENCE  # and look again whether those threads are still there
        return None

    # -- the door for others ------------------------------------------------------------------

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have ``callback()`` run in the next turn, outside any task; for signal handlers."""
        self._inbox.append(callback)

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        """Have ``callback()`` run in this scheduler's thread; the one call for other threads.

        Waits: never.  Errors: MisuseError for a scheduler that has no doorbell (a simulation).
        """
        if self.doorbell is None:
            raise MisuseError("this scheduler has no door for other threads")
        self._inbox.append(callback)
        self.doorbell.ring()

    def take_stray_event(self, fd: int) -> None:
        """Deal with an event of a descriptor that is not in the table."""
        if self.doorbell is not None and fd == self.doorbell.fileno():
            self.doorbell.silence()
        else:
            self.poller.forget(fd)

    def _empty_inbox(self) -> None:
        for _ in range(len(self._inbox)):
            self._inbox.popleft()()


def check_generator(thing: object, verb: str) -> None:
    """Raise TypeError, with what was probably meant, for what is no generator or coroutine."""
    if hasattr(thing, "send") and hasattr(thing, "throw"):
        return
    if callable(thing):
        name = getattr(thing, "__qualname__", repr(thing))
        raise TypeError(
            f"{verb} wants a generator, not the function {name}: did you mean {verb}({name}(...))?"
        )
    raise TypeError(f"{verb} wants a generator (or a coroutine), not {thing!r}")


def _bad_yield(task: Task[Any], value: object) -> str:
    """Name the task, the place and the value of a yield that the loop cannot take."""
    place = "?"
    frames = list(frames_of(task.generator))
    if frames:
        file, line = frames[-1].f_code.co_filename, frames[-1].f_lineno
        place = f"{file}:{line}: {linecache.getline(file, line).strip()}"
    if isinstance(value, Waiter):
        return f"task {task.name!r} yielded a {value!r} that another task is parked on ({place})"
    hint = ": did you mean 'yield from'?" if hasattr(value, "send") else ""
    return f"task {task.name!r} yielded {value!r}, which is nothing to wait for{hint} ({place})"
