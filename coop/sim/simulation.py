"""Simulations: a world is built, driven to an end, and judged.

What lives here: Simulation and ``run``.  What it must not know: sockets, how a fault strikes.
Stands on: world, hosts, sealed, report.

A simulation is a plain synchronous call: no event loop around it, no thread beside it.  So a test
is a ``def``, and Hypothesis needs no help.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from heapq import heappop
from types import TracebackType
from typing import Any, Final, Self

from coop.groups import as_generator
from coop.outcomes import CoopError, Deadlock, MisuseError
from coop.sim.faults import CRASH, HOST_ORDER, STALL, Faults, Plan
from coop.sim.host import Host, Program
from coop.sim.links import Link, Message
from coop.sim.sealed import FAMILIES, sealed
from coop.sim.world import World, place_of
from coop.task import Task
from coop.traps import FOREVER, running

#: Virtual seconds for which faults strike, and within which everything must finish after that.
FAULTS_FOR: Final = 60.0
FINISH_WITHIN: Final = 7200.0
#: Virtual seconds that hosts get to stop at the end.
STOP_WITHIN: Final = 300.0
#: So many rounds without the time moving are a spin.
MOST_ROUNDS: Final = 100_000

_STALL_SECONDS: Final = 0.5
_MOST_STALLS: Final = 60
_DOWN_SECONDS: Final = 0.1
_MOST_DOWN: Final = 100

#: What a run may be allowed: to leave things behind, never to look at the error of a socket, to
#: log errors, to use what no seed repeats.
ALLOWABLE: Final = ("leaks", "unread", "errors", *FAMILIES)


class Unfinished(CoopError, AssertionError):
    """The faults had stopped, and still not everything finished; or the time stood still."""


class LeakError(CoopError, AssertionError):
    """Sockets, tasks, alarms or unread errors were left behind."""


class LoggedError(CoopError, AssertionError):
    """The library logged an error that nobody saw: a handler failed."""


class Simulation:
    """Hosts, links, faults and a clock; with-block or ``finish`` ends and judges it.

    ``seed`` decides everything; 0 is the boring run, without faults and first in first out.
    ``plan`` instead strikes exactly what its line says.  ``faults`` sets rates by kind: 0 or False
    is off, 1 always, True a drawn rate.  ``faults_for``: virtual seconds after which faults stop
    and links heal; ``finish_within``: virtual seconds that everything may take after that.
    ``allow``: see ``ALLOWABLE``; time and random then come from the simulation.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        plan: Plan | str | Faults | None = None,
        faults_for: float = FAULTS_FOR,
        finish_within: float = FINISH_WITHIN,
        allow: Iterable[str] = (),
        trace: bool = False,
        **faults: float | bool,
    ) -> None:
        self.allowed = frozenset(allow)
        if unknown := self.allowed.difference(ALLOWABLE):
            raise ValueError(f"cannot allow {sorted(unknown)}: there are {', '.join(ALLOWABLE)}")
        if not isinstance(seed, int):
            raise TypeError(f"a seed is a whole number, not {seed!r}")
        self.seed = seed
        self.world = World(seed, _choose(seed, plan, faults), has_trace=trace)
        self.is_over = False
        #: What the library logged as an error.
        self.logged: list[logging.LogRecord] = []
        #: Where each task stood when something failed.
        self.stood: list[str] = []
        self._finish_at = faults_for + finish_within
        self._rounds = 0
        self._last_time = -1.0
        self._is_calm = False
        #: Tasks whose end ``do`` has told.
        self._told: list[Task[Any]] = []
        self._is_driving = False
        self.world.at(faults_for, self.calm)

    # -- building -----------------------------------------------------------------------------

    def host(self, name: str, program: Program | None = None, *, may_crash: bool = False) -> Host:
        """Add a machine, and start its program: a generator function without arguments.

        ``may_crash``: the fault ``crash`` may kill it, and starts it again a little later.
        """
        host = self.world.add_host(name, program)
        host.may_crash = may_crash
        if program is not None:
            host.start()
        return host

    def link(
        self,
        one: str,
        other: str,
        *,
        latency: float | None = None,
        jitter: float | None = None,
        bandwidth: float | None = None,
    ) -> None:
        """Set what the link between two hosts is like, both ways: seconds, bytes per second."""
        for link in self._links(one, other, both_ways=True):
            link.latency = link.latency if latency is None else latency
            link.jitter = link.jitter if jitter is None else jitter
            link.bandwidth = link.bandwidth if bandwidth is None else bandwidth

    def partition(self, one: str, other: str, *, both_ways: bool = True) -> None:
        """Let nothing pass from one host to the other, until ``heal``."""
        for link in self._links(one, other, both_ways):
            link.cut_until = FOREVER

    def hold(self, one: str, other: str, *, both_ways: bool = True) -> None:
        """Keep back all that one host sends to the other, until ``release`` or ``heal``."""
        for link in self._links(one, other, both_ways):
            link.is_held = True

    def held(self, one: str, other: str) -> list[Message]:
        """Return what is kept back on its way from one host to the other, in order of arrival."""
        (link,) = self._links(one, other, both_ways=False)
        return [message for thing in link.waiting for message in thing.held()]

    def release(self, one: str, other: str, *, both_ways: bool = True) -> None:
        """Let everything arrive that was kept back, at once and in its order."""
        for link in self._links(one, other, both_ways):
            link.release()

    def heal(self) -> None:
        """Let everything pass again, everywhere."""
        self.world.heal()

    def calm(self) -> None:
        """Let no more faults strike, and everything pass again."""
        self._is_calm = True
        self.world.faults.calm()
        self.world.heal()

    def crash(self, name: str, *, power: bool = False) -> None:
        """Crash a host: see ``Host.crash``."""
        self._host(name).crash(power=power)

    def restart(self, name: str) -> None:
        """Start a host's program again, crashing it first if it runs: see ``Host.restart``."""
        self._host(name).restart()

    # -- asking -------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.world.clock.time

    @property
    def random(self) -> Any:
        """Randomness for programs: a ``random.Random`` of the seed."""
        return self.world.random

    @property
    def plan(self) -> str:
        """What has struck so far, as a line that ``plan=`` takes."""
        return self.world.faults.plan

    @property
    def unseed(self) -> str:
        """What two runs of one seed must agree in, however they are looked at."""
        world = self.world
        turns = sum(host.scheduler.turns for host in world.hosts.values())
        counts = (world.calls, world.events_run, world.segments, turns, len(world.faults.log))
        return f"{world.clock.time:.9f}:" + ":".join(map(str, counts))

    # -- driving ------------------------------------------------------------------------------

    def do(self, generator: Generator[Any, Any, Any], *, on: str = "main") -> Any:
        """Run a generator as a task of a host, with all that goes on around it; return its result.

        Errors: its own; Deadlock when nothing can ever happen again; Unfinished.
        """
        if callable(generator):
            raise TypeError(f"do wants a generator, not a function: call {generator!r}")
        host = self.world.hosts.get(on) or self.world.add_host(on, None)
        task = host.spawn(as_generator(generator), name=on)
        try:
            self._drive(lambda: task.is_done or task.number not in host.scheduler.tasks)
            self._told.append(task)
            return task.result
        except BaseException:
            self.stood = self.standing()
            raise

    def advance(self, seconds: float) -> None:
        """Let so much virtual time pass, with all that happens in it."""
        if not seconds >= 0:
            raise ValueError(f"time cannot advance by {seconds!r} seconds")
        end = self.now + seconds
        self.world.at(end, lambda: None)
        self._drive(lambda: self.now >= end)

    def settle(self) -> None:
        """Drive until nobody has anything to do at this time."""
        self._drive(lambda: not self._has_work())

    def finish(self) -> None:
        """End it: stop every host, and judge what is left.

        Errors: LeakError, LoggedError, Unfinished; the error of a host's program.
        """
        if self.is_over:
            return
        self.is_over = True
        try:
            self.calm()
            self._stop_hosts()
            self._judge()
        finally:
            self.close()

    def close(self) -> None:
        """Throw away what is left, without judging it."""
        self.is_over = True
        for host in self.world.hosts.values():
            host.bury()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.close()

    # -- inside -------------------------------------------------------------------------------

    def _host(self, name: str) -> Host:
        try:
            return self.world.hosts[name]
        except KeyError:
            known = ", ".join(self.world.hosts) or "none yet"
            raise ValueError(f"no host is called {name!r}; there are: {known}") from None

    def _links(self, one: str, other: str, both_ways: bool) -> list[Link]:
        here, there = self._host(one), self._host(other)
        links = [self.world.link(here, there)]
        return [*links, self.world.link(there, here)] if both_ways else links

    def _drive(self, is_done: Callable[[], bool]) -> None:
        if running.scheduler is not None:
            raise MisuseError("a simulation cannot be driven from inside a run")
        handler = _Collector(self.logged)
        logger = logging.getLogger("coop")
        logger.addHandler(handler)
        try:
            with sealed(self.world, self.allowed):
                while not is_done():
                    if self.world.fallen:
                        raise self.world.fallen[0]
                    if not self._round() and not self._pass_time():
                        raise Deadlock("nothing can ever happen again" + self._standing())
        finally:
            logger.removeHandler(handler)

    def _round(self) -> bool:
        """Give every host that has something to do one turn; return whether any had."""
        now = self.world.clock.time
        hosts = [
            host
            for host in self.world.hosts.values()
            if host.scheduler.has_work(now) and host.stalled_until <= now
        ]
        if not hosts:
            return False
        if len(hosts) > 1:
            self.world.faults.reorder(HOST_ORDER, hosts)
        for host in hosts:
            self._take_turn(host)
        self._watch_for_spin(now)
        return True

    def _take_turn(self, host: Host) -> None:
        world, strike = self.world, self.world.faults.strike
        world.next_host = host
        stalls = strike(STALL, _MOST_STALLS)
        downs = strike(CRASH, _MOST_DOWN) if host.may_crash and not stalls else 0
        world.next_host = None
        if stalls:
            host.stalled_until = world.clock.time + _STALL_SECONDS * stalls
            world.at(host.stalled_until, lambda: None)
        elif downs:
            host.crash()
            world.after(_DOWN_SECONDS * downs, host.come_back)
        else:
            host.turn()

    def _has_work(self) -> bool:
        now = self.world.clock.time
        return any(host.scheduler.has_work(now) for host in self.world.hosts.values())

    def _pass_time(self) -> bool:
        """Move the time to the next thing that happens; return False if nothing ever will."""
        world = self.world
        events = world.events
        when = events[0][0] if events else FOREVER
        for host in world.hosts.values():
            when = min(when, max(host.scheduler.next_alarm, host.stalled_until))
        if when == FOREVER:
            return False
        if when > self._finish_at:
            limit = f"{self._finish_at:g} virtual seconds"
            raise Unfinished(f"not finished within {limit}" + self._standing())
        now = world.clock.time = max(world.clock.time, when)
        while events and events[0][0] <= now:
            _, _, call, args = heappop(events)
            world.events_run += 1
            call(*args)
        return True

    def _watch_for_spin(self, now: float) -> None:
        self._rounds = self._rounds + 1 if now == self._last_time else 0
        self._last_time = now
        if self._rounds > MOST_ROUNDS:
            self._rounds = 0
            raise Unfinished(
                f"{MOST_ROUNDS} turns, and the time has not moved from {now:.6f}: somebody spins"
                + self._standing()
            )

    def _stop_hosts(self) -> None:
        self._finish_at = self.now + STOP_WITHIN
        for host in self.world.hosts.values():
            host.stalled_until = -1.0
            host.stop()
        self._drive(lambda: not any(host.scheduler.tasks for host in self.world.hosts.values()))

    def _judge(self) -> None:
        for host in self.world.hosts.values():
            for root in host.roots:
                if root.exception is not None and root not in self._told:
                    raise root.exception
        left = [] if "leaks" in self.allowed else self.leaks()
        # After a fault, whoever closes may well have been about to look; without one it never will.
        if not self.world.faults.log and "unread" not in self.allowed:
            left += self.unread()
        if left:
            raise LeakError("left behind:\n  " + "\n  ".join(left))
        if self.logged and "errors" not in self.allowed:
            raise _logged_error(self.logged)

    def leaks(self) -> list[str]:
        """Name the sockets that are open, and the tasks that are not done with their alarms."""
        left = []
        for host in self.world.hosts.values():
            left += [
                f"{host.name}: socket {endpoint.label} (descriptor {fd}) is open"
                for fd, endpoint in host.poller.endpoints.items()
            ]
            left += [f"{host.name}: {task!r} is not done" for task in host.tasks]
            left += [
                f"{host.name}: an alarm of {task.name!r} is set for {task.alarm:.6f}"
                for task in host.tasks
                if task.alarm < FOREVER
            ]
        return left

    def unread(self) -> list[str]:
        """Name the errors of sockets that nobody has looked at, by a call or by SO_ERROR."""
        return self.world.unread + [
            endpoint.unread_error
            for host in self.world.hosts.values()
            for endpoint in host.poller.endpoints.values()
            if endpoint.error
        ]

    def _standing(self) -> str:
        return "".join("\n  " + line for line in self.standing())

    def standing(self, most: int = 30) -> list[str]:
        """Say of each task where it stands, and what it waits for."""
        lines = [
            f"{host.name}/{task.name}: {_where(task)}"
            for host in self.world.hosts.values()
            for task in host.tasks
        ]
        return [*lines[:most], f"… and {len(lines) - most} more"] if len(lines) > most else lines


