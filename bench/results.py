"""Results: what one run found, as it is written to results/WORK.json and read back.

Charter: data and its file. Tables and charts are made from this and nothing else, so that they can
be made again without a run.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench.paths import RESULTS

BASE = "coop"


@dataclass
class Case:
    """One question of a work: for each peer one figure per round, least is best.

    `at` is the place on the x axis where the cases of a work make a curve, `notes` what is to be
    known of a peer's figures.
    """

    name: str
    unit: str
    figures: dict[str, list[float]]
    notes: dict[str, str] = field(default_factory=dict)
    at: float | None = None


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
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def save(self) -> None:
        """Write results/WORK.json."""
        RESULTS.mkdir(exist_ok=True)
        document = json.dumps(asdict(self), indent=1, default=str)
        (RESULTS / f"{self.work}.json").write_text(document + "\n")


def load(work: str) -> Result:
    """Read the last run of a work; raises FileNotFoundError when there was none."""
    document = json.loads((RESULTS / f"{work}.json").read_text())
    cases = [Case(**case) for case in document.pop("cases")]
    return Result(cases=cases, **document)


def base_of(case: Case) -> str:
    """Return the peer that the others are compared with: coop, or the first where it is missing."""
    return BASE if BASE in case.figures else next(iter(case.figures))


def rounded(value: float) -> float:
    """Return a figure with the digits that are worth keeping."""
    return float(f"{value:.5g}")
