"""Running: the real clock, poller, network and signals put together around one generator.

What lives here: ``run``.  What it must not know: anything that a simulation does otherwise; it has
its own way to put things together.  Stands on: every room below.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from coop.doorbell import Doorbell
from coop.groups import Group, as_generator
from coop.guard import check_fresh
from coop.network import Network, SystemNetwork
from coop.observe import LONGEST_STEP, answering, watching
from coop.outcomes import Deadlock, MisuseError
from coop.poller import READ, Events, Poller, best_poller
from coop.scheduler import Scheduler, check_generator
from coop.stopwatch import MONOTONIC, Clock
from coop.task import Task
from coop.traps import Runnable, running

logger = logging.getLogger("coop")

T = TypeVar("T")


def run(
    main: Runnable[T],
    *,
    clock: Clock = MONOTONIC,
    poller: Poller | None = None,
    network: Network | None = None,
    watchdog: float | None = LONGEST_STEP,
) -> T:
    """Run a generator (or a coroutine) to its end, with every task it spawns; return its result.

    Blocks the thread.  Ctrl-C cancels ``main`` and raises KeyboardInterrupt when all has ended; a
    second one raises it at once.  SIGUSR1 prints the task tree.  ``watchdog``: steps that last
    longer than so many seconds are logged with their stack; None, the default but in debug mode,
    is off.  Errors: main's own error as it is; ExceptionGroup of the errors of spawned tasks;
    Deadlock when nothing can ever run again; MisuseError inside another run.
    """
    if running.scheduler is not None:
        raise MisuseError(
            "a scheduler is already running in this thread: inside a task, use 'yield from' on the "
            "generator, or coop.spawn(...)"
        )
    check_generator(main, "run")
    check_fresh(main)
    poller = best_poller() if poller is None else poller
    doorbell = Doorbell()
    scheduler = Scheduler(
        clock, poller, network=SystemNetwork() if network is None else network, doorbell=doorbell
    )
    poller.watch(doorbell.fileno(), READ)
    try:
        with _survive_forks(scheduler), answering(), watching(scheduler, watchdog):
            return run_in(scheduler, main)
    finally:
        doorbell.close()
        poller.close()


def run_in(scheduler: Scheduler, main: Runnable[T]) -> T:
    """Run a generator to its end in a scheduler that is put together already."""
    members = scheduler.root = Group(name="run")
    body = members.run_body(as_generator(main))
    root = scheduler.spawn(body, owner=_Nobody(), name="main")
    with _heed_interrupts(scheduler, root) as interrupts:
        try:
            scheduler.run_until_done(root)
        except Deadlock as deadlock:
            _unwind(scheduler, root)
            raise deadlock from None
        except KeyboardInterrupt:
            _throw_away(scheduler)  # the second one: no more waiting for anybody's cleanup
            raise
        except BaseException:
            _unwind(scheduler, root)
            raise
    try:
        members.raise_errors("run", unwrap=True)
        if interrupts:
            raise KeyboardInterrupt
        return root.result  # type: ignore[no-any-return]
    except Exception as error:
        if interrupts:
            raise KeyboardInterrupt from error  # what went wrong in the cleanup
        raise
    finally:
        del root, body  # the error's traceback keeps this frame, and would keep the task through it


class _Nobody:
    """The owner of the root task, whose end ``run`` itself looks at."""

    def task_ended(self, task: Task[Any], was_joined: bool) -> None:
        pass


def _unwind(scheduler: Scheduler, root: Task[Any]) -> None:
    """Cancel everything and let it clean up; what cannot end even so is closed by force."""
    for task in list(scheduler.tasks.values()):
        task.cancel("the run is over")
    try:
        scheduler.run_until_done(root)
    except Deadlock:
        _throw_away(scheduler)


def _throw_away(scheduler: Scheduler) -> None:
    """Close every generator where it stands."""
    scheduler.current = None
    for task in scheduler.tasks.values():
        if task.waiter is not None:
            # Or what one of them releases would be handed to another that is as dead.
            task.waiter.abort()
            task.waiter = None
    for task in list(scheduler.tasks.values()):
        try:
            task.context.run(task.generator.close)
        except Exception as error:
            logger.warning("%r could not be closed: %s", task, error)
        # Or it would look for ever like one that may yet run, and be kept by its group.
        task.finish("leave")
        if isinstance(task.owner, Group):
            task.owner.children.pop(task.number, None)
    scheduler.tasks.clear()
    scheduler.ready.clear()


@contextmanager
def _heed_interrupts(scheduler: Scheduler, root: Task[Any]) -> Iterator[list[int]]:
    """Turn the first SIGINT into a cancellation of the root task; only in the main thread."""
    interrupts: list[int] = []
    if threading.current_thread() is not threading.main_thread() or scheduler.doorbell is None:
        yield interrupts
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        if len(interrupts) > 1:
            raise KeyboardInterrupt
        scheduler.call_soon(lambda: root.cancel(KeyboardInterrupt()))

    # The default handler raises anywhere; whoever has set another one knows what they want.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    before = signal.set_wakeup_fd(scheduler.doorbell.button, warn_on_full_buffer=False)
    try:
        yield interrupts
    finally:
        signal.set_wakeup_fd(before)
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class _ForkedPoller:
    """What a forked child has for a poller: it shares the parent's, so it must not touch it."""

    name = "forked"

    def watch(self, fd: int, interest: int) -> None:
        self.poll(None)

    def forget(self, fd: int) -> None:
        pass  # or the child's clean-up would take the parent's connections off the parent's poller

    def poll(self, timeout: float | None) -> Events:
        raise MisuseError(
            f"process {os.getpid()} is a fork made inside a run, and shares its parent's poller: "
            "fork before coop.run, or exec at once, or use subprocess"
        )

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        pass


_schedulers: set[Scheduler] = set()


@contextmanager
def _survive_forks(scheduler: Scheduler) -> Generator[None, None, None]:
    """See to it that a fork of this process finds a poller that refuses."""
    _schedulers.add(scheduler)
    try:
        yield
    finally:
        _schedulers.discard(scheduler)


def _after_fork_in_child() -> None:
    for scheduler in _schedulers:
        scheduler.poller = _ForkedPoller()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
