"""python -m bench WORK: the command line.

Charter: reads arguments; runs one work, or all of them one after the other; prints what was found
and, when asked to record, writes results/WORK.json and the charts.
"""

import argparse
import signal
import subprocess
import sys
import time
from types import ModuleType

from bench import bars, environment, processes, readme, results, tables
from bench.catalogue import WORKS
from bench.paths import PYTHON, REPOSITORY
from bench.rounds import Failed

ROUNDS, SECONDS = 9, 0.5
NO_SETTING = ("do", "work", "record")


def main() -> None:
    """Do what the command line says."""
    options = command_line().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that servers are stopped
    try:
        options.do(options)
    except (environment.SetupError, Failed) as err:
        sys.exit(str(err))
    except KeyboardInterrupt:
        sys.exit("interrupted")


def command_line() -> argparse.ArgumentParser:
    """Return the parser; `do` is the function that carries a command out."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="coop beside its peers")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    setup = commands.add_parser("setup", help="install the peers and compile the load programs")
    setup.set_defaults(do=lambda options: environment.set_up())
    for name, work in WORKS.items():
        add_work(commands.add_parser(name, help=work.TITLE), name, work)
    add_all(commands.add_parser("all", help="every work, with its own defaults"))
    for name, do in (("tables", print_tables), ("charts", draw_charts)):
        again = commands.add_parser(name, help=f"{name} of the recorded runs again")
        again.add_argument("works", nargs="*", metavar="WORK", help=", ".join(WORKS))
        again.set_defaults(do=do)
    commands.add_parser("bars", help="what is aimed at, and what was recorded").set_defaults(
        do=lambda options: bars.print_all()
    )
    commands.add_parser("readme", help="write the recorded ratios into the README").set_defaults(
        do=lambda options: readme.write()
    )
    return parser


def add_work(parser: argparse.ArgumentParser, name: str, work: ModuleType) -> None:
    """Add the options that all works have, and the work's own."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="slices of each server")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a slice")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--record", action="store_true", help="write the result and its chart")
    work.add_options(parser)
    parser.set_defaults(do=run, work=name, **work.DEFAULTS)


def add_all(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run of everything."""
    parser.add_argument("works", nargs="*", metavar="WORK", help="only these, in this order")
    parser.add_argument("--record", action="store_true", help="write results and charts")
    parser.add_argument(
        "--resume", action="store_true", help="leave out what is recorded of this very commit"
    )
    parser.add_argument("--plan", action="store_true", help="say how long it will take, no more")
    parser.set_defaults(do=run_all)


def run(options: argparse.Namespace) -> None:
    """Run one work and print its tables; record it where that is asked for."""
    environment.require_set_up()
    if left := processes.end_leftovers():
        print(f"ended: {len(left)} processes that an earlier run had left behind")
    work = WORKS[options.work]
    result = results.Result(
        work=options.work,
        title=work.TITLE,
        cases=[],
        skipped={},
        settings={name: v for name, v in vars(options).items() if name not in NO_SETTING},
        machine=environment.machine(),
        versions=environment.versions(),
    )
    begin = time.monotonic()
    result.cases, result.skipped = work.measure(options)
    result.seconds_taken = round(time.monotonic() - begin, 1)
    tables.print_result(result)
    if options.record:
        result.save()
        draw(options.work)


def run_all(options: argparse.Namespace) -> None:
    """Run every work in a process of its own; one that fails does not keep the others."""
    names = known(options.works) or list(WORKS)
    commit = environment.coop_version()
    done = [name for name in names if options.resume and is_recorded_of(name, commit)]
    names = [name for name in names if name not in done]
    print_plan(names, done)
    if options.plan:
        return
    failed, begin = [], time.monotonic()
    for name in names:
        print(f"\n== {name}, {minutes(time.monotonic() - begin)} after the start", flush=True)
        if run_apart(name, options.record):
            failed.append(name)
    print(f"\ntook {minutes(time.monotonic() - begin)}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; again: python -m bench all {' '.join(failed)}")


def run_apart(name: str, is_recording: bool) -> int:
    """Run a work in a process of its own and return its code; ended together with this one."""
    command = [sys.executable, "-m", "bench", name, *["--record"][:is_recording]]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def is_recorded_of(name: str, commit: str) -> bool:
    """Tell whether a work was recorded of that commit, with its own defaults."""
    if commit.endswith("+") or not results.is_recorded(name):
        return False
    result = results.load(name)
    defaults = vars(command_line().parse_args([name]))
    is_whole = all(defaults.get(option) == value for option, value in result.settings.items())
    return is_whole and result.versions["coop"] == commit


def print_plan(names: list[str], done: list[str]) -> None:
    """Say how long each work will take, before the first begins."""
    total = 0.0
    for name in names:
        seconds = WORKS[name].estimate(command_line().parse_args([name]))
        total += seconds
        print(f"{name:14}  about {minutes(seconds)}")
    for name in done:
        print(f"{name:14}  recorded already")
    print(f"{'in all':14}  about {minutes(total)}", flush=True)


def minutes(seconds: float) -> str:
    """Return a length of time as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


def print_tables(options: argparse.Namespace) -> None:
    """Print the recorded runs of the named works, or of all that were recorded."""
    for name in recorded(options.works):
        tables.print_result(results.load(name))


def draw_charts(options: argparse.Namespace) -> None:
    """Draw the recorded runs of the named works, or of all that were recorded."""
    draw(*recorded(options.works))


def known(names: list[str]) -> list[str]:
    """Return the names if all are names of works; else exit and say which are not."""
    if unknown := [name for name in names if name not in WORKS]:
        sys.exit(f"no work is called {', '.join(unknown)}; there are: {', '.join(WORKS)}")
    return names


def recorded(names: list[str]) -> list[str]:
    """Return the works asked for, or all that have a result."""
    return known(names) or [name for name in WORKS if results.is_recorded(name)]


def draw(*names: str) -> None:
    """Draw charts in the environment that has matplotlib."""
    subprocess.run([str(PYTHON), "-m", "bench.charts", *names], cwd=REPOSITORY)


if __name__ == "__main__":
    main()
