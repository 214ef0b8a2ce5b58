"""python -m bench WORK: the command line.

Charter: reads arguments, runs one work, prints it, writes results/WORK.json and its chart.
"""

import argparse
import signal
import subprocess
import sys
from types import ModuleType

from bench import environment, results, tables
from bench.paths import PYTHON, REPOSITORY, RESULTS
from bench.rounds import Failed
from bench.works import echo, echo_timeout, flood, http, idle, scale, scheduler

WORKS: dict[str, ModuleType] = {
    "echo": echo,
    "echo-timeout": echo_timeout,
    "http": http,
    "scheduler": scheduler,
    "idle": idle,
    "scale": scale,
    "flood": flood,
}
UNRECORDED = ("do", "work", "unrecorded")
DEFAULTS: dict[str, dict[str, float]] = {"idle": {"rounds": 3}, "http": {"seconds": 1.0}}


def main() -> None:
    """Do what the command line says."""
    options = read_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that servers are stopped
    try:
        options.do(options)
    except (environment.SetupError, Failed) as err:
        sys.exit(str(err))


def read_arguments() -> argparse.Namespace:
    """Return the parsed command line; `do` is the function that carries it out."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="coop beside its peers")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    setup = commands.add_parser("setup", help="install the peers and compile the load programs")
    setup.set_defaults(do=lambda options: environment.set_up())
    for name, work in WORKS.items():
        add_work(commands.add_parser(name, help=work.TITLE), name, work)
    every = commands.add_parser("all", help="every work, with its own defaults")
    every.set_defaults(do=lambda options: run_all())
    for name, do in (("tables", print_tables), ("charts", draw_charts)):
        again = commands.add_parser(name, help=f"{name} of the last runs again")
        again.add_argument("works", nargs="*", metavar="WORK", help=", ".join(WORKS))
        again.set_defaults(do=do)
    return parser.parse_args()


def add_work(parser: argparse.ArgumentParser, name: str, work: ModuleType) -> None:
    """Add the options that all works have, and the work's own."""
    parser.add_argument("--rounds", type=int, default=9, help="slices of each server")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a slice")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--unrecorded", action="store_true", help="print only, write no results")
    work.add_options(parser)
    parser.set_defaults(do=run, work=name, **DEFAULTS.get(name, {}))


def run(options: argparse.Namespace) -> None:
    """Run one work, print its tables, write its JSON and chart."""
    environment.require_set_up()
    work = WORKS[options.work]
    cases, skipped = work.measure(options)
    settings = {name: value for name, value in vars(options).items() if name not in UNRECORDED}
    result = results.Result(
        work=options.work,
        title=work.TITLE,
        cases=cases,
        skipped=skipped,
        settings=settings,
        machine=environment.machine(),
        versions=environment.versions(),
    )
    tables.print_result(result)
    if not options.unrecorded:
        result.save()
        draw(options.work)


def run_all() -> None:
    """Run every work in a process of its own, as if called one after the other."""
    for name in WORKS:
        subprocess.run([sys.executable, "-m", "bench", name], cwd=REPOSITORY, check=True)


def print_tables(options: argparse.Namespace) -> None:
    """Print the last runs of the named works, or of all that were run."""
    for name in recorded(options.works):
        tables.print_result(results.load(name))


def draw_charts(options: argparse.Namespace) -> None:
    """Draw the last runs of the named works, or of all that were run."""
    draw(*recorded(options.works))


def recorded(names: list[str]) -> list[str]:
    """Return the works asked for, or all that have a result."""
    return names or [name for name in WORKS if (RESULTS / f"{name}.json").exists()]


def draw(*names: str) -> None:
    """Draw charts in the environment that has matplotlib."""
    subprocess.run([str(PYTHON), "-m", "bench.charts", *names], cwd=REPOSITORY)


if __name__ == "__main__":
    main()
