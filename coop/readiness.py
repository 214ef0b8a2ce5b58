"""Readiness: one direction of one descriptor, what is known of it, and the one retry loop.

What lives here: Readiness (the waiter for "may be read" or "may be written"), the table of
descriptors between the poller and the tasks, and ``retry``, the library's only
try–wouldblock–park–retry loop.  What it must not know: sockets, streams, protocols; an attempt is
any callable that answers WOULDBLOCK.  Stands on: outcomes, poller's bits, traps.

The rules:

* Readiness is remembered.  An event makes a direction ready, WOULDBLOCK makes it not ready, and an
  attempt that knows better (a short read has drained the socket) may say so itself.  While it is
  not ready, an operation parks without a system call that would only fail.
* Registration lasts.  A direction is watched at its first park and stays watched; interest that
  nobody is parked on is dropped at its first event, so that no event can spin.
* One operation per direction, from its start to its end: a second one is refused, also between the
  wake-up and the step of the first.
* A descriptor is forgotten by the poller before it is closed.  Its number may come back as another
  Descriptor, with the next generation.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from coop.outcomes import WOULDBLOCK, BusyError, ClosedError, MisuseError, WouldBlock
from coop.poller import READ, WRITE
from coop.traps import Coop, Waiter, operation, running

if TYPE_CHECKING:
    from coop.scheduler import Scheduler

A = TypeVar("A")
T = TypeVar("T")

#: How many operations of one step may succeed at once before the task passes.
BUDGET: Final = 16
#: A receive that fills its buffer counts once more for each so many bytes of it.
BUDGET_BYTES: Final = 8192

# The bit rule of the poller: ERROR and HANGUP wake both directions.
_WAKES_READER: Final = ~WRITE
_WAKES_WRITER: Final = ~READ


class Readiness(Waiter):
    """One direction of a descriptor: whether it may be ready, and the task that waits for it."""

    __slots__ = ("descriptor", "is_busy", "is_ready", "is_watched", "scheduler", "side")

    external = True

    def __init__(self, descriptor: Descriptor, side: int, scheduler: Scheduler) -> None:
        self.task = None
        self.descriptor = descriptor
        #: READ or WRITE.
        self.side = side
        self.scheduler = scheduler
        #: Whether an attempt may succeed.  True at first: try, and only then wait.
        self.is_ready = True
        #: Whether the poller has been told to watch this direction.
        self.is_watched = False
        #: Whether an operation is under way.
        self.is_busy = False

    def reason(self) -> str:
        return f"{'readable' if self.side == READ else 'writable'} fd {self.descriptor.fd}"


class Witness(Protocol):
    """Whoever wants to know of what comes while nobody waits for it."""

    def something_came(self) -> None:
        """Take note that there is something to read, or the end; called by the poller's turn."""


class Descriptor:
    """A descriptor number for as long as it means one open thing."""

    __slots__ = ("fd", "generation", "is_forgotten", "reader", "witness", "writer")

    #: Its two directions; of a forgotten one, for those who hold it still.
    reader: Readiness
    writer: Readiness

    def __init__(self, fd: int, generation: int) -> None:
        self.fd = fd
        #: Counts the meanings that this scheduler has seen of any number.
        self.generation = generation
        #: Told once when the reader is ready and nobody waits: it is watched no longer then.
        self.witness: Witness | None = None
        self.is_forgotten = False

    def check(self) -> bool:
        """Return True.  Errors: ClosedError when the descriptor has been forgotten."""
        if self.is_forgotten:
            raise ClosedError(f"descriptor {self.fd} was closed")
        return True


