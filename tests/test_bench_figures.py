"""The figures that the README quotes are those of the recorded runs."""

import pytest

from bench import readme
from bench.__main__ import command_line
from bench.catalogue import WORKS
from bench.results import BASE, base_of, is_recorded, load


def test_the_readme_quotes_what_was_recorded() -> None:
    quoted = readme.quoted_in(readme.README.read_text(encoding="utf-8"))
    assert readme.figures() == quoted, "write it anew: python -m bench readme"


@pytest.mark.parametrize(
    ("title", "case"), list(readme.panels()), ids=lambda value: str(value)[:40]
)
def test_the_chart_shows_what_was_recorded(title, case) -> None:
    chart = readme.CHART.read_text(encoding="utf-8")
    labels = [f"{bar.median:.2f}" for bar in readme.bars_of(case, base_of(case)).values()]
    missing = [text for text in (title, *case.figures, *labels) if text not in chart]
    assert [] == missing, "draw it anew: python -m bench charts"


def test_every_quoted_peer_was_measured_or_is_marked() -> None:
    rows = [(table, row) for table in readme.TABLES for row in table.rows]
    for table, row in rows:
        case = readme.case_of(row)
        cells = [readme.ratio_to(case, peer) for peer in table.peers.values()] if case else []
        absent = [peer for peer in table.peers.values() if case and peer not in case.figures]
        assert len(absent) == cells.count(readme.MISSING)
        assert case is None or BASE in case.figures


def test_rows_name_works_of_the_catalogue() -> None:
    assert {row.work for table in readme.TABLES for row in table.rows} <= set(WORKS)


def test_a_row_of_a_recorded_work_finds_its_case() -> None:
    """Unless the work was recorded in part: then the case's numbers are not the defaults."""
    rows = [row for table in readme.TABLES for row in table.rows if is_recorded(row.work)]
    whole = [row for row in rows if is_of_defaults(load(row.work).settings, row.work)]
    assert [] == [row.title for row in whole if readme.case_of(row) is None]


def is_of_defaults(settings: dict[str, object], work: str) -> bool:
    defaults = vars(command_line().parse_args([work]))
    return all(defaults.get(name) == value for name, value in settings.items())
