"""Bars: what coop aims at, and whether the recorded runs reach it.

Charter: data and its judgement, read from results/*.json; measures nothing. A bar is the highest
cost that is good enough: a ratio to one peer (the median of the ratios of each round), a ratio to
the cheapest peer that is no limit, or a figure of its own.
"""

from dataclasses import dataclass

from bench.results import BASE, Case, is_recorded, load
from bench.rounds import ratios, spread
from bench.tables import number

BEST = "the best peer"
ITSELF = ""
NOT_COMPARED = ("(limit)", "(virtual time)")


@dataclass(frozen=True)
class Bar:
    """At most `limit` times what `peer` takes in a case of a work; or, of ITSELF, in its unit."""

    work: str
    case: str
    peer: str
    limit: float


@dataclass(frozen=True)
class Verdict:
    """What was recorded: `value` is None where nothing was; `peer` is the one compared with."""

    bar: Bar
    value: float | None
    peer: str

    @property
    def word(self) -> str:
        if self.value is None:
            return "not recorded"
        return "met" if self.value <= self.bar.limit else "missed"


ECHO, MANY = "100 connections × 1,024 bytes", "10,000 connections × 1,024 bytes"
HELLO, HEADERS = "hello × 64 connections", "browser-like headers × 64 connections"
BARS = [
    Bar("echo", ECHO, "uvloop Protocol", 1.12),
    Bar("echo", ECHO, "uvloop streams", 0.72),
    Bar("echo", ECHO, "trio", 0.30),
    Bar("echo-timeout", ECHO, "uvloop Protocol (no timeout)", 1.25),
    Bar("echo", MANY, "uvloop Protocol", 1.15),
    Bar("http", HELLO, "bjoern", 1.15),
    Bar("http", HELLO, "granian RSGI", 0.60),
    Bar("http", HELLO, "uvicorn", 0.40),
    Bar("http", HEADERS, "uvicorn", 0.60),
    Bar("http", HEADERS, "granian RSGI", 0.80),
    Bar("http", "file of 1 MiB × 16 connections", "nginx (limit)", 1.3),
    Bar("scheduler", "switch", "deque and send (limit)", 2.0),
    Bar("scheduler", "spawn and join, one after the other", BEST, 0.4),
    Bar("scheduler", "spawn and join, 100 at a time", BEST, 0.4),
    Bar("scheduler", "timed sleep × 100,000", BEST, 0.4),
    Bar("scheduler", "enter and leave a timeout around a switch", BEST, 0.4),
    Bar("scheduler", "channel of capacity 1: put and get", BEST, 0.4),
    Bar("idle", "10,000 idle echo connections: memory of each", ITSELF, 2.0),
    Bar("idle", "10,000 idle http connections: memory of each", ITSELF, 5.0),
    Bar("flood", "growth of the polite p99 by the flood", ITSELF, 3.0),
]


def print_all() -> None:
    """Print every bar with what was recorded."""
    verdicts = [judge(bar) for bar in BARS]
    for verdict in verdicts:
        print(line_of(verdict))
    met = sum(verdict.word == "met" for verdict in verdicts)
    print(f"\n{met} of {len(verdicts)} met")


def line_of(verdict: Verdict) -> str:
    """Return one bar as a line."""
    bar = verdict.bar
    found = number(verdict.value) if verdict.value is not None else "–"
    what = f"{bar.work}: {bar.case}"
    against = f"× {verdict.peer}" if bar.peer else ""
    return f"{verdict.word:12}  {found:>5} ≤ {bar.limit:<4}  {what}  {against}".rstrip()


def judge(bar: Bar) -> Verdict:
    """Return what was recorded for a bar."""
    cases = load(bar.work).cases if is_recorded(bar.work) else []
    case = next((case for case in cases if case.name == bar.case), None)
    if case is None or not case.figures.get(BASE):
        return Verdict(bar, None, bar.peer)
    return judge_case(bar, case)


def judge_case(bar: Bar, case: Case) -> Verdict:
    """Return the verdict on a case that holds coop's figures."""
    if bar.peer == ITSELF:
        return Verdict(bar, spread(case.figures[BASE]).median, ITSELF)
    named = {bar.peer} if bar.peer != BEST else compared_peers(case)
    costs = {
        spread(compared).median: name
        for name in named
        if (compared := ratios(case.figures[BASE], case.figures.get(name, [])))
    }
    if not costs:
        return Verdict(bar, None, bar.peer)
    worst = max(costs)  # the dearest comparison is with the cheapest peer
    return Verdict(bar, worst, costs[worst])


def compared_peers(case: Case) -> set[str]:
    """Return the peers of a case that do the same work as coop."""
    return {name for name in case.figures if name != BASE and not name.endswith(NOT_COMPARED)}
