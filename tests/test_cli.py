"""The command line: what `ps` and `pstree` show, and whom they leave alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from observe.programs import coop_command, needs_usr1, program

from coop import cli

pytestmark = needs_usr1

WAITING = """
def work(jobs):
    yield from jobs.recv()

def main():
    jobs = coop.Channel(0, name="jobs")
    for _ in range(100):
        coop.spawn(work(jobs))
    coop.spawn(coop.sleep(600), name="sleeper")
    yield
    ready()
    with coop.timeout(500):
        yield from coop.sleep(900)

coop.run(main())
"""

SPINNING = """
def spin():
    ready()
    while True:
        pass

def main():
    yield from coop.sleep(0)
    spin()

coop.run(main())
"""

#: No coop.run, and SIGUSR1 as the system has it: it would kill.
PLAIN = "ready(); sys.stdin.read()"


def test_ps_lists_the_tasks_of_a_running_process() -> None:
    with program(WAITING) as process:
        shown = coop_command("ps", process.pid)
    assert (0, "") == (shown.returncode, shown.stderr)
    lines = shown.stdout.splitlines()
    assert 103 == len(lines)
    assert "sleeper" in lines[-1]
    assert "receive from <channel 'jobs' 0 of 0, 100 wait: " in lines[2]


def test_pstree_draws_them_with_equal_ones_folded() -> None:
    with program(WAITING) as process:
        shown = coop_command("pstree", process.pid)
    assert (0, "") == (shown.returncode, shown.stderr)
    assert "100 of 101: work-2 … work-101" in shown.stdout
    assert len(shown.stdout.splitlines()) < 15


def test_json_is_for_programs() -> None:
    with program(WAITING) as process:
        shown = coop_command("ps", process.pid, "--json")
    assert 102 == len(json.loads(shown.stdout)["tasks"])


def test_it_may_be_asked_again_and_again() -> None:
    with program(WAITING) as process:
        for _ in range(3):
            assert 0 == coop_command("ps", process.pid).returncode
        assert process.poll() is None


def test_a_step_that_never_ends_is_seen_too() -> None:
    with program(SPINNING) as process:
        shown = coop_command("pstree", process.pid)
    assert 0 == shown.returncode
    assert "main, running" in shown.stdout
    assert shown.stdout.splitlines()[-1].strip().endswith((" spin", " spin  pass"))


def test_ps_alone_lists_the_processes_that_can_be_asked() -> None:
    with program(WAITING) as process, program(PLAIN) as plain:
        listed = coop_command("ps").stdout.split()
    assert str(process.pid) in listed
    assert str(plain.pid) not in listed


def test_a_process_that_runs_no_coop_is_left_alone() -> None:
    with program(PLAIN) as process:
        shown = coop_command("ps", process.pid)
        assert process.poll() is None, "it was killed"
    assert 1 == shown.returncode
    assert f"coop: process {process.pid} cannot be asked" in shown.stderr


def test_a_process_that_handles_the_signal_itself_is_left_alone() -> None:
    source = (
        """
signal.signal(signal.SIGUSR1, lambda *_: print("signalled", flush=True))
"""
        + WAITING
    )
    with program(source) as process:
        shown = coop_command("ps", process.pid)
        process.terminate()
        assert process.stdout is not None
        assert "" == process.stdout.read()
    assert 1 == shown.returncode
    assert "has a handler of its own for SIGUSR1" in shown.stderr


def test_a_process_that_is_not_there_is_told_of() -> None:
    with program(PLAIN) as process:
        pass
    shown = coop_command("ps", process.pid)
    assert 1 == shown.returncode
    assert f"coop: there is no process {process.pid}\n" == shown.stderr


def test_a_process_that_is_stopped_does_not_answer() -> None:
    with program(WAITING) as process:
        process.send_signal(signal.SIGSTOP)
        shown = coop_command("ps", process.pid, "--timeout", "0.2")
        process.send_signal(signal.SIGCONT)
        assert 0 == coop_command("ps", process.pid).returncode, "it has recovered"
    assert 1 == shown.returncode
    assert "does not answer: it is stopped" in shown.stderr


def test_those_who_ask_at_once_are_answered_one_after_the_other() -> None:
    """Each wrote its question over the last one's, who were told that the process is stopped."""
    with program(WAITING) as process, ThreadPoolExecutor(4) as pool:
        shown = list(pool.map(lambda _: coop_command("ps", process.pid), range(4)))
    assert [(0, "", 103)] * 4 == [
        (each.returncode, each.stderr, len(each.stdout.splitlines())) for each in shown
    ]


