"""The plain waits: sleeping, descriptors, and the top-level spawn."""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import kit
import pytest
from kit import Gen, World, play

import coop
from coop.readiness import BUDGET
from coop.sockets import create_tcp_socket

pytestmark = pytest.mark.core

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def sockets() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def fill(sock: socket.socket) -> None:
    try:
        while True:
            sock.send(bytes(65536))
    except BlockingIOError:
        pass


# -- sleeping -------------------------------------------------------------------------------------


def test_sleep_lasts_as_long_as_it_was_told() -> None:
    def main() -> Gen[float]:
        yield from coop.sleep(1.5)
        yield from coop.sleep(2)
        return kit.now()

    assert 3.5 == play(main())


def test_sleep_counts_from_a_fresh_reading_of_the_clock() -> None:
    world = World()

    def main() -> Gen[float]:
        world.clock.time += 10
        yield from coop.sleep(1)
        return kit.now()

    assert 11.0 == world.run(main())


def test_sleep_zero_passes_for_one_turn() -> None:
    def main() -> Gen[int]:
        before = coop.current_scheduler().turns
        yield from coop.sleep(0)
        return coop.current_scheduler().turns - before

    assert 1 == play(main())


@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, -math.inf])
def test_a_negative_sleep_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"sleep wants a number of seconds, 0 or more, not"):
        play(coop.sleep(seconds))


def test_a_sleep_wants_a_number() -> None:
    with pytest.raises(TypeError, match="sleep wants a number of seconds, 0 or more, not '3'"):
        play(coop.sleep("3"))  # type: ignore[arg-type]


@pytest.mark.parametrize("wait", [coop.wait_readable, coop.wait_writable])
def test_what_has_no_descriptor_cannot_be_waited_for(wait: Any) -> None:
    with pytest.raises(TypeError, match=r"an object with fileno\(\), not None"):
        play(wait(None))


def test_sleep_until_wakes_at_that_time() -> None:
    def main() -> Gen[float]:
        yield from coop.sleep(5)
        yield from coop.sleep_until(8)
        return kit.now()

    assert 8.0 == play(main())


def test_sleep_until_a_time_that_has_passed_is_a_pass() -> None:
    def main() -> Gen[float]:
        yield from coop.sleep(5)
        yield from coop.sleep_until(3)
        yield from coop.sleep_until(-math.inf)
        return kit.now()

    assert 5.0 == play(main())


def test_sleep_until_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not NaN"):
        play(coop.sleep_until(math.nan))


def test_a_sleep_can_be_cancelled_and_the_next_one_lasts_as_long_as_ever() -> None:
    def main() -> Gen[list[float]]:
        times = []
        with coop.move_on_after(2):
            yield from coop.sleep(5)
        times.append(kit.now())
        yield from coop.sleep(5)
        times.append(kit.now())
        return times

    assert [2.0, 7.0] == play(main())


def test_short_sleeps_under_a_long_timeout_are_exact() -> None:
    def main() -> Gen[float]:
        with coop.timeout(1000):
            for _ in range(100):
                yield from coop.sleep(1)
                with coop.timeout(5):
                    yield from coop.sleep(0.5)
        return kit.now()

    assert 150.0 == play(main())


# -- descriptors ----------------------------------------------------------------------------------


def test_wait_readable_returns_when_there_is_data(sockets: Pair) -> None:
    ours, theirs = sockets
    world = World()

    def main() -> Gen[bytes]:
        world.poller.before_poll = lambda: theirs.send(b"data")
        yield from coop.wait_readable(ours)
        return ours.recv(10)

    assert b"data" == world.run(main())


def test_wait_readable_takes_a_number_as_well(sockets: Pair) -> None:
    ours, theirs = sockets
    theirs.send(b"data")
    play(coop.wait_readable(ours.fileno()))


def test_wait_readable_returns_when_a_connection_holds_bytes() -> None:
    def main() -> Gen[int]:
        ours, theirs = kit.pair()
        with ours, theirs:
            yield from theirs.sendall(b"a line\nand more")
            yield from ours.readline()
            scheduler = coop.current_scheduler()
            turns = scheduler.turns
            for _ in range(BUDGET + 1):
                yield from coop.wait_readable(ours)
            turns = scheduler.turns - turns
            yield from ours.recv()
            with pytest.raises(TimeoutError), coop.timeout(1):
                yield from coop.wait_readable(ours)
            return turns

    assert 1 == play(main())


