"""first: one of several things happens, and none of the others."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

import kit
import promises
import pytest
from sync_kit import Gen, passes, play

import coop
from coop.parking import ParkingLot
from coop.readiness import BUDGET

pytestmark = pytest.mark.core

# -- promises -----------------------------------------------------------------------------------


def test_exactly_one_alternative_happens() -> None:
    promises.exactly_one_happens(coop.first)


# -- what can be chosen -------------------------------------------------------------------------


def test_a_channel_gives_its_next_value() -> None:
    def main() -> Gen[Any]:
        news, other = coop.Channel[str](1), coop.Channel[str](1)
        coop.spawn(news.send("hello"))
        return (yield from coop.first(other=other, news=news))

    assert ("news", "hello") == play(main())


def test_a_channel_that_is_closed_gives_the_end() -> None:
    def main() -> Gen[Any]:
        channel = coop.Channel[str](1)
        task = coop.spawn(coop.first(channel))
        yield None
        channel.close()
        return (yield from task.join())

    assert (0, coop.CLOSED) == play(main())


def test_sending_is_an_alternative() -> None:
    def main() -> Gen[Any]:
        full, rendezvous = coop.Channel[int](0), coop.Channel[int](0)
        task = coop.spawn(coop.first(full.sending(1), rendezvous.sending(2)))
        yield None
        got = yield from rendezvous.recv()
        return got, (yield from task.join()), full.statistics().senders_waiting

    assert (2, (1, None), 0) == play(main())


def test_sending_to_a_channel_that_is_closed_meanwhile_is_refused() -> None:
    def main() -> Gen[None]:
        channel = coop.Channel[int](0)
        task = coop.spawn(coop.first(channel.sending(1)))
        yield None
        channel.close()
        with pytest.raises(coop.ClosedError):
            yield from task.join()

    play(main())


def test_two_choices_meet_in_a_rendezvous() -> None:
    def main() -> Gen[Any]:
        left, right = coop.Channel[int](0), coop.Channel[int](0)
        return (
            yield from coop.gather(
                coop.first(left.sending(1), right.sending(2)), coop.first(right, left)
            )
        )

    sent, received = play(main())
    assert (1, None) == sent
    assert (0, 2) == received


def test_an_event_a_lock_a_semaphore_and_a_limiter_can_be_waited_for() -> None:
    def main() -> Gen[list[Any]]:
        event, lock = coop.Event(), coop.Lock()
        semaphore, limiter = coop.Semaphore(0), coop.CapacityLimiter(1)
        chosen = []

        def hold() -> Gen[None]:
            with (yield from lock.acquire()), (yield from limiter.acquire()):
                yield from passes(3)

        coop.spawn(hold())
        yield None
        ways: list[Callable[[], object]] = [event.set, semaphore.release, lambda: None]
        for way in ways:
            coop.current_scheduler().call_soon(way)
            got = yield from coop.first(event=event, semaphore=semaphore, lock=lock)
            chosen.append(got.which)
            event.clear()
        assert lock.holder is coop.current_task()
        lock.release()
        with (yield from coop.first(limiter=limiter)).value:
            chosen.append(limiter.borrowed)
        return chosen

    assert ["event", "semaphore", "lock", 1] == play(main())


def test_the_end_of_a_task_can_be_waited_for() -> None:
    def main() -> Gen[Any]:
        def work() -> Gen[str]:
            yield from coop.sleep(1)
            return "result"

        slow, task = coop.spawn(coop.sleep(2)), coop.spawn(work())
        chosen = yield from coop.first(slow, task)
        again = yield from coop.first(task)
        return chosen, again

    assert ((1, "result"), (0, "result")) == play(main())


def test_a_task_that_fails_while_it_is_chosen_fails_the_chooser_only() -> None:
    def main() -> Gen[None]:
        def work() -> Gen[None]:
            yield None
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            yield from coop.first(coop.spawn(work()), coop.Event())

    play(main())


def test_a_timer_ends_the_choice() -> None:
    def main() -> Gen[Any]:
        with coop.timeout(10):
            chosen = yield from coop.first(
                coop.Event(), soon=coop.after(2), later=coop.after(3), never=coop.Event()
            )
        yield from coop.sleep(1)  # an alarm that is left does nothing
        return chosen.which, coop.current_scheduler().now

    assert ("soon", 3) == play(main())


def test_after_nothing_is_a_look() -> None:
    def main() -> Gen[Any]:
        channel = coop.Channel[int](1)
        one = yield from coop.first(channel, empty=coop.after(0))
        channel.try_send(7)
        other = yield from coop.first(channel, empty=coop.after(0))
        return one.which, other.value

    assert ("empty", 7) == play(main())


def test_when_several_can_be_done_the_first_in_order_is() -> None:
    def main() -> Gen[Any]:
        left, right = coop.Channel[str](1), coop.Channel[str](1)
        left.try_send("left")
        right.try_send("right")
        one = yield from coop.first(right, left)
        assert 1 == len(left), "the other was taken too"
        return one

    assert (0, "right") == play(main())


def test_a_matter_of_match() -> None:
    def main() -> Gen[list[str]]:
        inbox, stop, log = coop.Channel[str](4), coop.Event(), []
        for word in ("one", "two"):
            inbox.try_send(word)
        while True:
            match (yield from coop.first(inbox=inbox, stop=stop, late=coop.after(5))):
                case "inbox", word:
                    log.append(word)
                case "late", _:
                    log.append("late")
                    stop.set()
                case "stop", _:
                    return log

    assert ["one", "two", "late"] == play(main())


def test_it_works_in_async_def() -> None:
    async def main() -> Any:
        return await coop.first(coop.Event(), coop.after(1))

    assert (1, None) == play(main())  # type: ignore[arg-type]


# -- readiness ----------------------------------------------------------------------------------


def test_a_descriptor_that_becomes_readable_is_an_alternative() -> None:
    def main() -> Gen[list[Any]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            chosen = [(yield from coop.first(r=coop.readable(ours), late=coop.after(1))).which]
            theirs.send(b"x")
            chosen.append((yield from coop.first(r=coop.readable(ours), late=coop.after(1))).which)
            both = coop.first(r=coop.readable(theirs), w=coop.writable(theirs))
            chosen.append((yield from both).which)
            return chosen

    assert ["late", "r", "w"] == kit.play(main())


def test_a_connection_that_holds_bytes_is_readable_at_once() -> None:
    def main() -> Gen[list[Any]]:
        ours, theirs = kit.pair()
        with ours, theirs:
            yield from theirs.sendall(b"a line\nand more")
            yield from ours.readline()
            chosen = [(yield from coop.first(r=coop.readable(ours), late=coop.after(1))).which]
            chosen.append((yield from ours.recv()))
            chosen.append((yield from coop.first(r=coop.readable(ours), late=coop.after(1))).which)
            return chosen

    assert ["r", b"and more", "late"] == kit.play(main())


def test_a_second_waiter_on_the_descriptor_is_refused() -> None:
    def main() -> Gen[None]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            task = coop.spawn(coop.first(coop.readable(ours), coop.Event()))
            yield None
            with pytest.raises(coop.BusyError):
                yield from coop.wait_readable(ours)
            event = coop.Event()
            with pytest.raises(coop.BusyError):
                yield from coop.first(event, coop.readable(ours))
            assert 0 == event.waiting, "an alternative was left in line"
            task.cancel()

    kit.play(main())


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="select calls a file always ready")
def test_a_file_cannot_be_waited_for() -> None:
    def main() -> Gen[None]:
        with open(__file__) as file:
            with pytest.raises(coop.MisuseError, match="cannot be waited for"):
                yield from coop.first(coop.readable(file))

    kit.play(main())


def test_a_connection_that_is_closed_meanwhile_ends_the_choice() -> None:
    def main() -> Gen[None]:
        ours, theirs = kit.pair()
        with theirs:
            task = coop.spawn(coop.first(coop.readable(ours), coop.Event()))
            yield None
            ours.close()
            with pytest.raises(coop.ClosedError):
                yield from task.join()

    kit.play(main())


# -- manners ------------------------------------------------------------------------------------


def test_a_choice_that_is_cancelled_leaves_every_line() -> None:
    def main() -> Gen[tuple[int, ...]]:
        event, lock, channel = coop.Event(), coop.Lock(), coop.Channel[int](0)
        lock.try_acquire()
        task = coop.spawn(_choose(event, lock, channel))
        yield None
        before = (event.waiting, lock.waiting, channel.statistics().receivers_waiting)
        task.cancel()
        after = (event.waiting, lock.waiting, channel.statistics().receivers_waiting)
        return before + after

    assert (1, 1, 1, 0, 0, 0) == play(main())


def _choose(*things: Any) -> Gen[Any]:
    return (yield from coop.first(*things))


def test_a_choice_says_what_it_waits_for() -> None:
    def main() -> Gen[str]:
        stop, lock = coop.Event(name="stop"), coop.Lock(name="door")
        lock.try_acquire()
        task = coop.spawn(_choose(stop, lock, coop.after(3)), name="chooser")
        yield None
        assert task.waiter is not None
        assert [coop.current_task()] == list(task.waiter.blockers())
        text = task.waiter.reason()
        task.cancel()
        return text

    assert play(main()) == (
        "the first of (wait for <event 'stop' not set, 1 wait: 'chooser'>, "
        "acquire <lock 'door' held by 'main', 1 wait: 'chooser'>, a timer)"
    )


def test_an_alternative_says_what_it_is() -> None:
    channel = coop.Channel[int](0, name="jobs")
    assert "<alternative: send to <channel 'jobs' 0 of 0>>" == repr(channel.sending(1))
    assert "<alternative: receive from <channel 'jobs' 0 of 0>>" == repr(channel.as_alternative())
    assert "<alternative: after 3 s>" == repr(coop.after(3))
    assert "<alternative: readable 5>" == repr(coop.readable(5))


def test_choosing_what_is_there_spends_from_the_budget() -> None:
    def main() -> Gen[int]:
        event = coop.Event()
        event.set()
        scheduler = coop.current_scheduler()
        yield None
        turn = scheduler.turns
        for _ in range(BUDGET + 1):
            yield from coop.first(event)
        return scheduler.turns - turn

    assert 1 == play(main())


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda: coop.Channel[int](1).recv(), "give the object itself"),
        (lambda: socket.socket(), r"coop\.readable"),
        (lambda: 5, "cannot wait for 5"),
        (lambda: [coop.Event()], r"first\(\*things\)"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(wrong: Callable[[], Any], hint: str) -> None:
    def main() -> Gen[None]:
        thing = wrong()
        with pytest.raises(TypeError, match=hint):
            yield from coop.first(thing)
        if isinstance(thing, socket.socket):
            thing.close()

    play(main())


def test_what_is_refused_is_not_complained_of_again() -> None:
    """The coroutine that was never awaited is said to be the wrong thing, and that once."""

    async def work() -> None: ...

    def main() -> Gen[None]:
        for thing in (work(), coop.Event().wait()):
            with pytest.raises(TypeError, match="give the object itself"):
                yield from coop.first(thing)  # type: ignore[arg-type]

    play(main())


@pytest.mark.parametrize("side", [coop.readable, coop.writable])
def test_what_has_no_descriptor_cannot_be_ready(side: Callable[[Any], Any]) -> None:
    def main() -> Gen[None]:
        event, closed = coop.Event(), socket.socket()
        closed.close()
        with pytest.raises(TypeError, match=r"an object with fileno\(\), not 'a file'"):
            yield from coop.first(event, side("a file"))
        with pytest.raises(coop.ClosedError, match="is closed: there is nothing to wait for"):
            yield from coop.first(event, side(closed))
        assert 0 == event.waiting, "an alternative was left in line"

    kit.play(main())


def test_nothing_to_choose_from_is_refused() -> None:
    def main() -> Gen[None]:
        with pytest.raises(ValueError, match="at least one"):
            yield from coop.first()

    play(main())


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_timer_into_the_past_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        coop.after(seconds)


def test_a_timer_wants_a_number() -> None:
    with pytest.raises(TypeError, match="after wants a number of seconds, 0 or more, not '3'"):
        coop.after("3")  # type: ignore[arg-type]


def test_a_primitive_of_ones_own_joins_in() -> None:
    """A line and three functions are enough to be chosen."""

    class Doorbell:
        def __init__(self) -> None:
            self.lot = ParkingLot(self, "hear")

        def as_alternative(self) -> coop.Alternative[str]:
            return coop.LineAlternative(
                lambda: coop.WOULDBLOCK, lambda: self.lot, lambda guest: f"open to {guest}"
            )

    def main() -> Gen[Any]:
        bell = Doorbell()
        task = coop.spawn(coop.first(bell, coop.after(9)))
        yield None
        bell.lot.wake_first("you")
        return (yield from task.join())

    assert (0, "open to you") == play(main())
