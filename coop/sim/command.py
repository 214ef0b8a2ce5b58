"""The command: ``python -m coop sim pkg.module:scenario``.

What lives here: its arguments, its progress, its tables; many processes, if asked for.
What it must not know: how a run is made or judged.  Stands on: explore, timeline.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coop.sim.explore import Outcome, attempt, report
from coop.sim.faults import KINDS, Strike
from coop.sim.simulation import Scenario
from coop.sim.timeline import page
from coop.stopwatch import Stopwatch

#: In so many seeds every kind of fault that has an occasion must strike, or the run proves little.
PROBE_SEEDS: Final = 1000

_BATCH: Final = 20
_BAR: Final = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("scenario", help="what to run: package.module:function")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many seeds")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many processes")
    parser.add_argument("--replay", type=int, metavar="SEED", help="show one run, step by step")
    parser.add_argument("--plan", metavar="TEXT", help="with --replay: what is to strike")
    parser.add_argument("--timeline", metavar="FILE", help="with --replay: draw it as a page")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failure")
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare")


def main(arguments: argparse.Namespace | list[str] | None = None) -> int:
    """Run the command; return 0 if every run went well, 1 if one failed, 2 for bad arguments.

    1 also if, in 1000 seeds or more, a kind of fault had its occasions and never struck.
    """
    if not isinstance(arguments, argparse.Namespace):
        parser = argparse.ArgumentParser("python -m coop sim", description=__doc__)
        add_arguments(parser)
        arguments = parser.parse_args(arguments)
    try:
        scenario = find_scenario(arguments.scenario)
    except (ImportError, AttributeError, ValueError) as error:
        print(f"cannot find the scenario {arguments.scenario!r}: {error}", file=sys.stderr)
        return 2
    if arguments.replay is not None:
        return _replay(scenario, arguments)
    return _search(scenario, arguments)


def find_scenario(text: str) -> Scenario:
    """Import ``package.module:function``.  Errors: ImportError, AttributeError, ValueError."""
    module, colon, name = text.partition(":")
    if not colon or not name:
        raise ValueError("write package.module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} cannot be called")
    return found


def _replay(scenario: Scenario, arguments: argparse.Namespace) -> int:
    outcome = attempt(scenario, arguments.replay, plan=arguments.plan, trace=True)
    if arguments.timeline:
        Path(arguments.timeline).write_text(page(scenario, arguments.replay, arguments.plan))
        print(f"drawn in {arguments.timeline}")
    else:
        print("\n".join(outcome.trace))
    print(f"\nseed {outcome.seed}, struck: {outcome.plan or 'nothing'}")
    print(f"{outcome.kind}: {outcome.message}" if outcome.has_failed else "all went well")
    return int(outcome.has_failed)


def _search(scenario: Scenario, arguments: argparse.Namespace) -> int:
    watch = Stopwatch()
    tally: Counter[str] = Counter()
    sites: Counter[tuple[str, str]] = Counter()
    failures: list[Outcome] = []
    done = 0
    for outcome in _outcomes(arguments):
        done += 1
        tally.update(outcome.tally)
        sites.update((strike.kind, _site(strike)) for strike in outcome.strikes)
        if outcome.has_failed:
            failures.append(outcome)
            if not arguments.keep_going:
                break
        if sys.stderr.isatty() and (done % _BATCH == 0 or done == arguments.seeds):
            _show_progress(done, arguments.seeds, watch.elapsed, len(failures))
    print(file=sys.stderr)
    _print_coverage(tally, sites)
    print(
        f"\n{done} seeds in {watch.elapsed:.1f} s, {done / max(watch.elapsed, 1e-9):.0f} a second"
    )
    if not failures:
        print("all went well")
        return int(_has_unproven(tally, done))
    first = min(failures, key=lambda outcome: outcome.seed)
    print(f"{len(failures)} failed; the first:\n\n{report(scenario, first)}")
    print(f"       python -m coop sim {arguments.scenario} --replay {first.seed}")
    return 1


def _has_unproven(tally: Counter[str], done: int) -> bool:
    """Warn of the kinds that never struck in many seeds; return whether any could have."""
    if done < PROBE_SEEDS:
        return False
    idle = [kind.name for kind in KINDS if not tally[kind.name]]
    unstruck = [name for name in idle if name in tally]
    if idle:
        print(f"WARNING: nothing is known about {', '.join(idle)}: never struck", file=sys.stderr)
    if unstruck:
        print(
            f"FAILED: {', '.join(unstruck)} had occasions in {done} seeds, and never struck",
            file=sys.stderr,
        )
    return bool(unstruck)


def _outcomes(arguments: argparse.Namespace) -> Iterator[Outcome]:
    """Run the seeds, in this process or in several; batches come in order."""
    last = arguments.first + arguments.seeds
    batches = [
        (arguments.scenario, start, min(start + _BATCH, last), arguments.twice)
        for start in range(arguments.first, last, _BATCH)
    ]
    if arguments.jobs <= 1:
        for batch in batches:
            yield from _run_batch(batch)
        return
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        for outcomes in pool.imap(_run_batch, batches):
            yield from outcomes


def _run_batch(batch: tuple[str, int, int, bool]) -> list[Outcome]:
    name, start, stop, is_twice = batch
    scenario = find_scenario(name)
    outcomes = []
    for seed in range(start, stop):
        outcome = attempt(scenario, seed)
        if is_twice:
            outcome = _compare(outcome, attempt(scenario, seed))
        outcomes.append(outcome)
    return outcomes


def _compare(outcome: Outcome, other: Outcome) -> Outcome:
    """Fail a run that went otherwise the second time, and say at which choice."""
    if (outcome.unseed, outcome.strikes) == (other.unseed, other.strikes):
        return outcome
    pairs = zip(outcome.strikes, other.strikes, strict=False)
    number = next((n for n, (one, two) in enumerate(pairs) if one != two), -1)
    message = f"seed {outcome.seed} went otherwise the second time: {outcome.unseed} {other.unseed}"
    return outcome._replace(kind="NotDeterministic", message=f"{message}, choice {number}")


def _site(strike: Strike) -> str:
    return strike.place or ("the loop" if strike.host else "the network")


def _show_progress(done: int, total: int, seconds: float, failures: int) -> None:
    filled = _BAR * done // max(1, total)
    bar = "#" * filled + "." * (_BAR - filled)
    rate = done / max(seconds, 1e-9)
    text = f"\r[{bar}] {done}/{total} seeds, {rate:.0f} a second, {failures} failed"
    print(text, end="", file=sys.stderr, flush=True)


def _print_coverage(tally: Counter[str], sites: Counter[tuple[str, str]]) -> None:
    """Print which fault struck how often, and at which lines most."""
    print(f"{'fault':18}{'struck':>8}  most at")
    for kind in KINDS:
        if kind.name not in tally:
            continue
        places = Counter({place: n for (name, place), n in sites.items() if name == kind.name})
        most = ", ".join(f"{place} ({count})" for place, count in places.most_common(3))
        print(f"{kind.name:18}{tally[kind.name]:8}  {most or 'NEVER STRUCK'}")
    unasked = [kind.name for kind in KINDS if kind.name not in tally]
    if unasked:
        print(f"no occasion for: {', '.join(unasked)}")
