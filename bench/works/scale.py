"""Scale: how the CPU time of one message grows with the number of connections, all of them busy."""

from argparse import ArgumentParser, Namespace

from bench.results import Case
from bench.works import echo

DEFAULTS = echo.DEFAULTS
TITLE = "Echo of 1 KiB as connections grow: server CPU time per message"
NAMES = {
    "coop",
    "uvloop Protocol",
    "uvloop streams",
    "asyncio streams",
    "gevent",
    "trio",
    "C epoll (limit)",
}
PEERS = [peer for peer in echo.PEERS if peer.name in NAMES]


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen: the numbers of connections."""
    points = [10, 100, 1_000, 10_000, 18_000]
    echo.add_connection_options(parser, connections=points, sizes=[1024])


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    return echo.estimate_peers(PEERS, options)


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure as echo does, with a point on the curve for each number."""
    return echo.measure_peers(PEERS, options, is_curve=True)
