"""Scheduler: CPU time of the small things that tasks do, each scheduler in a process of its own."""

import select
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from bench.paths import PYTHON
from bench.peers import Peer, choose
from bench.processes import PIPES, SERVER_CORE, end, start_pinned
from bench.results import Case, rounded
from bench.rounds import WARM_UPS, Failed, alternate

PATIENCE_SECONDS = 60.0
DEFAULTS = {"rounds": 5}
START_ESTIMATE = 0.5
SLICE_ESTIMATE = 0.15
SLEEP_ESTIMATE = 2.5
TITLE = "Scheduler: CPU time per operation"
CASES = {
    "switch": ("switch", 200_000),
    "spawn": ("spawn and join, one after the other", 20_000),
    "spawn_many": ("spawn and join, 100 at a time", 20_000),
    "sleep": ("timed sleep × 100,000", 100_000),
    "timeout": ("enter and leave a timeout around a switch", 20_000),
    "channel": ("channel of capacity 1: put and get", 20_000),
    "lock": ("lock: take, switch, give back", 20_000),
}


HOPELESS = {
    ("curio", "sleep"): "looks through its timers: minutes for 100,000 of them",
}


def scheduler(name: str, module: str, *arguments: str) -> Peer:
    """Return a peer that is a program of schedulers/."""
    return Peer(name, (str(PYTHON), "-m", f"bench.schedulers.{module}", *arguments))


PEERS = [
    scheduler("coop", "on_coop"),
    scheduler("uvloop", "on_asyncio", "uvloop"),
    scheduler("asyncio", "on_asyncio", "asyncio"),
    scheduler("gevent", "on_gevent"),
    scheduler("curio", "on_curio"),
    scheduler("trio", "on_trio"),
    scheduler("simpy (virtual time)", "on_simpy"),
    scheduler("deque and send (limit)", "on_bare_loop"),
]


class Program:
    """One scheduler program that is up, and the works it has."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.start()

    def start(self) -> None:
        """Start the process and learn what it can do."""
        self.process = start_pinned(self.peer.command, SERVER_CORE, **PIPES)
        self.works = self._read_line().split()[1:]

    def measure(self, work: str, count: int, patience: float = PATIENCE_SECONDS) -> float:
        """Return the CPU time of one operation in nanoseconds; Failed if it takes too long."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{work} {count}\n".encode())
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], patience)[0]:
            end(self.process)
            self.start()
            raise Failed(f"not done after {patience:.0f} s")
        return float(self._read_line())

    def _read_line(self) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline().decode()
        if not line:
            last = self.process.stderr.read().decode().strip().split("\n")[-1]
            raise Failed(last or "the program ended")
        return line


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for the scheduler."""
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    one_round = sum(SLEEP_ESTIMATE if c == "sleep" else SLICE_ESTIMATE for c in options.cases)
    each = START_ESTIMATE + (options.rounds + WARM_UPS) * one_round
    return float(each * len(choose(PEERS, options.peers)))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure every case with all programs up, one working at a time."""
    programs, skipped = start_programs(choose(PEERS, options.peers))
    cases = []
    try:
        for name in options.cases:
            case, failures = measure_case(programs, name, options.rounds)
            cases.append(case)
            skipped |= {f"{peer}, {name}": reason for peer, reason in failures.items()}
    finally:
        for program in programs:
            end(program.process)
    return cases, skipped


def start_programs(peers: Sequence[Peer]) -> tuple[list[Program], dict[str, str]]:
    """Start every program; return those that are up, and why the others are not, by name."""
    programs: list[Program] = []
    skipped: dict[str, str] = {}
    for peer in peers:
        try:
            programs.append(Program(peer))
        except Failed as err:
            skipped[peer.name] = str(err)
            print(f"skipped: {peer.name}: {err}")
    return programs, skipped


def measure_case(
    programs: Sequence[Program], name: str, rounds: int
) -> tuple[Case, dict[str, str]]:
    """Measure one operation in alternating slices, in the programs that have it."""
    title, count = CASES[name]
    print(f"measuring: {title}", flush=True)
    able = {program.peer.name: program for program in programs if name in program.works}
    hopeless = {peer: HOPELESS[peer, name] for peer in able if (peer, name) in HOPELESS}
    taken, failures = alternate(
        [peer for peer in able if peer not in hopeless],
        lambda peer: rounded(able[peer].measure(name, count)),
        rounds,
    )
    return Case(title, "ns", taken), hopeless | failures
