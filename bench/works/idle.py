"""Idle: memory of one connection that has been used once and then stays, and CPU time meanwhile."""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from bench.cpu import cpu_time, rss_bytes
from bench.loads import IdleLoad
from bench.peers import Peer, choose
from bench.processes import DidNotStart, Server
from bench.results import Case, rounded
from bench.rounds import Failed, alternate
from bench.works import echo, http

TITLE = "Idle connections: server memory and CPU time"
DEFAULTS = {"rounds": 2, "seconds": 0.5}
ALIKE = {"granian WSGI", "granian ASGI", "gunicorn gthread"}  # one of a kind is enough here
PEERS = {
    "echo": echo.PEERS,
    "http": [peer for peer in http.PEERS if peer.name not in ALIKE],
}
FIRST_CONNECTIONS = 1_000  # not counted: they use up memory that was free already
START_ESTIMATE = 1.0
CONNECT_ESTIMATE = 100e-6


@dataclass(frozen=True)
class Idleness:
    """What one server's idle connections cost: bytes each, and nanoseconds a second in all."""

    bytes_each: float
    cpu_each_second: float


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for idle connections."""
    parser.add_argument("--connections", type=int, nargs="+", default=[10_000, 18_000])
    parser.add_argument("--kinds", nargs="+", choices=list(PEERS), default=list(PEERS))


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    watched = len(options.connections) * (options.seconds + 0.2)
    each = START_ESTIMATE + max(options.connections) * CONNECT_ESTIMATE + watched
    servers = sum(len(choose_known(PEERS[kind], options.peers)) for kind in options.kinds)
    return float(options.rounds * servers * each)


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure both kinds; every slice is a fresh server, for memory is hardly ever given back."""
    cases: list[Case] = []
    skipped: dict[str, str] = {}
    for kind in options.kinds:
        peers = {peer.name: peer for peer in choose_known(PEERS[kind], options.peers)}
        print(f"measuring: idle {kind} connections", flush=True)
        taken, failures = alternate(
            list(peers), measure_one(peers, kind, options), options.rounds, warm_ups=0
        )
        for connections in options.connections:
            of_count = {
                peer: [found[connections] for found in all_] for peer, all_ in taken.items()
            }
            cases += cases_of(kind, connections, of_count)
        skipped |= {f"{peer}, {kind}": reason for peer, reason in failures.items()}
    return cases, skipped


def choose_known(peers: Iterable[Peer], names: list[str] | None) -> list[Peer]:
    """Return the chosen peers of one kind; a name may belong to the other kind."""
    listed = list(peers)
    if names is None:
        return listed
    return choose(listed, names=[peer.name for peer in listed if peer.name in names])


def measure_one(
    peers: dict[str, Peer], kind: str, options: Namespace
) -> Callable[[str], dict[int, Idleness]]:
    """Return what measures the peer of a given name once, at each number of connections."""

    def measure(name: str) -> dict[int, Idleness]:
        try:
            server = Server(peers[name])
        except DidNotStart as err:
            raise Failed(str(err)) from None
        try:
            return watch(server, kind, options)
        finally:
            server.stop()

    return measure


def watch(server: Server, kind: str, options: Namespace) -> dict[int, Idleness]:
    """Connect more and more, use every connection once, and look while nothing happens."""
    found = {}
    with ExitStack() as stack:
        stack.callback(IdleLoad(server, FIRST_CONNECTIONS, kind).stop)
        before, opened = rss_bytes(server.pid), FIRST_CONNECTIONS
        for connections in sorted(options.connections):
            load = IdleLoad(server, connections - opened, kind)
            stack.callback(load.stop)
            time.sleep(0.2)
            grown, opened = rss_bytes(server.pid) - before, connections
            each = grown / (connections - FIRST_CONNECTIONS)
            found[connections] = Idleness(each, cpu_each_second(server, options.seconds))
            load.ask("once more")
    return found


def cpu_each_second(server: Server, seconds: float) -> float:
    """Return how many nanoseconds the server runs in a second in which nothing happens."""
    started = cpu_time(server.pid)
    time.sleep(seconds)
    return (cpu_time(server.pid) - started).ran / seconds


def cases_of(kind: str, connections: int, taken: dict[str, list[Idleness]]) -> list[Case]:
    """Return the two cases of one number of connections: memory and CPU time."""
    memory = {peer: [rounded(i.bytes_each / 1024) for i in all_] for peer, all_ in taken.items()}
    cpu = {peer: [rounded(i.cpu_each_second / 1000) for i in all_] for peer, all_ in taken.items()}
    name = f"{connections:,} idle {kind} connections"
    return [
        Case(f"{name}: memory of each", "KiB", memory),
        Case(f"{name}: CPU time of the process", "µs/s", cpu, is_charted=False),
    ]