def test_wait_readable_returns_at_the_end_of_the_stream(sockets: Pair) -> None:
    ours, theirs = sockets
    theirs.close()
    play(coop.wait_readable(ours))


def test_wait_readable_waits_though_there_was_data_before(sockets: Pair) -> None:
    """By the poller's word, not by what was known."""
    ours, theirs = sockets

    def main() -> Gen[bool]:
        theirs.send(b"data")
        yield from coop.wait_readable(ours)
        ours.recv(10)
        with coop.move_on_after(3) as scope:
            yield from coop.wait_readable(ours)
        return scope.caught

    assert play(main())


def test_wait_writable_returns_at_once_when_there_is_room(sockets: Pair) -> None:
    def main() -> Gen[float]:
        yield from coop.wait_writable(sockets[0])
        return kit.now()

    assert 0.0 == play(main())


def test_wait_writable_returns_when_the_peer_has_taken_something(sockets: Pair) -> None:
    ours, theirs = sockets
    fill(ours)
    world = World()

    def drain() -> None:
        try:
            while theirs.recv(65536):
                pass
        except BlockingIOError:
            pass

    def main() -> Gen[None]:
        world.poller.before_poll = drain
        yield from coop.wait_writable(ours)

    world.run(main())
    assert 1 == ours.send(b"x")


def test_two_may_wait_for_the_two_directions_of_one_descriptor(sockets: Pair) -> None:
    ours, theirs = sockets
    fill(ours)
    log: list[str] = []

    def wait(operation: Any, name: str) -> Gen[None]:
        yield from operation
        log.append(name)

    def main() -> Gen[None]:
        coop.spawn(wait(coop.wait_writable(ours), "writable"))
        coop.spawn(wait(coop.wait_readable(ours), "readable"))
        yield from kit.passes(3)
        theirs.send(b"x")
        yield from kit.wait_until(lambda: "readable" in log)
        assert ["readable"] == log
        while True:
            try:
                theirs.recv(1 << 20)
            except BlockingIOError:
                return

    play(main())
    assert ["readable", "writable"] == log


def test_a_second_waiter_for_the_same_direction_is_refused(sockets: Pair) -> None:
    def main() -> Gen[None]:
        first = coop.spawn(coop.wait_readable(sockets[0]))
        yield from kit.passes(2)
        with pytest.raises(coop.BusyError, match=r"another task is already waiting until readable"):
            yield from coop.wait_readable(sockets[0])
        first.cancel()

    play(main())


def test_a_cancelled_wait_leaves_no_interest(sockets: Pair) -> None:
    ours, theirs = sockets
    world = World()

    def main() -> Gen[None]:
        with coop.move_on_after(1):
            yield from coop.wait_readable(ours)
        world.check_empty_network()
        theirs.send(b"x")
        yield from coop.wait_readable(ours)

    world.run(main())


def test_waiting_for_a_connection_keeps_its_registration() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            b.socket.send(b"x")
            yield from coop.wait_readable(a)
            return (yield from a.recv())

    assert b"x" == play(main())


def test_a_connection_that_is_closed_wakes_who_waits_for_its_descriptor() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            waiting = coop.spawn(coop.wait_readable(a))
            yield from kit.passes(2)
            a.close()
            with pytest.raises(coop.ClosedError):
                yield from waiting.join()

    play(main())


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="others say that files are ready")
def test_a_regular_file_cannot_be_waited_for() -> None:
    def main() -> Gen[None]:
        with open(__file__, "rb") as file:
            with pytest.raises(coop.MisuseError, match=r"cannot be waited for .*only sockets"):
                yield from coop.wait_readable(file)

    play(main())


@pytest.mark.parametrize("wait", [coop.wait_readable, coop.wait_writable])
def test_a_closed_socket_cannot_be_waited_for(wait: Any) -> None:
    closed = socket.socket()
    closed.close()
    with pytest.raises(coop.ClosedError, match=r"\[closed\].* is closed: there is nothing to wait"):
        play(wait(closed))


# -- spawning -------------------------------------------------------------------------------------


def test_a_run_ends_with_the_last_task_it_spawned() -> None:
    world = World()

    def main() -> Gen[str]:
        coop.spawn(coop.sleep(10))
        return "main"
        yield

    assert "main" == world.run(main())
    assert 10.0 == world.now