def test_a_name_cannot_play_with_the_terminal() -> None:
    source = """
def main():
    coop.spawn(coop.sleep(600), name="red \\x1b[31m\\nroot  parked")
    coop.spawn(coop.sleep(600), name=7)
    yield
    ready()
    yield from coop.sleep(900)

coop.run(main())
"""
    with program(source) as process:
        shown = [coop_command(verb, process.pid) for verb in ("ps", "pstree")]
    for each in shown:
        assert (0, "") == (each.returncode, each.stderr)
        assert r"red \x1b[31m\nroot  parked" in each.stdout
    assert 4 == len(shown[0].stdout.splitlines())


@pytest.mark.parametrize("pid", [2**22 + 1, 2**31, 2**80])
def test_a_number_that_no_process_can_have_is_told_of(
    pid: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == cli.main(["ps", str(pid)])
    assert f"coop: there is no process {pid}\n" == capsys.readouterr().err


def test_a_threads_number_is_no_process(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        number = pool.submit(threading.get_native_id).result()
        assert 1 == cli.main(["ps", str(number)])
    assert f"coop: there is no process {number}\n" == capsys.readouterr().err


def test_with_nobody_to_ask_ps_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "find_answering", list)
    assert 0 == cli.main(["ps"])
    assert "" == capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["ps", "0"], ["ps", "x"], ["pstree"], ["nonsense"]]
    + [["ps", "1", "--timeout", seconds] for seconds in ("nan", "-1", "soon")],
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    shown = coop_command(*arguments)
    assert 2 == shown.returncode
    assert "usage: coop" in shown.stderr


def test_another_users_process_says_whose_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cli, "run", refuse)
    monkeypatch.setattr(cli, "ask", lambda *_, **__: None)
    assert 1 == cli.main(["ps", "1"])
    assert "coop: process 1 is another user's: Permission denied\n" == capsys.readouterr().err


# -- where there are no memory files: a locked file in a directory of one's own -----------------

WITHOUT_MEMORY_FILES = "if hasattr(os, 'memfd_create'): del os.memfd_create\n"


def test_a_file_serves_where_there_are_no_memory_files(tmp_path: Path) -> None:
    place = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with program(WITHOUT_MEMORY_FILES + WAITING, **place) as process:
        directory = tmp_path / f"coop-{os.geteuid()}"
        assert [str(process.pid)] == os.listdir(directory)
        assert 0o700 == directory.stat().st_mode & 0o777
        shown = coop_command("pstree", process.pid, **place)
        assert 0 == shown.returncode, shown.stderr
        assert "100 of 101" in shown.stdout


def test_the_file_is_gone_when_the_run_is_over(tmp_path: Path) -> None:
    place = {"XDG_RUNTIME_DIR": str(tmp_path)}
    short = "def main():\n    yield\ncoop.run(main())\nready(); sys.stdin.read()"
    with program(WITHOUT_MEMORY_FILES + short, **place):
        assert [] == os.listdir(tmp_path / f"coop-{os.geteuid()}")


def test_a_file_that_a_dead_process_left_makes_nobody_a_target(tmp_path: Path) -> None:
    """Its number may have come to a process that knows nothing of coop, and the signal kills."""
    place = {"XDG_RUNTIME_DIR": str(tmp_path)}
    directory = tmp_path / f"coop-{os.geteuid()}"
    directory.mkdir(0o700)
    with program(PLAIN) as process:
        (directory / str(process.pid)).touch(0o600)
        shown = coop_command("ps", process.pid, **place)
        assert process.poll() is None, "it was killed"
    assert 1 == shown.returncode


def test_a_directory_that_others_can_enter_is_not_used(tmp_path: Path) -> None:
    place = {"XDG_RUNTIME_DIR": str(tmp_path)}
    directory = tmp_path / f"coop-{os.geteuid()}"
    directory.mkdir()
    directory.chmod(0o755)
    with program(WITHOUT_MEMORY_FILES + WAITING, **place) as process:
        assert [] == os.listdir(directory)
        shown = coop_command("ps", process.pid, **place)
    assert 1 == shown.returncode


def test_the_module_and_the_command_are_the_same() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "from coop.cli import main; raise SystemExit(main(['--help']))"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert shown.stdout == coop_command("--help").stdout
