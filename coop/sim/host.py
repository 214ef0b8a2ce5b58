"""Hosts: machines of a simulation, each with its own address, sockets, scheduler and program.

What lives here: Host, its life as a table; crash and restart.  What it must not know: how bytes
travel, when its turn comes.  Stands on: groups, the scheduler, network, ports, poller of the
simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from coop.groups import Group, as_generator
from coop.outcomes import MisuseError
from coop.sim.datagrams import DatagramEndpoint
from coop.sim.endpoints import BUFFER_BYTES, Endpoint
from coop.sim.network import SimulatedNetwork
from coop.sim.poller import SimulatedPoller
from coop.sim.ports import Ports
from coop.sim.scheduler import SimulatedScheduler
from coop.task import Owner, Task
from coop.traps import Coop, running

if TYPE_CHECKING:
    from coop.sim.world import World

#: Simulated descriptors begin here, so that none is ever taken for one of the real process.
FIRST_DESCRIPTOR: Final = 1_000_000
#: How many a host may have open, unless told otherwise: the usual soft limit of a process.
MOST_DESCRIPTORS: Final = 1024

Program = Callable[..., Coop[Any]]
"""What a host runs: called at each start, it returns a generator (or a coroutine)."""


class HostState(Enum):
    """Where a host is in its life."""

    #: Nothing was started on it yet.
    IDLE = "idle"
    #: Its program runs, or has ended by itself.
    RUNNING = "running"
    #: Its process is gone; the machine answers every packet with a reset.
    KILLED = "killed"
    #: The machine is gone: nothing answers.
    DOWN = "down"


#: The life of a host: {state: {event: next state}}.
HOST_LIFE: Final[dict[HostState, dict[str, HostState]]] = {
    HostState.IDLE: {
        "start": HostState.RUNNING,
        "kill": HostState.KILLED,
        "power_off": HostState.DOWN,
    },
    HostState.RUNNING: {
        "start": HostState.RUNNING,
        "kill": HostState.KILLED,
        "power_off": HostState.DOWN,
    },
    HostState.KILLED: {"start": HostState.RUNNING, "power_off": HostState.DOWN},
    HostState.DOWN: {"start": HostState.RUNNING, "power_off": HostState.DOWN},
}


class Host:
    """One machine: ordinary coop code runs on it, as it would on a real one."""

    def __init__(self, world: World, name: str, address: str, program: Program | None) -> None:
        self.world = world
        self.name = name
        self.address = address
        self.program = program
        self.state = HostState.IDLE
        #: Size of the buffers of its connections, each way.
        self.buffer_bytes = BUFFER_BYTES
        self.most_descriptors = MOST_DESCRIPTORS
        #: Whether the fault ``crash`` may strike it.
        self.may_crash = False
        #: Clock time until which it does nothing.
        self.stalled_until = -1.0
        #: How often it was started.
        self.starts = 0
        #: The tasks that spawn makes; each is the root of a group of its own.
        self.roots: list[Task[Any]] = []
        self._graves: list[SimulatedScheduler] = []
        self._programs: list[Any] = []
        self._boot()

    def _boot(self) -> None:
        """Have a fresh system: no sockets, no tasks."""
        self._free_descriptors: list[int] = []
        self.poller = SimulatedPoller(self.world.faults)
        self.ports = Ports(self)
        self.network = SimulatedNetwork(self)
        self.scheduler = SimulatedScheduler(self)
        self.roots = []

    # -- what users do ------------------------------------------------------------------------

    def start(self) -> None:
        """Start the program, or start it again after a crash.  Errors: MisuseError without one."""
        if self.program is None:
            raise MisuseError(f"host {self.name!r} has no program to start")
        if self.starts and self.state is not HostState.RUNNING:
            self._boot()
        generator = self.program()
        self._programs.append(generator)
        self.spawn(generator, name=self.name, owner=_Program(self.world))
        self.starts += 1
        self.world.note(self.name, "start", f"number {self.starts}")

    def crash(self, *, power: bool = False) -> None:
        """Lose the program with all its tasks, at once: no ``finally`` runs.

        A task of its own that calls this goes on to its next wait, and no further.

        The system lives on and closes the sockets, so that peers hear of it; with ``power`` the
        machine itself is gone, and peers hear nothing.  Errors: MisuseError for a host that has
        crashed already, and was not started again; but its power may fail.
        """
        self._advance("power_off" if power else "kill")
        self.world.note(self.name, "crash", "power lost" if power else "process killed")
        self.scheduler.die()
        self._graves.append(self.scheduler)
        endpoints = list(self.poller.endpoints.values())
        for endpoint in endpoints:
            if isinstance(endpoint, Endpoint | DatagramEndpoint):
                endpoint.error = 0  # the program was to look at it, and is gone
                _forget(endpoint) if power else endpoint.close()
        self._boot()

    def restart(self) -> None:
        """Start the program again, crashing it first if it runs.  Errors: as ``start``."""
        if self.state is HostState.RUNNING:
            self.crash()
        self.start()

    def come_back(self) -> None:
        """Start the program again after a crash, unless somebody else has seen to it."""
        if self.state is HostState.KILLED:
            self.start()

    @property
    def is_up(self) -> bool:
        """Whether packets that arrive are answered at all."""
        return self.state is not HostState.DOWN

    @property
    def tasks(self) -> list[Task[Any]]:
        """Its live tasks, in the order of spawning."""
        return list(self.scheduler.tasks.values())

    def __repr__(self) -> str:
        return f"<host {self.name} {self.address} {self.state.value}>"

    # -- what the simulation does -------------------------------------------------------------

    def spawn(
        self, generator: Any, name: str | None = None, owner: Owner | None = None
    ) -> Task[Any]:
        """Make a task that holds a group, as ``coop.run`` does for its main."""
        scheduler = self.scheduler
        members = scheduler.root
        if members is None or members.is_over:
            members = scheduler.root = Group(name=self.name)
        if not self.roots or self.roots[-1].is_done:
            body = _hold(members, generator)
        else:
            body = as_generator(generator)
        before, running.scheduler = running.scheduler, scheduler
        try:
            root = scheduler.spawn(body, owner=owner or _Nobody(), name=name)
        finally:
            running.scheduler = before
        self.roots.append(root)
        if self.state is not HostState.RUNNING:
            self._advance("start")
        return root

    def turn(self) -> None:
        """Let every task that is ready take a step."""
        running.scheduler = self.scheduler
        try:
            self.scheduler.turn()
        finally:
            running.scheduler = None

    def stop(self) -> None:
        """Cancel the program, as a service manager would."""
        running.scheduler = self.scheduler
        try:
            for root in self.roots:
                root.cancel("the simulation is over")
        finally:
            running.scheduler = None

    def bury(self) -> None:
        """Close what crashes, or the end of the run, left behind."""
        for scheduler in (*self._graves, self.scheduler):
            running.scheduler = scheduler
            try:
                for task in list(scheduler.tasks.values()):
                    scheduler.current = task
                    with suppress(BaseException):
                        task.generator.close()
            finally:
                running.scheduler = scheduler.current = None
            scheduler.tasks.clear()
        self._graves.clear()
        while self._programs:
            with suppress(BaseException):
                self._programs.pop().close()  # a crash may have come before its first step

    def open_descriptor(self, endpoint: Endpoint | DatagramEndpoint) -> int:
        """Give the lowest free number, as a system does: numbers come back quickly."""
        if self._free_descriptors:
            fd = heappop(self._free_descriptors)
        else:
            fd = FIRST_DESCRIPTOR + len(self.poller.endpoints)
        self.poller.endpoints[fd] = endpoint
        return fd

    def close_descriptor(self, fd: int) -> None:
        """Take the number back."""
        if fd >= 0:
            self.poller.forget(fd)
            if self.poller.endpoints.pop(fd, None) is not None:
                heappush(self._free_descriptors, fd)

    def _advance(self, event: str) -> None:
        following = HOST_LIFE[self.state].get(event)
        if following is None:
            raise MisuseError(f"{self!r} has no process to {event}: start it again before")
        self.state = following


class _Nobody:
    """The owner of a task whose end the simulation itself looks at."""

    def task_ended(self, task: Task[Any], was_joined: bool) -> None:
        pass


class _Program:
    """The owner of a host's program: its error ends the simulation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def task_ended(self, task: Task[Any], was_joined: bool) -> None:
        if task.exception is not None:
            self._world.fallen.append(task.exception)


def _hold(members: Group, generator: Any) -> Coop[Any]:
    value = yield from members.run_body(as_generator(generator))
    members.raise_errors("host", unwrap=True)
    return value


def _forget(endpoint: Endpoint | DatagramEndpoint) -> None:
    if isinstance(endpoint, Endpoint):
        for waiting in endpoint.queue:
            waiting.forget()
    endpoint.forget()
