"""Idle: memory of one connection that has been used once and then stays, and CPU time meanwhile."""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.cpu import cpu_time, rss_bytes
from bench.loads import IdleLoad
from bench.peers import Peer, choose
from bench.processes import DidNotStart, Server
from bench.results import Case, rounded
from bench.rounds import Failed, alternate
from bench.works import echo, http

TITLE = "Idle connections: server memory and CPU time"
PEERS = {"echo": echo.PEERS, "http": http.PEERS}
FIRST_CONNECTIONS = 1_000  # not counted: they use up memory that was free already
WATCHED_SECONDS = 2.0


@dataclass(frozen=True)
class Idleness:
    """What one server's idle connections cost: bytes each, and nanoseconds a second in all."""

    bytes_each: float
    cpu_each_second: float


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for idle connections."""
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="+", choices=list(PEERS), default=list(PEERS))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure both kinds; every slice is a fresh server, for memory is hardly ever given back."""
    cases: list[Case] = []
    skipped: dict[str, str] = {}
    for kind in options.kinds:
        peers = {peer.name: peer for peer in choose_known(PEERS[kind], options.peers)}
        print(f"measuring: {options.connections:,} {kind} connections", flush=True)
        taken, failures = alternate(
            list(peers), measure_one(peers, kind, options.connections), options.rounds, warm_ups=0
        )
        cases += cases_of(kind, options.connections, taken)
        skipped |= {f"{peer}, {kind}": reason for peer, reason in failures.items()}
    return cases, skipped


def choose_known(peers: Iterable[Peer], names: list[str] | None) -> list[Peer]:
    """Return the chosen peers of one kind; a name may belong to the other kind."""
    listed = list(peers)
    return choose(listed, names and [peer.name for peer in listed if peer.name in names])


def measure_one(peers: dict[str, Peer], kind: str, connections: int) -> Callable[[str], Idleness]:
    """Return what measures the peer of a given name once."""

    def measure(name: str) -> Idleness:
        print(f"  {name}", flush=True)
        try:
            server = Server(peers[name])
        except DidNotStart as err:
            raise Failed(str(err)) from None
        try:
            return watch(server, kind, connections)
        finally:
            server.stop()

    return measure


def watch(server: Server, kind: str, connections: int) -> Idleness:
    """Connect, use every connection once, and look at the server while nothing happens."""
    first = IdleLoad(server, FIRST_CONNECTIONS, kind)
    before = rss_bytes(server.pid)
    load = IdleLoad(server, connections, kind)
    try:
        time.sleep(0.2)
        grown = rss_bytes(server.pid) - before
        started = cpu_time(server.pid)
        time.sleep(WATCHED_SECONDS)
        spent = (cpu_time(server.pid) - started).ran
        load.ask("once more")
        return Idleness(grown / connections, spent / WATCHED_SECONDS)
    finally:
        load.stop()
        first.stop()


def cases_of(kind: str, connections: int, taken: dict[str, list[Idleness]]) -> list[Case]:
    """Return the two cases of one kind: memory and CPU time."""
    memory = {peer: [rounded(i.bytes_each / 1024) for i in all_] for peer, all_ in taken.items()}
    cpu = {peer: [rounded(i.cpu_each_second / 1000) for i in all_] for peer, all_ in taken.items()}
    name = f"{connections:,} idle {kind} connections"
    return [
        Case(f"{name}: memory of each", "KiB", memory),
        Case(f"{name}: CPU time of the process", "µs/s", cpu),
    ]
