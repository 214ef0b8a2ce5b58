"""The clock, the stopwatch and the countdown, on a clock that the tests move by hand."""

from __future__ import annotations

import time
from math import inf, nan

import pytest

from coop.stopwatch import MONOTONIC, Clock, Countdown, ManualClock, Stopwatch, wall_seconds

pytestmark = pytest.mark.core


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


def test_default_clock_tells_monotonic_time() -> None:
    before = time.monotonic()
    now = MONOTONIC.now()
    assert before <= now <= time.monotonic()


def test_clock_can_be_replaced_by_any_subclass() -> None:
    class Frozen(Clock):
        def now(self) -> float:
            return 7.0

    assert 0.0 == Stopwatch(Frozen()).elapsed


def test_manual_clock_moves_only_when_told(clock: ManualClock) -> None:
    assert 100.0 == clock.now()
    clock.advance(2.5)
    assert 102.5 == clock.now()


@pytest.mark.parametrize("seconds", [-1.0, nan])
def test_clock_never_goes_back(clock: ManualClock, seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot advance by"):
        clock.advance(seconds)
    assert 100.0 == clock.now()


def test_stopwatch_counts_seconds_and_milliseconds(clock: ManualClock) -> None:
    stopwatch = Stopwatch(clock)
    clock.advance(1.5)
    assert (1.5, 1500.0) == (stopwatch.elapsed, stopwatch.milliseconds)


def test_reset_starts_again_from_zero(clock: ManualClock) -> None:
    stopwatch = Stopwatch(clock)
    clock.advance(3.0)
    stopwatch.reset()
    assert (0.0, 0.0) == (stopwatch.elapsed, stopwatch.lap())


def test_laps_add_up_to_the_whole(clock: ManualClock) -> None:
    stopwatch = Stopwatch(clock)
    clock.advance(1.0)
    first = stopwatch.lap()
    clock.advance(2.0)
    assert (1.0, 2.0, 3.0) == (first, stopwatch.lap(), stopwatch.elapsed)


def test_countdown_runs_to_its_end_and_stays_there(clock: ManualClock) -> None:
    countdown = Countdown(2.0, clock)
    assert (2.0, False) == (countdown.remaining, countdown.expired)
    clock.advance(1.5)
    assert (0.5, False) == (countdown.remaining, countdown.expired)
    clock.advance(0.5)
    assert (0.0, True) == (countdown.remaining, countdown.expired)
    clock.advance(9.0)
    assert (0.0, True) == (countdown.remaining, countdown.expired)


def test_reset_countdown_has_all_its_time_again(clock: ManualClock) -> None:
    countdown = Countdown(2.0, clock)
    clock.advance(5.0)
    countdown.reset()
    assert (2.0, 0.0, False) == (countdown.remaining, countdown.elapsed, countdown.expired)


def test_countdown_of_nothing_has_expired_at_once(clock: ManualClock) -> None:
    assert Countdown(0, clock).expired


def test_countdown_without_an_end_never_expires(clock: ManualClock) -> None:
    countdown = Countdown(None, clock)
    clock.advance(1e12)
    assert (inf, False, 1e12) == (countdown.remaining, countdown.expired, countdown.elapsed)


@pytest.mark.parametrize("seconds", [-0.001, -inf, nan])
def test_countdown_refuses_what_is_no_length_of_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="a timeout cannot be"):
        Countdown(seconds)


def test_countdown_prints_what_is_left(clock: ManualClock) -> None:
    countdown = Countdown(2.0, clock)
    clock.advance(0.5)
    assert "<Countdown 1.500 of 2.000 s>" == repr(countdown)


def test_wall_clock_tells_the_seconds_since_1970() -> None:
    before = time.time()
    assert before <= wall_seconds() <= time.time()
