"""Accept: CPU time of one connection that is accepted, used for one message, and closed."""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from functools import partial

from bench.loads import AcceptLoad
from bench.peers import choose
from bench.processes import start_all, stop_all
from bench.results import Case
from bench.rounds import WARM_UPS, alternate
from bench.works import echo

TITLE = "Accept: server CPU time per connection (accepted, one echo of 64 bytes, closed)"
DEFAULTS = {"rounds": 7, "seconds": 0.2}
PEERS = echo.PEERS


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for accepting."""
    parser.add_argument("--connections", type=int, default=64, help="how many at a time")


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    slices = (options.rounds + WARM_UPS) * (options.seconds + echo.SETTLING_SECONDS)
    return float((slices + echo.START_ESTIMATE) * len(choose(PEERS, options.peers)))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure in alternating slices with all servers up."""
    servers, skipped = start_all(choose(PEERS, options.peers))
    print("measuring: accept", flush=True)
    try:
        with ExitStack() as stack:
            loads, unfit = echo.open_loads(
                servers, partial(AcceptLoad, concurrency=options.connections), stack
            )
            slices, failures = alternate(
                list(loads), lambda peer: loads[peer].run(options.seconds), options.rounds
            )
    finally:
        stop_all(servers)
    case = echo.case_of(f"{options.connections} connections at a time", slices)
    return [case], skipped | unfit | failures
