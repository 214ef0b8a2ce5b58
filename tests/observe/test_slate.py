"""SIGUSR1 and the slate: the answer to a signal, and to another process."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest
from observe.programs import needs_usr1, program, run_program

import coop
from coop.observe import ask
from coop.observe.slate import Slate


@pytest.fixture
def slate() -> Iterator[Slate]:
    handle, path = tempfile.mkstemp()
    slate = Slate(handle, path)
    yield slate
    slate.close()
    slate.close()
    assert not os.path.exists(path)


needs_pwrite = pytest.mark.skipif(not hasattr(os, "pwrite"), reason="no pwrite on this platform")


@needs_pwrite
def test_a_question_is_answered_on_the_slate(slate: Slate) -> None:
    assert b"" == slate.question()
    slate.ask(b"one")
    assert b"one" == slate.question()
    assert slate.read_answer(b"one") is None
    slate.answer(b"one", b"the answer" * 1000)
    assert b"the answer" * 1000 == slate.read_answer(b"one")
    assert b"" == slate.question(), "an answered question is none"


@needs_pwrite
def test_the_answer_to_another_question_is_not_taken(slate: Slate) -> None:
    slate.ask(b"one")
    slate.answer(b"one", b"answer")
    slate.ask(b"two")
    assert slate.read_answer(b"two") is None
    assert b"two" == slate.question()


@needs_pwrite
def test_an_answer_that_was_cut_off_is_none(slate: Slate) -> None:
    slate.ask(b"one")
    slate.answer(b"one", b"the answer" * 1000)
    os.ftruncate(slate.fd, 2000)
    assert slate.read_answer(b"one") is None


@needs_usr1
def test_an_answer_that_is_no_tree_is_told_of() -> None:
    """As from a program that runs another version of coop."""
    source = """
from coop.observe import Tree
Tree.to_json = lambda self: '{"trees": []}'

def main():
    coop.spawn(coop.sleep(60))
    yield
    ready()
    yield from coop.sleep(60)

coop.run(main())
"""
    with program(source) as process:
        with pytest.raises(coop.MisuseError, match="another version of coop"):
            coop.run(ask(process.pid))


@needs_pwrite
def test_a_slate_that_was_wiped_or_closed_asks_nothing(slate: Slate) -> None:
    slate.ask(b"one")
    slate.wipe()
    assert b"" == slate.question()
    slate.close()
    assert b"" == slate.question()


@needs_usr1
def test_the_signal_prints_the_tree() -> None:
    source = """
def say_ready():
    yield
    ready()
    yield from coop.sleep(60)

def main():
    coop.spawn(say_ready())
    with coop.move_on_after(30):
        yield from coop.Event(name="never").wait()

coop.run(main())
"""
    with program(source) as process:
        process.send_signal(signal.SIGUSR1)
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        assert process.poll() is None
    assert "2 tasks\n" == lines[0]
    assert lines[1].startswith("└─ main, parked")
    assert "wait for <event 'never' not set, 1 wait: 'main'>" in lines[1]


@needs_usr1
def test_a_signal_after_the_run_does_not_kill() -> None:
    done = run_program("""
def main():
    yield

coop.run(main())
os.kill(os.getpid(), signal.SIGUSR1)
coop.run(main())
print("alive")
""")
    assert ("alive\n", "coop: nothing is running\n", 0) == (
        done.stdout,
        done.stderr,
        done.returncode,
    )


@needs_usr1
def test_a_handler_of_the_program_stays() -> None:
    done = run_program("""
signal.signal(signal.SIGUSR1, lambda *_: print("mine"))

def main():
    os.kill(os.getpid(), signal.SIGUSR1)
    yield

coop.run(main())
""")
    assert ("mine\n", "", 0) == (done.stdout, done.stderr, done.returncode)


@needs_usr1
def test_a_tree_that_cannot_be_taken_disturbs_nobody() -> None:
    done = run_program("""
class Sick(coop.Event):
    def __repr__(self):
        raise ZeroDivisionError

def main():
    sick = Sick()
    coop.spawn(sick.wait())
    yield
    os.kill(os.getpid(), signal.SIGUSR1)
    sick.set()
    print("alive")

coop.run(main())
""")
    assert ("alive\n", 0) == (done.stdout, done.returncode)
    assert "coop: the task tree cannot be shown: ZeroDivisionError()" in done.stderr


@needs_usr1
def test_no_descriptor_is_left_when_the_run_is_over() -> None:
    done = run_program("""
def main():
    yield

before = os.listdir("/proc/self/fd")
for _ in range(3):
    coop.run(main())
print(before == os.listdir("/proc/self/fd"))
""")
    assert "True\n" == done.stdout


@needs_usr1
def test_a_program_that_it_starts_does_not_get_the_slate() -> None:
    done = run_program("""
import subprocess

def main():
    subprocess.run(["ls", "-l", "/proc/self/fd"])
    yield

coop.run(main())
""")
    assert "coop-tree" not in done.stdout
