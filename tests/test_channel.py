"""Channel, Queue, PriorityQueue: their promises and their manners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import machines
import promises
import pytest
from hypothesis import given
from sync_kit import Gen, passes, play

import coop
from coop.readiness import BUDGET

pytestmark = pytest.mark.core

CAPACITIES = pytest.mark.parametrize("capacity", [0, 1, 2, None])

# -- promises -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [coop.Channel, coop.Queue, lambda capacity: coop.PriorityQueue(capacity, key=lambda _: 0)],
    ids=["channel", "queue", "priority queue of equals"],
)
def test_no_value_is_lost_or_doubled(make: Callable[[int | None], Any]) -> None:
    promises.values_arrive_once(make)


@pytest.mark.parametrize("capacity", [0, 1, 2])
def test_a_channel_is_like_its_model(capacity: int) -> None:
    machines.run_machine(machines.channel_machine(coop.Channel, capacity))


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_a_priority_queue_gives_the_least_and_among_equals_the_oldest(
    values: list[int], capacity: int
) -> None:
    """Whatever is drawn: between two receives at most ``capacity`` values are to choose from."""

    def main() -> Gen[None]:
        queue = coop.PriorityQueue[tuple[int, int]](capacity, key=lambda value: value[0])
        there: list[tuple[int, int]] = []
        for number, value in enumerate(values):
            if len(queue) == capacity:
                there.sort()
                assert there.pop(0) == (yield from queue.recv())
            yield from queue.send((value, number))
            there.append((value, number))
        for least in sorted(there):
            assert least == (yield from queue.recv())

    play(main())


class Moody:
    """A value that compares with others of its kind, unless it is told not to."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.refuses: set[int] = set()

    def __lt__(self, other: Moody) -> bool:
        if other.rank in self.refuses or self.rank in other.refuses:
            raise TypeError("not with that one")
        return self.rank < other.rank


@given(st.permutations(range(12)), st.sets(st.frozensets(st.integers(0, 11), min_size=2)))
def test_a_priority_queue_that_cannot_compare_two_loses_nothing(
    ranks: list[int], enemies: set[frozenset[int]]
) -> None:
    """Once they make it up, everything sent comes out, in order."""
    queue = coop.PriorityQueue[Moody]()
    values = {rank: Moody(rank) for rank in ranks}
    for one, *others in map(sorted, enemies):
        values[one].refuses |= set(others)
    there, got = [], []
    for rank in ranks:
        try:
            queue.try_send(values[rank])
            there.append(rank)
        except TypeError:
            pass  # it has not been sent
        assert len(there) == len(queue) == queue.statistics().sent
    while there:
        try:
            got.append(queue.try_recv())
            there.remove(got[-1].rank)
        except TypeError:
            break
    assert len(there) == len(queue)
    for value in values.values():
        value.refuses.clear()
    rest = [queue.try_recv() for _ in there]
    assert sorted(there) == [value.rank for value in rest]


def test_what_cannot_be_compared_is_its_senders_error_and_no_receivers() -> None:
    def main() -> Gen[list[Any]]:
        queue = coop.PriorityQueue[Any](2)
        log: list[Any] = []

        def refused(sending: Gen[Any]) -> Gen[None]:
            with pytest.raises(TypeError, match="cannot tell which is first"):
                yield from sending
            log.append("refused")

        for value in (4, 2):
            yield from queue.send(value)
        coop.spawn(refused(queue.send("text")))
        coop.spawn(queue.send(3))
        coop.spawn(refused(coop.first(queue.sending("words"))))
        yield None
        for _ in range(3):
            log += [(yield from queue.recv())]
            yield None
        return log

    assert [2, "refused", 3, "refused", 4] == play(main())


# -- how it is used -----------------------------------------------------------------------------