class Descriptors:
    """The table of descriptors: what the poller's events mean."""

    __slots__ = ("_arms", "_generation", "_loans", "_scheduler", "table")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._generation = 0
        self.table: dict[int, Descriptor] = {}
        #: Directions that a choice waits for, and the waiter to wake.  Not a field of Readiness:
        #: there are two of those for each connection, and few choices.
        self._arms: dict[Readiness, Waiter] = {}
        #: How many borrow each descriptor that somebody else owns and we entered.
        self._loans: dict[Descriptor, int] = {}

    def add(self, fd: int) -> Descriptor:
        """Enter a descriptor that has just been opened."""
        stale = self.table.get(fd)
        if stale is not None:
            # The number was closed without being forgotten, or it could not come back.
            self.forget(stale)
        self._generation += 1
        descriptor = self.table[fd] = Descriptor(fd, self._generation)
        descriptor.reader = Readiness(descriptor, READ, self._scheduler)
        descriptor.writer = Readiness(descriptor, WRITE, self._scheduler)
        return descriptor

    def forget(self, descriptor: Descriptor) -> None:
        """Drop a descriptor that is about to be closed; whoever waits on it gets ClosedError."""
        if descriptor.is_forgotten:
            return
        descriptor.is_forgotten = True
        descriptor.witness = None
        del self.table[descriptor.fd]
        # Or the three would be left to the cycle collector: a double that has no directions.
        double = Descriptor(descriptor.fd, descriptor.generation)
        double.is_forgotten = True
        for way in (descriptor.reader, descriptor.writer):
            way.descriptor = double
            if way.is_watched:
                self._scheduler.poller.forget(descriptor.fd)
                way.is_watched = False
            way.is_ready = True
            if way.task is not None:
                # Thrown in, for another try could find the number to be somebody else's by then.
                way.task.error = ClosedError(f"closed while a task waited until {way.reason()}")
                way.wake()
            if way in self._arms:
                self._arms[way].wake()

    @contextmanager
    def lend(self, fd: int) -> Generator[Descriptor, None, None]:
        """Give the descriptor of a number that somebody else owns, for the length of one wait."""
        descriptor = self.borrow(fd)
        try:
            yield descriptor
        finally:
            self.give_back(descriptor)

    def borrow(self, fd: int) -> Descriptor:
        """Give the descriptor of a number that somebody else owns, until it is given back."""
        descriptor = self.table.get(fd)
        if descriptor is None:
            descriptor = self.add(fd)
            self._loans[descriptor] = 0
        if descriptor in self._loans:
            self._loans[descriptor] += 1
        return descriptor

    def give_back(self, descriptor: Descriptor) -> None:
        """End a loan.  With the last one the descriptor is forgotten.

        Its owner may close it without telling us, so it is not kept.
        """
        if descriptor in self._loans:
            self._loans[descriptor] -= 1
            if not self._loans[descriptor]:
                del self._loans[descriptor]
                self.forget(descriptor)

    def enlist(self, way: Readiness, arm: Waiter) -> None:
        """Have this arm of a choice woken, once, when the poller says that the way is ready."""
        if way.is_busy:
            raise _second_waiter(way)
        way.is_ready = False
        if not way.is_watched:
            try:
                self.watch(way)
            except OSError as error:
                raise _not_waitable(way, error) from error
        way.is_busy = True
        self._arms[way] = arm

    def strike(self, way: Readiness) -> None:
        """Forget the arm that stands at this direction."""
        del self._arms[way]
        way.is_busy = False

    def watch(self, way: Readiness) -> None:
        """Have the poller watch this direction too."""
        if running.scheduler is not self._scheduler:
            raise MisuseError(
                f"descriptor {way.descriptor.fd} was opened in another run, or another thread's: "
                "open it in the run that uses it"
            )
        descriptor = way.descriptor
        descriptor.check()
        way.is_watched = True
        interest = READ * descriptor.reader.is_watched | WRITE * descriptor.writer.is_watched
        try:
            self._scheduler.poller.watch(descriptor.fd, interest)
        except BaseException:
            way.is_watched = False
            raise

    def unwatch(self, way: Readiness) -> None:
        """Have the poller watch this direction no longer."""
        way.is_watched = False
        descriptor = way.descriptor
        interest = READ * descriptor.reader.is_watched | WRITE * descriptor.writer.is_watched
        if interest:
            self._scheduler.poller.watch(descriptor.fd, interest)
        else:
            self._scheduler.poller.forget(descriptor.fd)

    def dispatch(self, events: Iterable[tuple[int, int]]) -> None:
        """Make ready what the poller reports, and wake who waits for it."""
        table = self.table
        ready = self._scheduler.ready
        for fd, bits in events:
            descriptor = table.get(fd)
            if descriptor is None:
                self._scheduler.take_stray_event(fd)
                continue
            if bits & _WAKES_READER:
                way = descriptor.reader
                task = way.task
                if task is not None:
                    # What _make_ready does, in place: a tenth of what a message costs in Python.
                    way.is_ready = True
                    way.task = task.waiter = None
                    ready.append(task)
                else:
                    self._make_ready(way)
            if bits & _WAKES_WRITER:
                self._make_ready(descriptor.writer)

    def _make_ready(self, way: Readiness) -> None:
        way.is_ready = True
        if way.task is not None:
            way.wake()
        elif way in self._arms:
            self._arms[way].wake()
        elif way.is_watched:
            self.unwatch(way)
            witness = way.descriptor.witness
            if witness is not None and way.side == READ:
                witness.something_came()


@operation
def retry(way: Readiness, attempt: Callable[[A], T | WouldBlock], argument: A) -> Coop[T]:
    """Try; as long as the answer is WOULDBLOCK, park until this direction is ready, and try again.

    One argument, always: a call with any number of them costs a tuple, and a C frame of its own.

    Waits: may.  What succeeds at once is counted: when the step's budget is spent, the task passes
    before it tries.  A cancelled retry has done nothing; an attempt that answered is returned.
    Errors: BusyError while another operation is under way on this direction; the attempt's own.
    """
    if way.is_busy:
        raise _second_waiter(way)
    way.is_busy = True
    try:
        if way.is_ready:
            scheduler = way.scheduler
            if scheduler.budget <= 0:
                yield None
            scheduler.budget -= 1
        while not way.is_ready or (answer := attempt(argument)) is WOULDBLOCK:
            way.is_ready = False
            if not way.is_watched:
                way.scheduler.descriptors.watch(way)
            yield way
        return answer
    finally:
        way.is_busy = False


def take_turn(way: Readiness) -> Coop[None]:
    """Count an operation that needs no attempt, because a buffer has what it asks for.

    Waits: passes when the step's budget is spent.  Errors: BusyError as ``retry``; ClosedError
    when the descriptor was closed during the pass.
    """
    if way.is_busy:
        raise _second_waiter(way)
    scheduler = way.scheduler
    if scheduler.budget <= 0:
        way.is_busy = True
        try:
            yield None
        finally:
            way.is_busy = False
        way.descriptor.check()
    scheduler.budget -= 1


@operation
def wait_ready(way: Readiness) -> Coop[None]:
    """Wait until this direction is ready, by the poller's word."""
    way.is_ready = False
    try:
        yield from retry(way, Descriptor.check, way.descriptor)
    except ClosedError:
        raise
    except OSError as error:
        raise _not_waitable(way, error) from error


def _second_waiter(way: Readiness) -> BusyError:
    return BusyError(
        f"another task is already waiting until {way.reason()}: one operation per direction"
    )


def _not_waitable(way: Readiness, error: OSError) -> MisuseError:
    return MisuseError(
        f"descriptor {way.descriptor.fd} cannot be waited for ({error.strerror}): "
        "only sockets, pipes, terminals and their like can"
    )
