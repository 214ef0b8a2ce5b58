"""The scheduler of a simulated host: the real one, whose order of steps is a choice.

What lives here: SimulatedScheduler.  What it must not know: sockets, links.
Stands on: scheduler, faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coop.scheduler import Scheduler
from coop.sim.faults import CANCEL, TASK_ORDER
from coop.task import Task
from coop.traps import FOREVER, Waiter, running

if TYPE_CHECKING:
    from coop.sim.host import Host


class SimulatedScheduler(Scheduler):
    """The real loop; the simulation decides when its turn comes, and it never blocks."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.world.clock, host.poller, network=host.network)
        self.host = host
        self._faults = host.world.faults
        self._touched = host.poller.touched
        #: The task that has just given way, while the fault "cancel" may strike it.
        self.gave_way: Task[Any] | None = None
        #: Whether its host has crashed: no task takes another step.
        self.is_dead = False

    @property
    def next_alarm(self) -> float:
        """Clock time of the next alarm; FOREVER without one."""
        return self._alarms[0][0] if self._alarms else FOREVER

    def has_work(self, now: float) -> bool:
        """Whether a turn would do anything now."""
        if self.ready or self._touched or self._inbox:
            return True
        return bool(self._alarms) and self._alarms[0][0] <= now

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        if running.scheduler is self:  # which is asked for each thread
            self.call_soon(callback)
        else:
            super().call_threadsafe(callback)  # refused: no seed repeats when it came

    def step_all(self) -> None:
        if len(self.ready) > 1:
            self._faults.reorder(TASK_ORDER, self.ready)
        if not self._faults.may_strike(CANCEL):
            super().step_all()
            return
        stepped = list(self.ready)
        super().step_all()
        if self.is_dead:
            return
        for task in stepped:
            if not task.is_done and not task.cancel_requested:
                self.gave_way = task
                if self._faults.strike(CANCEL, 1):
                    task.cancel("a fault")
        self.gave_way = None

    def die(self) -> None:
        """Let no task take another step; in the middle of a turn too, by a task that crashes us."""
        self.is_dead = True
        for task in self.ready:
            task.error = None
            task.send = _stand_still

    def _bury(self, task: Task[Any], error: BaseException) -> None:
        self.host.world.note_failure(self.host, task, error)
        super()._bury(task, error)

    def _patience(self) -> float:
        return 0.0


def _stand_still(_value: None) -> Waiter:
    return Waiter()
