"""Running: results, errors, interrupts, forks, threads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kit
import pytest
from kit import Gen

import coop
from coop.poller import Events, Select
from coop.stopwatch import Stopwatch
from coop.traps import Waiter

ROOT = Path(__file__).parent.parent
core = pytest.mark.core
unix = pytest.mark.skipif(os.name == "nt", reason="signals and forks are for unix")


def answer(value: Any = 42) -> Gen[Any]:
    yield None
    return value


def fail(error: BaseException) -> Gen[None]:
    yield None
    raise error


def child(script: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python process with this script, in which ``coop`` and ``os`` are imported."""
    prelude = "import os, signal, sys, threading, time, coop\n"
    return subprocess.Popen(
        [sys.executable, "-u", "-c", prelude + script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# -- results and errors ---------------------------------------------------------------------------


@core
def test_run_returns_the_result_of_main() -> None:
    assert 42 == coop.run(answer())


@core
def test_run_takes_a_coroutine() -> None:
    async def main() -> str:
        await coop.sleep(0)
        return "done"

    assert "done" == coop.run(main())


@core
def test_run_takes_a_single_operation() -> None:
    assert coop.run(coop.sleep(0)) is None
    assert (42, 43) == coop.run(coop.gather(answer(42), answer(43)))


@core
def test_mains_own_error_comes_as_it_is() -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        coop.run(fail(error))
    assert error is caught.value


@core
def test_the_crash_of_a_spawned_task_is_never_silent() -> None:
    error = ValueError("crash")
    log = []

    def main() -> Gen[None]:
        coop.spawn(fail(error))
        try:
            yield from coop.sleep(1000)
        finally:
            log.append("main was cancelled")

    with pytest.raises(ExceptionGroup, match="1 failed in the run") as caught:
        coop.run(main())
    assert (error,) == caught.value.exceptions
    assert ["main was cancelled"] == log


@core
def test_a_crash_after_main_has_ended_is_not_silent_either() -> None:
    def main() -> Gen[str]:
        coop.spawn(fail(ValueError("late")))
        return "main"
        yield

    with pytest.raises(ExceptionGroup):
        coop.run(main())


@core
def test_when_main_and_a_task_fail_both_are_heard() -> None:
    def main() -> Gen[None]:
        coop.spawn(fail(KeyError("task")))
        try:
            yield from coop.sleep(1000)
        finally:
            raise ValueError("main")

    with pytest.raises(ExceptionGroup) as caught:
        coop.run(main())
    assert [KeyError, ValueError] == [type(error) for error in caught.value.exceptions]


@core
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_is_to_end_the_program_does(error: BaseException) -> None:
    def main() -> Gen[None]:
        coop.spawn(fail(error))
        yield from coop.sleep(1000)

    with pytest.raises(type(error)) as caught:
        coop.run(main())
    assert error is caught.value


@core
def test_to_run_a_function_asks_whether_its_call_was_meant() -> None:
    with pytest.raises(TypeError, match=r"not the function answer: did you mean run\(answer\("):
        coop.run(answer)  # type: ignore[arg-type]


@core
@pytest.mark.parametrize("thing", [None, 7, [1]], ids=repr)
def test_to_run_what_is_no_generator_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="run wants a generator"):
        coop.run(thing)


@core
def test_a_run_inside_a_run_is_refused() -> None:
    def main() -> Gen[None]:
        inner = answer()
        with pytest.raises(coop.MisuseError, match=r"already running in this thread.*'yield from'"):
            coop.run(inner)
        inner.close()
        yield None

    coop.run(main())


@core
def test_one_run_after_the_other_is_fine() -> None:
    assert [1, 2] == [coop.run(answer(1)), coop.run(answer(2))]


@core
def test_a_deadlock_is_told() -> None:
    def main() -> Gen[None]:
        yield Waiter()

    with pytest.raises(coop.Deadlock, match="main: waits for waiter"):
        coop.run(main())


@core
def test_run_takes_another_poller_and_closes_it() -> None:
    poller = Select()

    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"over select")
            return (yield from a.recv())

    assert b"over select" == coop.run(main(), poller=poller)
    assert [] == poller.poll(0)