@CAPACITIES
def test_values_come_in_the_order_they_were_sent(capacity: int | None) -> None:
    def main() -> Gen[list[int]]:
        channel = coop.Channel[int](capacity)
        coop.spawn(_send_all(channel, 5))
        got = []
        while (value := (yield from channel.recv())) is not coop.CLOSED:
            got.append(value)
        return got

    assert [0, 1, 2, 3, 4] == play(main())


def _send_all(channel: coop.Channel[int], count: int) -> Gen[None]:
    with channel:
        for number in range(count):
            yield from channel.send(number)


@CAPACITIES
def test_async_for_receives_until_the_end(capacity: int | None) -> None:
    async def main() -> list[int]:
        channel = coop.Channel[int](capacity)
        coop.spawn(_send_all(channel, 5))
        return [value async for value in channel]

    assert [0, 1, 2, 3, 4] == play(main())  # type: ignore[arg-type]


def test_a_rendezvous_lasts_until_the_value_is_received() -> None:
    def main() -> Gen[float]:
        channel = coop.Channel[str](0)

        def receive_later() -> Gen[None]:
            yield from coop.sleep(3)
            yield from channel.recv()

        coop.spawn(receive_later())
        yield from channel.send("value")
        return coop.current_scheduler().now

    assert 3 == play(main())


def test_a_full_channel_makes_the_sender_wait() -> None:
    def main() -> Gen[list[str]]:
        channel = coop.Channel[int](1)
        log = []

        def send() -> Gen[None]:
            for number in range(2):
                yield from channel.send(number)
                log.append(f"sent {number}")

        coop.spawn(send())
        yield from passes(3)
        log.append("receive")
        yield from channel.recv()
        yield from passes(2)
        return log

    assert ["sent 0", "receive", "sent 1"] == play(main())


def test_a_value_may_be_anything() -> None:
    def main() -> Gen[list[Any]]:
        channel = coop.Channel[Any](1)
        got = []
        for value in (None, False, 0, coop.WOULDBLOCK):
            yield from channel.send(value)
            got.append((yield from channel.recv()))
        return got

    assert [None, False, 0, coop.WOULDBLOCK] == play(main())


def test_try_send_and_try_recv_never_wait() -> None:
    channel = coop.Channel[str](1)
    assert coop.WOULDBLOCK is channel.try_recv()
    assert channel.try_send("value")
    assert coop.WOULDBLOCK is channel.try_send("another")
    assert "value" == channel.try_recv()


# -- closing ------------------------------------------------------------------------------------


@CAPACITIES
def test_sending_on_a_closed_channel_is_refused(capacity: int | None) -> None:
    def main() -> Gen[None]:
        channel = coop.Channel[int](capacity, name="jobs")
        channel.close()
        channel.close()
        with pytest.raises(coop.ClosedError, match=r"<channel 'jobs' 0.*closed>"):
            yield from channel.send(1)
        with pytest.raises(coop.ClosedError):
            channel.try_send(1)

    play(main())


def test_closing_refuses_those_who_wait_to_send() -> None:
    def main() -> Gen[tuple[Any, ...]]:
        channel = coop.Channel[int](1)
        outcomes: list[str] = []

        def send(number: int) -> Gen[None]:
            try:
                yield from channel.send(number)
                outcomes.append(f"sent {number}")
            except coop.ClosedError:
                outcomes.append(f"refused {number}")

        for number in range(3):
            coop.spawn(send(number))
        yield None
        channel.close()
        yield None
        left = [(yield from channel.recv()), (yield from channel.recv())]
        return outcomes, left

    assert (["sent 0", "refused 1", "refused 2"], [0, coop.CLOSED]) == play(main())


def test_closing_ends_those_who_wait_to_receive() -> None:
    def main() -> Gen[Any]:
        channel = coop.Channel[int](1)
        tasks = [coop.spawn(channel.recv()) for _ in range(2)]
        yield None
        channel.close()
        return (yield from tasks[0].join()), (yield from tasks[1].join())

    assert (coop.CLOSED, coop.CLOSED) == play(main())


