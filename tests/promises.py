"""The promises of the primitives, each as a check of any implementation.

A promise draws programs and tries each with every disturbance (see ``sync_kit``).  The tests hold
the library's primitives to them; the tests of the twins see to it that a broken one is found out.
Every promise raises Broken, and nothing else, for a primitive that does not keep it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, given, settings
from sync_kit import Gen, Program, Trial, explore, passes, require, require_nobody_waits

import coop

#: COOP_TEST_EFFORT=20 in the environment tries twenty times as many programs, new ones each time.
EFFORT = int(os.environ.get("COOP_TEST_EFFORT", "1"))
#: On a platform made poor for a test, locks are what they are elsewhere: a few programs will do.
IS_POOR = any(name in os.environ for name in ("COOP_TEST_POOR", "COOP_TEST_NO_THREADS"))

Make = Callable[[], Any]

#: Turns to pass: a little before, a little inside.
SHORT = st.integers(0, 2)


def for_all(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], examples: int) -> None:
    """Check drawn programs.  Without shrinking: a program is small, and has a hundred trials."""
    settings(
        max_examples=2 if IS_POOR else examples * EFFORT,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
        derandomize=EFFORT == 1,
    )(given(strategy)(check))()


# -- what is acquired and released --------------------------------------------------------------


def holders_come_and_go(make: Make, room: int, *, examples: int = 12) -> None:
    """Never more holders than room; first come, first served; at the end all of it is free."""
    visit = st.tuples(SHORT, st.integers(0, 4))
    plans = st.lists(st.lists(visit, min_size=1, max_size=2), min_size=room + 1, max_size=room + 3)

    def check(plan: list[list[tuple[int, int]]]) -> None:
        def program(trial: Trial) -> Gen[None]:
            thing = trial.watch(make())

            def body(group: coop.Group) -> Gen[None]:
                for number, visits in enumerate(plan):
                    trial.spawn(group, _visitor(trial, thing, number, visits))
                return
                yield

            yield from coop.group(body)
            check_line(trial.log, room)
            require_nobody_waits(thing)
            taken = []
            for _ in range(room):
                require(thing.try_acquire(), f"a permit of {thing!r} was lost")
                taken.append(thing)
                if isinstance(thing, coop.CapacityLimiter):
                    break
            if not isinstance(thing, coop.CapacityLimiter | coop.Lock):
                require(not thing.try_acquire(), f"a permit of {thing!r} was minted")
            for each in taken:
                each.release()

        explore(program, len(plan))

    for_all(plans, check, examples)


def _visitor(trial: Trial, thing: Any, number: int, visits: list[tuple[int, int]]) -> Gen[None]:
    for before, inside in visits:
        yield from passes(before)
        trial.log.append(("asks", number))
        happened = False
        try:
            happened, _ = yield from trial.attempt(number, thing.acquire())
        finally:
            trial.log.append(("gets" if happened else "leaves", number))
        if happened:
            try:
                yield from passes(inside)
            finally:
                trial.log.append(("returns", number))
                thing.release()


def check_line(log: list[tuple[Any, ...]], room: int) -> None:
    """Check what was noted of one line: nobody overtakes, and there is never more than room."""
    waiting: list[Any] = []
    inside: set[Any] = set()
    #: Those to whom a return handed a place, and who have not run since.
    woken: set[Any] = set()
    #: Those who were made to leave the line, and have not noted it yet.
    leaving: set[Any] = set()
    cancelled: set[Any] = set()
    for event, number in log:
        if event in ("timeout", "cancel"):
            leaving |= {number} - woken
            cancelled |= {number} if event == "cancel" else set()
        elif event == "asks":
            waiting.append(number)
            leaving |= {number} & cancelled
        elif event == "leaves":
            require(number in leaving, f"{number} was turned away for no reason: {log}")
            waiting.remove(number)
        elif event == "gets":
            ahead = waiting[: waiting.index(number)]
            overtaken = [each for each in ahead if each not in leaving | woken]
            require(number in woken or not overtaken, f"{number} overtook {overtaken}: {log}")
            waiting.remove(number)
            woken.discard(number)
            inside.add(number)
            require(len(inside | woken) <= room, f"{inside | woken} are inside: {log}")
        elif event == "returns":
            inside.remove(number)
            woken.update([each for each in waiting if each not in leaving | woken][:1])
        if event in ("gets", "leaves"):
            leaving.discard(number)  # a timeout is over with its operation


# -- events -------------------------------------------------------------------------------------


def everyone_hears_of_it(make: Make, *, examples: int = 12) -> None:
    """Whoever waits when an event is set goes on, also when it is cleared at once."""
    plans = st.tuples(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.booleans())

    def check(plan: tuple[list[int], bool]) -> None:
        delays, clears = plan

        def program(trial: Trial) -> Gen[None]:
            event = trial.watch(make())

            def wait(number: int) -> Gen[None]:
                yield from passes(delays[number])
                trial.log.append(("asks", number))
                happened = False
                try:
                    happened, _ = yield from trial.attempt(number, event.wait())
                finally:
                    trial.log.append(("gets" if happened else "leaves", number))

            def body(group: coop.Group) -> Gen[None]:
                for number in range(len(delays)):
                    trial.spawn(group, wait(number))
                yield from passes(3)
                trial.log.append(("sets", None))
                event.set()
                if clears:
                    event.clear()
                yield from passes(4)
                trial.log.append(("sets", None))
                event.set()

            yield from coop.group(body)
            require_nobody_waits(event)
            _check_hearing(trial.log)

        explore(program, len(delays))

    for_all(plans, check, examples)


def _check_hearing(log: list[tuple[Any, ...]]) -> None:
    waiting: set[Any] = set()
    owed: set[Any] = set()
    sets = 0
    for event, number in log:
        if event == "asks":
            waiting.add(number)
        elif event == "sets":
            sets += 1
            require(not owed, f"{owed} did not hear of it: {log}")
            owed = set(waiting)
        elif event in ("gets", "leaves", "timeout", "cancel"):
            require(event != "gets" or sets, f"{number} heard of what has not been: {log}")
            waiting.discard(number)
            owed.discard(number)


# -- conditions ---------------------------------------------------------------------------------


def no_notification_is_lost(make: Make, *, examples: int = 12) -> None:
    """With a notification for each item, no item waits while a consumer does; the lock is held.

    There is an item less than there are consumers, so a lost notification is missed.
    """
    plans = st.tuples(
        st.lists(SHORT, min_size=2, max_size=3), st.tuples(SHORT, SHORT), st.booleans()
    )

    def check(plan: tuple[list[int], tuple[int, int], bool]) -> None:
        delays, (before, inside), at_once = plan

        def program(trial: Trial) -> Gen[None]:
            condition = trial.watch(make())
            items: list[int] = []
            hungry: list[int] = []
            is_over: list[bool] = []

            def consume(number: int) -> Gen[None]:
                yield from passes(delays[number])
                with (yield from condition.acquire()):
                    while not items and not is_over:
                        hungry.append(number)
                        try:
                            happened, _ = yield from trial.attempt(number, condition.wait())
                        finally:
                            hungry.remove(number)
                            task = coop.current_task()
                            require(condition.lock.holder is task, "wait ends without the lock")
                        if not happened:
                            return
                    if items:
                        items.pop()

            def produce(count: int) -> Gen[None]:
                yield from passes(before)
                with (yield from condition.acquire()):
                    items.extend(range(count))
                    condition.notify(count)
                    yield from passes(inside)

            def body(group: coop.Group) -> Gen[None]:
                for number in range(len(delays)):
                    trial.spawn(group, consume(number))
                yield from passes(1)
                if at_once:
                    yield from produce(len(delays) - 1)
                else:
                    for _ in delays[1:]:
                        yield from produce(1)
                yield from passes(20)
                require(not (items and hungry), f"{hungry} wait, and {items} are there")
                with (yield from condition.acquire()):
                    is_over.append(True)
                    condition.notify_all()

            yield from coop.group(body)
            require_nobody_waits(condition, condition.lock)
            require(condition.lock.holder is None, f"{condition.lock!r} was not released")

        explore(program, len(delays))

    for_all(plans, check, examples)


# -- barriers -----------------------------------------------------------------------------------


def all_pass_together(make: Make, parties: int, *, examples: int = 8) -> None:
    """Nobody passes before all are there; in each round every place is given once."""
    plans = st.lists(st.tuples(SHORT, SHORT), min_size=parties, max_size=parties)

    def check(delays: list[tuple[int, int]]) -> None:
        def program(trial: Trial) -> Gen[None]:
            barrier = trial.watch(make())
            places: list[list[int]] = [[], []]
            arrived = [0, 0]

            def meet(number: int) -> Gen[None]:
                for turn, delay in enumerate(delays[number]):
                    yield from passes(delay)
                    arrived[turn] += 1
                    place = yield from trial.insist(number, barrier.wait)
                    require(arrived[turn] == parties, f"{number} passed before all were there")
                    places[turn].append(place)

            def body(group: coop.Group) -> Gen[None]:
                for number in range(parties):
                    trial.spawn(group, meet(number))
                return
                yield

            yield from coop.group(body)
            require_nobody_waits(barrier)
            for given_out in places:
                require(sorted(given_out) == list(range(parties)), f"places {given_out}")

        explore(program, parties, ("timeout",))

    for_all(plans, check, examples)


# -- channels -----------------------------------------------------------------------------------


def values_arrive_once(make: Callable[[int | None], Any], *, examples: int = 16) -> None:
    """Every value sent arrives once, in order; one whose send was cancelled does not arrive."""
    plans = st.tuples(
        st.sampled_from([0, 1, 2, None]),
        st.lists(st.lists(SHORT, min_size=1, max_size=3), min_size=1, max_size=2),
        st.lists(SHORT, min_size=0, max_size=2),
    )

    def check(plan: tuple[int | None, list[list[int]], list[int]]) -> None:
        capacity, senders, receivers = plan
        explore(_traffic(lambda: make(capacity), senders, receivers), len(senders) + len(receivers))

    for_all(plans, check, examples)


def _traffic(make: Make, senders: list[list[int]], receivers: list[int]) -> Program:
    def program(trial: Trial) -> Gen[None]:
        channel = trial.watch(make())
        traffic = Traffic(trial, channel)

        def body(group: coop.Group) -> Gen[None]:
            sending = []
            for number, delays in enumerate(senders):
                sending.append(trial.spawn(group, traffic.send_all(number, delays)))
            for number, delay in enumerate(receivers, len(senders)):
                trial.spawn(group, traffic.receive_all(number, delay))
            # The last receiver is disturbed by nobody, so that no sender waits for ever.
            group.spawn(traffic.receive_all(-1, 2))
            for task in sending:
                with_result = yield from _end_of(task)
                require(with_result or trial.disturbance, "a sender was cancelled by nobody")
            channel.close()

        yield from coop.group(body)
        require_nobody_waits(channel)
        traffic.check(is_single=not receivers)

    return program


def _end_of(task: coop.Task) -> Gen[bool]:
    try:
        yield from task.join()
    except coop.TaskCancelled:
        return False
    return True


class Traffic:
    """What goes into a channel and comes out of it."""

    def __init__(self, trial: Trial, channel: Any) -> None:
        self.trial = trial
        self.channel = channel
        #: Values in the order in which their last attempt began, and those whose send succeeded.
        self.offered: list[Any] = []
        self.sent: list[Any] = []
        self.got: list[tuple[int, Any]] = []

    def send_all(self, number: int, delays: list[int]) -> Gen[None]:
        for index, delay in enumerate(delays):
            yield from passes(delay)
            value = (number, index)
            happened = False
            while not happened:
                if value in self.offered:
                    self.offered.remove(value)
                self.offered.append(value)
                happened, _ = yield from self.trial.attempt(number, self.channel.send(value))
            self.sent.append(value)

    def receive_all(self, number: int, delay: int) -> Gen[None]:
        while True:
            yield from passes(delay)
            value = yield from self.trial.insist(number, self.channel.recv)
            if value is coop.CLOSED:
                return
            self.got.append((number, value))

    def check(self, *, is_single: bool) -> None:
        values = [value for _, value in self.got]
        require(len(values) == len(set(values)), f"a value came twice: {values}")
        require(set(values) == set(self.sent), f"sent {self.sent}, but received {values}")
        for receiver in {receiver for receiver, _ in self.got}:
            mine = [value for number, value in self.got if number == receiver]
            for sender in {sender for sender, _ in mine}:
                order = [index for number, index in mine if number == sender]
                require(order == sorted(order), f"{receiver} received out of order: {mine}")
        if is_single:
            expected = [value for value in self.offered if value in self.sent]
            require(values == expected, f"offered {expected}, but received {values}")


# -- choices ------------------------------------------------------------------------------------


def exactly_one_happens(first: Callable[..., Any], *, examples: int = 10) -> None:
    """Of several alternatives one happens: no value is lost or doubled, no permit is kept."""
    plans = st.tuples(
        st.sampled_from([0, 1]),
        st.lists(SHORT, min_size=1, max_size=2),
        st.lists(SHORT, min_size=2, max_size=3),
        st.booleans(),
    )

    def check(plan: tuple[int, list[int], list[int], bool]) -> None:
        capacity, choosers, values, sends_by_choice = plan

        def program(trial: Trial) -> Gen[None]:
            left, right = coop.Channel[int](capacity), coop.Channel[int](capacity)
            permits = trial.watch(coop.Semaphore(1, limit=1))
            got: list[int] = []

            def choose(number: int) -> Gen[None]:
                yield from passes(choosers[number])
                for _ in range(3):
                    happened, chosen = yield from trial.attempt(
                        number, first(left, right, permits, late=coop.after(1))
                    )
                    if not happened or chosen is None:
                        continue
                    if chosen.which == 2:
                        try:
                            yield from passes(1)
                        finally:
                            permits.release()
                    elif chosen.which != "late" and chosen.value is not coop.CLOSED:
                        got.append(chosen.value)

            def feed() -> Gen[None]:
                for value, delay in enumerate(values):
                    with (yield from permits.acquire()):
                        yield from passes(delay)
                    if sends_by_choice:
                        yield from first(left.sending(value), right.sending(value))
                    else:
                        yield from (left, right)[value % 2].send(value)
                left.close()
                right.close()

            def drain(channel: coop.Channel[int]) -> Gen[None]:
                yield from coop.sleep(2)
                while (value := (yield from channel.recv())) is not coop.CLOSED:
                    got.append(value)  # type: ignore[arg-type]

            def body(group: coop.Group) -> Gen[None]:
                for number in range(len(choosers)):
                    trial.spawn(group, choose(number))
                group.spawn(feed())
                group.spawn(drain(left))
                group.spawn(drain(right))
                return
                yield

            yield from coop.group(body)
            require(sorted(got) == list(range(len(values))), f"{values} became {got}")
            require_nobody_waits(left, right, permits)
            require(permits.value == 1, f"a permit was lost or minted: {permits!r}")

        explore(program, len(choosers))

    for_all(plans, check, examples)
