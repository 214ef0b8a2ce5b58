"""Results: what one run found, as it is written to results/WORK.json and read back.

Charter: data and its file. Tables and charts are made from this and nothing else, so that they can
be made again without a run.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench.paths import RESULTS

BASE = "coop"


@dataclass
class Case:
    """One question of a work: for each peer one figure per round, least is best.

    `at` is the place on the x axis where the cases of a work make a curve, `notes` what is to be
    known of a peer's figures. What differs from peer to peer by powers of ten is not charted.
    """

    name: str
    unit: str
    figures: dict[str, list[float]]
    notes: dict[str, str] = field(default_factory=dict)
    at: float | None = None
    is_charted: bool = True


@dataclass
class Result:
    """All cases of a work, and what they were measured with; `skipped` says who is not there."""

    work: str
    title: str
    cases: list[Case]
    skipped: dict[str, str]
    settings: dict[str, Any]
    machine: dict[str, str]
    versions: dict[str, str]
    seconds_taken: float = 0.0
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def save(self) -> None:
        """Write results/WORK.json."""
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self.work}.json").write_text(as_text(asdict(self)) + "\n")


def as_text(document: dict[str, Any]) -> str:
    """Return JSON with each list of figures on one line."""
    text = json.dumps(document, indent=1, ensure_ascii=False, default=str)
    return re.sub(r"\[[^\[\]{}]*\]", lambda listed: " ".join(listed[0].split()), text)


def load(work: str) -> Result:
    """Read the last run of a work; raises FileNotFoundError when there was none."""
    document = json.loads((RESULTS / f"{work}.json").read_text())
    cases = [Case(**case) for case in document.pop("cases")]
    return Result(cases=cases, **document)


def is_recorded(work: str) -> bool:
    """Tell whether a work has a result."""
    return (RESULTS / f"{work}.json").exists()


def base_of(case: Case) -> str:
    """Return the peer that the others are compared with: coop, or the first where it is missing."""
    return BASE if BASE in case.figures else next(iter(case.figures))


def rounded(value: float) -> float:
    """Return a figure with the digits that are worth keeping."""
    return float(f"{value:.5g}")
