"""Signals as something a task can wait for."""

from __future__ import annotations

import os
import signal
import threading

import kit
import pytest
from kit import Gen

import coop

pytestmark = pytest.mark.core

TERM = signal.SIGTERM
unix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")


def test_a_signal_is_waited_for() -> None:
    def main() -> Gen[int]:
        with coop.Signals(TERM) as arrivals:
            signal.raise_signal(TERM)
            return (yield from arrivals.next())

    assert TERM == coop.run(main())


@unix
def test_a_signal_wakes_an_idle_run() -> None:
    def main() -> Gen[int]:
        with coop.Signals(signal.SIGALRM) as arrivals:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            return (yield from arrivals.next())

    assert signal.SIGALRM == coop.run(main())


def test_signals_that_came_meanwhile_come_in_order() -> None:
    def main() -> Gen[list[int]]:
        with coop.Signals(TERM, signal.SIGINT) as arrivals:
            for number in (TERM, signal.SIGINT, TERM):
                signal.raise_signal(number)
            yield from kit.passes(3)
            return [
                (yield from arrivals.next()),
                (yield from arrivals.next()),
                (yield from arrivals.next()),
            ]

    assert [TERM, signal.SIGINT, TERM] == coop.run(main())


def test_two_that_wait_get_one_each_first_come_first_served() -> None:
    log = []

    def wait(arrivals: coop.Signals, name: str) -> Gen[None]:
        yield from arrivals.next()
        log.append(name)

    def main() -> Gen[None]:
        with coop.Signals(TERM) as arrivals:
            coop.spawn(wait(arrivals, "first"))
            coop.spawn(wait(arrivals, "second"))
            yield from kit.passes(2)
            signal.raise_signal(TERM)
            yield from kit.wait_until(lambda: log)
            assert ["first"] == log
            signal.raise_signal(TERM)
            yield from kit.wait_until(lambda: len(log) == 2)

    coop.run(main())
    assert ["first", "second"] == log


def test_a_cancelled_wait_loses_no_signal() -> None:
    def main() -> Gen[int]:
        with coop.Signals(TERM) as arrivals:
            with coop.move_on_after(0.001):
                yield from arrivals.next()
            signal.raise_signal(TERM)
            return (yield from arrivals.next())

    assert TERM == coop.run(main())


def test_at_the_end_the_handlers_are_as_they_were() -> None:
    before = signal.getsignal(TERM)

    def main() -> Gen[None]:
        with coop.Signals(TERM):
            assert before is not signal.getsignal(TERM)
        yield

    coop.run(main())
    assert before is signal.getsignal(TERM)


def test_the_handlers_are_put_back_after_an_error_too() -> None:
    before = signal.getsignal(TERM)

    def main() -> Gen[None]:
        with coop.Signals(TERM):
            raise ValueError("in the block")
        yield

    with pytest.raises(ValueError, match="in the block"):
        coop.run(main())
    assert before is signal.getsignal(TERM)


def test_signals_may_be_nested() -> None:
    def main() -> Gen[list[int]]:
        got = []
        with coop.Signals(TERM) as outer:
            with coop.Signals(TERM) as inner:
                signal.raise_signal(TERM)
                got.append((yield from inner.next()))
            signal.raise_signal(TERM)
            got.append((yield from outer.next()))
        return got

    assert [TERM, TERM] == coop.run(main())


def test_sigint_that_is_waited_for_interrupts_nobody() -> None:
    def main() -> Gen[str]:
        with coop.Signals(signal.SIGINT) as arrivals:
            signal.raise_signal(signal.SIGINT)
            yield from arrivals.next()
        yield from coop.sleep(0)
        return "went on"

    assert "went on" == coop.run(main())


def test_no_signal_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="name at least one signal"):
        coop.Signals()


def test_a_signal_that_cannot_be_caught_is_refused_and_the_others_put_back() -> None:
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("no such signal here")
    before = signal.getsignal(TERM)

    def main() -> Gen[None]:
        with pytest.raises(OSError, match="Invalid argument"):
            with coop.Signals(TERM, TERM, signal.SIGKILL):
                pass
        yield

    coop.run(main())
    assert before is signal.getsignal(TERM)


def test_outside_a_run_there_is_nobody_to_wait() -> None:
    with pytest.raises(coop.MisuseError, match="no scheduler runs"):
        coop.Signals(TERM)


def test_the_reason_names_the_signals() -> None:
    def main() -> Gen[str]:
        with coop.Signals(TERM, signal.SIGINT) as arrivals:
            task = coop.spawn(arrivals.next())
            yield from kit.passes(2)
            assert task.waiter is not None
            reason = task.waiter.reason()
            task.cancel()
            return reason

    said = "a signal of <signals SIGTERM, SIGINT, 1 wait: 'Signals.next-2'>"
    assert said == coop.run(main())


@pytest.mark.skipif("COOP_TEST_NO_THREADS" in os.environ, reason="about threads")
def test_in_another_thread_signals_are_refused() -> None:
    def main() -> Gen[None]:
        with coop.Signals(TERM):
            yield

    errors: list[BaseException] = []

    def run() -> None:
        try:
            coop.run(main())
        except coop.MisuseError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "signals come to the main thread only" in str(errors[0])
