"""Every wait of the primitives, disturbed at every moment, in generators and in coroutines.

Two tasks wait; the first is disturbed; then what they wait for comes, once.  It must reach whom it
is due to, nobody may be left behind, and another run must find the primitive as new.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import kit
from sync_kit import Broken, Gen, lots_of, passes, play, require, require_nobody_waits

import coop


class Case(NamedTuple):
    """One wait: what is waited on, the wait, and what ends it."""

    make: Callable[[], Any]
    start: Callable[[Any], Any]
    wake: Callable[[Any], object]
    #: Whether one wake is for all who wait (or passed from one to the other), or for one.
    is_for_all: bool = True
    #: Whether the main task holds it at first.
    is_held: bool = False


def _notify(condition: coop.Condition) -> None:
    condition.lock.try_acquire()
    condition.notify()
    condition.release()


def _wait_inside(condition: coop.Condition) -> Gen[None]:
    with (yield from condition.acquire()):
        yield from condition.wait()


def _busy_queue() -> coop.Queue[str]:
    queue = coop.Queue[str]()
    queue.try_send("work")
    return queue


def _do_work(queue: coop.Queue[str]) -> None:
    if queue.try_recv():
        queue.task_done()


def _acquire(thing: Any) -> Any:
    return thing.acquire()


def _choose(thing: Any) -> Any:
    return coop.first(coop.Event(), thing, coop.after(1000))


CASES: dict[str, Case] = {
    "event": Case(coop.Event, coop.Event.wait, coop.Event.set),
    "lock": Case(coop.Lock, _acquire, coop.Lock.release, is_held=True),
    "semaphore": Case(lambda: coop.Semaphore(1), _acquire, coop.Semaphore.release, is_held=True),
    "limiter": Case(
        lambda: coop.CapacityLimiter(1), _acquire, coop.CapacityLimiter.release, is_held=True
    ),
    "condition": Case(coop.Condition, _wait_inside, _notify, is_for_all=False),
    "receive": Case(
        lambda: coop.Channel(1), coop.Channel.recv, lambda thing: thing.try_send(1), False
    ),
    "send": Case(
        lambda: coop.Channel(0), lambda thing: thing.send(1), coop.Channel.try_recv, False
    ),
    "queue": Case(_busy_queue, coop.Queue.join, _do_work),
    "first to receive": Case(
        lambda: coop.Channel(0), _choose, lambda thing: thing.try_send(1), False
    ),
    "first to send": Case(
        lambda: coop.Channel(0),
        lambda thing: _choose(thing.sending(1)),
        coop.Channel.try_recv,
        False,
    ),
    "first to hear": Case(coop.Event, _choose, coop.Event.set),
}

WAYS = ("yield from", "await")


class Play:
    """One play: A and B wait for the thing, and note that they have had it."""

    def __init__(self, case: Case, way: str, thing: Any) -> None:
        self.case, self.way, self.thing = case, way, thing
        self.notes: list[str] = []
        self.both = ["A", "B"] if case.is_for_all else ["A"]

    def spawn(self, name: str, seconds: float | None = None) -> coop.Task:
        body: Any = self._wait if self.way == "yield from" else self._await
        return coop.spawn(body(name, seconds), name=name)

    def _wait(self, name: str, seconds: float | None) -> Gen[None]:
        with coop.move_on_after(seconds):
            got = yield from self.case.start(self.thing)
            self._have(name, got)

    async def _await(self, name: str, seconds: float | None) -> None:
        with coop.move_on_after(seconds):
            awaitable = self.case.start(self.thing)
            if self.case.start is _wait_inside:
                async with self.thing:
                    got = await self.thing.wait()
                awaitable.close()
            else:
                got = await awaitable
            self._have(name, got)

    def _have(self, name: str, got: Any) -> None:
        self.notes.append(name)
        if self.case.is_held:
            got.release()

    def wake(self) -> None:
        self.case.wake(self.thing)


# Each disturbs A, has what they wait for come, and returns who must have had it.


def nothing(play: Play) -> Gen[list[str]]:
    play.spawn("A"), play.spawn("B")
    yield from passes(2)
    play.wake()
    return play.both


def cancelled_at_the_park(play: Play) -> Gen[list[str]]:
    a, _ = play.spawn("A"), play.spawn("B")
    yield from passes(2)
    a.cancel()
    yield from passes(2)
    waiting = sum(len(lot) for lot in lots_of(play.thing))
    require(waiting == 1, f"{waiting} wait, not B alone")
    play.wake()
    return ["B"]


def cancelled_just_before(play: Play) -> Gen[list[str]]:
    a, _ = play.spawn("A"), play.spawn("B")
    yield from passes(2)
    a.cancel()
    play.wake()
    # A takes the lock of the condition again before it leaves.
    return ["B"]


def cancelled_just_after(play: Play) -> Gen[list[str]]:
    a, _ = play.spawn("A"), play.spawn("B")
    yield from passes(2)
    play.wake()
    a.cancel()
    return play.both


def cancelled_before_the_first_step(play: Play) -> Gen[list[str]]:
    a, _ = play.spawn("A"), play.spawn("B")
    a.cancel()
    yield from passes(3)
    play.wake()
    return ["B"]


def timed_out(play: Play) -> Gen[list[str]]:
    play.spawn("A", seconds=1), play.spawn("B")
    yield from coop.sleep(2)
    play.wake()
    return ["B"]


def timed_out_at_once(play: Play) -> Gen[list[str]]:
    play.spawn("A", seconds=0), play.spawn("B")
    yield from passes(4)
    play.wake()
    return ["B"]


def timed_out_in_the_same_turn(play: Play) -> Gen[list[str]]:
    play.spawn("A", seconds=1), play.spawn("B")
    yield from coop.sleep(1)
    play.wake()
    yield from passes(2)
    return play.both if "A" in play.notes else ["B"]


MOMENTS: list[Callable[[Play], Gen[list[str]]]] = [
    nothing,
    cancelled_at_the_park,
    cancelled_just_before,
    cancelled_just_after,
    cancelled_before_the_first_step,
    timed_out,
    timed_out_at_once,
    timed_out_in_the_same_turn,
]


def check(
    name: str,
    moment: Callable[[Play], Gen[list[str]]],
    way: str,
    prepare: Callable[[Any], object] = lambda thing: None,
) -> None:
    """Play a moment, then throw a run away, then play once more.  Errors: Broken."""
    case = CASES[name]
    try:
        with kit.no_collector():
            thing = case.make()
            prepare(thing)
            play(_play_moment(case, way, thing, moment))
            if case.start is not coop.Queue.join:  # its work is done, once and for all
                _throw_away(case, way, thing)
                if case.start in (coop.Event.wait, _choose) and isinstance(thing, coop.Event):
                    thing.clear()
                play(_play_moment(case, way, thing, nothing))
            death = weakref.ref(thing)
            del thing
            require(death() is None, "it lives on")
    except Broken:
        raise
    except BaseException as error:
        raise Broken(f"{name}, {moment.__name__}: {error!r}") from error


def _play_moment(
    case: Case, way: str, thing: Any, moment: Callable[[Play], Gen[list[str]]]
) -> Gen[None]:
    if case.is_held:
        thing.try_acquire()
    played = Play(case, way, thing)
    expected = yield from moment(played)
    yield from passes(6)
    require(played.notes == expected, f"{played.notes} had it, not {expected}")
    for task in list(coop.current_scheduler().tasks.values()):
        if task is not coop.current_task():
            task.cancel()
    yield from passes(6)
    require_nobody_waits(thing, getattr(thing, "lock", None))
    if isinstance(thing, coop.Event):
        thing.clear()


def _throw_away(case: Case, way: str, thing: Any) -> None:
    def main() -> Gen[None]:
        with thing.try_acquire() if case.is_held else nullcontext():
            played = Play(case, way, thing)
            played.spawn("A"), played.spawn("B")
            yield from passes(2)
            coop.current_scheduler().call_soon(_interrupt)
            yield from coop.Event().wait()

    try:
        play(main())
    except KeyboardInterrupt:
        require_nobody_waits(thing, getattr(thing, "lock", None))


def _interrupt() -> None:
    raise KeyboardInterrupt
