"""Choice: wait for the first of several things, in one task, without spawning any.

What lives here: ``first``, what it returns, and the alternatives that are no primitive's own: a
timer, a descriptor, the end of a task.  What it must not know: locks, channels; whatever is built
over a ParkingLot offers itself as a LineAlternative.  Stands on: arguments, outcomes, traps,
readiness, task.

The task parks on one Choice, which stands in every line with an Arm.  The first arm to be woken
decides: at that moment, inside the waker's call, every other arm leaves its line.  So exactly one
alternative has happened, and nothing was taken that is not returned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from coop.arguments import descriptor_of, length_of_time
from coop.outcomes import WOULDBLOCK, ClosedError, MisuseError, WouldBlock
from coop.parking import ParkingLot, Spot
from coop.poller import READ, WRITE, HasFileno
from coop.readiness import Readiness
from coop.task import Task
from coop.traps import FOREVER, Coop, Waiter, current_scheduler, current_task, operation

if TYPE_CHECKING:
    from coop.scheduler import Scheduler

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Arm(Protocol[T_co]):
    """A waiter that stands in one line for a Choice, and tells it when it is woken."""

    @property
    def until(self) -> float:
        """Clock time at which it is woken by itself."""

    @property
    def external(self) -> bool:
        """Whether something outside this process's tasks can wake it."""

    def abort(self) -> None:
        """Leave the line: another arm was first, or the task was cancelled."""

    def conclude(self) -> T_co:
        """Return what the alternative gives, after this arm was woken, or raise its error."""

    def reason(self) -> str:
        """Say what is waited for."""

    def blockers(self) -> Collection[Task[Any]]:
        """Return the tasks any one of which could wake this arm."""


class Alternative(Protocol[T_co]):
    """One of the things that ``first`` may wait for.  It holds no state of the wait."""

    def attempt(self) -> T_co | WouldBlock:
        """Do it now, or answer WOULDBLOCK and have done nothing."""

    def enlist(self, choice: Choice) -> Arm[T_co]:
        """Stand in line for this choice."""


class Selectable(Protocol):
    """What may be given to ``first`` as it is: an event, a lock, a channel."""

    def as_alternative(self) -> Alternative[Any]:
        """Return what ``first`` waits for when it is given this object."""


class Chosen(NamedTuple):
    """What came first: its keyword, or its position from 0, and the value it gave."""

    which: Any
    value: Any


@operation
def first(
    *alternatives: Selectable | Alternative[Any] | Task[Any],
    **named: Selectable | Alternative[Any] | Task[Any],
) -> Coop[Chosen]:
    """Wait for the first of several things; do that one and none of the others.

    ``match (yield from coop.first(news=channel, stop=event, late=coop.after(5)))``, and then
    ``case "news", message: …``.  A channel gives its next value, ``channel.sending(value)`` sends,
    an event or a task gives its end, a lock or a semaphore is acquired (and is to be released).
    Waits: may.  When several can be done at once, the first in the order given is.
    Errors: those of the alternative that was first; ValueError without any.
    """
    offers = [(which, _as_alternative(thing)) for which, thing in enumerate(alternatives)]
    offers += [(which, _as_alternative(thing)) for which, thing in named.items()]  # type: ignore[misc]
    if not offers:
        raise ValueError("first needs at least one alternative")
    scheduler = current_scheduler()
    if scheduler.budget <= 0:
        yield None  # before anything is done, so that a cancel here loses nothing
    for which, offer in offers:
        value = offer.attempt()
        if value is not WOULDBLOCK:
            scheduler.budget -= 1
            return Chosen(which, value)
    choice = Choice()
    choice.enlist([offer for _, offer in offers])
    if choice.until is not FOREVER:
        scheduler.arm(current_task(), choice.until)
    try:
        yield choice
    except GeneratorExit:
        choice.undo()
        raise
    position, arm = choice.outcome()
    return Chosen(offers[position][0], arm.conclude())


