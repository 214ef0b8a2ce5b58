"""Flood: how long polite connections wait while another one sends without end.

A thousand connections send at a calm pace; once alone, and once beside a connection that sends as
fast as the server reads. Latency counts from when a message was due, so a server that stalls cannot
hide it. The other servers are up but held still: what a flood has left in one of them would be
worked off in the next one's slice otherwise.
"""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from dataclasses import dataclass

from bench.loads import EchoLoad, Slice, note_of
from bench.peers import choose
from bench.processes import Server, alone, start_all, stop_all
from bench.results import Case, rounded
from bench.rounds import WARM_UPS, Failed, alternate
from bench.works import echo

TITLE = "A flood among polite connections: their latency"
DEFAULTS = {"rounds": 7, "seconds": 0.8}
PEERS = echo.PEERS
MESSAGE_BYTES = 1024


@dataclass(frozen=True)
class Pair:
    """Two slices, one without and one with the flood."""

    calm: Slice
    flooded: Slice


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for the flood."""
    parser.add_argument("--connections", type=int, default=1_000, help="polite ones")
    parser.add_argument("--rate", type=int, default=5_000, help="polite messages a second in all")


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    slices = 2 * (options.rounds + WARM_UPS) * (options.seconds + echo.SETTLING_SECONDS)
    opening = echo.START_ESTIMATE + 2 * options.connections * echo.CONNECT_ESTIMATE
    return float((slices + opening) * len(choose(PEERS, options.peers)))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure both slices of each server, all servers up."""
    servers, skipped = start_all(choose(PEERS, options.peers))
    try:
        with ExitStack() as stack:
            pairs = {}
            for server in servers:
                try:
                    pairs[server] = open_pair(server, options.connections, stack)
                except Failed as err:
                    skipped[server.name] = str(err)
            by_name = {server.name: server for server in pairs}

            def measure_alone(peer: str) -> Pair:
                with alone(by_name[peer], list(pairs)):
                    return measure_pair(*pairs[by_name[peer]], options)

            taken, failures = alternate(list(by_name), measure_alone, options.rounds)
    finally:
        stop_all(servers)
    return cases_of(taken), skipped | failures


def open_pair(server: Server, connections: int, stack: ExitStack) -> tuple[EchoLoad, EchoLoad]:
    """Connect a load without and one with a flooder."""
    loads = []
    for flooders in (0, 1):
        load = EchoLoad(server, connections, MESSAGE_BYTES, flooders)
        stack.callback(load.stop)
        loads.append(load)
    return loads[0], loads[1]


def measure_pair(calm: EchoLoad, flooded: EchoLoad, options: Namespace) -> Pair:
    """Measure a slice of each, one after the other."""
    return Pair(calm.run(options.seconds, options.rate), flooded.run(options.seconds, options.rate))


def cases_of(taken: dict[str, list[Pair]]) -> list[Case]:
    """Return the growth of p99, and the three percentiles with and without the flood."""
    growth = {
        peer: [rounded(pair.flooded.latency["p99"] / pair.calm.latency["p99"]) for pair in pairs]
        for peer, pairs in taken.items()
    }
    notes = {peer: note_of([pair.flooded for pair in pairs]) for peer, pairs in taken.items()}
    cases = [Case("growth of the polite p99 by the flood", "×", growth, notes)]
    for percentile in ("p50", "p99", "p999"):
        for state in ("calm", "flooded"):
            figures = {
                peer: [rounded(getattr(pair, state).latency[percentile] / 1e6) for pair in pairs]
                for peer, pairs in taken.items()
            }
            cases.append(Case(f"{percentile}, {state}", "ms", figures))
    return cases
