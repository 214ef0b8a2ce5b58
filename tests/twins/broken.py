"""Broken twins: primitives that break one promise each, in the way real ones have.

They are kept so that the checks can be checked: a promise that one of these passes is no test.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import coop
from coop.channel import _Heap
from coop.groups import as_generator
from coop.parking import _HUSK, OwnedLot, ParkingLot, Spot
from coop.traps import current_task, operation

# -- the line under every primitive ---------------------------------------------------------------


class LifoLot(OwnedLot):
    """Serves the one that came last."""

    __slots__ = ()

    def call_first(self) -> Spot:
        self._last_to_front()
        return super().call_first()

    def move_first(self, lot: ParkingLot) -> Spot:
        self._last_to_front()
        return super().move_first(lot)

    def _last_to_front(self) -> None:
        last = next(spot for spot in reversed(self.spots) if spot.value is not _HUSK)
        self.spots.remove(last)
        self.spots.appendleft(last)


class SleepyLot(OwnedLot):
    """Takes the first out of the line, and does not wake it."""

    __slots__ = ()

    def call_first(self) -> Spot:
        return self.spots.popleft()

    def move_first(self, lot: ParkingLot) -> Spot:
        return self.spots.popleft()


class StayingLot(OwnedLot):
    """Leaves in the line who was cancelled in it."""

    __slots__ = ()

    def leave(self, spot: Spot) -> None:
        pass


class PinningLot(OwnedLot):
    """Remembers whose line it is, for ever, once somebody has come out of it."""

    pinned: list[object] = []  # noqa: RUF012  # shared by all: that is the fault

    __slots__ = ()

    def call_first(self) -> Spot:
        self.pinned.append(self.owner)
        return super().call_first()

    def move_first(self, lot: ParkingLot) -> Spot:
        self.pinned.append(self.owner)
        return super().move_first(lot)


# -- locks --------------------------------------------------------------------------------------


class LifoLock(coop.Lock):
    """Serves the one that came last."""

    __slots__ = ()

    def release(self) -> None:
        if self._lot.spots:
            self._lot.spots.rotate(1)
        super().release()


class BargingLock(coop.Lock):
    """Wakes the first and lets it try again, so that whoever comes in between overtakes it."""

    __slots__ = ()

    @operation
    def acquire(self) -> Any:
        while self.holder is not None:
            yield Spot(self._lot, current_task())
        self.holder = current_task()
        return self

    def release(self) -> None:
        self.holder = None
        self._lot.wake_first()


class ForgetfulLock(coop.Lock):
    """Notes the holder when it runs, not when it is woken: in between, the lock looks free."""

    __slots__ = ()

    @operation
    def acquire(self) -> Any:
        if self.holder is not None:
            yield Spot(self._lot, current_task())
        self.holder = current_task()
        return self

    def release(self) -> None:
        self.holder = None
        self._lot.wake_first()


class _StayingSpot(Spot):
    __slots__ = ()

    def abort(self) -> None:
        self.task = None  # and stays in line


class LosingLock(coop.Lock):
    """A cancelled waiter stays in line, and the lock is handed to it (as in bpo-27585)."""

    __slots__ = ()

    @operation
    def acquire(self) -> Any:
        if self.holder is None:
            self.holder = current_task()
        else:
            yield _StayingSpot(self._lot, current_task())
        return self

    def release(self) -> None:
        self.holder = None
        if self._lot.spots:
            spot = self._lot.spots.popleft()
            self.holder = spot.value
            spot.wake()


class PinningLock(coop.Lock):
    """Remembers everyone who ever held it."""

    past: list[Any] = []  # noqa: RUF012  # shared by all: that is the fault

    __slots__ = ()

    def release(self) -> None:
        self.past.append(self.holder)
        super().release()


class MintingSemaphore(coop.Semaphore):
    """Gives a permit back when a waiter is cancelled, though it had none."""

    __slots__ = ()

    @operation
    def acquire(self) -> Any:
        if self.value > 0:
            self.value -= 1
            return self
        try:
            yield Spot(self._lot)
        except coop.Cancelled:
            self.release()
            raise
        return self


class DroppingSemaphore(coop.Semaphore):
    """Frees the permit, and leaves a waiter that is alone in line where it is."""

    __slots__ = ()

    def release(self) -> None:
        if len(self._lot) == 1:
            self.value += 1
        else:
            super().release()


class OverfullLimiter(coop.CapacityLimiter):
    """Lets one more in when there is a queue."""

    __slots__ = ()

    def _admit(self) -> None:
        while self._lot.spots and len(self._borrowers) <= self._total:
            self._borrowers[self._lot.call_first().value] = None


# -- the others ---------------------------------------------------------------------------------


class QuietEvent(coop.Event):
    """Wakes only the first of those who wait."""

    __slots__ = ()

    def set(self) -> None:
        self.is_set = True
        self._lot.wake_first()


class RecheckingEvent(coop.Event):
    """Has the woken look again, who then miss an event that was cleared at once."""

    __slots__ = ()

    @operation
    def wait(self) -> Any:
        while not self.is_set:
            yield Spot(self._lot)


class DeafCondition(coop.Condition):
    """A notification dies with the task that was to have it (as in gh-112202)."""

    __slots__ = ()

    def move_first(self, *, passes_on: bool) -> None:
        super().move_first(passes_on=False)


class LooseCondition(coop.Condition):
    """Ends a cancelled wait without taking the lock again."""

    __slots__ = ()

    @operation
    def wait(self) -> Any:
        self.lock.release()
        yield Spot(self._lot, current_task())
        yield from self.lock.acquire()

    def move_first(self, *, passes_on: bool) -> None:
        self._lot.wake_first()


class CountingBarrier(coop.Barrier):
    """Counts those who came, also when they have left again."""

    __slots__ = ("came",)

    def __init__(self, parties: int) -> None:
        super().__init__(parties)
        self.came = 0

    @operation
    def wait(self) -> Any:
        place = self.came
        self.came += 1
        if self.came < self.parties:
            yield Spot(self._lot)
        else:
            self.came = 0
            self._lot.wake_all()
        return place


# -- channels -----------------------------------------------------------------------------------


class DoublingChannel(coop.Channel[Any]):
    """Keeps the value of a sender that was cancelled while it waited for room."""

    __slots__ = ()

    @operation
    def send(self, value: Any) -> Any:
        if self.try_send(value) is coop.WOULDBLOCK:
            self._append(value)
            self.sent += 1
            while len(self._buffer) > (self.capacity or 0):
                yield None


class DroppingChannel(coop.Channel[Any]):
    """Takes a value first and then passes: a cancel in between loses it (as in gh-86296)."""

    __slots__ = ()

    @operation
    def recv(self) -> Any:
        value = self.try_recv()
        if value is coop.WOULDBLOCK:
            spot = Spot(self._receivers)
            yield spot
            return spot.value
        yield None
        return value


class OvertakingChannel(coop.Channel[Any]):
    """Puts a waiting sender's value where there is room, and lets newer ones go before it."""

    __slots__ = ()

    @operation
    def recv(self) -> Any:
        if self._buffer:
            value = self._take()
            if self._senders.spots:
                self._senders.spots.rotate(1)
                self._append(self._senders.call_first().value)
                self.sent += 1
            return value
        value = self.try_recv()
        if value is coop.WOULDBLOCK:
            spot = Spot(self._receivers)
            yield spot
            return spot.value
        return value


