"""Timelines: one run drawn as a page, a lane for each task, arrows for what was sent.

What lives here: ``page``, which returns one self-contained HTML file without scripts.
What it must not know: how the run was made.  Stands on: simulation.

Time runs downward, one row for each thing that happened, so that a crowded millisecond is as
readable as an idle hour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final, NamedTuple

from coop.sim.explore import innermost
from coop.sim.faults import Strike
from coop.sim.simulation import Scenario, Simulation
from coop.sim.world import Note

_LANE: Final = 220
_ROW: Final = 18
_LEFT: Final = 90
_TOP: Final = 60
_MOST_ROWS: Final = 4000
_SEGMENT: Final = re.compile(r"segment (\d+)")

_STYLE: Final = """
body { font: 13px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
h1 { font-size: 1.2em } code { background: #f3f3f3; padding: 0 .3em }
pre { background: #f7f7f7; padding: .7em; overflow-x: auto }
svg { font: 11px ui-monospace, monospace } .lane { stroke: #ddd } .head { font-weight: bold }
.time { fill: #999 } .host { fill: #666 } .row:hover rect { fill: #eef5ff }
.arrow { stroke: #3b7dd8; stroke-width: 1.2; fill: none; marker-end: url(#tip) }
.lost { stroke: #bbb; stroke-dasharray: 3 3; fill: none } .fault { fill: #c22; font-weight: bold }
.failed { fill: #c22 } .quiet { fill: #888 }
@media (prefers-color-scheme: dark) {
 body { background: #1b1b1b; color: #ddd } pre, code { background: #262626 }
 svg text { fill: #ddd } .lane { stroke: #444 } .row:hover rect { fill: #24303f }
 .fault, .failed { fill: #f66 } svg .time, svg .quiet { fill: #888 }
}
"""


class Row(NamedTuple):
    """One line of the drawing."""

    time: float
    lane: int
    text: str
    #: All there is to say, shown when pointed at.
    detail: str
    style: str
    #: The segment that leaves or arrives here, and which of the two.
    segment: int
    what: str


def page(scenario: Scenario, seed: int, plan: Iterable[Strike] | str | None = None) -> str:
    """Run a scenario and return the drawing of it, an HTML page."""
    simulation = Simulation(seed, plan=plan, trace=True)
    ending = "all went well"
    try:
        with simulation:
            simulation.do(scenario(simulation))
    except Exception as error:
        inner = innermost(error)
        ending = f"{type(inner).__name__}: {inner}"
    return draw(simulation, ending, getattr(scenario, "__qualname__", "scenario"))


def draw(simulation: Simulation, ending: str, title: str) -> str:
    """Draw a simulation that kept its trace."""
    notes = simulation.world.trace or []
    lanes = _lanes(notes)
    rows = [_row_of(note, lanes) for note in notes[:_MOST_ROWS]]
    width = _LEFT + _LANE * max(1, len(lanes))
    height = _TOP + _ROW * (len(rows) + 1)
    parts = [*_heads(lanes, height), *map(_draw_row, range(len(rows)), rows), *_arrows(rows)]
    head = f"{escape(title)}, seed {simulation.seed}"
    plan = escape(simulation.plan or "nothing")
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{head}</title>"
        f"<style>{_STYLE}</style>\n<h1>{head}</h1>\n<p>Struck: <code>{plan}</code></p>"
        f"<pre>{escape(ending)}</pre>\n<svg width={width} height={height} role=img>"
        '<defs><marker id=tip viewBox="0 0 8 8" refX=8 refY=4 markerWidth=7 markerHeight=7 '
        'orient=auto><path d="M0 0L8 4L0 8z" fill="#3b7dd8"/></marker></defs>\n'
        + "\n".join(parts)
        + "\n</svg>\n</html>\n"
    )


def _lanes(notes: list[Note]) -> dict[tuple[str, str], int]:
    """Give each task of each host a lane, and each host's system one, in order of appearance."""
    hosts: dict[str, dict[str, None]] = {}
    for note in notes:
        hosts.setdefault(note.host, {"": None})[note.task] = None
    names = [(host, task) for host, tasks in hosts.items() for task in tasks]
    return {name: number for number, name in enumerate(names)}


def _row_of(note: Note, lanes: dict[tuple[str, str], int]) -> Row:
    style, text, segment = "", f"{note.what} {note.detail}", 0
    if note.what == "FAULT":
        style, text = "fault", f"⚡ {note.detail}"
    elif note.what in ("failed", "died", "crash"):
        style = "failed"
    elif note.what in ("sent", "arrived") and (found := _SEGMENT.search(note.detail)):
        style, segment = "quiet", int(found[1])
    if note.what in ("sent", "arrived", "recv", "send"):
        text = f"{note.what} {note.detail.partition(' ')[2]}"  # without the socket's name
    return Row(note.time, lanes[note.host, note.task], text, note.detail, style, segment, note.what)


def _heads(lanes: dict[tuple[str, str], int], height: int) -> list[str]:
    parts = []
    for (host, task), number in lanes.items():
        x = _LEFT + _LANE * number
        parts.append(f"<line class=lane x1={x} y1=20 x2={x} y2={height}></line>")
        parts.append(f"<text class=head x={x + 4} y=20>{escape(host or 'the network')}</text>")
        parts.append(f"<text class=host x={x + 4} y=36>{escape(task or 'the system')}</text>")
    return parts


def _draw_row(number: int, row: Row) -> str:
    y, x = _TOP + _ROW * number, _LEFT + _LANE * row.lane + 4
    text = escape(f"{row.what} {row.detail}")
    short = escape(row.text[:30] + ("…" if len(row.text) > 30 else ""))
    style = f" class={row.style}" if row.style else ""
    return (
        f"<g class=row><rect x=0 y={y - 13} width=100% height={_ROW} fill=transparent></rect>"
        f"<title>{row.time:.6f} s: {text}</title><text class=time x=4 y={y}>{row.time:.6f}</text>"
        f"<text{style} x={x} y={y}>{short}</text></g>"
    )


def _arrows(rows: list[Row]) -> list[str]:
    """Draw an arrow from where a segment left to where it arrived, or a stub if it never did."""
    arrived = {row.segment: n for n, row in enumerate(rows) if row.what == "arrived"}
    parts = []
    for number, row in enumerate(rows):
        if row.what != "sent":
            continue
        x1, y1 = _LEFT + _LANE * row.lane + 2, _TOP + _ROW * number - 4
        target = arrived.get(row.segment)
        if target is None:
            parts.append(f'<path class=lost d="M{x1} {y1}l-30 12"></path>')
        else:
            x2, y2 = _LEFT + _LANE * rows[target].lane + 2, _TOP + _ROW * target - 4
            parts.append(f'<path class=arrow d="M{x1} {y1}L{x2} {y2}"></path>')
    return parts
