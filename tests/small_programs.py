"""Every small program of a primitive beside a model of it: up to three tasks, in every order.

A program is a sequence of events that come between turns: a task begins, is cancelled, gives back
what it holds; a value is sent, the channel is closed; a turn is run.  All sequences of a length are
tried, so a cancel comes at each park, before the first step, and between a wake-up and the step
that follows it.  The model says what each task must note, in which order, and who waits meanwhile.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from sync_kit import Broken, Gen, make_scheduler, require, require_nobody_waits

import coop
from coop.traps import Waiter, running

Make = Callable[[], Any]
#: Programs of more tasks than this find nothing that those of three do not.
TASKS = 3


class _Nobody:
    def task_ended(self, task: coop.Task, was_joined: bool) -> None:
        if task.exception is not None:
            raise Broken(f"{task!r} failed") from task.exception


class World:
    """The primitive itself, and a model of it: both are told each event."""

    #: The events there are; those with ``{}`` are about a task, by its number.
    events: tuple[str, ...]

    def __init__(self, make: Make) -> None:
        self.scheduler = make_scheduler()
        self.thing = self.make(make)
        self.tasks: list[coop.Task] = []
        self.gates: dict[int, Waiter] = {}
        #: What the tasks note, and what the model says that they do.
        self.log: list[Any] = []
        self.model: list[Any] = []
        #: The model's ready queue: what happens in the next turn.
        self.ready: list[tuple[Callable[[int], object], int]] = []
        self.kinds: list[str] = []
        self.cancelled: set[int] = set()
        #: The model's lines, in order of arrival, and who stands before a gate.
        self.lines: list[list[int]] = [[]]
        self.gated: set[int] = set()

    def make(self, make: Make) -> Any:
        return make()

    def can(self, event: str) -> bool:
        """Whether this event makes sense now."""
        verb, _, number = event.partition(" ")
        if verb == "turn":
            return bool(self.ready)
        if verb.startswith("new"):
            return len(self.tasks) < TASKS
        if number:
            known = int(number) < len(self.tasks) and int(number) not in self.cancelled
            return known and (verb != "free" or int(number) in self.gated)
        return True

    def tell(self, event: str) -> None:
        verb, _, number = event.partition(" ")
        if verb.startswith("new"):
            self.begin(verb)
        elif number:
            getattr(self, verb)(int(number))
        else:
            getattr(self, verb)()
        self.check(event)

    def check(self, event: str) -> None:
        require(self.log == self.model, f"{event}: noted {self.log}, not {self.model}")

    # -- events of all primitives -----------------------------------------------------------------

    def begin(self, kind: str) -> None:
        number = len(self.tasks)
        self.kinds.append(kind)
        body = self._noted(number, self.body(number, kind))
        self.tasks.append(self.scheduler.spawn(body, _Nobody(), f"t{number}"))  # type: ignore[arg-type]
        self.ready.append((self.start, number))

    def _noted(self, number: int, body: Gen[Any]) -> Gen[None]:
        try:
            yield from body
        except coop.Cancelled:
            self.log.append(("cancelled", number))
            raise

    def turn(self) -> None:
        snapshot, self.ready = self.ready, []
        for step, number in snapshot:
            step(number)
        if self.scheduler.ready:
            running.scheduler = self.scheduler
            try:
                self.scheduler.turn()
            finally:
                running.scheduler = None

    def cancel(self, number: int) -> None:
        self.cancelled.add(number)
        if any(number in line for line in self.lines):
            self.leave_lines(number)
            self.ready.append((self.unwind, number))
        elif number in self.gated:
            self.gated.remove(number)
            self.ready.append((self.leave_cancelled, number))
        self.tasks[number].cancel()

    def free(self, number: int) -> None:
        self.gated.remove(number)
        self.ready.append((self.leave, number))
        self.gates[number].wake()

    # -- what the model is made of ----------------------------------------------------------------

    def body(self, number: int, kind: str) -> Gen[Any]:
        raise NotImplementedError

    def start(self, number: int) -> None:
        """What the first step of a task does."""
        raise NotImplementedError

    def leave(self, number: int) -> None:
        """What a task does that goes on after its gate."""

    def leave_cancelled(self, number: int) -> None:
        """What a task does that is cancelled there."""
        self.leave(number)
        self.model.append(("cancelled", number))

    def unwind(self, number: int) -> None:
        """What a task does that was cancelled in a line."""
        self.model.append(("cancelled", number))

    def stand(self, number: int, *lines: list[int]) -> None:
        """Stand in these lines, unless the task was cancelled before."""
        if number in self.cancelled:
            self.ready.append((self.unwind, number))
        else:
            for line in lines:
                line.append(number)

    def leave_lines(self, number: int) -> None:
        for line in self.lines:
            if number in line:
                line.remove(number)

    def wait_at_gate(self, number: int) -> None:
        if number in self.cancelled:
            self.ready.append((self.leave_cancelled, number))
        else:
            self.gated.add(number)

    def note(self, what: str) -> Callable[[int], None]:
        """A step that notes this."""
        return lambda number: self.model.append((what, number))

    def things(self) -> list[Any]:
        return [self.thing]

    def finish(self) -> None:
        """Cancel all, and let them end: nobody is left behind, and everything dies."""
        for _ in range(6):
            self.turn()
        self.check("the turns at the end")
        for number in range(len(self.tasks)):
            if number not in self.cancelled:
                self.cancel(number)
        for _ in range(6):
            self.turn()
        self.check("the end")
        require(not self.scheduler.tasks, f"{self.tasks} have not ended")
        require_nobody_waits(*self.things())
        watched = [weakref.ref(each) for each in [*self.tasks, *self.things()]]
        self.forget()
        require(not [each() for each in watched if each() is not None], "something lives on")

    def discard(self) -> None:
        """Close what a broken primitive has left open."""
        for task in self.tasks:
            with suppress(Exception):
                task.generator.close()

    def forget(self) -> None:
        self.tasks.clear()
        self.gates.clear()
        self.log.clear()
        self.scheduler = self.thing = None  # type: ignore[assignment]


def try_all(make_world: Callable[[], World], length: int) -> int:
    """Try every program up to this length; return how many.  Errors: Broken, whatever is wrong."""
    world = make_world()
    numbers = {event: range(TASKS) if "{}" in event else range(1) for event in world.events}
    events = [event.format(each) for event in world.events for each in numbers[event]]
    gc.collect()
    gc.disable()  # reference counts alone free everything
    try:
        return sum(1 for _ in _programs(make_world, events, (), length))
    finally:
        gc.enable()


def _programs(
    make_world: Callable[[], World], events: list[str], program: tuple[str, ...], length: int
) -> Iterator[None]:
    world = make_world()
    try:
        for event in program:
            world.tell(event)
        possible = [event for event in events if world.can(event)]
        world.finish()
    except BaseException as error:
        world.discard()
        raise Broken(f"{program}: {error!r}") from error
    yield
    if len(program) < length:
        for event in possible:
            yield from _programs(make_world, events, (*program, event), length)


# -- what is held ---------------------------------------------------------------------------------


def holders(make: Make, room: int) -> Callable[[], World]:
    """Return a world of what so many may hold at once."""

    class Holders(World):
        events = ("new", "new_first", "turn", "cancel {}", "free {}")
        holding = 0

        def body(self, number: int, kind: str) -> Gen[None]:
            if kind == "new":
                yield from self.thing.acquire()
            else:
                yield from coop.first(coop.Event(), self.thing)
            self.log.append(("got", number))
            try:
                gate = self.gates[number] = Waiter()
                yield gate
            finally:
                self.log.append(("back", number))
                self.thing.release()

        def start(self, number: int) -> None:
            if self.holding < room:
                self.holding += 1
                self.have(number)
            else:
                self.stand(number, self.lines[0])

        def have(self, number: int) -> None:
            self.model.append(("got", number))
            self.wait_at_gate(number)

        def leave(self, number: int) -> None:
            self.model.append(("back", number))
            if self.lines[0]:
                self.ready.append((self.have, self.lines[0].pop(0)))
            else:
                self.holding -= 1

        def check(self, event: str) -> None:
            super().check(event)
            line = len(self.lines[0])
            require(line == self.thing.waiting, f"{event}: {self.thing!r}, not {line} wait")

    return lambda: Holders(make)


# -- what is waited for ---------------------------------------------------------------------------


def events(make: Make) -> Callable[[], World]:
    """Return a world of an event."""

    class Events(World):
        events = ("new", "turn", "set", "clear", "cancel {}")
        is_set = False

        def body(self, number: int, kind: str) -> Gen[None]:
            yield from self.thing.wait()
            self.log.append(("heard", number))

        def start(self, number: int) -> None:
            if self.is_set:
                self.model.append(("heard", number))
            else:
                self.stand(number, self.lines[0])

        def set(self) -> None:
            self.thing.set()
            self.is_set = True
            self.ready += [(self.note("heard"), number) for number in self.lines[0]]
            self.lines[0].clear()

        def clear(self) -> None:
            self.thing.clear()
            self.is_set = False

    return lambda: Events(make)


def barriers(make: Make, parties: int) -> Callable[[], World]:
    """Return a world of a barrier."""

    class Barriers(World):
        events = ("new", "turn", "cancel {}")

        def body(self, number: int, kind: str) -> Gen[None]:
            place = yield from self.thing.wait()
            self.log.append((place, number))

        def start(self, number: int) -> None:
            line = self.lines[0]
            if len(line) + 1 < parties:
                self.stand(number, line)
                return
            for place, early in enumerate(line):
                self.ready.append((self.note(place), early))  # type: ignore[arg-type]
            self.model.append((len(line), number))
            line.clear()

    return lambda: Barriers(make)


def conditions(make: Make) -> Callable[[], World]:
    """Return a world of a condition: those who wait, notify one and keep the lock, notify all."""

    class Conditions(World):
        events = ("new_wait", "new_one", "new_all", "turn", "cancel {}", "free {}")

        def __init__(self, make: Make) -> None:
            super().__init__(make)
            self.lock, self.line = self.lines = [[], []]
            self.holder: int | None = None
            #: Who was notified, and whether that goes to another when they cannot take it; and
            #: who is on the way out of a wait, and takes the lock again whatever comes.
            self.notified: dict[int, bool] = {}
            self.leaving: set[int] = set()

        def things(self) -> list[Any]:
            return [self.thing, self.thing.lock]

        def body(self, number: int, kind: str) -> Gen[None]:
            with (yield from self.thing.acquire()):
                if kind == "new_wait":
                    yield from self.thing.wait()
                    self.log.append(("heard", number))
                elif kind == "new_all":
                    self.thing.notify_all()
                else:
                    self.thing.notify()
                    gate = self.gates[number] = Waiter()
                    yield gate

        def start(self, number: int) -> None:
            self.acquire(number, self.stand)

        def acquire(self, number: int, stand: Callable[[int, list[int]], None]) -> None:
            if self.holder is None:
                self.holder = number
                self.have(number)
            else:
                stand(number, self.lock)

        def release(self) -> None:
            self.holder = self.lock.pop(0) if self.lock else None
            if self.holder is not None:
                self.ready.append((self.have, self.holder))

        def have(self, number: int) -> None:
            kind = self.kinds[number]
            if number in self.leaving:
                self.release()
                self.model.append(("cancelled", number))
            elif number in self.notified:
                self.model.append(("heard", number))
                self.release()
            elif kind == "new_wait":
                self.release()
                self.notified[number] = False
                self.stand(number, self.line)
            elif kind == "new_one":
                self.notify(1, passes_on=True)
                self.wait_at_gate(number)
            else:
                self.notify(len(self.line), passes_on=False)
                self.release()

        def notify(self, count: int, *, passes_on: bool) -> None:
            for number in self.line[:count]:
                self.line.remove(number)
                self.lock.append(number)
                self.notified[number] = passes_on

        def leave(self, number: int) -> None:
            self.release()

        def cancel(self, number: int) -> None:
            if number in self.leaving:
                self.cancelled.add(number)
                self.tasks[number].cancel()
                return
            passes_on = number in self.lock and self.notified.get(number)
            super().cancel(number)
            if passes_on:
                self.notify(1, passes_on=True)

        def unwind(self, number: int) -> None:
            if number in self.notified:
                self.leaving.add(number)
                self.acquire(number, lambda number, line: line.append(number))
            else:
                super().unwind(number)

        def check(self, event: str) -> None:
            super().check(event)
            real = (self.thing.waiting, self.thing.lock.waiting)
            expected = (len(self.line), len(self.lock))
            require(real == expected, f"{event}: {self.thing!r}, not {expected} wait")

    return lambda: Conditions(make)


# -- what goes from one to the other --------------------------------------------------------------


def channels(
    make: Make, capacity: float, *, rank: Callable[[int], int] = lambda number: 0
) -> Callable[[], World]:
    """Return a world of a channel; values of a lower rank are given first."""

    class Channels(World):
        events = ("new_send", "new_recv", "new_first", "turn", "cancel {}", "close", "take")
        is_closed = False

        def __init__(self, make: Make) -> None:
            super().__init__(make)
            self.senders, self.receivers = self.lines = [[], []]
            self.buffer: list[int] = []

        def can(self, event: str) -> bool:
            return super().can(event) and not (event == "close" and self.is_closed)

        def body(self, number: int, kind: str) -> Gen[None]:
            result: Any = None
            try:
                if kind == "new_send":
                    yield from self.thing.send(number)
                elif kind == "new_recv":
                    result = yield from self.thing.recv()
                else:
                    sending = self.thing.sending(number)
                    which, result = yield from coop.first(sending, self.thing)
                    require(which == (result is not None), f"{which} gave {result}")
            except coop.ClosedError:
                result = "refused"
            self.log.append((result, number))

        def wake(self, number: int, result: Any) -> None:
            self.leave_lines(number)
            self.ready.append((self.note(result), number))

        def start(self, number: int) -> None:
            kind = self.kinds[number]
            if kind != "new_recv" and (self.is_closed or self.put(number)):
                self.model.append(("refused" if self.is_closed else None, number))
            elif kind != "new_send" and (value := self.get()) is not coop.WOULDBLOCK:
                self.model.append((value, number))
            else:
                lines = {"new_send": self.lines[:1], "new_recv": self.lines[1:]}
                self.stand(number, *lines.get(kind, self.lines))

        def put(self, number: int) -> bool:
            if self.receivers:
                self.wake(self.receivers[0], number)
            elif len(self.buffer) < capacity:
                self.buffer.append(number)
            else:
                return False
            return True

        def get(self) -> Any:
            if not self.buffer and not self.senders:
                return coop.CLOSED if self.is_closed else coop.WOULDBLOCK
            value = min(self.buffer, key=rank, default=None)
            if value is not None:
                self.buffer.remove(value)
            if self.senders:
                sender = self.senders[0]
                self.wake(sender, None)
                if value is None:
                    return sender
                self.buffer.append(sender)
            return value

        def take(self) -> None:
            got, expected = self.thing.try_recv(), self.get()
            require(got == expected, f"try_recv gave {got}, not {expected}")

        def close(self) -> None:
            self.thing.close()
            self.is_closed = True
            for number in list(self.senders):
                self.wake(number, "refused")
            for number in list(self.receivers):
                self.wake(number, coop.CLOSED)

        def check(self, event: str) -> None:
            super().check(event)
            told = self.thing.statistics()
            real = (told.buffered, told.senders_waiting, told.receivers_waiting)
            expected = (len(self.buffer), len(self.senders), len(self.receivers))
            require(real == expected, f"{event}: {self.thing!r}, not {expected}")

    return lambda: Channels(make)


def queues(make: Make) -> Callable[[], World]:
    """Return a world of a queue that is joined."""

    class Queues(World):
        events = ("new", "turn", "put", "take", "do", "cancel {}")
        sent = taken = done = 0

        def can(self, event: str) -> bool:
            limits = {"put": self.sent < 2, "take": True, "do": self.done < self.taken}
            return super().can(event) and limits.get(event, True)

        def body(self, number: int, kind: str) -> Gen[None]:
            yield from self.thing.join()
            self.log.append(("joined", number))

        def start(self, number: int) -> None:
            if self.done == self.sent:
                self.model.append(("joined", number))
            else:
                self.stand(number, self.lines[0])

        def put(self) -> None:
            require(self.thing.try_send("work"), "there was no room")
            self.sent += 1

        def take(self) -> None:
            is_there = self.taken < self.sent
            require(self.thing.try_recv() == ("work" if is_there else coop.WOULDBLOCK), "no work")
            self.taken += is_there

        def do(self) -> None:
            self.thing.task_done()
            self.done += 1
            if self.done == self.sent:
                self.ready += [(self.note("joined"), number) for number in self.lines[0]]
                self.lines[0].clear()

    return lambda: Queues(make)


def choices(first: Callable[..., Any]) -> Callable[[], World]:
    """Return a world of choices between a rendezvous, a buffer of one, and a permit."""

    class Choices(World):
        events = ("new_both", "new_mixed", "turn", "fill", "meet", "free_permit", "cancel {}")

        def make(self, make: Make) -> Any:
            self.left, self.right = coop.Channel[Any](0), coop.Channel[Any](1)
            return coop.Semaphore(0, limit=1)

        def __init__(self, make: Make) -> None:
            super().__init__(make)
            #: Who would receive from the left, send there, receive from the right, have a permit.
            self.lines = [[], [], [], []]
            self.buffered = self.permits = 0

        def can(self, event: str) -> bool:
            # Two who would send to and receive from one channel meet; that is tried elsewhere.
            mixes = event == "new_both" and "new_mixed" in self.kinds
            mixes |= event == "new_mixed" and "new_both" in self.kinds
            return super().can(event) and not mixes

        def things(self) -> list[Any]:
            return [self.thing, self.left, self.right]

        def forget(self) -> None:
            super().forget()
            del self.left, self.right

        def body(self, number: int, kind: str) -> Gen[None]:
            left = self.left if kind == "new_both" else self.left.sending(number)
            which, value = yield from first(left, self.right, self.thing)
            self.log.append(((which, None if which == 2 else value), number))

        def start(self, number: int) -> None:
            if self.buffered:
                self.buffered = 0
                self.model.append(((1, "right"), number))
            elif self.permits:
                self.permits = 0
                self.model.append(((2, None), number))
            else:
                left = self.lines[0 if self.kinds[number] == "new_both" else 1]
                self.stand(number, left, *self.lines[2:])

        def wake(self, line: list[int], chosen: Any) -> bool:
            if not line:
                return False
            number = line[0]
            self.leave_lines(number)
            self.ready.append((self.note(chosen), number))
            return True

        def fill(self) -> None:
            is_taken = self.wake(self.lines[2], (1, "right"))
            sent = bool(self.right.try_send("right"))
            require(sent == (is_taken or not self.buffered), f"{self.right!r} took {sent}")
            self.buffered = int(not is_taken)

        def meet(self) -> None:
            if self.lines[1]:
                giver = self.lines[1][0]
                self.wake(self.lines[1], (0, None))
                got = self.left.try_recv()
                require(got == giver, f"{got} was received, not {giver}")
            else:
                taken = self.wake(self.lines[0], (0, "left"))
                require(bool(self.left.try_send("left")) == taken, "nobody met")

        def free_permit(self) -> None:
            if self.permits:
                return
            self.thing.release()
            if not self.wake(self.lines[3], (2, None)):
                self.permits = 1

        def check(self, event: str) -> None:
            super().check(event)
            real = (len(self.right), self.thing.value)
            require(real == (self.buffered, self.permits), f"{event}: {self.things()}")

    return lambda: Choices(lambda: None)
