"""Sowing: one fault at the first opportunity, then at the second, and so on through a scenario.

What lives here: ``at_every_park``.  What it must not know: how a fault strikes.
Stands on: faults, explore.

Random faults miss the one park at which a program must not be cancelled; sowing misses none, and
each of its runs has a single fault, so that a failure needs no shrinking.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

from coop.outcomes import LimitError, TaskCancelled
from coop.sim.explore import SimulationFailed, attempt, report
from coop.sim.faults import check_kinds
from coop.sim.simulation import Scenario


def at_every_park(
    scenario: Scenario,
    kind: str = "cancel",
    *,
    of: str = "*",
    limit: int = 10_000,
    **options: Any,
) -> int:
    """Run a scenario with one fault at the n-th opportunity, for all n; return how many there are.

    By default a task is cancelled where it gives way: each task, each time.  Another ``kind``
    strikes at each opportunity that it has: each send, each segment, each turn of a host.
    ``of``: judge only strikes at this "host/task", a pattern as of ``fnmatch``.  A scenario that
    ends because it was cancelled itself has not failed, unless it left something behind.
    Errors: SimulationFailed, with a plan that repeats it; LimitError beyond ``limit`` of them.
    """
    check_kinds([kind])
    if kind == "cancel":
        options["forgiven"] = (TaskCancelled,)
    for number in range(limit + 1):
        outcome = attempt(scenario, plan=f"{kind}@{number}", **options)
        victims = [f"{strike.host}/{strike.task}" for strike in outcome.strikes]
        if outcome.has_failed and all(fnmatch(victim, of) for victim in victims):
            raise SimulationFailed(report(scenario, outcome, **options))
        if not victims:
            return number
    raise LimitError(f"{kind!r} has more than {limit} opportunities: give a greater limit=")