def test_the_end_is_false_and_says_its_name() -> None:
    assert not coop.CLOSED
    assert "CLOSED" == repr(coop.CLOSED)


# -- fairness -----------------------------------------------------------------------------------


@CAPACITIES
def test_a_busy_pair_starves_nobody(capacity: int | None) -> None:
    """In the time of 1000 values a bystander gets its turns."""

    def main() -> Gen[int]:
        channel = coop.Channel[int](capacity)
        turns = []

        def stand_by() -> Gen[None]:
            while True:
                turns.append(None)
                yield None

        bystander = coop.spawn(stand_by())
        coop.spawn(_send_all(channel, 1000))
        while (yield from channel.recv()) is not coop.CLOSED:
            pass
        bystander.cancel()
        return len(turns)

    assert play(main()) >= 1000 // BUDGET


def test_asking_a_closed_channel_again_and_again_starves_nobody() -> None:
    def main() -> Gen[None]:
        channel = coop.Channel[int](0)
        channel.close()
        done: list[None] = []

        def ask() -> Gen[None]:
            while not done:
                yield from channel.recv()

        coop.spawn(ask())
        yield from passes(3)
        done.append(None)

    play(main())


# -- looking at it ------------------------------------------------------------------------------


def test_statistics_count_what_went_through() -> None:
    def main() -> Gen[None]:
        channel = coop.Channel[int](2)
        coop.spawn(_send_all(channel, 5))
        yield None
        assert (2, 2, 2, 0, 1, 0, False) == channel.statistics()
        yield from channel.recv()
        assert (2, 2, 3, 1, 0, 0, False) == channel.statistics()
        yield None
        while (yield from channel.recv()) is not coop.CLOSED:
            pass
        assert (2, 0, 5, 5, 0, 0, True) == channel.statistics()

    play(main())


def test_a_channel_says_who_waits() -> None:
    def main() -> Gen[list[str]]:
        channel = coop.Channel[int](1, name="jobs")
        texts = [repr(channel)]
        sender = coop.spawn(_send_all(channel, 2), name="sender")
        yield None
        texts.append(repr(channel))
        sender.cancel()
        return texts

    assert ["<channel 'jobs' 0 of 1>", "<channel 'jobs' 1 of 1, 1 wait: 'sender'>"] == play(main())


def test_an_empty_channel_is_true() -> None:
    assert coop.Channel[int](1)
    assert 0 == len(coop.Channel[int](1))


# -- queues -------------------------------------------------------------------------------------


def test_join_waits_until_all_work_is_done() -> None:
    def main() -> Gen[tuple[int, float]]:
        queue = coop.Queue[int]()
        done = []

        def work() -> Gen[None]:
            while (item := (yield from queue.recv())) is not coop.CLOSED:
                yield from coop.sleep(1)
                done.append(item)
                queue.task_done()

        for _ in range(2):
            coop.spawn(work())
        for item in range(6):
            yield from queue.send(item)
        assert 6 == queue.unfinished
        yield from queue.join()
        queue.close()
        return len(done), coop.current_scheduler().now

    assert (6, 3) == play(main())


def test_a_queue_says_who_waits_for_its_work() -> None:
    def main() -> Gen[str]:
        queue = coop.Queue[int](name="jobs")
        queue.try_send(1)
        task = coop.spawn(queue.join(), name="joiner")
        yield None
        text = repr(queue)
        task.cancel()
        return text

    assert "<queue 'jobs' 1, 1 unfinished, 1 wait: 'joiner'>" == play(main())


def test_joining_a_queue_without_work_does_not_wait() -> None:
    def main() -> Gen[None]:
        yield from coop.Queue[int]().join()

    play(main())


def test_more_work_cannot_be_done_than_was_received() -> None:
    queue = coop.Queue[int]()
    queue.try_send(1)
    with pytest.raises(coop.MisuseError, match="more often"):
        queue.task_done()
    queue.try_recv()
    queue.task_done()
    with pytest.raises(coop.MisuseError, match="more often"):
        queue.task_done()
