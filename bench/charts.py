"""Charts: a result as an SVG beside its JSON, and the README's chart.

Charter: reads results/WORK.json, writes results/WORK.svg and results/overview.svg; runs in the
peers' environment, where matplotlib is (`python -m bench charts` starts it there). Bars are costs
relative to coop, or to the first peer where coop is missing, with the quartiles of the ratios;
works whose cases grow along an axis become curves.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bench import readme
from bench.paths import BENCH, RESULTS
from bench.readme import bars_of
from bench.results import BASE, Case, Result, base_of, load
from bench.rounds import spread

OURS, OTHERS, LIMIT, INK, PALE, GRID = (
    "#0b7285",
    "#b4c1c9",
    "#dde4e8",
    "#22282c",
    "#66727a",
    "#e3e7ea",
)
CURVES = ["#c2571a", "#7a5195", "#5b8c3e", "#b08900", "#3f6fb5", "#a33b5c", "#66727a"]
COLUMNS, PANEL_INCHES, BAR_INCHES, FRAME_INCHES = 3, 4.3, 0.21, 0.62
LONGEST = 6.0  # a bar longer than this, in multiples of the base, is cut and says so
STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "axes.labelcolor": PALE,
    "xtick.color": PALE,
    "ytick.color": INK,
    "ytick.major.size": 0,
    "xtick.major.size": 0,
    "font.size": 9,
    "svg.hashsalt": "coop",
    "svg.fonttype": "none",
}


def draw(result: Result) -> Path:
    """Write the chart of a result and return its path."""
    cases = [case for case in result.cases if case.figures and case.is_charted]
    with pyplot.rc_context(STYLE):
        if cases and cases[0].at is not None:
            figure = draw_curves(cases)
        else:
            figure = draw_bars([(case.name, case) for case in cases])
        return save(figure, result.title, RESULTS / f"{result.work}.svg")


def draw_overview() -> Path | None:
    """Write the README's chart and return its path, if anything of it was recorded."""
    panels = list(readme.panels())
    if not panels:
        return None
    with pyplot.rc_context(STYLE):
        return save(draw_bars(panels), "coop and its peers", readme.CHART)


def save(figure: Figure, title: str, path: Path) -> Path:
    """Write a figure as SVG."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, weight="bold")
    figure.tight_layout(h_pad=1.6, w_pad=2.0, rect=(0, 0, 1, 1 - 0.1 / figure.get_figheight()))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def draw_bars(panels: list[tuple[str, Case]]) -> Figure:
    """Return a figure with a panel of bars for each case."""
    columns = min(COLUMNS, len(panels))
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [
        max(len(case.figures) for _, case in row) * BAR_INCHES + FRAME_INCHES for row in rows
    ]
    figure, grid = pyplot.subplots(
        len(rows),
        columns,
        figsize=(PANEL_INCHES * columns, sum(heights) + 0.4),
        squeeze=False,
        height_ratios=heights,
    )
    for axes, (title, case) in zip(grid.flat, panels, strict=False):
        draw_case(axes, title, case)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    return figure


def draw_case(axes: Axes, title: str, case: Case) -> None:
    """Draw the peers of a case as bars: cost relative to the base, cheapest on top."""
    base = base_of(case)
    bars = bars_of(case, base)
    room = min(LONGEST, max((bar.high for bar in bars.values()), default=1.0))
    for place, (name, bar) in enumerate(bars.items()):
        shown = min(bar.median, room)
        colour = OURS if name == BASE else LIMIT if name.endswith("(limit)") else OTHERS
        axes.barh(place, shown, color=colour, height=0.72)
        if bar.median <= room and bar.high > bar.low:
            errors = [[bar.median - bar.low], [min(bar.high, room) - bar.median]]
            axes.errorbar(shown, place, xerr=errors, color=INK, elinewidth=0.8, capsize=2)
        label = f"{bar.median:.2f}" + (" →" if bar.median > room else "")
        spot = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
        spot["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        weight = "bold" if name == BASE else "normal"
        end = max(shown, min(bar.high, room))
        axes.annotate(label, (end, place), fontsize=8, weight=weight, **spot)
    axes.set_yticks(range(len(bars)), list(bars))
    for tick in axes.get_yticklabels():
        tick.set_weight("bold" if tick.get_text() == BASE else "normal")
    axes.invert_yaxis()
    axes.axvline(1, color=OURS, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, room * 1.16)
    axes.xaxis.grid(True, color=GRID, linewidth=0.6)
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel(f"cost, {base} = 1 (shorter is better)", fontsize=8)


def draw_curves(cases: list[Case]) -> Figure:
    """Return a figure with one curve for each peer, over the `at` of the cases."""
    figure, axes = pyplot.subplots(figsize=(8.2, 4.8))
    names = sorted({name for case in cases for name in case.figures}, key=lambda name: name != BASE)
    ends = []
    for name, colour in zip(names, [OURS, *CURVES], strict=False):
        points = [(case.at, spread(case.figures[name])) for case in cases if name in case.figures]
        middle = [point.median for _, point in points]
        errors = [[p.median - p.low for _, p in points], [p.high - p.median for _, p in points]]
        width = 2.6 if name == BASE else 1.3
        places = [at for at, _ in points]
        axes.errorbar(places, middle, errors, color=colour, linewidth=width, capsize=2, marker=".")
        ends.append((middle[-1], places[-1], f"{name}  ×{middle[-1] / middle[0]:.1f}", colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    label_ends(axes, ends)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("connections; behind each name, the growth from the first to the last point")
    axes.set_ylabel(cases[0].unit)
    axes.grid(color=GRID, which="both", linewidth=0.6)
    return figure


def label_ends(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write the names at the ends of their curves, none over another."""
    lowest = 0.0
    for value, place, name, colour in sorted(ends):
        height = axes.transData.transform((place, value))[1]
        lowest = max(height, lowest + 13)
        spot = {"xytext": (10, (lowest - height) * 72 / axes.figure.dpi)}
        weight = "bold" if colour == OURS else "normal"
        axes.annotate(
            name,
            (place, value),
            textcoords="offset points",
            va="center",
            color=colour,
            weight=weight,
            annotation_clip=False,
            **spot,
        )


if __name__ == "__main__":
    drawn = [draw(load(work)) for work in sys.argv[1:]]
    drawn += [overview] if (overview := draw_overview()) else []
    for chart in drawn:
        print(f"drawn: {chart.relative_to(BENCH)}")
