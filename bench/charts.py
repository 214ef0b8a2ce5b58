"""Charts: a result as an SVG beside its JSON.

Charter: reads results/WORK.json, writes results/WORK.svg; runs in the peers' environment, where
matplotlib is (`python -m bench charts` starts it there). Bars are costs relative to coop, or to the
first peer where coop is missing, with the quartiles of the ratios; works whose cases grow along an
axis become curves.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from bench.paths import RESULTS
from bench.results import BASE, Case, Result, base_of, load
from bench.rounds import ratios, spread

OURS, OTHERS, INK, GRID = "#1f6f8b", "#b9c4cc", "#22282c", "#e3e7ea"
STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9,
    "svg.hashsalt": "coop",
    "svg.fonttype": "none",
}


def draw(result: Result) -> Path:
    """Write the chart of a result and return its path."""
    cases = [case for case in result.cases if case.figures]
    with pyplot.rc_context(STYLE):
        figure = draw_curves(cases) if cases[0].at is not None else draw_bars(cases)
        figure.suptitle(result.title, x=0.01, ha="left", fontsize=11)
        figure.tight_layout()
        path = RESULTS / f"{result.work}.svg"
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
    return path


def draw_bars(cases: list[Case]) -> pyplot.Figure:
    """Return a figure with one group of bars for each case."""
    tallest = max(len(case.figures) for case in cases)
    columns = min(2, len(cases))
    rows = -(-len(cases) // columns)
    size = (5.2 * columns, rows * (0.24 * tallest + 0.9) + 0.3)
    figure, grid = pyplot.subplots(rows, columns, figsize=size, squeeze=False)
    for axes, case in zip(grid.flat, cases, strict=False):
        draw_case(axes, case)
    for axes in grid.flat[len(cases) :]:
        axes.axis("off")
    return figure


def draw_case(axes: Axes, case: Case) -> None:
    """Draw the peers of a case as bars: cost relative to the base, cheapest on top."""
    base = base_of(case)
    spreads = {
        name: spread(compared)
        for name, figures in case.figures.items()
        if (compared := ratios(figures, case.figures[base]))
    }
    names = sorted(spreads, key=lambda name: spreads[name].median, reverse=True)
    for place, name in enumerate(names):
        bar = spreads[name]
        errors = [[bar.median - bar.low], [bar.high - bar.median]]
        colour = OURS if name == BASE else OTHERS
        axes.barh(place, bar.median, xerr=errors, color=colour, ecolor=INK, height=0.7, capsize=2)
        label = f"{bar.median:.2f}"
        spot = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(label, (bar.high, place), fontsize=8, **spot)
    axes.set_yticks(range(len(names)), names)
    axes.axvline(1, color=OURS, linewidth=0.8, linestyle=":")
    axes.set_title(case.name, loc="left", fontsize=9)
    axes.set_xlabel(f"cost, {base} = 1 (less is better)")
    axes.margins(x=0.12)


def draw_curves(cases: list[Case]) -> pyplot.Figure:
    """Return a figure with one curve for each peer, over the `at` of the cases."""
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5))
    for name in cases[0].figures:
        points = [(case.at, spread(case.figures[name])) for case in cases if name in case.figures]
        middle = [point.median for _, point in points]
        errors = [[p.median - p.low for _, p in points], [p.high - p.median for _, p in points]]
        width = 2.4 if name == BASE else 1.2
        axes.errorbar(
            [at for at, _ in points], middle, errors, label=name, linewidth=width, capsize=2
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("connections")
    axes.set_ylabel(cases[0].unit)
    axes.grid(color=GRID, which="both")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    for work in sys.argv[1:]:
        print(f"drawn: {draw(load(work)).relative_to(RESULTS.parent)}")