def _as_alternative(thing: Any) -> Alternative[Any]:
    if hasattr(thing, "attempt"):
        return thing  # type: ignore[no-any-return]
    if isinstance(thing, Task):
        return _Joining(thing)
    if hasattr(thing, "as_alternative"):
        return thing.as_alternative()  # type: ignore[no-any-return]
    hint = ""
    if hasattr(thing, "send") and hasattr(thing, "throw"):
        hint = ": give the object itself, such as channel or channel.sending(value); race() runs"
        hint += " generators"
    elif hasattr(thing, "fileno"):
        hint = ": did you mean coop.readable(...) or coop.writable(...)?"
    elif isinstance(thing, list | tuple):
        hint = ": give its members one by one, first(*things)"
    try:
        raise TypeError(f"first cannot wait for {thing!r}{hint}")
    finally:
        if hint and hasattr(thing, "close") and hasattr(thing, "throw"):
            thing.close()  # or Python would complain of it a second time


class Choice(Waiter):
    """Where a task parks that waits for the first of several arms."""

    __slots__ = ("_arms", "_winner", "_winner_arm", "external", "until")

    def __init__(self) -> None:
        super().__init__()
        #: One for each alternative, in order; none any more once it is closed.
        self._arms: list[Arm[Any]] = []
        #: The position of the arm that was woken; -1 once none can be.  None while it is open.
        self._winner: int | None = None
        self._winner_arm: Arm[Any] | None = None
        self.until = FOREVER
        self.external = False

    def enlist(self, alternatives: list[Alternative[Any]]) -> None:
        """Stand in the line of each of these."""
        try:
            for alternative in alternatives:
                self._arms.append(alternative.enlist(self))
        except BaseException:
            self.abort()
            raise
        self.until = min(arm.until for arm in self._arms)
        self.external = any(arm.external for arm in self._arms)

    def decide(self, winner: object) -> None:
        """Take note that this arm was woken: withdraw the others, and run the task next turn."""
        if self._winner is None:
            self._withdraw(winner)
            super().wake()

    def wake(self) -> None:
        """Let the timer win; called by the kernel when ``until`` has come."""
        self.decide(min(self._arms, key=lambda arm: arm.until))

    def abort(self) -> None:
        self._withdraw(None)
        self.task = None

    def outcome(self) -> tuple[int, Arm[Any]]:
        """Return the position and the arm of the alternative that was first."""
        # Let go of it: it refers to this choice, and the two would be left to the collector.
        arm, self._winner_arm = self._winner_arm, None
        assert self._winner is not None
        assert arm is not None
        return self._winner, arm

    def undo(self) -> None:
        """Give back what was handed over to a task that is thrown away before it could run."""
        arm, self._winner_arm = self._winner_arm, None
        if isinstance(arm, _LineArm):
            arm.undo()

    def reason(self) -> str:
        return f"the first of ({', '.join(arm.reason() for arm in self._arms)})"

    def blockers(self) -> list[Task[Any]]:
        return [task for arm in self._arms for task in arm.blockers()]

    def _withdraw(self, winner: object) -> None:
        """Close the choice.  The mark is set first: an arm that leaves may wake a sibling."""
        self._winner = -1
        arms, self._arms = self._arms, []
        for position, arm in enumerate(arms):
            if arm is winner:
                self._winner, self._winner_arm = position, arm
            else:
                arm.abort()


class LineAlternative(Generic[T]):
    """An alternative that stands in a parking lot: how every primitive offers itself."""

    __slots__ = ("attempt", "brought", "conclude", "find_lot", "undo")

    def __init__(
        self,
        attempt: Callable[[], T | WouldBlock],
        find_lot: Callable[[], ParkingLot],
        conclude: Callable[[Any], T],
        brought: object = None,
        *,
        undo: Callable[[Any], object] = lambda _: None,
    ) -> None:
        #: Does it now, or answers WOULDBLOCK.
        self.attempt = attempt
        #: Gives the line to stand in.
        self.find_lot = find_lot
        #: Makes the result of what the waker handed over, or raises.
        self.conclude = conclude
        #: What the waker finds in the spot, such as the value to send.
        self.brought = brought
        #: Gives back what the waker handed over, when the task is thrown away before it ran;
        #: called with what it brought.
        self.undo = undo

    def enlist(self, choice: Choice) -> Arm[T]:
        """Stand in line for this choice."""
        return _LineArm(self, choice)

    def __repr__(self) -> str:
        return f"<alternative: {self.find_lot().reason()}>"


