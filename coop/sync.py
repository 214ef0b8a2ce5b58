"""Sync: what tasks of one scheduler wait for each other with.

What lives here: Event, Lock, Semaphore, CapacityLimiter, Condition, Barrier.  What it must not
know: channels, sockets, the loop.  Stands on: arguments, outcomes, traps, scopes, choice.

Every one of them is a ParkingLot and a little state, under four rules:

* First come, first served.  Whoever finds somebody waiting gets in line behind them.
* Whoever wakes a task hands over what it waited for, and does the bookkeeping.  A woken task *has*
  the lock, before it runs; nobody can get in between.  A cancelled one has nothing.
* What succeeds at once spends from the step's budget, and the task passes before it acts when that
  is spent: two tasks that always find the door open starve nobody.
* For one thread.  From another one, ``scheduler.call_threadsafe(event.set)``.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from coop.arguments import whole_number
from coop.choice import LineAlternative
from coop.outcomes import WOULDBLOCK, Cancelled, MisuseError, WouldBlock
from coop.parking import OwnedLot, Spot
from coop.scopes import shield
from coop.task import Task
from coop.traps import Coop, Operation, current_scheduler, current_task, operation, running


class Primitive:
    """What they have in common: a name for the task tree, and a repr that says who waits."""

    __slots__ = ("__weakref__", "_lot", "name")

    def __init__(self, verb: str, name: str | None) -> None:
        #: Shown in the repr, and so in every reason that speaks of this object.
        self.name = name
        self._lot = OwnedLot(self, verb)

    @property
    def waiting(self) -> int:
        """How many tasks wait here."""
        return len(self._lot)

    def _state(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        title = type(self).__name__.lower() + (f" {self.name!r}" if self.name else "")
        return f"<{title} {self._state()}{self._lot.describe()}>"


class Event(Primitive):
    """Something that has happened, or not yet; any number of tasks wait until it has."""

    __slots__ = ("is_set",)

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__("wait for", name)
        #: Whether it has happened.
        self.is_set = False

    def set(self) -> None:
        """Let it have happened: wake everyone who waits.  Again, it changes nothing."""
        self.is_set = True
        self._lot.wake_all()

    def clear(self) -> None:
        """Let it not have happened.  Those who were woken before stay woken."""
        self.is_set = False

    @operation
    def wait(self) -> Coop[None]:
        """Wait until the event is set; at once when it is."""
        scheduler = running.scheduler or current_scheduler()
        if scheduler.budget <= 0:
            yield None
        if self.is_set:
            scheduler.budget -= 1
        else:
            yield Spot(self._lot)

    def as_alternative(self) -> LineAlternative[bool]:
        """Return the alternative of ``first`` that waits until the event is set; it gives True."""
        return LineAlternative(lambda: self.is_set or WOULDBLOCK, lambda: self._lot, lambda _: True)

    def _state(self) -> str:
        return "set" if self.is_set else "not set"


class Holdable(Primitive):
    """What is acquired and released: ``with``, ``async with`` and ``first``, over three verbs.

    ``with (yield from lock.acquire()): …`` in a generator, ``async with lock: …`` in ``async def``.
    """

    __slots__ = ()

    def acquire(self) -> Operation[Any]:
        """Wait for it; return the object itself, for ``with``."""
        raise NotImplementedError

    def release(self) -> None:
        """Give it back.  Waits: never."""
        raise NotImplementedError

    def try_acquire(self) -> Any:
        """Acquire it now and return the object itself, or answer WOULDBLOCK.  Waits: never."""
        raise NotImplementedError

    def as_alternative(self) -> LineAlternative[Any]:
        """Return the alternative of ``first`` that acquires; it gives the object, to release."""
        return LineAlternative(
            self.try_acquire, lambda: self._lot, lambda _: self, current_task(), undo=self.take_back
        )

    def take_back(self, task: Any) -> None:
        """Pass on what was handed to a task that was thrown away before it ran; for the kernel."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: object = None, *exc_info: object) -> None:
        if kind is GeneratorExit and running.scheduler is None:
            self._leave_by_force()
        else:
            self.release()

    def _leave_by_force(self) -> None:
        """Release after the run, when no task is current: the one that is being closed is it."""
        self.release()

    def __aenter__(self) -> Operation[Any]:
        return self.acquire()

    @operation
    def __aexit__(self, *error: object) -> Coop[None]:
        self.__exit__(*error)
        return
        yield  # an operation is a generator, also one that never waits


