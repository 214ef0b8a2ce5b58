"""The README's figures: tables of ratios and a chart, from the recorded runs and nothing else.

Charter: says what is quoted. `figures()` is what stands between the markers of README.md, `write()`
puts it there, `charts.py` draws the panels, and tests/test_bench_figures.py fails where one of them
differs from the JSON. Only ratios are quoted: nanoseconds are of one machine. A row whose work was
not recorded is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.paths import REPOSITORY, RESULTS
from bench.results import BASE, Case, is_recorded, load
from bench.rounds import Spread, ratios, spread

README = REPOSITORY / "README.md"
CHART = RESULTS / "overview.svg"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
MISSING = "–"


@dataclass(frozen=True)
class Row:
    """A case by the name that the README calls it."""

    title: str
    work: str
    case: str


@dataclass(frozen=True)
class Table:
    """Rows that are compared with the same peers; `peers` are names of columns and of peers."""

    title: str
    peers: dict[str, str]
    rows: tuple[Row, ...]


ECHO = Row("Echo of 1 KiB, 100 connections", "echo", "100 connections × 1,024 bytes")
MANY = Row("Echo of 1 KiB, 10,000 connections", "echo", "10,000 connections × 1,024 bytes")
GUARDED = Row("Echo, 30 s timeout on each receive", "echo-timeout", ECHO.case)
LINE = Row("A line of 64 bytes", "line", "100 connections × 64 bytes, one line at a time")
IDLE = Row("Memory of an idle connection", "idle", "10,000 idle echo connections: memory of each")
HELLO = Row("Hello", "http", "hello × 64 connections")
HEADERS = Row("Hello, a browser’s 12 headers", "http", "browser-like headers × 64 connections")
JSON = Row("JSON of 1 KiB", "http", "JSON of 1 KiB × 64 connections")
FILE = Row("File of 1 MiB", "http", "file of 1 MiB × 16 connections")
IDLE_HTTP = Row("Memory, idle and kept alive", "idle", IDLE.case.replace("echo", "http"))
SWITCH = Row("Switch", "scheduler", "switch")
SPAWN = Row("Spawn and join a hundred", "scheduler", "spawn and join, 100 at a time")
TIMEOUT = Row("Timeout", "scheduler", "enter and leave a timeout around a switch")
CHANNEL = Row("Channel", "scheduler", "channel of capacity 1: put and get")
TABLES = [
    Table(
        "Streams",
        {
            "uvloop protocol": "uvloop Protocol",
            "uvloop streams": "uvloop streams",
            "asyncio streams": "asyncio streams",
            "gevent": "gevent",
            "trio": "trio",
        },
        (ECHO, MANY, GUARDED, LINE, IDLE),
    ),
    Table(
        "HTTP",
        {
            "nginx": "nginx (limit)",
            "bjoern": "bjoern",
            "granian": "granian RSGI",
            "uvicorn": "uvicorn",
            "aiohttp": "aiohttp",
        },
        (HELLO, HEADERS, JSON, FILE, IDLE_HTTP),
    ),
    Table(
        "Tasks",
        {name: name for name in ("uvloop", "asyncio", "gevent", "curio", "trio")},
        (SWITCH, SPAWN, TIMEOUT, CHANNEL),
    ),
]
PANELS = [ECHO, MANY, HELLO, HEADERS, SPAWN, IDLE]


def figures() -> str:
    """Return what stands between the markers."""
    tables = [table for table in map(lines_of, TABLES) if table]
    if CHART.exists():
        picture = CHART.relative_to(REPOSITORY)
        tables.append([f"![Cost of coop and its peers, as bars]({picture})"])
    return "\n\n".join("\n".join(lines) for lines in tables) + "\n"


def lines_of(table: Table) -> list[str]:
    """Return a table's lines; none where nothing of it was recorded."""
    rows = []
    for row in table.rows:
        if case := case_of(row):
            cells = [ratio_to(case, peer) for peer in table.peers.values()]
            rows.append(f"| {row.title} | {' | '.join(cells)} |")
    header = f"| {table.title}: coop’s cost ÷ that of … | {' | '.join(table.peers)} |"
    return [header, "|---|" + "---:|" * len(table.peers), *rows] if rows else []


def case_of(row: Row) -> Case | None:
    """Return the recorded case of a row, if coop was measured in it."""
    cases = load(row.work).cases if is_recorded(row.work) else []
    return next((case for case in cases if case.name == row.case and BASE in case.figures), None)


def ratio_to(case: Case, peer: str) -> str:
    """Return coop's cost by the peer's: the median of the ratios of each round."""
    compared = ratios(case.figures[BASE], case.figures.get(peer, []))
    return f"{spread(compared).median:.2f}" if compared else MISSING


def bars_of(case: Case, base: str) -> dict[str, Spread]:
    """Return the cost of each peer of a case, that of `base` being 1, cheapest first."""
    compared = {name: ratios(taken, case.figures[base]) for name, taken in case.figures.items()}
    spreads = {name: spread(values) for name, values in compared.items() if values}
    return dict(sorted(spreads.items(), key=lambda item: item[1].median))


def panels() -> Iterator[tuple[str, Case]]:
    """Yield the titles and cases of the README's chart that were recorded."""
    for row in PANELS:
        if case := case_of(row):
            yield (f"HTTP: {row.title}" if row.work == "http" else row.title), case


def quoted_in(text: str) -> str:
    """Return what stands between the markers of a text; raises ValueError where they are not."""
    begin = text.index(BEGIN) + len(BEGIN)
    return text[begin : text.index(END, begin)]


def write() -> None:
    """Put the figures of the recorded runs between the markers of the README."""
    text = README.read_text(encoding="utf-8")
    old = BEGIN + quoted_in(text) + END
    README.write_text(text.replace(old, BEGIN + figures() + END), encoding="utf-8")
    print(f"written: {README.name}")
