"""Watchdog: tells which step of which task has kept all the others waiting, and where.

What lives here: ``watching``.  What it must not know: what the tasks do.  Stands on: guard,
signals' rule about threads, task, scheduler, stacks.

No thread, and no cost when it is off.  In the main thread a timer of the system interrupts the
step *while it lasts*, so that its exact line is known, also in a loop that never ends.  Where that
cannot be had (another thread, no SIGALRM, or somebody uses it), each step is measured, and reported
when it has given way.
"""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from coop.arguments import length_of_time
from coop.guard import DEBUG
from coop.observe.stacks import Line, stack_of
from coop.printable import printable
from coop.signals import Signals
from coop.task import Task

if TYPE_CHECKING:
    from coop.scheduler import Scheduler

logger = logging.getLogger("coop.watchdog")

#: Seconds that a step may last before it is reported, unless ``run`` is told otherwise.
LONGEST_STEP: Final = 0.1 if DEBUG else None

#: Seconds.  Ticks that come faster leave the program no time; it cannot count to more.
_SHORTEST_TICK: Final = 1e-3
_LONGEST_TICK: Final = 1e6


@contextmanager
def watching(scheduler: Scheduler, longest_step: float | None) -> Iterator[None]:
    """Report each step that lasts longer than so many seconds; None is off.

    Errors: ValueError unless it is more than 0, and finite; TypeError for what is no number.
    """
    if longest_step is None:
        yield
        return
    says = "a watchdog wants a number of seconds above 0, or None"
    if not 0 < length_of_time(longest_step, says) < math.inf:
        raise ValueError(f"{says}, not {longest_step!r}")
    if not _alarm_is_free():
        _measure_steps(scheduler, longest_step)
        yield
        return
    # Two ticks make the time: a step seen at three of them has lasted as long.
    ticks = min(max(longest_step / 2, _SHORTEST_TICK), _LONGEST_TICK)
    before = signal.signal(signal.SIGALRM, _Ticks(scheduler, longest_step))
    try:
        signal.setitimer(signal.ITIMER_REAL, ticks, ticks)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _alarm_is_free() -> bool:
    return (
        Signals.are_available()
        and hasattr(signal, "setitimer")
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    )


class _Ticks:
    """The handler of the timer: sees whether it meets the same step again and again."""

    def __init__(self, scheduler: Scheduler, longest_step: float) -> None:
        self._scheduler = scheduler
        self._longest_step = longest_step
        #: The step met last: a task makes one step in a turn.  And how often it was met.
        self._step: tuple[int, Task[Any] | None] = (0, None)
        self._meetings = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        task = self._scheduler.current
        step = (self._scheduler.turns, task)
        self._meetings = self._meetings + 1 if step == self._step else 1
        self._step = step
        if task is not None and self._meetings == 3:
            _report(task, f"is still in a step after {self._longest_step:.3f} s, at", frame)


def _measure_steps(scheduler: Scheduler, longest_step: float) -> None:
    """Have every task that is spawned from now on measure its own steps."""
    spawn, throw, now = scheduler.spawn, scheduler._throw, scheduler.clock.now

    def spawn_measured(*args: Any, **kwargs: Any) -> Task[Any]:
        task = spawn(*args, **kwargs)
        send = task.send
        task.send = lambda value: measured(task, send, value)
        return task

    def measured(task: Task[Any], step: Callable[[Any], Any], value: Any) -> Any:
        begin = now()
        try:
            return step(value)
        finally:
            took = now() - begin
            if took > longest_step:
                _report(task, f"made a step of {took:.3f} s, and gave way at")

    scheduler.spawn = spawn_measured  # type: ignore[method-assign]
    # A step that begins with an error, such as a cleanup after Cancelled.
    scheduler._throw = lambda task: measured(task, throw, task)  # type: ignore[method-assign]


def _report(task: Task[Any], what: str, frame: FrameType | None = None) -> None:
    stack = [line for line in stack_of(task, frame) if line.file != __file__]
    logger.warning("%s %s\n%s", repr(task), what, "\n".join(map(_show, stack)) or "  its end")


def _show(line: Line) -> str:
    return printable(f"  {line.file}:{line.number} {line.function}  {line.source}".rstrip())
