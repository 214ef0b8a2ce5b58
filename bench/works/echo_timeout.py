"""Echo with a timeout of 30 s around each receive, and uvloop's Protocol without one beside it."""

from argparse import ArgumentParser, Namespace

from bench.peers import node_server, python_server
from bench.results import Case
from bench.works import echo

TITLE = "Echo with a timeout around each receive: server CPU time per message"
SECONDS = "30"
PEERS = [
    python_server("coop", "echo_coop.py", SECONDS),
    python_server("uvloop Protocol (no timeout)", "echo_asyncio.py", "uvloop", "protocol"),
    python_server("uvloop Protocol", "echo_asyncio.py", "uvloop", "protocol", SECONDS),
    python_server("uvloop streams", "echo_asyncio.py", "uvloop", "streams", SECONDS),
    python_server("asyncio Protocol", "echo_asyncio.py", "asyncio", "protocol", SECONDS),
    python_server("asyncio streams", "echo_asyncio.py", "asyncio", "streams", SECONDS),
    python_server("gevent", "echo_gevent.py", SECONDS),
    python_server("curio", "echo_curio.py", SECONDS),
    python_server("trio", "echo_trio.py", SECONDS),
    python_server("tornado", "echo_tornado.py", SECONDS),
    python_server("twisted", "echo_twisted.py", SECONDS),
    node_server("Node", "echo_node.js", SECONDS),
]


DEFAULTS = echo.DEFAULTS


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen: the same as for echo."""
    echo.add_connection_options(parser, connections=[1, 100, 10_000], sizes=[1024])


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    return echo.estimate_peers(PEERS, options)


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure as echo does."""
    return echo.measure_peers(PEERS, options)
