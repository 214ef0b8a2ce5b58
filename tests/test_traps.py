"""Waiters, parking lots, operations, and who is running."""

from __future__ import annotations

from typing import Any

import kit
import pytest
from kit import Gen, play

import coop
from coop.parking import ParkingLot
from coop.traps import FOREVER, Sleep, Waiter, operation

pytestmark = pytest.mark.core


def stand_in(lot: ParkingLot, log: list[Any], name: str) -> Gen[None]:
    value = yield from lot.park()
    log.append((name, value))


def test_a_parking_lot_wakes_first_come_first_served() -> None:
    lot, log = ParkingLot("shop", "wait for"), []

    def main() -> Gen[None]:
        for name in "abc":
            coop.spawn(stand_in(lot, log, name))
        yield None
        assert 3 == len(lot)
        assert lot.wake_first(1) is not None
        lot.wake_first(2)
        lot.wake_first(3)
        yield None

    play(main())
    assert [("a", 1), ("b", 2), ("c", 3)] == log


def test_a_parking_lot_wakes_all_who_stand_in_it_and_counts_them() -> None:
    lot, log = ParkingLot("shop", "wait for"), []

    def main() -> Gen[int]:
        for name in "abc":
            coop.spawn(stand_in(lot, log, name))
        yield None
        return lot.wake_all("go")

    assert 3 == play(main())
    assert [("a", "go"), ("b", "go"), ("c", "go")] == log


def test_an_empty_parking_lot_wakes_nobody() -> None:
    lot = ParkingLot("shop", "wait for")
    assert lot.wake_first() is None
    assert 0 == lot.wake_all()


def test_a_cancelled_task_leaves_the_middle_of_a_parking_lot() -> None:
    lot, log = ParkingLot("shop", "wait for"), []

    def main() -> Gen[None]:
        tasks = [coop.spawn(stand_in(lot, log, name)) for name in "abc"]
        yield None
        tasks[1].cancel()
        assert 2 == len(lot)
        lot.wake_all()
        yield None

    play(main())
    assert [("a", None), ("c", None)] == log


def test_what_is_parked_with_a_value_shows_it_to_the_waker() -> None:
    lot = ParkingLot("shop", "wait for")

    def main() -> Gen[Any]:
        task = coop.spawn(lot.park("please"))
        yield None
        (spot,) = lot.spots
        assert "please" == spot.value
        lot.wake_first("thanks")
        return (yield from task.join())

    assert "thanks" == play(main())


def test_a_woken_task_can_no_longer_be_cancelled_out_of_what_it_got() -> None:
    lot, log = ParkingLot("shop", "wait for"), []

    def main() -> Gen[coop.Task]:
        task = coop.spawn(stand_in(lot, log, "a"))
        yield None
        lot.wake_first("bread")
        task.cancel()
        yield None
        return task

    assert "returned" == play(main()).state.value
    assert [("a", "bread")] == log


def test_a_cancelled_task_can_no_longer_be_woken() -> None:
    lot, log = ParkingLot("shop", "wait for"), []

    def main() -> Gen[None]:
        first = coop.spawn(stand_in(lot, log, "a"))
        coop.spawn(stand_in(lot, log, "b"))
        yield None
        first.cancel()
        lot.wake_first("bread")
        yield None

    play(main())
    assert [("b", "bread")] == log, "the bread went to the next in line, and was not lost"


def test_waking_a_waiter_with_nobody_on_it_does_nothing() -> None:
    waiter = Waiter()
    waiter.wake()
    assert waiter.task is None


def test_waking_twice_runs_the_task_once() -> None:
    waiter, log = Waiter(), []

    def wait() -> Gen[None]:
        yield waiter
        log.append("ran")

    def main() -> Gen[None]:
        coop.spawn(wait())
        yield None
        waiter.wake()
        waiter.wake()
        assert 1 == len(coop.current_scheduler().ready)
        yield None

    play(main())
    assert ["ran"] == log


def test_a_waiter_can_be_used_again_after_it_was_left() -> None:
    waiter, log = Waiter(), []

    def wait(name: str) -> Gen[None]:
        yield waiter
        log.append(name)

    def main() -> Gen[None]:
        task = coop.spawn(wait("cancelled"))
        yield None
        task.cancel()
        coop.spawn(wait("second"))
        yield None
        waiter.wake()
        coop.spawn(wait("third"))
        yield None
        waiter.wake()

    play(main())
    assert ["second", "third"] == log


def test_reasons_say_what_is_waited_for() -> None:
    assert "sleep" == Sleep(1.0).reason()
    assert "waiter" == Waiter().reason()
    assert "enter 'shop'" == ParkingLot("shop", "enter").reason()


def test_a_plain_waiter_has_no_end_of_its_own_and_nobody_outside() -> None:
    assert FOREVER == Waiter().until
    assert not Waiter().external


def test_an_operation_serves_yield_from_and_await() -> None:
    async def awaiting() -> float:
        await coop.sleep(2)
        return kit.now()

    def yielding() -> Gen[float]:
        yield from coop.sleep(2)
        return kit.now()

    assert 2.0 == play(awaiting())
    assert 2.0 == play(yielding())


def test_an_operation_keeps_its_name_and_its_docstring() -> None:
    assert "sleep" == coop.sleep.__name__
    assert "Wait for this many seconds" in (coop.sleep.__doc__ or "")


def test_an_operation_of_ones_own_can_be_awaited_too() -> None:
    @operation
    def twice(seconds: float) -> Gen[float]:
        yield from coop.sleep(seconds)
        yield from coop.sleep(seconds)
        return kit.now()

    async def main() -> float:
        return await twice(1.5)

    assert 3.0 == play(main())


def test_current_task_is_the_one_that_is_running() -> None:
    def tell() -> Gen[coop.Task]:
        yield None
        return coop.current_task()

    def main() -> Gen[tuple[coop.Task, Any]]:
        task = coop.spawn(tell())
        return task, (yield from task.join())

    task, told = play(main())
    assert task is told


def test_outside_a_run_nobody_is_running() -> None:
    with pytest.raises(coop.MisuseError, match=r"no scheduler runs in this thread.*coop\.run"):
        coop.current_scheduler()
    with pytest.raises(coop.MisuseError, match="no scheduler runs in this thread"):
        coop.current_task()


def test_in_a_callback_there_is_a_scheduler_but_no_task() -> None:
    def main() -> Gen[None]:
        coop.current_scheduler().call_soon(coop.current_task)
        yield None
        yield None

    with pytest.raises(coop.MisuseError, match=r"no task is running.*not from a callback"):
        play(main())


def test_after_a_run_nobody_is_running() -> None:
    def main() -> Gen[None]:
        raise ValueError
        yield

    with pytest.raises(ValueError):
        play(main())
    with pytest.raises(coop.MisuseError):
        coop.current_scheduler()
