"""Timers: a million tasks, each of which waits under a timeout of its own: time and memory."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from bench.cpu import peak_rss_bytes
from bench.peers import Peer, choose
from bench.processes import end
from bench.results import Case, rounded
from bench.rounds import alternate
from bench.works import scheduler

TITLE = "Armed timers: tasks that all wait under a timeout"
DEFAULTS = {"rounds": 1}
WORK = "timers"
LACKING = {
    "simpy (virtual time)": "has no timeouts",
    "deque and send (limit)": "has no timeouts",
    "curio": "looks through its timers: 0.2 ms each among 20,000, and more among more",
}
PEERS = [peer for peer in scheduler.PEERS if peer.name not in LACKING]
PATIENCE_SECONDS = 120.0
SECONDS_ESTIMATE = 20e-6


@dataclass(frozen=True)
class Armed:
    """What one task with its timer cost: CPU time in nanoseconds, memory in bytes."""

    cpu: float
    memory_bytes: float


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for timers."""
    parser.add_argument("--count", type=int, default=1_000_000)


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    tasks = options.rounds * options.count * len(choose(PEERS, options.peers))
    return float(tasks * SECONDS_ESTIMATE)


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure in fresh processes, for memory is hardly ever given back."""
    peers = {peer.name: peer for peer in choose(PEERS, options.peers)}
    print(f"measuring: {options.count:,} timers", flush=True)
    measure_peer = measure_one(peers, options.count)
    taken, failures = alternate(list(peers), measure_peer, options.rounds, warm_ups=0)
    cpu = {peer: [rounded(armed.cpu) for armed in all_] for peer, all_ in taken.items()}
    memory = {peer: [rounded(a.memory_bytes / 1024) for a in all_] for peer, all_ in taken.items()}
    name = f"{options.count:,} tasks under a timeout"
    cases = [Case(f"{name}: start, wait, wake, end", "ns", cpu)]
    cases += [Case(f"{name}: memory of each", "KiB", memory)]
    return cases, LACKING | failures


def measure_one(peers: dict[str, Peer], count: int) -> Callable[[str], Armed]:
    """Return what measures the peer of a given name once."""

    def measure(name: str) -> Armed:
        program = scheduler.Program(peers[name])
        try:
            before = peak_rss_bytes(program.process.pid)
            cpu = program.measure(WORK, count, PATIENCE_SECONDS)
            grown = peak_rss_bytes(program.process.pid) - before
        finally:
            end(program.process)
        return Armed(cpu, grown / count)

    return measure