class Lock(Holdable):
    """One task at a time holds it; it is handed to the one that has waited longest."""

    __slots__ = ("holder",)

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__("acquire", name)
        #: The task that holds it, or None.  Somebody waits only while there is one.
        self.holder: Task[Any] | None = None

    @operation
    def acquire(self) -> Coop[Lock]:
        """Wait until this task holds the lock; return it, for ``with``.

        Errors: MisuseError when this task holds it already, for it would wait for ever.
        """
        scheduler = running.scheduler or current_scheduler()
        if scheduler.budget <= 0:
            yield None
        task = scheduler.current
        if self.holder is None:
            scheduler.budget -= 1
            self.holder = task
        elif self.holder is task:
            raise self._second_acquire()
        else:
            try:
                yield Spot(self._lot, task)
            except GeneratorExit:
                self.take_back(task)
                raise
        return self

    def try_acquire(self) -> Lock | WouldBlock:
        task = current_task()
        if self.holder is None:
            self.holder = task
            return self
        if self.holder is task:
            raise self._second_acquire()
        return WOULDBLOCK

    def release(self) -> None:
        """Hand the lock to the next in line.  Waits: never.

        Errors: MisuseError when another task holds it, or none.
        """
        # Outside any task it is let pass: a generator that is closed by force releases too.
        holder = self.holder
        if holder is None or (holder.scheduler.current or holder) is not holder:
            raise self._not_held("release")
        lot = self._lot
        self.holder = lot.call_first().value if lot.spots else None

    def take_back(self, task: Task[Any] | None) -> None:
        if self.holder is task is not None:
            self.holder = self._lot.call_first().value if self._lot.spots else None

    def _leave_by_force(self) -> None:
        # A wait on a condition that was thrown away has left its caller without the lock.
        if self.holder is not None and _is_executing(self.holder):
            self.take_back(self.holder)

    def blockers(self) -> list[Task[Any]]:
        """Return whom those in line wait for: the holder."""
        return [] if self.holder is None else [self.holder]

    def __enter__(self) -> Lock:
        holder = self.holder
        if holder is None or holder.scheduler.current is not holder:
            raise self._not_held("enter")
        return self

    def _not_held(self, verb: str) -> MisuseError:
        return MisuseError(
            f"cannot {verb} {self!r}, which this task does not hold: acquire it with "
            "'with (yield from lock.acquire()): …'"
        )

    def _second_acquire(self) -> MisuseError:
        return MisuseError(
            f"this task holds {self!r} already: release it before acquiring it again"
        )

    def _state(self) -> str:
        if self.holder is None:
            return "free"
        ended = ", which has ended" if self.holder.is_done else ""
        return f"held by {self.holder.name!r}{ended}"


#: What a spot has for a value that a permit was handed to.
_HANDED_OVER: Final = object()


class Semaphore(Holdable):
    """A number of permits.  Who takes one need not be the one who gives it back."""

    __slots__ = ("limit", "value")

    def __init__(self, value: int, *, limit: int | None = None, name: str | None = None) -> None:
        super().__init__("acquire", name)
        #: How many permits are free.  Somebody waits only while it is 0.
        self.value = whole_number(value, 0, "the permits of a semaphore are 0 or more")
        #: How many may be free at most; None for any number.
        self.limit = limit
        if limit is not None:
            says = f"the limit of a semaphore is its permits or more, {value!r} or more"
            self.limit = whole_number(limit, value, says)

    @operation
    def acquire(self) -> Coop[Semaphore]:
        """Wait for a permit; return the semaphore, for ``with``."""
        scheduler = running.scheduler or current_scheduler()
        if scheduler.budget <= 0:
            yield None
        if self.value > 0:
            scheduler.budget -= 1
            self.value -= 1
        else:
            spot = Spot(self._lot)
            try:
                yield spot
            except GeneratorExit:
                if spot.value is _HANDED_OVER:
                    self.release()
                raise
        return self

    def try_acquire(self) -> Semaphore | WouldBlock:
        if self.value == 0:
            return WOULDBLOCK
        self.value -= 1
        return self

    def release(self) -> None:
        """Hand a permit to the next in line, or keep it free.  Waits: never.

        Errors: MisuseError when that would make more permits than the limit.
        """
        if self._lot.spots:
            self._lot.call_first().value = _HANDED_OVER
        elif self.value == self.limit:
            raise MisuseError(f"{self!r} was released more often than it was acquired")
        else:
            self.value += 1

    def take_back(self, task: object) -> None:
        self.release()

    def _state(self) -> str:
        return f"{self.value} free" + ("" if self.limit is None else f" of {self.limit}")


