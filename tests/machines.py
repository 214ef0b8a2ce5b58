"""Stateful machines: a primitive beside a model of it, through whatever comes.

Each waiter is a task of its own.  The machine acts from outside, between turns, so that it reaches
every moment there is: a cancel after the wake-up and before the step, a release in between.  What
the model says happens at the moment of the call; the tasks learn of it later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from promises import EFFORT, IS_POOR
from sync_kit import Broken, Gen, make_scheduler, require, require_nobody_waits

import coop
from coop.traps import running

PENDING = "pending"


class Nobody:
    """The owner of the machine's tasks: a cancelled one may end, a failing one may not."""

    def task_ended(self, task: coop.Task, was_joined: bool) -> None:
        if task.exception is not None:
            raise Broken(f"{task!r} failed: {task.exception!r}") from task.exception


class Machine(RuleBasedStateMachine):
    """What the machines share: tasks that wait for one thing each, and what became of them."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = make_scheduler()
        self.tasks: dict[int, coop.Task] = {}
        #: By the number of the waiter: what the model expects, and what happened.
        self.expected: dict[int, Any] = {}
        self.happened: dict[int, Any] = {}

    def begin(self, number: int, operation: Gen[Any]) -> None:
        """Let a new task wait for this, and run the turn in which it begins to."""
        self.expected[number] = PENDING
        task = self.scheduler.spawn(self._note(number, operation), owner=Nobody())
        self.tasks[number] = task
        self.turn()

    def _note(self, number: int, operation: Gen[Any]) -> Gen[None]:
        try:
            self.happened[number] = yield from operation
        except coop.Cancelled:
            self.happened[number] = "cancelled"
            raise
        except coop.ClosedError:
            self.happened[number] = "closed"

    def turn(self) -> None:
        running.scheduler = self.scheduler
        try:
            if self.scheduler.ready:
                self.scheduler.turn()
        finally:
            running.scheduler = None

    def pending(self) -> list[int]:
        return [number for number, outcome in self.expected.items() if outcome is PENDING]

    @rule()
    def settle(self) -> None:
        """Run until nobody is ready; then what has happened is what the model says."""
        while self.scheduler.ready:
            self.turn()
        expected = {n: outcome for n, outcome in self.expected.items() if outcome is not PENDING}
        require(self.happened == expected, f"{self.happened} happened, not {expected}")

    def teardown(self) -> None:
        for number in list(self.tasks):
            self.tasks[number].cancel()
        while self.scheduler.ready:
            self.turn()
        require_nobody_waits(*self.things())

    def things(self) -> list[Any]:
        raise NotImplementedError


def holder_machine(make: Callable[[], Any], room: int) -> type[Machine]:
    """Return a machine for what so many may hold at once."""

    class HolderMachine(Machine):
        def __init__(self) -> None:
            super().__init__()
            self.thing = make()
            self.line: list[int] = []
            self.holding = 0

        def things(self) -> list[Any]:
            return [self.thing]

        @rule()
        def arrive(self) -> None:
            number = len(self.tasks)
            self.begin(number, self.thing.acquire())
            if self.holding < room:
                self.holding += 1
                self.expected[number] = self.thing
            else:
                self.line.append(number)

        @precondition(lambda self: self.tasks)
        @rule(data=st.data())
        def cancel(self, data: st.DataObject) -> None:
            number = data.draw(st.sampled_from(sorted(self.tasks)))
            self.tasks[number].cancel()
            if number in self.line:
                self.line.remove(number)
                self.expected[number] = "cancelled"

        @precondition(lambda self: self.holding)
        @rule()
        def release(self) -> None:
            self.thing.release()
            if self.line:
                self.expected[self.line.pop(0)] = self.thing
            else:
                self.holding -= 1

        @invariant()
        def the_line_is_as_long(self) -> None:
            require(self.thing.waiting == len(self.line), f"{self.thing!r}, not {self.line}")

        def teardown(self) -> None:
            super().teardown()
            self.line.clear()
            while self.holding:
                self.release()
            if isinstance(self.thing, coop.Semaphore):
                require(self.thing.value == room, f"permits lost or minted: {self.thing!r}")

    return HolderMachine


def channel_machine(make: Callable[[int], Any], capacity: int) -> type[Machine]:
    """Return a machine for a channel of this capacity."""

    class ChannelMachine(Machine):
        def __init__(self) -> None:
            super().__init__()
            self.channel = make(capacity)
            self.buffer: deque[int] = deque()
            self.senders: list[int] = []
            self.receivers: list[int] = []
            self.is_closed = False

        def things(self) -> list[Any]:
            return [self.channel]

        @rule()
        def send(self) -> None:
            number = len(self.tasks)  # and the value it sends
            self.begin(number, self.channel.send(number))
            self.model_send(number)

        def model_send(self, number: int) -> None:
            if self.is_closed:
                self.expected[number] = "closed"
            elif self.receivers:
                self.expected[self.receivers.pop(0)] = number
                self.expected[number] = None
            elif len(self.buffer) < capacity:
                self.buffer.append(number)
                self.expected[number] = None
            else:
                self.senders.append(number)

        @rule()
        def receive(self) -> None:
            number = len(self.tasks)
            self.begin(number, self.channel.recv())
            value = self.model_receive()
            if value is PENDING:
                self.receivers.append(number)
            else:
                self.expected[number] = value

        def model_receive(self) -> Any:
            if not self.buffer and not self.senders:
                return coop.CLOSED if self.is_closed else PENDING
            if self.senders:
                sender = self.senders.pop(0)
                self.expected[sender] = None
                self.buffer.append(sender)
            return self.buffer.popleft()

        @rule()
        def try_receive(self) -> None:
            value = self.model_receive()
            expected = coop.WOULDBLOCK if value is PENDING else value
            got = self.channel.try_recv()
            require(got == expected, f"try_recv gave {got}, not {expected}")

        @precondition(lambda self: self.tasks)
        @rule(data=st.data())
        def cancel(self, data: st.DataObject) -> None:
            number = data.draw(st.sampled_from(sorted(self.tasks)))
            self.tasks[number].cancel()
            for line in (self.senders, self.receivers):
                if number in line:
                    line.remove(number)
                    self.expected[number] = "cancelled"

        @precondition(lambda self: len(self.tasks) > 6)  # or it is closed before anything is
        @rule()
        def close(self) -> None:
            self.channel.close()
            self.is_closed = True
            for number in self.senders:
                self.expected[number] = "closed"
            for number in self.receivers:
                self.expected[number] = coop.CLOSED
            self.senders, self.receivers = [], []

        @invariant()
        def the_lines_are_as_long(self) -> None:
            told = self.channel.statistics()
            lines = (told.buffered, told.senders_waiting, told.receivers_waiting, told.is_closed)
            model = (len(self.buffer), len(self.senders), len(self.receivers), self.is_closed)
            require(lines == model, f"{self.channel!r} is {lines}, not {model}")

    return ChannelMachine


def run_machine(machine: type[Machine], examples: int = 200) -> None:
    """Run it through drawn sequences of rules.  Errors: Broken, whatever went wrong."""
    try:
        _run(machine, examples)
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"the machine stopped: {error!r}") from error


def _run(machine: type[Machine], examples: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=3 if IS_POOR else examples * EFFORT,
            stateful_step_count=30,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
            database=None,
            derandomize=EFFORT == 1,
        ),
    )