class LeavingChannel(coop.Channel[Any]):
    """Forgets those who wait to receive when it is closed."""

    __slots__ = ()

    def close(self) -> None:
        self.is_closed = True


class HastyQueue(coop.Queue[Any]):
    """Lets go those who join it at the first piece of work that is done."""

    __slots__ = ()

    def task_done(self) -> None:
        super().task_done()
        self._idle.wake_all()


class UnstablePriorityQueue(coop.PriorityQueue[Any]):
    """Gives the newest of equal values first."""

    __slots__ = ()

    def _make_buffer(self) -> None:
        super()._make_buffer()
        assert isinstance(self._buffer, _Heap)
        self._buffer._arrivals = count(0, -1)


@operation
def greedy_first(*alternatives: Any, **named: Any) -> Any:
    """Leave the other lines only when it runs: what they were handed meanwhile is lost."""
    things = [*enumerate(alternatives), *named.items()]
    spots: dict[Any, Any] = {}
    for which, thing in things:
        offer = thing if hasattr(thing, "attempt") else thing.as_alternative()
        value = offer.attempt()
        if value is not coop.WOULDBLOCK:
            _leave_all(spots)
            return coop.Chosen(which, value)
        if hasattr(offer, "find_lot"):
            lot = offer.find_lot()
            spots[which] = (Spot(lot, offer.brought), lot, offer)
    try:
        while all(spot in lot.spots for spot, lot, _ in spots.values()):
            yield None
            if "late" in named and coop.current_scheduler().turns > 500:
                return coop.Chosen("late", None)
        for which, (spot, lot, offer) in spots.items():
            if spot not in lot.spots:
                return coop.Chosen(which, offer.conclude(spot.value))
    finally:
        _leave_all(spots)


# -- groups -------------------------------------------------------------------------------------


@operation
def hasty_group(body: Any, *args: Any) -> Any:
    """Returns when its body does, and leaves the children to themselves."""
    return (yield from as_generator(body(coop.Group(), *args)))


@operation
def silent_group(body: Any, *args: Any) -> Any:
    """Says nothing of the children that failed."""
    try:
        return (yield from coop.group(body, *args))
    except ExceptionGroup:
        return None


@operation
def forgiving_group(body: Any, *args: Any) -> Any:
    """Lets the others go on when one has failed."""
    errors: list[BaseException] = []
    value = yield from coop.group(body, *args, on_error=lambda _, error: errors.append(error))
    if errors:
        raise BaseExceptionGroup("", errors)
    return value


@operation
def hiding_group(body: Any, *args: Any) -> Any:
    """Ends without a cancel check: an outer timeout looks as if it had not expired (trio#1457)."""
    members = coop.Group()
    value = yield from members.run_body(as_generator(body(members, *args)))
    members.raise_errors("group")
    return value


def _leave_all(spots: dict[Any, Any]) -> None:
    for spot, lot, _ in spots.values():
        if spot in lot.spots:
            spot.abort()