@core
def test_a_run_that_cannot_be_put_together_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full() -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socketpair", full)
    main = answer()
    with pytest.raises(OSError, match="Too many open files"):
        coop.run(main)
    main.close()


@core
def test_time_passes_by_the_real_clock() -> None:
    watch = Stopwatch()
    coop.run(coop.sleep(0.02))
    assert 0.02 <= watch.elapsed < 2


# -- interrupts -----------------------------------------------------------------------------------


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@core
def test_an_interrupt_cancels_main_and_is_raised_when_all_has_ended() -> None:
    log = []

    def sibling() -> Gen[None]:
        try:
            yield from coop.sleep(1000)
        finally:
            log.append("sibling")

    def main() -> Gen[None]:
        coop.spawn(sibling())
        try:
            yield None
            interrupt()
            yield from coop.sleep(1000)
        finally:
            with coop.shield():
                yield from coop.sleep(0.001)
            log.append("main")

    with pytest.raises(KeyboardInterrupt):
        coop.run(main())
    assert ["main", "sibling"] == log


@core
def test_after_a_run_interrupts_are_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    coop.run(answer())
    assert before is signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupt()


@core
def test_a_handler_of_ones_own_is_left_alone() -> None:
    got = []
    before = signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    try:

        def main() -> Gen[str]:
            interrupt()
            yield from coop.sleep(0)
            return "went on"

        assert "went on" == coop.run(main())
    finally:
        signal.signal(signal.SIGINT, before)
    assert [signal.SIGINT] == got


@core
def test_an_interrupt_keeps_the_error_that_the_cleanup_raised() -> None:
    def main() -> Gen[None]:
        try:
            interrupt()
            yield from coop.sleep(1000)
        finally:
            raise ValueError("in cleanup")

    with pytest.raises(KeyboardInterrupt) as caught:
        coop.run(main())
    assert isinstance(caught.value.__cause__, ValueError)


def interrupted(script: str, *, times: int) -> tuple[int, str, str]:
    """Run the script, interrupt it each time that it says "ready"; return code and output."""
    with child(script) as process:
        assert process.stdout is not None
        for _ in range(times):
            assert "ready\n" == process.stdout.readline()
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        return process.returncode, out, err


@unix
def test_an_interrupt_wakes_an_idle_run() -> None:
    script = """
def main():
    with coop.listen("127.0.0.1", 0) as listener:
        try:
            print("ready")
            yield from listener.accept()
        finally:
            print("clean")
coop.run(main())
"""
    code, out, err = interrupted(script, times=1)
    assert (-signal.SIGINT, "clean\n") == (code, out)
    assert "KeyboardInterrupt" in err


@unix
def test_a_second_interrupt_waits_for_nobodys_cleanup() -> None:
    script = """
def main():
    try:
        print("ready")
        yield from coop.sleep(1000)
    finally:
        print("ready")
        with coop.shield():
            yield from coop.sleep(1000)
coop.run(main())
"""
    code, _, err = interrupted(script, times=2)
    assert -signal.SIGINT == code
    assert "KeyboardInterrupt" in err


@unix
def test_a_second_interrupt_ends_a_task_that_never_gives_way() -> None:
    script = """
def main():
    print("ready")
    turn = 0
    while True:
        turn += 1
        if turn == 1_000_000:
            print("ready")
    yield
coop.run(main())
"""
    code, _, err = interrupted(script, times=2)
    assert -signal.SIGINT == code
    assert "KeyboardInterrupt" in err


# -- forks ----------------------------------------------------------------------------------------


