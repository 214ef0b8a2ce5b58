"""The watchdog: a step that lasts too long is reported with its line, the others are not."""

from __future__ import annotations

import logging
import signal

import pytest
from observe.programs import run_program
from sync_kit import Gen, make_scheduler

import coop
from coop.observe import watchdog
from coop.observe.watchdog import _Ticks, watching
from coop.runtime import run_in
from coop.stopwatch import ManualClock

needs_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no setitimer here")

SLOW = """
def slow():
    time.sleep(0.5)  # here

def main():
    yield
    slow()
    yield

coop.run(main(), watchdog=0.1)
print(signal.getsignal(signal.SIGALRM) is signal.SIG_DFL, signal.getitimer(signal.ITIMER_REAL))
"""


@needs_alarm
def test_a_slow_step_is_reported_while_it_lasts() -> None:
    done = run_program(SLOW)
    lines = done.stderr.splitlines()
    assert "<task 'main' running> is still in a step after 0.100 s, at" == lines[0]
    assert lines[-1].split()[1] == "slow"
    assert 1 == done.stderr.count("is still in a step")
    assert "True (0.0, 0.0)\n" == done.stdout, "the timer is left as it was"


@needs_alarm
def test_a_step_that_never_ends_is_reported_too() -> None:
    source = SLOW.replace(
        "time.sleep(0.5)", "end = time.monotonic() + 0.5\n    while True: spin(end)"
    )
    source = (
        """
def spin(end):
    if time.monotonic() > end:
        sys.exit()
"""
        + source
    )
    assert "is still in a step after 0.100 s, at" in run_program(source).stderr


@needs_alarm
def test_waiting_is_not_working() -> None:
    source = SLOW.replace("slow()\n    yield", "yield from coop.sleep(0.5)\n    yield")
    assert "" == run_program(source).stderr


@needs_alarm
def test_many_short_steps_are_no_long_one() -> None:
    source = SLOW.replace(
        "slow()\n    yield",
        "end = time.monotonic() + 0.5\n    while time.monotonic() < end: yield",
    )
    assert "" == run_program(source).stderr


def test_only_the_third_meeting_with_a_step_is_told(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = make_scheduler()
    ticks = _Ticks(scheduler, 0.1)

    def main() -> Gen[list[int]]:
        told = []
        for meetings in (1, 2, 3, 6):
            for _ in range(meetings):
                ticks(signal.SIGINT, None)
            told.append(len(caplog.records))
            yield None
        return told

    assert [0, 0, 1, 2] == run_in(scheduler, main())


def test_where_there_is_no_timer_the_steps_are_measured(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_alarm_is_free", lambda: False)
    scheduler = make_scheduler()
    clock = scheduler.clock
    assert isinstance(clock, ManualClock)

    def main() -> Gen[None]:
        clock.advance(0.05)
        yield None
        clock.advance(0.3)
        yield None
        yield from coop.sleep(5)

    with watching(scheduler, 0.1):
        run_in(scheduler, main())
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    lines = record.getMessage().splitlines()
    assert "<task 'main' running> made a step of 0.300 s, and gave way at" == lines[0]
    assert f"{__file__}:" in lines[-1]
    assert lines[-1].endswith("yield None")


def test_off_it_touches_nothing() -> None:
    scheduler = make_scheduler()
    with watching(scheduler, None):
        assert "spawn" not in vars(scheduler)


def test_a_step_that_begins_with_an_error_is_measured_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a cleanup after a cancellation, which is where steps get long."""
    monkeypatch.setattr(watchdog, "_alarm_is_free", lambda: False)
    scheduler = make_scheduler()
    clock = scheduler.clock
    assert isinstance(clock, ManualClock)

    def slow_to_leave() -> Gen[None]:
        try:
            yield from coop.Event().wait()
        finally:
            clock.advance(0.3)

    def main() -> Gen[None]:
        task = coop.spawn(slow_to_leave(), name="slow")
        yield None
        yield None
        task.cancel()
        yield None

    with watching(scheduler, 0.1):
        run_in(scheduler, main())
    (message,) = caplog.messages
    assert message.startswith("<task 'slow' running> made a step of 0.300 s")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_that_makes_no_sense_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        with watching(make_scheduler(), seconds):
            pass


def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="above 0, or None, not 'often'"):
        with watching(make_scheduler(), "often"):  # type: ignore[arg-type]
            pass


@needs_alarm
def test_a_time_that_no_timer_counts_is_brought_into_its_range() -> None:
    """Too long a one failed, and left its handler of SIGALRM behind; one too short was never."""
    done = run_program("""
def main(long):
    _, interval = signal.getitimer(signal.ITIMER_REAL)
    print(round(interval, 6) == (1e6 if long else 1e-3))
    yield

logging.disable()
coop.run(main(True), watchdog=1e300)
coop.run(main(False), watchdog=1e-9)
print(signal.getsignal(signal.SIGALRM) is signal.SIG_DFL, signal.getitimer(signal.ITIMER_REAL)[1])
""")
    assert ("True\nTrue\nTrue 0.0\n", "") == (done.stdout, done.stderr)


def test_in_debug_mode_it_is_on() -> None:
    source = """
from coop.observe import LONGEST_STEP
print(LONGEST_STEP)
"""
    assert "0.1\n" == run_program(source, COOP_DEBUG="1").stdout
    assert "None\n" == run_program(source).stdout
