"""Echo: CPU time of one message, over connections that each have one message under way."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from bench.loads import EchoLoad, Slice, SlicedLoad, note_of
from bench.peers import Peer, choose, compiled_server, node_server, python_server
from bench.processes import Server, start_all, stop_all
from bench.results import Case, rounded
from bench.rounds import WARM_UPS, Failed, alternate

Load = TypeVar("Load", bound=SlicedLoad)

TITLE = "Echo: server CPU time per message"
PEERS = [
    python_server("coop", "echo_coop.py"),
    python_server("uvloop Protocol", "echo_asyncio.py", "uvloop", "protocol"),
    python_server("uvloop BufferedProtocol", "echo_asyncio.py", "uvloop", "buffered"),
    python_server("uvloop streams", "echo_asyncio.py", "uvloop", "streams"),
    python_server("asyncio Protocol", "echo_asyncio.py", "asyncio", "protocol"),
    python_server("asyncio streams", "echo_asyncio.py", "asyncio", "streams"),
    python_server("gevent", "echo_gevent.py"),
    python_server("curio", "echo_curio.py"),
    python_server("trio", "echo_trio.py"),
    python_server("tornado", "echo_tornado.py"),
    python_server("twisted", "echo_twisted.py"),
    node_server("Node", "echo_node.js"),
    compiled_server("C epoll (limit)", "echo_epoll"),
]


DEFAULTS = {"rounds": 5, "seconds": 0.15}
START_ESTIMATE = 0.5
CONNECT_ESTIMATE = 150e-6
SETTLING_SECONDS = 0.02


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for echo."""
    add_connection_options(parser, connections=[1, 100, 10_000], sizes=[64, 1024, 65536])


def add_connection_options(
    parser: ArgumentParser, connections: list[int], sizes: list[int]
) -> None:
    """Add numbers of connections and message sizes: every pair is a case."""
    parser.add_argument("--connections", type=int, nargs="+", default=connections)
    parser.add_argument("--bytes", type=int, nargs="+", default=sizes, help="message sizes")


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    return estimate_peers(PEERS, options)


def estimate_peers(peers: Sequence[Peer], options: Namespace) -> float:
    """Return about how long echo servers take: a slice lasts one message of each connection."""
    slices = options.rounds + WARM_UPS
    total = 0.0
    for connections in options.connections:
        total += START_ESTIMATE + connections * CONNECT_ESTIMATE
        for size_bytes in options.bytes:
            one_of_each = connections * (50e-6 + size_bytes * 1e-9)
            total += slices * (options.seconds + one_of_each + SETTLING_SECONDS)
    return total * len(choose(peers, options.peers))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure every pair of connections and size with all servers up."""
    return measure_peers(PEERS, options)


def measure_peers(
    peers: Sequence[Peer], options: Namespace, is_curve: bool = False
) -> tuple[list[Case], dict[str, str]]:
    """Measure the given echo servers; `options` as `add_options` makes them."""
    servers, skipped = start_all(choose(peers, options.peers))
    cases = []
    try:
        for connections in options.connections:
            with ExitStack() as stack:
                make_load = partial(
                    EchoLoad, connections=connections, size_bytes=min(options.bytes)
                )
                loads, failures = open_loads(servers, make_load, stack)
                for size_bytes in options.bytes:
                    case, failed = measure_case(loads, connections, size_bytes, options)
                    case.at = connections if is_curve else None
                    cases.append(case)
                    failures |= failed
            skipped |= {f"{name}, {connections:,} connections": e for name, e in failures.items()}
    finally:
        stop_all(servers)
    return cases, skipped


def open_loads(
    servers: Sequence[Server], make_load: Callable[[Server], Load], stack: ExitStack
) -> tuple[dict[str, Load], dict[str, str]]:
    """Connect a load to every server; return those that stand, and why the others do not."""
    loads: dict[str, Load] = {}
    failures: dict[str, str] = {}
    for server in servers:
        try:
            loads[server.name] = make_load(server)
        except Failed as err:
            failures[server.name] = str(err)
        else:
            stack.callback(loads[server.name].stop)
    return loads, failures


def measure_case(
    loads: dict[str, EchoLoad], connections: int, size_bytes: int, options: Namespace
) -> tuple[Case, dict[str, str]]:
    """Measure one number of connections and one size in alternating slices."""
    name = f"{connections:,} connection{'s'[: connections - 1]} × {size_bytes:,} bytes"
    print(f"measuring: {name}", flush=True)
    for load in loads.values():
        load.resize(size_bytes)
    slices, failures = alternate(
        list(loads), lambda peer: loads[peer].run(options.seconds), options.rounds
    )
    for peer in failures:
        loads.pop(peer).stop()
    return case_of(name, slices), failures


def case_of(name: str, slices: dict[str, list[Slice]]) -> Case:
    """Return the CPU time of an operation in microseconds, and where the load was the limit."""
    figures = {peer: [rounded(s.cost / 1000) for s in taken] for peer, taken in slices.items()}
    return Case(name, "µs", figures, {peer: note_of(taken) for peer, taken in slices.items()})