def test_to_spawn_outside_a_run_is_refused() -> None:
    generator = kit.passes(1)
    with pytest.raises(coop.MisuseError, match=r"no scheduler runs in this thread.*coop\.run"):
        coop.spawn(generator)
    generator.close()


# -- each wait, cancelled and done again ----------------------------------------------------------


class Wait:
    """A wait that nobody ends until ``release``; what it needs is closed with ``stack``."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.lot = coop.ParkingLot("shop", "enter")

    def pair(self) -> tuple[coop.Connection, coop.Connection]:
        a, b = kit.pair()
        self.stack.enter_context(a)
        self.stack.enter_context(b)
        return a, b


def parking(start: Callable[[coop.ParkingLot], Any]) -> Any:
    def case(wait: Wait) -> Any:
        return lambda: start(wait.lot), wait.lot.wake_all

    return case


def reading(start: Callable[[coop.Connection], Any]) -> Any:
    def case(wait: Wait) -> Any:
        a, b = wait.pair()
        return lambda: start(a), lambda: b.socket.send(b"x\n")

    return case


def writing(start: Callable[[coop.Connection], Any]) -> Any:
    def case(wait: Wait) -> Any:
        a, b = wait.pair()
        kit.fill(a)

        def drain() -> None:
            while b.socket.recv(1 << 20):
                pass

        return lambda: start(a), drain

    return case


def accepting(wait: Wait) -> Any:
    listener = wait.stack.enter_context(coop.listen("127.0.0.1", 0))

    def dial() -> None:
        wait.stack.enter_context(create_tcp_socket()).connect(listener.address)

    def accept() -> Gen[None]:
        wait.stack.enter_context((yield from listener.accept()))

    return accept, dial


def joining(wait: Wait) -> Any:
    return coop.spawn(wait.lot.park()).join, wait.lot.wake_all


def sending_a_file(conn: coop.Connection) -> Gen[None]:
    with open(__file__, "rb") as file:
        yield from conn.sendfile(file)


def a_group(lot: coop.ParkingLot) -> Any:
    def body(group: coop.Group) -> Gen[None]:
        group.spawn(lot.park())
        yield from lot.park()

    return coop.group(body)


WAITS: dict[str, Any] = {
    "sleep": lambda wait: (lambda: coop.sleep(50), lambda: None),
    "sleep until": lambda wait: (lambda: coop.sleep_until(50), lambda: None),
    "join": joining,
    "park": parking(lambda lot: lot.park()),
    "group": parking(a_group),
    "gather": parking(lambda lot: coop.gather(lot.park(), lot.park())),
    "race": parking(lambda lot: coop.race(lot.park(), lot.park())),
    "map": parking(lambda lot: coop.map(lambda _: lot.park(), [1, 2])),
    "recv": reading(lambda conn: conn.recv()),
    "recv into": reading(lambda conn: conn.recv_into(bytearray(9))),
    "recv exactly": reading(lambda conn: conn.recv_exactly(2)),
    "recv until": reading(lambda conn: conn.recv_until(b"\n")),
    "readline": reading(lambda conn: conn.readline()),
    "readable": reading(lambda conn: coop.wait_readable(conn)),
    "sendall": writing(lambda conn: conn.sendall(b"x")),
    "sendfile": writing(sending_a_file),
    "writable": writing(lambda conn: coop.wait_writable(conn)),
    "accept": accepting,
}


@pytest.mark.parametrize("name", WAITS)
def test_each_wait_can_be_cancelled_and_done_again(name: str) -> None:
    reasons: list[object] = []

    def cancelled(start: Any) -> Gen[None]:
        try:
            yield from start()
        except coop.Cancelled as error:
            reasons.append(error.reason)
            raise

    def done(start: Any) -> Gen[str]:
        yield from start()
        return "done"

    def main() -> Gen[str]:
        with ExitStack() as stack:
            start, release = WAITS[name](Wait(stack))
            task = coop.spawn(cancelled(start))
            yield from kit.passes(4)
            waiter = task.waiter
            assert waiter is not None
            task.cancel("enough")
            assert task.waiter is None
            assert waiter.task is None
            with pytest.raises(coop.TaskCancelled, match="enough"):
                yield from task.join()
            again = coop.spawn(done(start))
            yield from kit.passes(4)
            assert again.waiter is not None
            release()
            return (yield from again.join())

    assert "done" == play(main())
    assert ["enough"] == reasons
