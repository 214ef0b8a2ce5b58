"""What the tests of the primitives share: a still world, and trials with one disturbance each.

A program of workers is run once undisturbed, counting steps.  Then it is run again for every step,
every worker and every kind of disturbance: at the n-th step of the whole program, worker w is
cancelled, or the operation it is in times out.  So nothing depends on luck: every park is hit, and
every moment between a wake-up and the step that follows it.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, TypeVar

import coop
from coop.parking import ParkingLot
from coop.poller import Events
from coop.runtime import run_in
from coop.scheduler import Scheduler
from coop.stopwatch import ManualClock

T = TypeVar("T")
Gen = Generator[Any, Any, T]

#: More steps than any program of these tests makes: whoever makes them spins.
TOO_MANY_STEPS = 5000


class Broken(AssertionError):
    """A primitive broke its promise: what every check of a twin must end in."""


class StillPoller:
    """No descriptors; instead of blocking, the clock leaps to the next alarm."""

    name = "still"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    def watch(self, fd: int, interest: int) -> None:
        raise AssertionError("no descriptors here")

    def forget(self, fd: int) -> None:
        raise AssertionError("no descriptors here")

    def poll(self, timeout: float | None) -> Events:
        assert timeout is not None, "the program waits for ever"
        self.clock.advance(timeout)
        return []

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        pass


def make_scheduler() -> Scheduler:
    clock = ManualClock()
    return Scheduler(clock, StillPoller(clock))


def play(main: Gen[T]) -> T:
    """Run it in a world of its own, where nothing takes time."""
    return run_in(make_scheduler(), main)


def passes(count: int) -> Gen[None]:
    """Pass for so many turns."""
    for _ in range(count):
        yield None


class Disturbance(NamedTuple):
    """At this step of the program, this happens to that worker."""

    step: int
    victim: int
    how: str


class Trial:
    """One run of a program, with one disturbance or none."""

    def __init__(self, disturbance: Disturbance | None = None) -> None:
        self.disturbance = disturbance
        self.steps = 0
        self.tasks: dict[int, coop.Task] = {}
        self.scopes: dict[int, coop.Scope] = {}
        #: What the program notes, for its own checks.
        self.log: list[tuple[Any, ...]] = []
        #: What has to be dead when the trial is over.
        self.mortals: list[weakref.ref[Any]] = []

    def watch(self, thing: T) -> T:
        """Have it checked that this thing dies."""
        self.mortals.append(weakref.ref(thing))
        return thing

    def spawn(self, group: coop.Group, body: Gen[Any]) -> coop.Task:
        """Spawn the next worker; its number is how many there were."""
        number = len(self.tasks)
        task = group.spawn(self._stepped(body), name=f"worker-{number}")
        self.tasks[number] = self.watch(task)
        return task

    def attempt(self, number: int, operation: Gen[T]) -> Gen[tuple[bool, T | None]]:
        """Run an operation, which may be timed out; return whether it happened, and its result."""
        with coop.move_on_after(None) as scope:
            self.scopes[number] = scope
            return True, (yield from operation)
        return False, None

    def insist(self, number: int, make: Callable[[], Gen[T]]) -> Gen[T]:
        """Run an operation again and again until it has happened."""
        while True:
            happened, value = yield from self.attempt(number, make())
            if happened:
                return value  # type: ignore[return-value]

    def _stepped(self, body: Gen[Any]) -> Gen[Any]:
        error: BaseException | None = None
        while True:
            self._step()
            try:
                waiter = body.send(None) if error is None else body.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                error = None
            try:
                yield waiter
            except BaseException as thrown:
                error = thrown

    def _step(self) -> None:
        self.steps += 1
        if self.steps > TOO_MANY_STEPS:
            raise Broken("it spins")
        if self.disturbance is None or self.disturbance.step != self.steps:
            return
        victim, how = self.disturbance.victim, self.disturbance.how
        if how == "cancel" and victim in self.tasks:
            self.log.append((how, victim))
            self.tasks[victim].cancel("the trial says so")
        elif how == "timeout" and victim in self.scopes and self.scopes[victim].task is not None:
            self.log.append((how, victim))
            self.scopes[victim].cancel("the trial says so")


Program = Callable[[Trial], Gen[Any]]
HOWS = ("timeout", "cancel")


def try_program(program: Program, disturbance: Disturbance | None = None) -> Trial:
    """Run it once.  Errors: Broken, whatever went wrong."""
    trial = Trial(disturbance)
    try:
        play(program(trial))
    except Broken:
        raise
    except BaseException as error:
        raise Broken(f"{disturbance}: {_innermost(error)!r}") from error
    trial.tasks.clear()
    trial.scopes.clear()
    return trial


def explore(program: Program, victims: int, hows: tuple[str, ...] = HOWS) -> None:
    """Run it undisturbed, and then with every disturbance of the first ``victims`` workers."""
    quiet = try_program(program)
    check_dead(quiet)
    last = quiet
    for step in range(1, quiet.steps + 1):
        for victim in range(victims):
            for how in hows:
                last = try_program(program, Disturbance(step, victim, how))
    check_dead(last)


def check_dead(trial: Trial) -> None:
    gc.collect()
    alive = [thing() for thing in trial.mortals if thing() is not None]
    require(not alive, f"after {trial.disturbance} these live on: {alive}")


def require(condition: object, complaint: str) -> None:
    if not condition:
        raise Broken(complaint)


def require_nobody_waits(*primitives: object) -> None:
    """Check that no line of these has anybody left in it."""
    for primitive in primitives:
        for lot in lots_of(primitive):
            require(not lot.spots, f"somebody was left behind in {primitive!r}")


def lots_of(primitive: object) -> Iterator[ParkingLot]:
    for kind in type(primitive).__mro__:
        for name in getattr(kind, "__slots__", ()):
            thing = getattr(primitive, name, None)
            if isinstance(thing, ParkingLot):
                yield thing


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