class _LineArm(Spot, Generic[T]):
    """A spot that parks no task of its own, which is how a waker tells it from others."""

    __slots__ = ("_choice", "_offer")

    def __init__(self, offer: LineAlternative[T], choice: Choice) -> None:
        super().__init__(offer.find_lot(), offer.brought)
        self._offer = offer
        self._choice = choice

    def wake(self) -> None:
        self._choice.decide(self)

    def abort(self) -> None:
        super().abort()
        del self._choice, self._offer  # what is left of it may stay in the line for a while

    def conclude(self) -> T:
        return self._offer.conclude(self.value)

    def undo(self) -> None:
        self._offer.undo(self._offer.brought)

    def parked_task(self) -> Task[Any] | None:
        return self._choice.task  # type: ignore[no-any-return]


class _Joining(LineAlternative[Any]):
    """The end of a task, with its result."""

    __slots__ = ()

    def __init__(self, task: Task[Any]) -> None:
        if task is current_task():
            raise MisuseError(f"{task!r} cannot join itself")
        super().__init__(
            lambda: task.result if task.is_done else WOULDBLOCK,
            lambda: task.joiners,
            lambda _: task.result,
        )


def after(seconds: float) -> Alternative[None]:
    """Return an alternative for ``first``: so many seconds have passed since ``first`` was called.

    With 0 it can be done at once: listed last, it makes ``first`` a look that never waits.
    Errors: ValueError when negative.
    """
    return _After(length_of_time(seconds, "after wants a number of seconds, 0 or more"))


class _After:
    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def attempt(self) -> WouldBlock | None:
        return WOULDBLOCK if self._seconds else None

    def __repr__(self) -> str:
        return f"<alternative: after {self._seconds} s>"

    def enlist(self, choice: Choice) -> Arm[None]:
        return _TimerArm(current_scheduler().clock.now() + self._seconds)


class _TimerArm(Waiter):
    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until

    def conclude(self) -> None:
        return None

    def reason(self) -> str:
        return "a timer"


def readable(thing: HasFileno | int) -> Alternative[None]:
    """Return an alternative for ``first``: a descriptor, or an object with one, is readable.

    A Connection is readable at once when it holds bytes that nobody has received.
    Errors, when it is waited for: as ``wait_readable``.
    """
    return _Ready(thing, READ)


def writable(thing: HasFileno | int) -> Alternative[None]:
    """Return an alternative for ``first``: a descriptor, or an object with one, takes data."""
    return _Ready(thing, WRITE)


class _Ready:
    __slots__ = ("_side", "_thing")

    def __init__(self, thing: HasFileno | int, side: int) -> None:
        self._thing = thing
        self._side = side

    def attempt(self) -> WouldBlock | None:
        if self._side == READ and getattr(self._thing, "buffered_bytes", False):
            return None
        return WOULDBLOCK  # of all else only the poller knows

    def __repr__(self) -> str:
        return f"<alternative: {'readable' if self._side == READ else 'writable'} {self._thing!r}>"

    def enlist(self, choice: Choice) -> Arm[None]:
        return _ReadyArm(descriptor_of(self._thing), self._side, choice, current_scheduler())


class _ReadyArm(Waiter):
    """Stands at a direction of a descriptor; the table of descriptors wakes it."""

    __slots__ = ("_choice", "_descriptor", "_scheduler", "_was_closed", "_way")

    external = True

    def __init__(self, fd: int, side: int, choice: Choice, scheduler: Scheduler) -> None:
        super().__init__()
        self._choice = choice
        self._scheduler = scheduler
        self._was_closed = False
        self._descriptor = scheduler.descriptors.borrow(fd)
        self._way: Readiness = self._descriptor.reader if side == READ else self._descriptor.writer
        try:
            scheduler.descriptors.enlist(self._way, self)
        except BaseException:
            scheduler.descriptors.give_back(self._descriptor)
            raise

    def wake(self) -> None:
        self._was_closed = self._descriptor.is_forgotten
        self._choice.decide(self)
        self.abort()

    def abort(self) -> None:
        self._scheduler.descriptors.strike(self._way)
        self._scheduler.descriptors.give_back(self._descriptor)

    def conclude(self) -> None:
        if self._was_closed:
            raise ClosedError(f"descriptor {self._descriptor.fd} was closed")

    def reason(self) -> str:
        return self._way.reason()
