"""docs/testing.md is a program: its snippets are run one after the other, and print what it says.

Each snippet is added to a file, test_greeter.py, as a reader would; so the line numbers hold too.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from coop.sim import KINDS, command
from coop.sim.explore import SimulationFailed
from coop.sim.pytest_plugin import Simulator
from coop.sim.simulation import ALLOWABLE

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SNIPPETS = [text for language, text in BLOCKS if language == "python"]
REPORT, COMMANDS = [text for language, text in BLOCKS if not language]
#: How many snippets there are before the bug is mended.
BUGGY = 2


@pytest.fixture
def greeter(tmp_path, monkeypatch):
    """Return a function that imports test_greeter.py with so many snippets in it."""
    monkeypatch.chdir(tmp_path)

    def load(count):
        path = tmp_path / "test_greeter.py"
        path.write_text("\n".join(SNIPPETS[:count]))
        spec = importlib.util.spec_from_file_location("test_greeter", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "test_greeter", module)
        spec.loader.exec_module(module)
        return module

    return load


def test_the_first_test_passes(greeter, sim):
    greeter(1).test_greeting(sim)


def test_the_bug_is_found_and_reported_as_printed(greeter, sim):
    with pytest.raises(SimulationFailed) as caught:
        greeter(BUGGY).test_greeting_on_any_network(sim)
    above, below = REPORT.split("...\n")
    assert str(caught.value).startswith(above.rstrip())
    assert str(caught.value).endswith(below.rstrip())


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_all_else_on_the_page_passes(greeter):
    module = greeter(len(SNIPPETS))
    tests = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    assert len(tests) == PAGE.count("\ndef test_")
    for name, test in tests.items():
        takes_sim = "(sim):" in re.search(rf"def {name}.*", "\n".join(SNIPPETS))[0]
        test(Simulator(seeds=30, first=0)) if takes_sim else test()


def test_the_state_machine_on_the_page_passes(greeter):
    machine = greeter(len(SNIPPETS)).Greeting
    run_state_machine_as_test(machine, settings=settings(max_examples=5, stateful_step_count=8))


def test_the_commands_work(greeter, capsys):
    greeter(BUGGY)
    for line in COMMANDS.replace("10000", "40").replace(" --jobs 2", "").splitlines():
        words = shlex.split(line)
        assert words[:4] == ["python", "-m", "coop", "sim"]
        assert 1 == command.main(words[4:]), line
    assert Path("out.html").exists()
    capsys.readouterr()


def test_the_command_line_starts(greeter):
    greeter(BUGGY)
    ran = subprocess.run(
        [sys.executable, "-m", "coop", "sim", "test_greeter:scenario", "--seeds", "9"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "scenario fails under seed" in ran.stdout, ran.stderr


def test_every_kind_of_fault_and_every_permission_is_on_the_page():
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert {kind.name for kind in KINDS} - named == set()
    assert [word for word in ALLOWABLE[:3] if f'"{word}"' not in PAGE] == []
