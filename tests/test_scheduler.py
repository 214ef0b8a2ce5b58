"""Turns, fairness, idling, deadlock, and the doors for callbacks."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import kit
import pytest
from kit import Gen, World, play

import coop
from coop.doorbell import Doorbell
from coop.groups import Group
from coop.parking import ParkingLot
from coop.poller import READ, Select
from coop.readiness import BUDGET, BUDGET_BYTES
from coop.traps import Waiter

pytestmark = pytest.mark.core


def count_turns() -> int:
    return coop.current_scheduler().turns


# -- turns ----------------------------------------------------------------------------------------


def test_ready_tasks_run_first_in_first_out() -> None:
    log: list[str] = []

    def work(name: str) -> Gen[None]:
        for _ in range(3):
            log.append(name)
            yield None

    def main() -> Gen[None]:
        for name in "abc":
            coop.spawn(work(name))
        yield None

    play(main())
    assert list("abcabcabc") == log


def test_what_becomes_ready_during_a_turn_waits_for_the_next() -> None:
    log: list[Any] = []
    lot = ParkingLot("shop", "enter")

    def sleeper() -> Gen[None]:
        yield from lot.park()
        log.append(("woken", count_turns()))

    def waker() -> Gen[None]:
        lot.wake_first()
        log.append(("wakes", count_turns()))
        yield None
        log.append(("next", count_turns()))

    def main() -> Gen[int]:
        coop.spawn(sleeper())
        yield None
        start = count_turns()
        coop.spawn(waker())
        yield from kit.passes(5)
        return start

    start = play(main())
    assert [("wakes", start + 1), ("woken", start + 2), ("next", start + 2)] == log


def test_what_is_spawned_begins_in_the_next_turn() -> None:
    def begun() -> Gen[int]:
        return count_turns()
        yield

    def main() -> Gen[tuple[int, int]]:
        task = coop.spawn(begun())
        now = count_turns()
        return now, (yield from task.join())

    now, then = play(main())
    assert now + 1 == then


def test_a_task_that_wakes_itself_again_and_again_starves_nobody() -> None:
    log: list[str] = []

    def greedy() -> Gen[None]:
        while "end" not in log:
            yield None

    def modest() -> Gen[None]:
        for _ in range(5):
            yield None
        log.append("end")

    def main() -> Gen[None]:
        coop.spawn(greedy())
        coop.spawn(modest())
        yield None

    play(main())
    assert ["end"] == log


def test_a_turn_is_one_poll_and_one_step_for_each_ready_task() -> None:
    world = World()

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            coop.spawn(kit.passes(10))
            polls, turns = len(world.poller.timeouts), count_turns()
            yield from kit.passes(10)
            assert 10 == count_turns() - turns
            assert 10 == len(world.poller.timeouts) - polls

    world.run(main())


def test_the_time_of_a_turn_is_read_after_the_poll() -> None:
    def main() -> Gen[float]:
        yield from coop.sleep(5)
        return coop.current_scheduler().now

    assert 5.0 == play(main())


# -- idling ---------------------------------------------------------------------------------------


def test_an_idle_scheduler_polls_for_ever() -> None:
    world = World()

    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from kit.passes(3)
            world.poller.before_poll = lambda: b.socket.send(b"x")
            return (yield from a.recv())

    assert b"x" == world.run(main())
    assert [0.0, 0.0, 0.0, None] == world.poller.timeouts


def test_with_an_alarm_it_polls_no_longer_than_until_then() -> None:
    world = World()

    def main() -> Gen[None]:
        coop.spawn(coop.sleep(7))
        yield from coop.sleep(3)

    world.run(main())
    assert [3.0, 4.0] == [timeout for timeout in world.poller.timeouts if timeout]


def test_with_somebody_ready_it_only_looks() -> None:
    world = World()

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            reader = coop.spawn(a.recv())
            yield from kit.passes(5)
            assert {0.0} == set(world.poller.timeouts)
            reader.cancel()

    world.run(main())


def test_without_descriptors_a_busy_scheduler_does_not_poll_at_all() -> None:
    world = World()
    world.run(kit.passes(10))
    assert [] == world.poller.timeouts


def test_ten_seconds_of_idleness_are_a_single_poll() -> None:
    world = World()

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            for end in (a, b):
                coop.spawn(end.recv())
            yield None
            yield from coop.sleep(10)
            for task in list(coop.current_scheduler().tasks.values())[1:]:
                task.cancel()

    world.run(main())
    assert [10.0] == [timeout for timeout in world.poller.timeouts if timeout != 0]


# -- the budget -----------------------------------------------------------------------------------


def steps_taken(operation: Callable[[], Any], count: int) -> int:
    """How many turns a task needs for so many operations that succeed at once."""

    def main() -> Gen[int]:
        before = count_turns()
        for _ in range(count):
            yield from operation()
        return count_turns() - before

    return play(main())


def test_the_budget_is_sixteen() -> None:
    assert 16 == BUDGET


def test_after_so_many_operations_that_succeed_at_once_a_task_passes() -> None:
    def main() -> Gen[list[int]]:
        a, b = kit.pair()
        with a, b:
            yield None
            yield from b.sendall(bytes(100))
            yield None
            turns = []
            for _ in range(3 * BUDGET):
                yield from a.recv(1)
                turns.append(count_turns())
            first = turns[0]
            return [turn - first for turn in turns]

    assert [0] * BUDGET + [1] * BUDGET + [2] * BUDGET == play(main())


@pytest.mark.parametrize("way", ["recv", "recv_into"])
def test_a_receive_that_fills_its_buffer_counts_by_its_bytes_too(way: str) -> None:
    """A flood comes in large pieces, each of which takes as long as many small ones."""

    def main() -> Gen[list[int]]:
        a, b = kit.pair()
        with a, b:
            calls: dict[str, Callable[[], Any]] = {
                "recv": lambda: a.recv(BUDGET_BYTES),
                "recv_into": lambda: a.recv_into(bytearray(BUDGET_BYTES)),
            }
            yield from b.sendall(bytes(BUDGET * BUDGET_BYTES))
            yield None
            turns = []
            for _ in range(BUDGET):
                yield from calls[way]()
                turns.append(count_turns())
            first = turns[0]
            return [turn - first for turn in turns]

    assert [0] * (BUDGET // 2) + [1] * (BUDGET // 2) == play(main())


@pytest.mark.parametrize("way", ["recv", "recv_exactly", "readline", "recv_into"])
def test_a_peer_that_always_has_data_starves_nobody(way: str) -> None:
    """Also what is in the buffer already is counted."""

    def greedy(conn: coop.Connection) -> Gen[int]:
        calls = {
            "recv": lambda: conn.recv(1),
            "recv_exactly": lambda: conn.recv_exactly(1),
            "readline": conn.readline,
            "recv_into": lambda: conn.recv_into(bytearray(1)),
        }
        for done in range(1000):
            yield from calls[way]()
            if progress["modest"] == 20:
                return done
        return 1000

    progress = {"modest": 0}

    def modest() -> Gen[None]:
        for _ in range(20):
            progress["modest"] += 1
            yield None

    def main() -> Gen[int]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"\n" * 2000)
            a.unread(b"\n" * 2000)
            task = coop.spawn(greedy(a))
            coop.spawn(modest())
            return (yield from task.join())

    assert play(main()) <= 21 * BUDGET


def test_a_sender_whose_peer_always_takes_starves_nobody() -> None:
    sent = 0

    def greedy(conn: coop.Connection) -> Gen[None]:
        nonlocal sent
        for _ in range(1000):
            yield from conn.sendall(b"x")
            sent += 1

    def main() -> Gen[int]:
        a, b = kit.pair()
        with a, b:
            task = coop.spawn(greedy(a))
            yield from kit.passes(5)
            so_far = sent
            task.cancel()
            yield from kit.wait_until(lambda: task.is_done)
            return so_far

    assert play(main()) <= 5 * BUDGET


def test_an_accept_storm_starves_nobody() -> None:
    accepted = 0

    def accept_all(listener: coop.Listener) -> Gen[None]:
        nonlocal accepted
        while True:
            conn = yield from listener.accept()
            conn.close()
            accepted += 1

    def main() -> Gen[int]:
        with coop.listen("127.0.0.1", 0) as listener:
            clients = yield from coop.map(coop.connect, [listener.address] * 100)
            task = coop.spawn(accept_all(listener))
            yield from kit.passes(3)
            before = accepted
            yield from kit.wait_until(lambda: accepted == 100)
            task.cancel()
            for client in clients:
                client.close()
            return before

    assert play(main()) <= 3 * BUDGET


def test_a_cancelled_task_with_data_at_hand_is_told_when_its_budget_is_spent() -> None:
    received = 0

    def greedy(conn: coop.Connection) -> Gen[None]:
        nonlocal received
        while True:
            yield from conn.recv(1)
            received += 1

    def main() -> Gen[int]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(bytes(1000))
            task = coop.spawn(greedy(a))
            task.cancel()
            yield from kit.wait_until(lambda: task.is_done)
            return received

    assert play(main()) <= BUDGET


# -- deadlock -------------------------------------------------------------------------------------


def test_a_deadlock_is_told_with_who_waits_for_what() -> None:
    def main() -> Gen[None]:
        coop.spawn(ParkingLot("kitchen", "enter").park(), name="cook")
        yield from ParkingLot("shop", "enter").park()

    with pytest.raises(coop.Deadlock) as caught:
        play(main())
    assert "no task can ever run again" in str(caught.value)
    assert "main: waits for enter 'shop'" in str(caught.value)
    assert "cook: waits for enter 'kitchen'" in str(caught.value)


def test_two_that_join_each_other_are_a_deadlock() -> None:
    tasks: list[coop.Task] = []

    def join(index: int) -> Gen[None]:
        yield from tasks[index].join()

    def main() -> Gen[None]:
        tasks.append(coop.spawn(join(1), name="one"))
        tasks.append(coop.spawn(join(0), name="two"))
        yield None

    waits_for = "one: waits for join <task 'two' parked, 1 wait: 'one'>"
    with pytest.raises(coop.Deadlock, match=waits_for):
        play(main())


def test_a_deadlocked_task_cleans_up_before_the_deadlock_is_told() -> None:
    log: list[str] = []

    def main() -> Gen[None]:
        try:
            yield Waiter()
        finally:
            with coop.shield():
                yield from coop.sleep(1)
            log.append("clean")

    with pytest.raises(coop.Deadlock):
        play(main())
    assert ["clean"] == log


def test_a_task_that_deadlocks_in_its_cleanup_too_is_closed() -> None:
    log: list[str] = []

    def main() -> Gen[None]:
        try:
            yield Waiter()
        finally:
            try:
                with coop.shield():
                    yield Waiter()
            except GeneratorExit:
                log.append("closed")
                raise

    with pytest.raises(coop.Deadlock):
        play(main())
    assert ["closed"] == log


def test_a_task_that_waits_for_the_network_is_no_deadlock() -> None:
    world = World()

    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            world.poller.before_poll = lambda: b.socket.send(b"x")
            return (yield from a.recv())

    assert b"x" == world.run(main())


def test_a_sleep_without_end_is_a_deadlock() -> None:
    with pytest.raises(coop.Deadlock, match="waits for sleep"):
        play(coop.sleep(float("inf")))


# -- alarms ---------------------------------------------------------------------------------------


def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    log: list[Any] = []

    def sleeper(seconds: float) -> Gen[None]:
        yield from coop.sleep(seconds)
        log.append((seconds, kit.now()))

    def main() -> Gen[None]:
        for seconds in (5, 1, 3, 4, 2):
            coop.spawn(sleeper(seconds))
        yield None

    play(main())
    assert [(seconds, float(seconds)) for seconds in (1, 2, 3, 4, 5)] == log


def test_sleepers_with_the_same_deadline_wake_in_the_order_in_which_they_lay_down() -> None:
    log: list[int] = []

    def sleeper(name: int, start: int) -> Gen[None]:
        yield from kit.passes(start)
        yield from coop.sleep(5)
        log.append(name)

    def main() -> Gen[None]:
        for name, start in enumerate((3, 1, 4, 1, 5)):
            coop.spawn(sleeper(name, start))
        yield None

    play(main())
    assert [1, 3, 0, 2, 4] == log


# -- callbacks ------------------------------------------------------------------------------------


def test_a_callback_runs_in_the_next_turn_outside_any_task() -> None:
    log: list[Any] = []

    def main() -> Gen[None]:
        scheduler = coop.current_scheduler()
        turn = scheduler.turns
        scheduler.call_soon(lambda: log.append((scheduler.turns - turn, scheduler.current)))
        assert [] == log
        yield None

    play(main())
    assert [(1, None)] == log


def test_a_callback_may_spawn_and_cancel() -> None:
    log: list[str] = []

    def work() -> Gen[None]:
        log.append("spawned")
        yield None

    def main() -> Gen[None]:
        sleeper = coop.spawn(coop.sleep(1000))
        yield None
        coop.current_scheduler().call_soon(lambda: coop.spawn(work()))
        coop.current_scheduler().call_soon(sleeper.cancel)
        yield from kit.wait_until(lambda: sleeper.is_done)
        assert 0.0 == kit.now()

    play(main())
    assert ["spawned"] == log


def test_a_callback_that_calls_another_does_not_keep_the_loop() -> None:
    calls = 0

    def again() -> None:
        nonlocal calls
        calls += 1
        coop.current_scheduler().call_soon(again)

    def main() -> Gen[None]:
        again()
        yield from kit.passes(10)

    play(main())
    assert calls <= 12


def test_a_callback_that_fails_ends_the_run_after_the_cleanup() -> None:
    log: list[str] = []

    def crash() -> None:
        raise ValueError("in a callback")

    def main() -> Gen[None]:
        try:
            coop.current_scheduler().call_soon(crash)
            yield from coop.sleep(1)
        finally:
            log.append("clean")

    with pytest.raises(ValueError, match="in a callback"):
        play(main())
    assert ["clean"] == log


def test_a_scheduler_without_a_doorbell_has_no_door_for_threads() -> None:
    def main() -> Gen[None]:
        coop.current_scheduler().call_threadsafe(lambda: None)
        yield

    with pytest.raises(coop.MisuseError, match="no door for other threads"):
        play(main())


def test_a_doorbell_that_is_rung_often_rings_once() -> None:
    bell = Doorbell()
    try:
        for _ in range(100_000):
            bell.ring()
        watch = Select()
        watch.watch(bell.fileno(), READ)
        silences = 0
        while watch.poll(0):
            bell.silence()
            silences += 1
        assert 1 <= silences < 100
    finally:
        bell.close()


# -- what it keeps --------------------------------------------------------------------------------


def test_a_task_that_nobody_holds_is_not_collected() -> None:
    log: list[str] = []

    def work() -> Gen[None]:
        yield from coop.sleep(1)
        log.append("done")

    def main() -> Gen[None]:
        coop.spawn(work())
        yield None
        gc.collect()
        yield from coop.sleep(2)

    play(main())
    assert ["done"] == log


def test_a_run_inside_a_run_is_refused() -> None:
    def main() -> Gen[None]:
        generator = kit.passes(1)
        try:
            World().run(generator)
        finally:
            generator.close()
        yield

    with pytest.raises(coop.MisuseError, match="already running in this thread"):
        play(main())


def test_a_scheduler_can_be_turned_by_hand() -> None:
    world = World()
    group = Group(name="hand")
    task = world.scheduler.spawn(kit.passes(3), owner=group, name="t")
    group.children[task.number] = task
    try:
        for _ in range(4):
            assert not task.is_done
            world.scheduler.turn()
        assert task.is_done
    finally:
        world.poller.close()