@unix
def test_a_fork_inside_a_run_is_refused_and_does_not_hurt_its_parent() -> None:
    script = """
from coop.sockets import socket_pair

def main():
    ours, theirs = socket_pair()
    with coop.Connection(ours) as a, coop.Connection(theirs) as b:
        with coop.move_on_after(0.001):
            yield from a.recv()  # a is watched from now on
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            with a, b:  # closing them here must not take them off the parent's poller
                yield from coop.sleep(1000)
        os.waitpid(pid, 0)
        reader = coop.spawn(a.recv())
        yield from coop.sleep(0.001)
        yield from b.sendall(b"unharmed")
        print((yield from reader.join()))

here = os.getpid()
try:
    coop.run(main())
except coop.MisuseError as error:
    print(os.getpid() != here, error)
"""
    with child(script) as process:
        out, err = process.communicate(timeout=20)
    refused, unharmed = out.splitlines()
    assert refused.startswith("True process ")
    assert "fork before coop.run" in refused
    assert "b'unharmed'" == unharmed, err
    assert 0 == process.returncode


@unix
def test_a_fork_outside_a_run_is_none_of_our_business() -> None:
    script = """
pid = os.fork()
coop.run(coop.sleep(0.001))
if pid:
    os.waitpid(pid, 0)
print("ran")
"""
    with child(script) as process:
        out, _ = process.communicate(timeout=20)
    assert "ran\nran\n" == out


# -- threads --------------------------------------------------------------------------------------


def in_a_thread(function: Callable[[], Any]) -> Any:
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join(20)
    return result[0]


def test_a_run_works_in_any_thread() -> None:
    def main() -> Gen[bytes]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            yield from b.sendall(b"thread")
            return (yield from a.recv())

    assert b"thread" == in_a_thread(lambda: coop.run(main()))


def test_each_thread_may_have_a_run_of_its_own() -> None:
    def main() -> Gen[Any]:
        value = in_a_thread(lambda: coop.run(answer("inner")))
        yield None
        return value, coop.current_task().name

    assert ("inner", "main") == coop.run(main())


def test_a_call_from_another_thread_wakes_an_idle_run() -> None:
    def main() -> Gen[tuple[str, bool]]:
        scheduler = coop.current_scheduler()
        event = coop.Event()
        seen = []

        def deliver() -> None:
            seen.append(threading.current_thread() is threading.main_thread())
            event.set()

        with coop.listen("127.0.0.1", 0) as listener:
            accepting = coop.spawn(listener.accept())  # so that the poll blocks for ever
            yield from coop.sleep(0)
            thread = threading.Thread(target=scheduler.call_threadsafe, args=[deliver])
            thread.start()
            yield from event.wait()
            thread.join()
            accepting.cancel()
        return "woken", seen[0]

    assert ("woken", True) == coop.run(main())


def test_ten_thousand_calls_from_threads_all_arrive() -> None:
    def main() -> Gen[int]:
        scheduler = coop.current_scheduler()
        count = 0

        def arrive() -> None:
            nonlocal count
            count += 1

        def call() -> None:
            for _ in range(2500):
                scheduler.call_threadsafe(arrive)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        while count < 10_000:
            yield from coop.sleep(0.001)
        for thread in threads:
            thread.join()
        return count

    assert 10_000 == coop.run(main())


def test_with_other_threads_about_nobody_speaks_of_a_deadlock() -> None:
    """Any of them may be about to call."""

    class Telling(Select):
        def poll(self, timeout: float | None) -> Events:
            if timeout is None or timeout > 0:
                blocks.set()
            return super().poll(timeout)

    def main() -> Gen[str]:
        event = coop.Event()
        scheduler = coop.current_scheduler()
        thread = threading.Thread(
            target=lambda: (blocks.wait(5), scheduler.call_threadsafe(event.set))
        )
        thread.start()
        try:
            yield from event.wait()
        finally:
            thread.join()
        return "woken"

    blocks = threading.Event()
    assert "woken" == coop.run(main(), poller=Telling())


def test_a_call_after_the_run_is_refused() -> None:
    def main() -> Gen[Any]:
        return coop.current_scheduler()
        yield

    scheduler = coop.run(main())
    with pytest.raises(coop.ClosedError, match="the run is over"):
        scheduler.call_threadsafe(lambda: None)
