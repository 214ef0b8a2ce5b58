"""The command, the report and the timeline: what somebody with a failing seed gets to see."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from sim.scenarios import hasty_reader, patient_echo

from coop.sim import command
from coop.sim.command import main
from coop.sim.explore import SimulationFailed, attempt, check, minimise, report
from coop.sim.faults import KINDS
from coop.sim.timeline import page


def first_failure():
    return next(each for seed in range(100) if (each := attempt(hasty_reader, seed)).has_failed)


def test_a_failure_is_made_small():
    small = minimise(hasty_reader, first_failure())
    assert 1 == len(small.strikes)
    assert attempt(hasty_reader, small.seed, plan=small.plan).kind == "AssertionError"


def test_a_report_is_at_most_a_screen():
    text = report(hasty_reader, first_failure())
    assert len(text.splitlines()) <= 40
    for expected in (
        "AssertionError",
        "short_read@",
        "scenarios.py:",
        "plan=",
        "FAULT",
        "waits for",
    ):
        assert expected in text


def test_a_check_fails_with_the_report():
    with pytest.raises(SimulationFailed, match="hasty_reader fails under seed"):
        check(hasty_reader, 100)
    check(patient_echo, 20)


def test_the_fixture_checks(sim):
    assert 15 == sim.run(patient_echo, 3)
    sim.check(patient_echo, seeds=5)
    with sim.simulation() as simulation:
        simulation.host("one")


def test_the_command_prints_what_struck(capsys):
    assert 0 == main(["sim.scenarios:patient_echo", "--seeds", "40"])
    out = capsys.readouterr().out
    assert "all went well" in out
    for kind in KINDS:
        assert kind.name in out


def test_the_command_finds_the_first_failure(capsys):
    assert 1 == main(["sim.scenarios:hasty_reader", "--seeds", "100", "--keep-going"])
    out = capsys.readouterr().out
    assert f"fails under seed {first_failure().seed}" in out
    assert "--replay" in out


def test_many_seeds_in_which_every_kind_struck_go_well(capsys, monkeypatch):
    monkeypatch.setattr(command, "PROBE_SEEDS", 120)
    assert 0 == main(["sim.scenarios:everything", "--seeds", "120"])
    assert "never struck" not in capsys.readouterr().err


def test_a_kind_without_an_occasion_is_a_warning(capsys, monkeypatch):
    monkeypatch.setattr(command, "PROBE_SEEDS", 100)
    assert 0 == main(["sim.scenarios:patient_echo", "--seeds", "100"])
    err = capsys.readouterr().err
    assert "WARNING: nothing is known about datagram_lost, datagram_doubled" in err
    assert "FAILED" not in err


def test_a_kind_that_never_struck_in_many_seeds_is_a_failure(capsys, monkeypatch):
    monkeypatch.setattr(command, "PROBE_SEEDS", 1)
    assert 1 == main(["sim.scenarios:everything", "--seeds", "1"])  # seed 0: none strikes
    assert "short_read" in capsys.readouterr().err.partition("FAILED: ")[2]


def test_few_seeds_need_not_strike(capsys):
    assert 0 == main(["sim.scenarios:everything", "--seeds", "1"])
    assert "FAILED" not in capsys.readouterr().err


def test_several_processes_find_the_same():
    program = (
        "import sys; from coop.sim.command import main\n"
        "if __name__ == '__main__': "
        "sys.exit(main(['sim.scenarios:hasty_reader', '--seeds', '60', '--jobs', '2']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == ran.returncode, ran.stderr
    assert f"fails under seed {first_failure().seed}" in ran.stdout


def test_a_replay_is_a_timeline(capsys):
    assert 0 == main(["sim.scenarios:patient_echo", "--replay", "3"])
    out = capsys.readouterr().out
    assert "connect" in out
    assert "FAULT" in out
    assert "all went well" in out


@pytest.mark.parametrize("name", ["nothing", "no.such.module:f", "sim.scenarios:nothing", "os:sep"])
def test_a_wrong_name_is_told(name, capsys):
    assert 2 == main([name])
    assert "cannot find the scenario" in capsys.readouterr().err


class Counter(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.classes: dict[str, int] = {}
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        name = dict(attrs).get("class")
        if name:
            self.classes[name] = self.classes.get(name, 0) + 1


def test_a_timeline_is_one_page_with_lanes_arrows_and_faults(tmp_path, capsys):
    path = tmp_path / "out.html"
    assert 1 == main(
        [
            "sim.scenarios:hasty_reader",
            "--replay",
            str(first_failure().seed),
            "--timeline",
            str(path),
        ]
    )
    capsys.readouterr()
    counter = Counter()
    counter.feed(path.read_text())
    assert {"svg", "style", "marker"} <= counter.tags
    assert not {"script", "link", "img", "iframe"} & counter.tags
    assert counter.classes["lane"] >= 3
    assert counter.classes["arrow"] >= 1
    assert counter.classes["fault"] >= 1


def test_a_timeline_shows_what_it_is_told_not_what_it_runs():
    def scenario(sim):
        raise ValueError("<script>alert(1)</script>")
        yield

    assert "<script>" not in page(scenario, 0)


def test_the_plugin_is_found_by_pytest(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "def scenario(sim):\n    yield\n    return 7\n\n"
        "def test_it(sim):\n    assert 7 == sim.run(scenario)\n    sim.check(scenario)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "coop.sim.pytest_plugin", str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
