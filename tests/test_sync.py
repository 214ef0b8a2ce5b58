"""Event, Lock, Semaphore, CapacityLimiter, Condition, Barrier: their promises and their manners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import machines
import promises
import pytest
from sync_kit import Gen, passes, play

import coop
from coop.readiness import BUDGET

pytestmark = pytest.mark.core

# -- promises: no program, and no cancel at any moment of it, loses anything --------------------


def test_a_lock_loses_nothing() -> None:
    promises.holders_come_and_go(coop.Lock, 1)


@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_semaphore_loses_nothing(room: int) -> None:
    promises.holders_come_and_go(lambda: coop.Semaphore(room, limit=room), room, examples=6)


@pytest.mark.parametrize("room", [1, 2])
def test_a_capacity_limiter_loses_nothing(room: int) -> None:
    promises.holders_come_and_go(lambda: coop.CapacityLimiter(room), room, examples=8)


def test_an_event_reaches_everyone() -> None:
    promises.everyone_hears_of_it(coop.Event)


def test_a_condition_loses_no_notification() -> None:
    promises.no_notification_is_lost(coop.Condition)


@pytest.mark.parametrize("parties", [1, 2, 3])
def test_a_barrier_lets_all_pass_together(parties: int) -> None:
    promises.all_pass_together(lambda: coop.Barrier(parties), parties)


def test_a_lock_is_like_its_model() -> None:
    machines.run_machine(machines.holder_machine(coop.Lock, 1))


@pytest.mark.parametrize("room", [1, 2])
def test_a_semaphore_is_like_its_model(room: int) -> None:
    machines.run_machine(machines.holder_machine(lambda: coop.Semaphore(room), room))


# -- what they have in common -------------------------------------------------------------------

ALL: dict[str, Callable[[], Any]] = {
    "event": coop.Event,
    "lock": coop.Lock,
    "semaphore": lambda: coop.Semaphore(1),
    "limiter": lambda: coop.CapacityLimiter(1),
    "condition": coop.Condition,
    "barrier": lambda: coop.Barrier(1),
    "channel": lambda: coop.Channel(1),
    "queue": coop.Queue,
    "priority queue": coop.PriorityQueue,
}
HOLDABLE = [coop.Lock, lambda: coop.Semaphore(1), lambda: coop.CapacityLimiter(1)]


@pytest.mark.parametrize("make", HOLDABLE)
def test_with_releases_at_the_end_of_the_block(make: Callable[[], Any]) -> None:
    def main() -> Gen[bool]:
        thing = make()
        with (yield from thing.acquire()) as held:
            assert held is thing
        return bool(thing.try_acquire())

    assert play(main())


@pytest.mark.parametrize("make", HOLDABLE)
def test_async_with_releases_at_the_end_of_the_block(make: Callable[[], Any]) -> None:
    async def main() -> bool:
        thing = make()
        async with thing as held:
            assert held is thing
        return bool(thing.try_acquire())

    assert play(main())  # type: ignore[arg-type]


@pytest.mark.parametrize("make", HOLDABLE)
def test_an_error_in_the_block_releases_too(make: Callable[[], Any]) -> None:
    def main() -> Gen[bool]:
        thing = make()
        with pytest.raises(ZeroDivisionError):
            with (yield from thing.acquire()):
                raise ZeroDivisionError
        return bool(thing.try_acquire())

    assert play(main())


@pytest.mark.parametrize("make", HOLDABLE)
def test_a_timeout_ends_the_wait(make: Callable[[], Any]) -> None:
    def main() -> Gen[float]:
        thing = make()
        holder = coop.spawn(_hold_for(thing, 10))
        yield None
        with pytest.raises(TimeoutError):
            with coop.timeout(3):
                yield from thing.acquire()
        holder.cancel()
        return coop.current_scheduler().now

    assert 3 == play(main())


def _hold_for(thing: Any, seconds: float) -> Gen[None]:
    with (yield from thing.acquire()):
        yield from coop.sleep(seconds)


@pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
def test_waiting_outside_a_run_is_refused(make: Callable[[], Any]) -> None:
    thing = make()
    wait = getattr(thing, "acquire", None) or getattr(thing, "recv", None) or thing.wait
    with pytest.raises(coop.MisuseError, match=r"coop\.run"):
        next(wait())


@pytest.mark.parametrize(
    "make",
    [
        lambda: coop.Semaphore(-1),
        lambda: coop.Semaphore(2, limit=1),
        lambda: coop.CapacityLimiter(0),
        lambda: coop.Barrier(0),
        lambda: coop.Channel(-1),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"(a semaphore|a limiter|a barrier|a channel).* or more"):
        make()


@pytest.mark.parametrize("number", [1.5, float("nan"), float("inf"), "3", b"1", [1]], ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        coop.Semaphore,
        lambda number: coop.Semaphore(1, limit=number),
        coop.CapacityLimiter,
        coop.Barrier,
        coop.Channel,
        coop.Queue,
        coop.PriorityQueue,
    ],
)
def test_a_count_that_is_no_whole_number_is_refused(
    make: Callable[[Any], Any], number: object
) -> None:
    """A semaphore of 1.5 permits gave out two of them, and never had none again."""
    with pytest.raises(TypeError, match=r"^the .* of a .*, and a whole number, not "):
        make(number)


def test_a_limiter_and_a_condition_refuse_what_is_no_count() -> None:
    def main() -> Gen[None]:
        limiter, condition = coop.CapacityLimiter(1), coop.Condition()
        with pytest.raises(TypeError, match=r"whole number, not 2\.5"):
            limiter.total = 2.5  # type: ignore[assignment]
        assert 1 == limiter.total
        with (yield from condition.acquire()):
            with pytest.raises(TypeError, match=r"whole number, not 1\.5"):
                condition.notify(1.5)  # type: ignore[arg-type]

    play(main())


@pytest.mark.parametrize("lock", [5, "lock", coop.Event], ids=repr)
def test_a_condition_wants_a_lock(lock: Any) -> None:
    with pytest.raises(TypeError, match=r"a condition is guarded by a coop\.Lock, not "):
        coop.Condition(lock)


@pytest.mark.parametrize("make", HOLDABLE)
def test_a_task_that_always_finds_it_free_starves_nobody(make: Callable[[], Any]) -> None:
    def main() -> Gen[int]:
        thing = make()
        done: list[None] = []

        def greedy() -> Gen[None]:
            while not done:
                (yield from thing.acquire()).release()

        task = coop.spawn(greedy())
        yield from passes(3)
        done.append(None)
        yield from task.join()
        return task.number

    play(main())


def test_waiting_for_a_set_event_spends_from_the_budget() -> None:
    def main() -> Gen[int]:
        event = coop.Event()
        event.set()
        scheduler = coop.current_scheduler()
        yield None
        turn = scheduler.turns
        for _ in range(BUDGET + 1):
            yield from event.wait()
        return scheduler.turns - turn

    assert 1 == play(main())


# -- lock ---------------------------------------------------------------------------------------


def test_a_lock_cannot_be_acquired_twice_by_one_task() -> None:
    def main() -> Gen[None]:
        lock = coop.Lock()
        with (yield from lock.acquire()):
            with pytest.raises(coop.MisuseError, match="already"):
                yield from lock.acquire()
            with pytest.raises(coop.MisuseError, match="already"):
                lock.try_acquire()

    play(main())


def test_a_lock_that_is_free_cannot_be_released() -> None:
    def main() -> Gen[None]:
        with pytest.raises(coop.MisuseError, match="free"):
            coop.Lock().release()
        return
        yield

    play(main())


def test_a_lock_cannot_be_released_by_another_task() -> None:
    def main() -> Gen[None]:
        lock = coop.Lock(name="door")
        holder = coop.spawn(_hold_for(lock, 10), name="holder")
        yield None
        with pytest.raises(coop.MisuseError, match="<lock 'door' held by 'holder'>"):
            lock.release()
        holder.cancel()

    play(main())


def test_with_a_lock_that_was_not_acquired_is_refused() -> None:
    def main() -> Gen[None]:
        with pytest.raises(coop.MisuseError, match=r"yield from lock\.acquire"):
            with coop.Lock():
                pass
        return
        yield

    play(main())


def test_a_lock_of_a_task_that_has_ended_says_so() -> None:
    def main() -> Gen[str]:
        lock = coop.Lock()
        task = coop.spawn(lock.acquire(), name="gone")
        yield from task.join()
        return repr(lock)

    assert "<lock held by 'gone', which has ended>" == play(main())


def test_a_lock_says_who_waits() -> None:
    def main() -> Gen[str]:
        lock = coop.Lock(name="door")
        for number in range(5):
            coop.spawn(_hold_for(lock, 0), name=f"t{number}")
        yield None
        return repr(lock)

    assert "<lock 'door' held by 't0', 4 wait: 't1', 't2', 't3', …>" == play(main())


# -- semaphore and limiter ----------------------------------------------------------------------


def test_a_semaphore_with_a_limit_cannot_be_released_beyond_it() -> None:
    semaphore = coop.Semaphore(2, limit=2)
    with pytest.raises(coop.MisuseError, match="more often"):
        semaphore.release()
    assert 2 == semaphore.value


def test_a_semaphore_without_a_limit_takes_permits_from_anywhere() -> None:
    semaphore = coop.Semaphore(0)
    semaphore.release()
    assert 1 == semaphore.value
    assert "<semaphore 1 free>" == repr(semaphore)


def test_a_limiter_gives_each_task_one_place() -> None:
    def main() -> Gen[None]:
        limiter = coop.CapacityLimiter(2)
        with (yield from limiter.acquire()):
            with pytest.raises(coop.MisuseError, match="already"):
                yield from limiter.acquire()
        with pytest.raises(coop.MisuseError, match="no place"):
            limiter.release()

    play(main())


def test_a_limiter_that_grows_admits_those_in_line() -> None:
    def main() -> Gen[tuple[Any, ...]]:
        limiter = coop.CapacityLimiter(1)
        tasks = [coop.spawn(_hold_for(limiter, 10)) for _ in range(4)]
        yield None
        before = limiter.statistics()[:3]
        limiter.total = 3
        after = limiter.statistics()[:3]
        limiter.total = 1
        shrunk = limiter.statistics()[:3]
        for task in tasks:
            task.cancel()
        return before, after, shrunk

    assert ((1, 1, 3), (3, 3, 1), (1, 3, 1)) == play(main())


# -- condition ----------------------------------------------------------------------------------


def test_a_condition_wants_its_lock() -> None:
    def main() -> Gen[None]:
        condition = coop.Condition()
        for wrong in (condition.notify, condition.notify_all, lambda: next(condition.wait())):
            with pytest.raises(coop.MisuseError, match="without its lock"):
                wrong()
        return
        yield

    play(main())


def test_wait_for_looks_before_it_waits() -> None:
    def main() -> Gen[str]:
        condition = coop.Condition()
        with (yield from condition.acquire()):
            return (yield from condition.wait_for(lambda: "there"))

    assert "there" == play(main())


def test_wait_for_wants_a_predicate_that_does_not_wait() -> None:
    """A generator is true whatever it would give, and so was the condition, at once."""

    def predicate() -> Gen[bool]:
        yield
        return False

    async def predicate_too() -> bool:
        return False

    def main() -> Gen[None]:
        condition = coop.Condition()
        with (yield from condition.acquire()):
            for wrong in (predicate, predicate_too):
                with pytest.raises(TypeError, match="a function that tells at once; it gave <"):
                    yield from condition.wait_for(wrong)

    play(main())


def test_wait_for_waits_until_it_is_so() -> None:
    def main() -> Gen[list[int]]:
        condition = coop.Condition()
        items: list[int] = []

        def produce() -> Gen[None]:
            for item in range(3):
                with (yield from condition.acquire()):
                    items.append(item)
                    condition.notify()

        coop.spawn(produce())
        with (yield from condition.acquire()):
            yield from condition.wait_for(lambda: len(items) == 3)
            return items

    assert [0, 1, 2] == play(main())


def test_those_notified_go_on_in_the_order_they_came() -> None:
    def main() -> Gen[list[int]]:
        condition = coop.Condition()
        order: list[int] = []

        def wait(number: int) -> Gen[None]:
            with (yield from condition.acquire()):
                yield from condition.wait()
                order.append(number)
                yield None

        def body(group: coop.Group) -> Gen[None]:
            for number in range(4):
                group.spawn(wait(number))
            yield from passes(2)
            with (yield from condition.acquire()):
                condition.notify(2)
                condition.notify_all()

        yield from coop.group(body)
        return order

    assert [0, 1, 2, 3] == play(main())


def test_a_condition_works_in_async_def() -> None:
    condition = coop.Condition()

    async def wait() -> str:
        async with condition:
            await condition.wait()
            return "notified"

    async def main() -> str:
        task = coop.spawn(wait())  # type: ignore[arg-type]
        await coop.sleep(0)
        async with condition:
            condition.notify()
        return str(await task.join())

    assert "notified" == play(main())  # type: ignore[arg-type]


# -- barrier ------------------------------------------------------------------------------------


def test_a_barrier_serves_again() -> None:
    def main() -> Gen[list[int]]:
        barrier = coop.Barrier(2)
        places: list[int] = []

        def meet() -> Gen[None]:
            for _ in range(3):
                place = yield from barrier.wait()
                places.append(place)

        yield from coop.gather(meet(), meet())
        return places

    assert [0, 0, 0, 1, 1, 1] == sorted(play(main()))


def test_a_barrier_says_who_is_there() -> None:
    def main() -> Gen[str]:
        barrier = coop.Barrier(3, name="start")
        task = coop.spawn(barrier.wait(), name="early")
        yield None
        text = repr(barrier)
        task.cancel()
        return text

    assert "<barrier 'start' for 3, 1 wait: 'early'>" == play(main())
