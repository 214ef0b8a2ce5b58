"""The plain waits: time, a descriptor, a turn; and the top-level spawn.

What lives here: what a task calls to wait for something that is no object of the library's.
What it must not know: how any of it is kept.  Stands on: arguments, poller, traps, readiness, the
running scheduler.
"""

from __future__ import annotations

import math
from typing import TypeVar

from coop.arguments import descriptor_of, length_of_time
from coop.poller import HasFileno
from coop.readiness import take_turn, wait_ready
from coop.task import Task
from coop.traps import (
    Coop,
    Runnable,
    Sleep,
    current_scheduler,
    current_task,
    operation,
    running,
)

T = TypeVar("T")


def spawn(generator: Runnable[T], *, name: str | None = None) -> Task[T]:
    """Make a task of a generator (or a coroutine); it belongs to the run's own group.

    Waits: never; the task begins next turn.  ``coop.run`` ends when the last of them has.
    When it fails and nobody is joining it, the run fails: a crash is never silent.
    Errors: MisuseError outside a run; TypeError for what is no generator.
    """
    return (running.scheduler or current_scheduler()).root.spawn(  # type: ignore[no-any-return]
        generator, name=name
    )


@operation
def sleep(seconds: float) -> Coop[None]:
    """Wait for this many seconds, or longer, by the scheduler's clock; 0 passes for one turn.

    Errors: ValueError when negative.
    """
    if length_of_time(seconds, "sleep wants a number of seconds, 0 or more") == 0:
        yield None
        return
    scheduler = running.scheduler or current_scheduler()
    deadline = scheduler.clock.now() + seconds
    # No name for the task: the traceback of a Cancelled keeps this frame, and would keep the task.
    scheduler.arm(current_task(), deadline)
    yield Sleep(deadline)


@operation
def sleep_until(deadline: float) -> Coop[None]:
    """Wait until the scheduler's clock shows this time; at once when it has passed."""
    if math.isnan(deadline):
        raise ValueError("a deadline is a clock time, not NaN")
    current_scheduler().arm(current_task(), deadline)
    yield Sleep(deadline)


@operation
def wait_readable(thing: HasFileno | int) -> Coop[None]:
    """Wait until a descriptor, or an object with one, is readable: data, the end, or an error.

    A Connection is readable at once when it holds bytes that nobody has received.
    Errors: BusyError when another task waits for the same; ClosedError when it is closed
    meanwhile; MisuseError for what cannot be waited for, such as a regular file.
    """
    with current_scheduler().descriptors.lend(descriptor_of(thing)) as descriptor:
        if getattr(thing, "buffered_bytes", False):
            yield from take_turn(descriptor.reader)
        else:
            yield from wait_ready(descriptor.reader)


@operation
def wait_writable(thing: HasFileno | int) -> Coop[None]:
    """Wait until a descriptor, or an object with one, takes data or has failed.

    Errors: as ``wait_readable``.
    """
    with current_scheduler().descriptors.lend(descriptor_of(thing)) as descriptor:
        yield from wait_ready(descriptor.writer)
