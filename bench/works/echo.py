"""Echo: CPU time of one message, over connections that each have one message under way."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack

from bench.loads import EchoLoad, Slice
from bench.peers import Peer, choose, compiled_server, node_server, python_server
from bench.processes import Server, start_all
from bench.results import Case, rounded
from bench.rounds import Failed, alternate

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


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for echo."""
    add_connection_options(parser, connections=[100])


def add_connection_options(parser: ArgumentParser, connections: list[int]) -> None:
    """Add numbers of connections and message sizes: every pair is a case."""
    parser.add_argument("--connections", type=int, nargs="+", default=connections)
    parser.add_argument("--bytes", type=int, nargs="+", default=[1024], help="message sizes")


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure every pair of connections and size with all servers up."""
    return measure_peers(PEERS, options)


def measure_peers(peers: Sequence[Peer], options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure the given echo servers; `options` as `add_options` makes them."""
    servers, skipped = start_all(choose(peers, options.peers))
    cases = []
    try:
        for connections in options.connections:
            for size_bytes in options.bytes:
                case, failures = measure_case(servers, connections, size_bytes, options)
                cases.append(case)
                skipped |= {f"{name}, {case.name}": reason for name, reason in failures.items()}
    finally:
        for server in servers:
            server.stop()
    return cases, skipped


def measure_case(
    servers: Sequence[Server], connections: int, size_bytes: int, options: Namespace
) -> tuple[Case, dict[str, str]]:
    """Measure one number of connections and one size in alternating slices."""
    name = f"{connections:,} connections × {size_bytes:,} bytes"
    print(f"measuring: {name}", flush=True)
    with ExitStack() as stack:
        loads, failures = open_loads(servers, connections, size_bytes, stack)
        slices, failed = alternate(
            list(loads), lambda peer: loads[peer].run(options.seconds), options.rounds
        )
    figures = {peer: [rounded(s.cost / 1000) for s in taken] for peer, taken in slices.items()}
    notes = {peer: note_of(taken) for peer, taken in slices.items()}
    return Case(name, "µs", figures, notes, at=connections), failures | failed


def open_loads(
    servers: Sequence[Server], connections: int, size_bytes: int, stack: ExitStack
) -> tuple[dict[str, EchoLoad], dict[str, str]]:
    """Connect a load to every server; return those that stand, and why the others do not."""
    loads: dict[str, EchoLoad] = {}
    failures: dict[str, str] = {}
    for server in servers:
        try:
            loads[server.name] = EchoLoad(server, connections, size_bytes)
        except Failed as err:
            failures[server.name] = str(err)
        else:
            stack.callback(loads[server.name].stop)
    return loads, failures


def note_of(slices: Sequence[Slice]) -> str:
    """Say when the load could not keep up."""
    limited = sum(taken.is_load_the_limit for taken in slices)
    return f"load was the limit in {limited} of {len(slices)} slices" if limited else ""
