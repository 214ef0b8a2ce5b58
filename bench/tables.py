"""Tables: a result as text.

Charter: reads a Result, returns lines. The ratio is coop's figure by the peer's, so under 1 coop is
the cheaper; it is the median of the ratios of each round, its quartiles in brackets.
"""

from collections.abc import Iterator, Mapping

from bench.results import Case, Result, base_of
from bench.rounds import Spread, ratios, spread


def print_result(result: Result) -> None:
    """Print everything a result has to say."""
    print(f"\n{result.title}")
    for case in result.cases:
        if case.figures:
            print(f"\n{case.name}\n" + "\n".join(table(case)))
    for name, reason in result.skipped.items():
        print(f"left out: {name}: {reason}")
    print(f"made: {result.when}, in {result.seconds_taken:.0f} s, on " + listed(result.machine))
    print("settings: " + listed(result.settings))
    print("versions: " + listed(result.versions))


def table(case: Case) -> list[str]:
    """Return one case as an aligned table, cheapest first."""
    base = base_of(case)
    header = ("", case.unit, "quartiles", f"{base} ÷ it", "quartiles", "")
    rows = [header, *rows_of(case, base)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if i in (1, 3) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def rows_of(case: Case, base: str) -> Iterator[tuple[str, ...]]:
    """Yield a row of cells for each peer, cheapest first."""
    by_median = sorted(case.figures, key=lambda name: spread(case.figures[name]).median)
    for name in by_median:
        compared = ratios(case.figures[base], case.figures[name])
        cells = (*cells_of(spread(case.figures[name])), *ratio_cells(compared))
        yield (name, *cells, case.notes.get(name, ""))


def cells_of(figure: Spread) -> tuple[str, str]:
    """Return median and quartiles as text."""
    return number(figure.median), f"[{number(figure.low)} {number(figure.high)}]"


def ratio_cells(compared: list[float]) -> tuple[str, str]:
    """Return a ratio and its quartiles as text; empty where there is none."""
    if not compared:
        return "", ""
    ratio = spread(compared)
    return f"{ratio.median:.2f}", f"[{ratio.low:.2f} {ratio.high:.2f}]"


def number(value: float) -> str:
    """Return a figure with three digits or so."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def listed(items: Mapping[str, object]) -> str:
    """Return `name value, name value`."""
    return ", ".join(f"{name} {value}" for name, value in items.items())