Scenario = Callable[[Simulation], Any]
"""A function of the Simulation that builds hosts and returns the main generator."""


def run(
    main: Scenario | Generator[Any, Any, Any],
    seed: int = 0,
    *,
    plan: Plan | str | None = None,
    **options: Any,
) -> Any:
    """Run ``main`` in a simulation, on a host called "main"; return its result.

    ``main`` is a generator, or a function of the Simulation that returns one: a *scenario*.  When
    it has ended every other host is stopped, and what is left behind is judged.  ``options``: as
    for Simulation.  Errors: main's own, with a note that says how to repeat the run; Deadlock;
    Unfinished; LeakError; LoggedError.
    """
    simulation = Simulation(seed, plan=plan, **options)
    try:
        with simulation:
            return simulation.do(main(simulation) if callable(main) else main)
    except BaseException as error:
        struck = simulation.plan or "nothing"
        error.add_note(f"simulation: seed {seed}, {simulation.now:.6f} s; struck: {struck}")
        raise


def _choose(seed: int, plan: Plan | str | Faults | None, rates: dict[str, float | bool]) -> Faults:
    if isinstance(plan, Faults):
        return plan
    return Faults.seeded(seed, rates) if plan is None else Faults.planned(plan)


class _Collector(logging.Handler):
    """Keeps what the library logs as an error."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.ERROR)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _logged_error(records: list[logging.LogRecord]) -> LoggedError:
    said = LoggedError("; ".join(record.getMessage() for record in records[:3]))
    cause = records[0].exc_info[1] if records[0].exc_info else None
    if cause is not None:
        said = LoggedError(f"{said}: {type(cause).__name__}: {cause}")
        said.__cause__ = cause
    return said


def _where(task: Task[Any]) -> str:
    """Say where a task stands, in the user's own code if it is there, and what it waits for."""
    reason = "is ready" if task.waiter is None else f"waits for {task.waiter.reason()}"
    place = place_of(task)
    return f"{reason}, at {place}" if place else reason