class LimiterStatistics(NamedTuple):
    """A moment of a CapacityLimiter."""

    total: int
    borrowed: int
    waiting: int
    borrowers: tuple[Task[Any], ...]


_PLACES: Final = "the places of a limiter are 1 or more"


class CapacityLimiter(Holdable):
    """So many places at once: each task holds one at most, and how many there are may change."""

    __slots__ = ("_borrowers", "_total")

    def __init__(self, total: int, *, name: str | None = None) -> None:
        super().__init__("acquire", name)
        #: In order of borrowing.  Somebody waits only while there are ``total`` or more.
        self._borrowers: dict[Task[Any], None] = {}
        self._total = whole_number(total, 1, _PLACES)

    @property
    def total(self) -> int:
        """How many places there are.  It may be set: more wake those in line, fewer expel nobody.

        Errors: ValueError when below 1; TypeError when no whole number.
        """
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total = whole_number(total, 1, _PLACES)
        self._admit()

    @property
    def borrowed(self) -> int:
        """How many places are taken."""
        return len(self._borrowers)

    @operation
    def acquire(self) -> Coop[CapacityLimiter]:
        """Wait for a place; return the limiter, for ``with``.

        Errors: MisuseError when this task has a place already.
        """
        scheduler = running.scheduler or current_scheduler()
        if scheduler.budget <= 0:
            yield None
        if self.try_acquire():
            scheduler.budget -= 1
        else:
            task = scheduler.current
            try:
                yield Spot(self._lot, task)
            except GeneratorExit:
                self.take_back(task)
                raise
        return self

    def try_acquire(self) -> CapacityLimiter | WouldBlock:
        task = current_task()
        if task in self._borrowers:
            raise MisuseError(f"this task has a place of {self!r} already: release it first")
        if len(self._borrowers) >= self._total:
            return WOULDBLOCK
        self._borrowers[task] = None
        return self

    def release(self) -> None:
        """Give the place of this task to the next in line.  Waits: never.

        Errors: MisuseError when this task has none.
        """
        task = current_task()
        if task not in self._borrowers:
            raise MisuseError(
                f"cannot release {self!r}: this task has no place; acquire one with "
                "'with (yield from limiter.acquire()): …'"
            )
        self.take_back(task)

    def take_back(self, task: Task[Any] | None) -> None:
        if task in self._borrowers:
            del self._borrowers[task]
            self._admit()

    def statistics(self) -> LimiterStatistics:
        """Return how the limiter stands now."""
        return LimiterStatistics(self._total, self.borrowed, self.waiting, tuple(self._borrowers))

    def blockers(self) -> list[Task[Any]]:
        """Return whom those in line wait for: any of those who have a place."""
        return list(self._borrowers)

    def _leave_by_force(self) -> None:
        for task in [task for task in self._borrowers if _is_executing(task)]:
            self.take_back(task)

    def _admit(self) -> None:
        while self._lot.spots and len(self._borrowers) < self._total:
            self._borrowers[self._lot.call_first().value] = None

    def _state(self) -> str:
        return f"{self.borrowed} of {self._total} taken"


def _is_executing(task: Task[Any]) -> bool:
    generator: Any = task.generator
    return bool(getattr(generator, "gi_running", False) or getattr(generator, "cr_running", False))


