"""Lines: CPU time of one line read and sent back, one at a time or sixteen in one go."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from bench.loads import EchoLoad
from bench.peers import choose, compiled_server, node_server, python_server
from bench.processes import Server, start_all, stop_all
from bench.results import Case
from bench.rounds import WARM_UPS, alternate
from bench.works import echo

TITLE = "Line protocol: server CPU time per line"
DEFAULTS = {"rounds": 7, "seconds": 0.2}
PEERS = [
    python_server("coop", "line_coop.py"),
    python_server("uvloop Protocol", "line_asyncio.py", "uvloop", "protocol"),
    python_server("uvloop streams", "line_asyncio.py", "uvloop", "streams"),
    python_server("asyncio Protocol", "line_asyncio.py", "asyncio", "protocol"),
    python_server("asyncio streams", "line_asyncio.py", "asyncio", "streams"),
    python_server("gevent", "line_gevent.py"),
    python_server("curio", "line_curio.py"),
    python_server("trio", "line_trio.py"),
    python_server("tornado", "line_tornado.py"),
    python_server("twisted", "line_twisted.py"),
    node_server("Node", "line_node.js"),
    compiled_server("C epoll, no lines (limit)", "echo_epoll"),
]


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for lines."""
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--bytes", type=int, default=64, help="length of a line")
    parser.add_argument("--pipelined", type=int, nargs="+", default=[1, 16], help="lines in one go")


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    slices = (options.rounds + WARM_UPS) * len(options.pipelined)
    each = slices * (options.seconds + echo.SETTLING_SECONDS) + echo.START_ESTIMATE
    return float(each * len(choose(PEERS, options.peers)))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure every depth of pipelining with all servers up."""
    servers, skipped = start_all(choose(PEERS, options.peers))
    cases = []
    try:
        for lines in options.pipelined:
            case, failures = measure_case(servers, lines, options)
            cases.append(case)
            skipped |= {f"{peer}, {case.name}": reason for peer, reason in failures.items()}
    finally:
        stop_all(servers)
    return cases, skipped


def measure_case(
    servers: Sequence[Server], lines: int, options: Namespace
) -> tuple[Case, dict[str, str]]:
    """Measure so many lines in one go in alternating slices."""
    depth = f"{lines} lines in one go" if lines > 1 else "one line at a time"
    name = f"{options.connections:,} connections × {options.bytes:,} bytes, {depth}"
    print(f"measuring: {name}", flush=True)
    with ExitStack() as stack:
        make_load = partial(
            EchoLoad, connections=options.connections, size_bytes=options.bytes, lines=lines
        )
        loads, failures = echo.open_loads(servers, make_load, stack)
        slices, failed = alternate(
            list(loads), lambda peer: loads[peer].run(options.seconds), options.rounds
        )
    return echo.case_of(name, slices), failures | failed
