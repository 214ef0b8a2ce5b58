"""Exploring: a scenario under many seeds, and a failure made small.

What lives here: one attempt and its Outcome; ``explore``, over many seeds; ``minimise``, which
leaves out whatever the failure does not need; ``check``, for tests; and the report of a failure.
What it must not know: how a simulation works inside, how progress is shown.  Stands on: simulation.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from coop.sim.faults import Faults, Strike, format_plan
from coop.sim.simulation import Scenario, Simulation
from coop.sim.world import PACKAGE

#: A report is at most a screen.
MOST_LINES: Final = 40
_MOST_ATTEMPTS: Final = 400


class SimulationFailed(AssertionError):
    """A scenario failed under a seed; the message is the report."""


class Outcome(NamedTuple):
    """How one run of a scenario went; plain data, so that it can be sent between processes."""

    seed: int
    #: What struck.
    strikes: list[Strike]
    #: The class of the error, its message and the user's lines it passed; empty if all went well.
    kind: str
    message: str
    places: list[str]
    #: Where each task stood, and the trace if it was kept.
    stood: list[str]
    trace: list[str]
    #: What two runs of the same must agree in.
    unseed: str
    #: How often each kind struck that could have.
    tally: dict[str, int]

    @property
    def has_failed(self) -> bool:
        """Whether the run failed."""
        return bool(self.kind)

    @property
    def plan(self) -> str:
        """The strikes as a line of text."""
        return format_plan(self.strikes)


def attempt(
    scenario: Scenario,
    seed: int = 0,
    *,
    plan: Iterable[Strike] | str | Faults | None = None,
    forgiven: tuple[type[BaseException], ...] = (),
    **options: Any,
) -> Outcome:
    """Run a scenario once; tell how it went instead of raising.

    ``forgiven``: errors by which the scenario may end; what it leaves behind is judged still.
    """
    simulation = Simulation(seed, plan=plan, **options)
    failure: BaseException | None = None
    try:
        with simulation, _forgiving(forgiven):
            simulation.do(scenario(simulation))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        failure = innermost(error)
    faults = simulation.world.faults
    return Outcome(
        seed,
        list(faults.log),
        "" if failure is None else type(failure).__name__,
        "" if failure is None else str(failure),
        [] if failure is None else user_lines(failure),
        simulation.stood,
        list(map(str, simulation.world.trace or ())),
        simulation.unseed,
        faults.tally(),
    )


@contextmanager
def _forgiving(forgiven: tuple[type[BaseException], ...]) -> Generator[None, None, None]:
    """Let an error of these classes pass, or a group with nothing else in it."""
    try:
        yield
    except BaseExceptionGroup as group:
        if group.split(forgiven)[1] is not None:
            raise
    except forgiven:
        pass


def explore(scenario: Scenario, seeds: Iterable[int], **options: Any) -> Iterator[Outcome]:
    """Run a scenario under each seed in turn."""
    for seed in seeds:
        yield attempt(scenario, seed, **options)


def minimise(scenario: Scenario, failed: Outcome, **options: Any) -> Outcome:
    """Leave out every strike that the failure does not need, and soften the others.

    Returns the smallest run found that fails with the same class of error.
    """

    attempts: list[int] = []

    def fails(strikes: list[Strike]) -> Outcome | None:
        attempts.append(len(strikes))
        outcome = attempt(scenario, failed.seed, plan=strikes, **options)
        return outcome if outcome.kind == failed.kind else None

    best = fails(failed.strikes) or failed
    size = max(1, len(best.strikes) // 2)
    while len(attempts) < _MOST_ATTEMPTS and best is not failed:
        smaller = _without_a_piece(best.strikes, size, fails)
        if smaller is not None:
            best = smaller
        elif size > 1:
            size //= 2
        else:
            return _soften(best, fails)
    return best


def check(scenario: Scenario, seeds: int | Iterable[int] = 100, **options: Any) -> None:
    """Run a scenario under many seeds; on a failure, make it small and raise its report.

    Errors: SimulationFailed.
    """
    for outcome in explore(scenario, range(seeds) if isinstance(seeds, int) else seeds, **options):
        if outcome.has_failed:
            raise SimulationFailed(report(scenario, outcome, **options))


def report(scenario: Scenario, failed: Outcome, **options: Any) -> str:
    """Write, on at most a screen, what went wrong, what struck, and how to see it again."""
    small = minimise(scenario, failed, **options)
    traced = attempt(scenario, small.seed, plan=small.strikes, **{**options, "trace": True})
    if traced.kind != failed.kind:
        traced = attempt(scenario, failed.seed, **{**options, "trace": True})
    name = getattr(scenario, "__qualname__", "scenario")
    message = f"{traced.kind or failed.kind}: {traced.message or failed.message}".splitlines()
    lines = [
        f"{name} fails under seed {failed.seed}",
        *(f"  {line[:150]}".rstrip() for line in message[:3]),
    ]
    lines += [f"    at {place}" for place in traced.places[-3:]]
    lines.append("what struck:" if traced.strikes else "what struck: nothing, it fails by itself")
    lines += [
        f"  {strike.time:10.6f} {strike.host or 'network'} {strike}"
        f"{' at ' + strike.place if strike.place else ''}"
        for strike in traced.strikes[:8]
    ]
    lines.append("where the tasks stood:")
    lines += [f"  {line}" for line in traced.stood[:8]]
    again = f"again: coop.sim.run({name}, {failed.seed}, plan={traced.plan!r})"
    room = MOST_LINES - len(lines) - 2
    lines.append("what happened last:")
    lines += [f"  {line[:120]}" for line in traced.trace[-room:]]
    return "\n".join([*lines, again])


def innermost(error: BaseException) -> BaseException:
    """Return the first error inside groups of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def user_lines(error: BaseException) -> list[str]:
    """Return the lines that an error passed and that are not coop's own."""
    frames = traceback.extract_tb(error.__traceback__)
    cause = error.__cause__
    if cause is not None:
        frames += traceback.extract_tb(cause.__traceback__)
    return [
        f"{os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}"
        for frame in frames
        if not frame.filename.startswith(PACKAGE)
    ]


Fails = Callable[[list[Strike]], "Outcome | None"]


def _without_a_piece(strikes: list[Strike], size: int, fails: Fails) -> Outcome | None:
    for start in range(0, len(strikes), size):
        smaller = fails(strikes[:start] + strikes[start + size :])
        if smaller is not None and len(smaller.strikes) < len(strikes):
            return smaller
    return None


def _soften(best: Outcome, fails: Fails) -> Outcome:
    for index in range(len(best.strikes)):
        if index < len(best.strikes) and best.strikes[index].value > 1:
            strikes = list(best.strikes)
            strikes[index] = strikes[index]._replace(value=1)
            best = fails(strikes) or best
    return best