class Condition(Primitive):
    """A line of tasks that wait, inside a lock, until another tells them to look again."""

    __slots__ = ("lock",)

    def __init__(self, lock: Lock | None = None, *, name: str | None = None) -> None:
        super().__init__("be notified of", name)
        if lock is not None and not isinstance(lock, Lock):
            raise TypeError(f"a condition is guarded by a coop.Lock, not {lock!r}")
        #: The lock that guards what is waited for; one may serve several conditions.
        self.lock = Lock(name=name) if lock is None else lock

    def acquire(self) -> Operation[Lock]:
        """Wait for the lock; return it, for ``with``."""
        return self.lock.acquire()

    def release(self) -> None:
        """Release the lock."""
        self.lock.release()

    @operation
    def wait(self) -> Coop[None]:
        """Release the lock, wait to be notified, and hold the lock again.

        Also when it raises Cancelled the lock is held again, however long that takes, for the
        caller stands inside it; its notification, if it had one, went to the next in line.
        Errors: MisuseError when this task does not hold the lock.
        """
        self._check_held("wait")
        spot = _ConditionSpot(self, self.lock.holder)
        self.lock.release()
        try:
            yield spot
        except Cancelled:
            with shield():
                yield from self.lock.acquire()
            raise

    @operation
    def wait_for(self, predicate: Any) -> Coop[Any]:
        """Wait until ``predicate()`` is true, looking at once and at each notification.

        Return what it gave.  Waits: may.  Errors: as ``wait``; TypeError for a predicate that
        waits itself.
        """
        self._check_held("wait")
        value = predicate()
        while not value:
            yield from self.wait()
            value = predicate()
        if hasattr(value, "throw"):
            value.close()
            raise TypeError(f"wait_for wants a function that tells at once; it gave {value!r}")
        return value

    def notify(self, count: int = 1) -> None:
        """Let so many of those who wait go on, each once it has the lock.

        They move into the line of the lock, so nobody is woken only to wait again.
        Errors: MisuseError when this task does not hold the lock; ValueError below 1; TypeError for
        what is no whole number.
        """
        count = whole_number(count, 1, "notify wants how many to wake, 1 or more")
        self._check_held("notify")
        for _ in range(min(count, len(self._lot))):
            self.move_first(passes_on=True)

    def notify_all(self) -> None:
        """Let everyone who waits now go on.  Errors: as ``notify``."""
        self._check_held("notify")
        while self._lot.spots:
            self.move_first(passes_on=False)

    def move_first(self, *, passes_on: bool) -> None:
        """Move the first in line, if any, into the line of the lock; for the spots themselves."""
        if self._lot.spots:
            spot: Any = self._lot.move_first(self.lock._lot)
            spot.passes_on = passes_on

    def __aenter__(self) -> Operation[Lock]:
        return self.acquire()

    @operation
    def __aexit__(self, *error: object) -> Coop[None]:
        self.lock.__exit__(*error)
        return
        yield  # an operation is a generator, also one that never waits

    def _check_held(self, verb: str) -> None:
        holder = self.lock.holder
        if holder is None or holder.scheduler.current is not holder:
            raise MisuseError(
                f"cannot {verb} on {self!r} without its lock: do it inside "
                "'with (yield from condition.acquire()): …'"
            )

    def _state(self) -> str:
        return f"of {self.lock!r}"


class _ConditionSpot(Spot):
    """A place in the line of a condition, and, once notified, in that of its lock."""

    __slots__ = ("_condition", "passes_on")

    def __init__(self, condition: Condition, task: Task[Any] | None) -> None:
        super().__init__(condition._lot, task)
        self._condition = condition
        #: Whether the notification goes to another when this task cannot take it.
        self.passes_on = False

    def abort(self) -> None:
        super().abort()
        if self.passes_on:
            self._condition.move_first(passes_on=True)


class Barrier(Primitive):
    """A place where tasks wait until so many of them are there, then all go on together."""

    __slots__ = ("parties",)

    def __init__(self, parties: int, *, name: str | None = None) -> None:
        super().__init__("pass", name)
        #: How many have to be there.  It serves again and again.
        self.parties = whole_number(parties, 1, "the parties of a barrier are 1 task or more")

    @operation
    def wait(self) -> Coop[int]:
        """Wait until all are there; return this task's place in the order of arrival, from 0.

        A task that is cancelled while it waits has not been there.
        """
        scheduler = running.scheduler or current_scheduler()
        if scheduler.budget <= 0:
            yield None
        there = len(self._lot)
        if there + 1 < self.parties:
            spot = Spot(self._lot)
            yield spot
            return int(spot.value)
        scheduler.budget -= 1
        for place in range(there):
            self._lot.wake_first(place)
        return there

    def _state(self) -> str:
        return f"for {self.parties}"
