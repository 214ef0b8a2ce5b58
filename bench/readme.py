"""The README's figures: a table of ratios, made from the recorded runs and nothing else.

Charter: `figures()` is what stands between the markers of README.md, `write()` puts it there, and
tests/test_bench_figures.py fails where the two differ. Only ratios are quoted: nanoseconds are of
one machine. A row whose work was not recorded is left out, and so is a peer that was not measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.paths import REPOSITORY, RESULTS
from bench.results import BASE, is_recorded, load
from bench.rounds import ratios, spread

README = REPOSITORY / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
OVERVIEW = "overview"


@dataclass(frozen=True)
class Row:
    """A line of the table: what to call a case, and the peers whose ratios are quoted."""

    title: str
    work: str
    case: str
    peers: tuple[str, ...]


ECHO_PEERS = ("uvloop Protocol", "uvloop streams", "asyncio streams", "gevent", "trio")
HTTP_PEERS = ("nginx (limit)", "bjoern", "granian RSGI", "uvicorn", "aiohttp")
TASK_PEERS = ("uvloop", "asyncio", "gevent", "trio")
ROWS = [
    Row("Echo of 1 KiB", "echo", "100 connections × 1,024 bytes", ECHO_PEERS),
    Row("… over 10,000 connections", "echo", "10,000 connections × 1,024 bytes", ECHO_PEERS),
    Row("… with a timeout of 30 s", "echo-timeout", "100 connections × 1,024 bytes", ECHO_PEERS),
    Row("A line of 64 bytes", "line", "100 connections × 64 bytes, one line at a time", ECHO_PEERS),
    Row("HTTP hello", "http", "hello × 64 connections", HTTP_PEERS),
    Row("… with a browser’s headers", "http", "browser-like headers × 64 connections", HTTP_PEERS),
    Row("… a file of 1 MiB", "http", "file of 1 MiB × 16 connections", HTTP_PEERS),
    Row("Switch", "scheduler", "switch", TASK_PEERS),
    Row("Spawn and join", "scheduler", "spawn and join, 100 at a time", TASK_PEERS),
    Row("Timeout", "scheduler", "enter and leave a timeout around a switch", TASK_PEERS),
    Row("Channel", "scheduler", "channel of capacity 1: put and get", TASK_PEERS),
    Row(
        "Memory, idle connection",
        "idle",
        "10,000 idle echo connections: memory of each",
        ECHO_PEERS,
    ),
    Row("… HTTP", "idle", "10,000 idle http connections: memory of each", HTTP_PEERS),
]


def figures() -> str:
    """Return what stands between the markers."""
    rows = [f"| {row.title} | {quoted} |" for row in ROWS if (quoted := quote(row))]
    lines = [
        "| coop’s cost | by that of a peer: under 1, coop is the cheaper |",
        "|---|---|",
        *rows,
    ]
    if (RESULTS / f"{OVERVIEW}.svg").exists():
        lines += ["", f"![The same as a chart]({RESULTS.relative_to(REPOSITORY)}/{OVERVIEW}.svg)"]
    return "\n".join(lines) + "\n"


def quote(row: Row) -> str:
    """Return the ratios of one row, dearest first; nothing where none was recorded."""
    found = sorted(ratios_of(row), reverse=True)
    return " · ".join(f"{ratio:.2f} × {peer}" for ratio, peer in found)


def ratios_of(row: Row) -> Iterator[tuple[float, str]]:
    """Yield the median ratio to each peer of a row that was measured beside coop."""
    cases = load(row.work).cases if is_recorded(row.work) else []
    for case in cases:
        if case.name != row.case or BASE not in case.figures:
            continue
        for peer in row.peers:
            if compared := ratios(case.figures[BASE], case.figures.get(peer, [])):
                yield spread(compared).median, peer


def quoted_in(text: str) -> str:
    """Return what stands between the markers of a text; raises ValueError where they are not."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[begin:end]


def write() -> None:
    """Put the figures of the recorded runs between the markers of the README."""
    text = README.read_text(encoding="utf-8")
    old = BEGIN + quoted_in(text) + END
    README.write_text(text.replace(old, BEGIN + figures() + END), encoding="utf-8")
