"""Readiness: what is known of a descriptor, the one retry loop, and the table between."""

from __future__ import annotations

import gc
from typing import Any

import kit
import pytest
from kit import Gen, World, play

import coop
from coop.outcomes import WOULDBLOCK
from coop.poller import ERROR, HANGUP, READ, WRITE, Events
from coop.readiness import BUDGET, Descriptor, Readiness, retry
from coop.scheduler import Scheduler
from coop.traps import running

pytestmark = pytest.mark.core


class Scripted:
    """A poller that reports what it was told to, and notes what was asked of it."""

    name = "scripted"

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.events: list[Events] = []

    def watch(self, fd: int, interest: int) -> None:
        self.calls.append(("watch", fd, interest))

    def forget(self, fd: int) -> None:
        self.calls.append(("forget", fd))

    def poll(self, timeout: float | None) -> Events:
        return self.events.pop(0) if self.events else []

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        pass


class Attempts:
    """An attempt that answers what it was told to, and counts."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self, _: object) -> Any:
        self.count += 1
        return self.answers.pop(0)


@pytest.fixture
def poller() -> Scripted:
    return Scripted()


@pytest.fixture
def descriptor(poller: Scripted, monkeypatch: pytest.MonkeyPatch) -> Descriptor:
    scheduler = Scheduler(kit.LeapingClock(), poller)
    monkeypatch.setattr(running, "scheduler", scheduler)
    return scheduler.descriptors.add(7)


def start(generator: Any) -> tuple[Any, Any]:
    """Run to the first yield; return the generator and what it yielded."""
    iterator = iter(generator)
    return iterator, next(iterator)


def finish(iterator: Any) -> Any:
    """Run to the end; return the result."""
    try:
        next(iterator)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits again")


# -- retry ----------------------------------------------------------------------------------------


def test_what_succeeds_at_once_does_not_wait(poller: Scripted, descriptor: Descriptor) -> None:
    assert "value" == finish(iter(retry(descriptor.reader, Attempts("value"), None)))
    assert [] == poller.calls
    assert not descriptor.reader.is_busy


def test_what_would_block_parks_on_its_direction_and_is_watched(
    poller: Scripted, descriptor: Descriptor
) -> None:
    attempt = Attempts(WOULDBLOCK, "value")
    waiting, waiter = start(retry(descriptor.reader, attempt, None))
    assert waiter is descriptor.reader
    assert [("watch", 7, READ)] == poller.calls
    assert 1 == attempt.count
    waiter.is_ready = True
    assert "value" == finish(waiting)
    assert 2 == attempt.count


def test_known_to_be_drained_it_parks_without_a_try(
    poller: Scripted, descriptor: Descriptor
) -> None:
    descriptor.reader.is_ready = False
    attempt = Attempts("value")
    waiting, _ = start(retry(descriptor.reader, attempt, None))
    assert 0 == attempt.count
    descriptor.reader.is_ready = True
    assert "value" == finish(waiting)


def test_woken_for_nothing_it_parks_again(poller: Scripted, descriptor: Descriptor) -> None:
    attempt = Attempts(WOULDBLOCK, WOULDBLOCK, "value")
    waiting, waiter = start(retry(descriptor.reader, attempt, None))
    waiter.is_ready = True
    assert waiter is next(waiting)
    waiter.is_ready = True
    assert "value" == finish(waiting)
    assert [("watch", 7, READ)] == poller.calls, "registration lasts"


def test_a_second_operation_on_the_same_direction_is_refused(descriptor: Descriptor) -> None:
    waiting, _ = start(retry(descriptor.reader, Attempts(WOULDBLOCK), None))
    attempt = Attempts("value")
    with pytest.raises(coop.BusyError, match="already waiting until readable fd 7: one operation"):
        finish(iter(retry(descriptor.reader, attempt, None)))
    assert 0 == attempt.count
    assert "value" == finish(iter(retry(descriptor.writer, attempt, None)))
    waiting.close()


def test_a_second_operation_is_refused_between_the_wake_up_and_the_step(
    descriptor: Descriptor,
) -> None:
    waiting, waiter = start(retry(descriptor.reader, Attempts(WOULDBLOCK, "value"), None))
    waiter.is_ready = True
    waiter.wake()
    with pytest.raises(coop.BusyError):
        finish(iter(retry(descriptor.reader, Attempts("stolen"), None)))
    assert "value" == finish(waiting)


@pytest.mark.parametrize("error", [coop.Cancelled(), GeneratorExit(), ValueError()])
def test_however_it_ends_the_direction_is_free_again(
    descriptor: Descriptor, error: BaseException
) -> None:
    waiting, _ = start(retry(descriptor.reader, Attempts(WOULDBLOCK), None))
    with pytest.raises(type(error)):
        waiting.throw(error)
    assert not descriptor.reader.is_busy
    descriptor.reader.is_ready = True
    assert "next" == finish(iter(retry(descriptor.reader, Attempts("next"), None)))


def test_an_attempt_that_fails_leaves_the_direction_free_and_known_as_ready(
    descriptor: Descriptor,
) -> None:
    def attempt(_: object) -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        finish(iter(retry(descriptor.reader, attempt, None)))
    assert not descriptor.reader.is_busy
    assert descriptor.reader.is_ready


def test_with_the_budget_spent_it_passes_before_it_tries(descriptor: Descriptor) -> None:
    scheduler = descriptor.reader.scheduler
    scheduler.budget = 0
    attempt = Attempts("value")
    waiting, passed = start(retry(descriptor.reader, attempt, None))
    assert passed is None
    assert 0 == attempt.count
    scheduler.budget = BUDGET
    assert "value" == finish(waiting)
    assert BUDGET - 1 == scheduler.budget


def test_a_poller_that_refuses_leaves_the_direction_unwatched(
    poller: Scripted, descriptor: Descriptor
) -> None:
    def refuse(fd: int, interest: int) -> None:
        raise PermissionError("not this one")

    poller.watch = refuse  # type: ignore[method-assign]
    with pytest.raises(PermissionError):
        start(retry(descriptor.reader, Attempts(WOULDBLOCK), None))
    assert not descriptor.reader.is_watched
    assert not descriptor.reader.is_busy


# -- the table ------------------------------------------------------------------------------------


def test_both_directions_are_watched_together(poller: Scripted, descriptor: Descriptor) -> None:
    reading, _ = start(retry(descriptor.reader, Attempts(WOULDBLOCK), None))
    writing, _ = start(retry(descriptor.writer, Attempts(WOULDBLOCK), None))
    assert [("watch", 7, READ), ("watch", 7, READ | WRITE)] == poller.calls
    reading.close()
    writing.close()


@pytest.mark.parametrize(
    ("bits", "woken"),
    [
        (READ, "reader"),
        (WRITE, "writer"),
        (READ | WRITE, "reader writer"),
        (ERROR, "reader writer"),
        (HANGUP, "reader writer"),
        (READ | HANGUP, "reader writer"),
    ],
)
def test_an_error_and_a_hangup_wake_both_directions(
    bits: int, woken: str, poller: Scripted, descriptor: Descriptor
) -> None:
    scheduler = descriptor.reader.scheduler
    descriptor.reader.is_ready = descriptor.writer.is_ready = False
    log = []

    def wait(name: str) -> Gen[None]:
        yield from retry(getattr(descriptor, name), Attempts("done"), None)
        log.append(name)

    class Owner:
        def task_ended(self, task: coop.Task, was_joined: bool) -> None:
            pass

    for name in ("reader", "writer"):
        scheduler.spawn(wait(name), owner=Owner())
    poller.events = [[], [(7, bits)]]
    scheduler.turn()
    scheduler.turn()
    assert woken.split() == log
    for task in scheduler.tasks.values():
        task.generator.close()


def test_interest_that_nobody_waits_on_is_dropped_at_its_first_event(
    poller: Scripted, descriptor: Descriptor
) -> None:
    descriptors = descriptor.reader.scheduler.descriptors
    for way in (descriptor.reader, descriptor.writer):
        descriptors.watch(way)
    poller.calls.clear()
    descriptors.dispatch([(7, READ)])
    assert [("watch", 7, WRITE)] == poller.calls
    descriptors.dispatch([(7, WRITE)])
    assert [("watch", 7, WRITE), ("forget", 7)] == poller.calls
    assert descriptor.reader.is_ready
    assert descriptor.writer.is_ready


def test_an_event_of_an_unknown_descriptor_is_forgotten(
    poller: Scripted, descriptor: Descriptor
) -> None:
    descriptor.reader.scheduler.descriptors.dispatch([(99, READ)])
    assert [("forget", 99)] == poller.calls


def test_a_descriptor_is_forgotten_by_the_poller_only_if_it_was_watched(
    poller: Scripted, descriptor: Descriptor
) -> None:
    descriptors = descriptor.reader.scheduler.descriptors
    descriptors.forget(descriptor)
    descriptors.forget(descriptor)
    assert [] == poller.calls
    again = descriptors.add(7)
    descriptors.watch(again.reader)
    descriptors.forget(again)
    assert [("watch", 7, READ), ("forget", 7)] == poller.calls


def test_each_meaning_of_a_number_has_its_generation(descriptor: Descriptor) -> None:
    descriptors = descriptor.reader.scheduler.descriptors
    descriptors.forget(descriptor)
    again = descriptors.add(7)
    assert descriptor.generation < again.generation
    assert again is descriptors.table[7]


def test_a_number_that_comes_back_unforgotten_replaces_the_old_one(
    poller: Scripted, descriptor: Descriptor
) -> None:
    descriptors = descriptor.reader.scheduler.descriptors
    descriptors.watch(descriptor.reader)
    again = descriptors.add(7)
    assert descriptor.is_forgotten
    assert not again.is_forgotten
    assert [("watch", 7, READ), ("forget", 7)] == poller.calls


def test_the_reason_names_direction_and_descriptor(descriptor: Descriptor) -> None:
    assert "readable fd 7" == descriptor.reader.reason()
    assert "writable fd 7" == descriptor.writer.reason()


# -- over a real poller ---------------------------------------------------------------------------


def test_a_short_read_spares_the_next_one_a_call_that_would_fail() -> None:
    def main() -> Gen[list[str]]:
        a, b = kit.pair()
        with a, b:
            calls = []
            original = type(a.socket).recv

            class Counting(type(a.socket)):  # type: ignore[misc]
                __slots__ = ()

                def recv(self, max_bytes: int) -> Any:
                    answer = original(self, max_bytes)
                    calls.append("wouldblock" if answer is WOULDBLOCK else "data")
                    return answer

            a.socket.__class__ = Counting
            for _ in range(3):
                yield from b.sendall(b"message")
                yield from a.recv()
                with coop.move_on_after(1):
                    yield from a.recv()
            return calls

    assert ["data"] * 3 == play(main())


def test_the_peers_hangup_with_nobody_waiting_does_not_spin() -> None:
    world = World()

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a:
            with coop.move_on_after(1):
                yield from a.recv()  # watched from now on
            b.close()
            before = len(world.poller.timeouts)
            yield from coop.sleep(10)
            assert len(world.poller.timeouts) - before <= 2

    world.run(main())


def test_data_with_nobody_waiting_does_not_spin() -> None:
    world = World()

    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            with coop.move_on_after(1):
                yield from a.recv()
            yield from b.sendall(b"unasked")
            before = len(world.poller.timeouts)
            yield from coop.sleep(10)
            assert len(world.poller.timeouts) - before <= 2
            return (yield from a.recv())

    assert b"unasked" == world.run(main())


def test_a_writable_socket_with_a_reader_waiting_does_not_spin() -> None:
    world = World()

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            kit.fill(a)
            writer = coop.spawn(a.sendall(b"x"))
            reader = coop.spawn(a.recv())
            yield from kit.passes(2)
            while b.socket.recv(1 << 20):
                pass
            yield from writer.join()
            before = len(world.poller.timeouts)
            yield from coop.sleep(10)
            assert len(world.poller.timeouts) - before <= 2
            reader.cancel()

    world.run(main())


def test_registration_lasts_over_many_waits() -> None:
    changes = []
    world = World()
    watch = world.poller.watch

    def counting_watch(fd: int, interest: int) -> None:
        changes.append((fd, interest))
        watch(fd, interest)

    world.poller.watch = counting_watch  # type: ignore[method-assign]

    def echo(conn: coop.Connection) -> Gen[None]:
        with conn:
            while data := (yield from conn.recv()):
                yield from conn.sendall(data)

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            coop.spawn(echo(b))
            for _ in range(100):
                yield from a.sendall(b"ping")
                yield from a.recv()
            a.shutdown_send()
            yield from a.recv()

    world.run(main())
    assert len(changes) <= 2


def test_closed_connections_leave_nothing_to_the_collector() -> None:
    def converse() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            receiving = coop.spawn(b.recv())
            yield None
            yield from a.sendall(b"x")
            yield from receiving.join()

    def count() -> int:
        return sum(type(thing) is Readiness for thing in gc.get_objects())

    def main() -> Gen[int]:
        with kit.no_collector():
            before = count()
            for _ in range(10):
                yield from converse()
            return count() - before

    assert 0 == play(main())
