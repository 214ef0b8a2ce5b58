"""Scopes: timeouts, shields and cancelling by hand, nested every way, against a simple model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import kit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import Gen, World, play

import coop
from coop.scopes import Scope

pytestmark = pytest.mark.core


def sleep_in(scope: Scope, seconds: float) -> Gen[tuple[bool, float]]:
    """Sleep in the scope; tell whether the scope caught, and when it was left."""
    with scope:
        yield from coop.sleep(seconds)
    return scope.caught, kit.now()


# -- timeout --------------------------------------------------------------------------------------


def test_a_timeout_raises_when_the_time_is_up_and_not_before() -> None:
    def main() -> Gen[float]:
        with pytest.raises(TimeoutError, match=r"timed out after 5 s"):
            with coop.timeout(5):
                yield from coop.sleep(10)
        return kit.now()

    assert 5.0 == play(main())


def test_a_timeout_that_is_not_needed_does_nothing() -> None:
    def main() -> Gen[float]:
        with coop.timeout(5) as scope:
            yield from coop.sleep(3)
        assert not scope.caught
        assert not scope.has_expired
        yield from coop.sleep(10)
        return kit.now()

    assert 13.0 == play(main())


def test_a_timeout_error_has_the_place_where_the_time_ran_out_as_its_cause() -> None:
    def main() -> Gen[BaseException | None]:
        try:
            with coop.timeout(5):
                yield from coop.sleep(10)
        except TimeoutError as error:
            return error.__cause__
        return None

    cause = play(main())
    assert isinstance(cause, coop.Cancelled)
    assert "its deadline has passed" == cause.reason
    names = set()
    trace = cause.__traceback__
    while trace is not None:
        names.add(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert {"main", "sleep"} <= names


def test_a_timeout_without_seconds_lasts_for_ever() -> None:
    def main() -> Gen[tuple[float, float, float]]:
        with coop.timeout(None) as scope:
            yield from coop.sleep(10**9)
            return scope.deadline, scope.remaining, kit.now()

    assert (math.inf, math.inf, 10.0**9) == play(main())


def test_a_timeout_of_zero_lets_pass_what_needs_no_waiting() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"ready")
            with coop.timeout(0):
                return (yield from a.recv())

    assert b"ready" == play(main())


def test_a_timeout_of_zero_ends_the_first_wait() -> None:
    def main() -> Gen[float]:
        with pytest.raises(TimeoutError):
            with coop.timeout(0):
                yield from coop.sleep(1)
        return kit.now()

    assert 0.0 == play(main())


def test_a_timeout_of_zero_still_takes_what_the_poller_has() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            with coop.move_on_after(1):
                yield from a.recv()  # from now on it is known to be drained
            b.socket.send(b"there")
            with coop.timeout(0):
                return (yield from a.recv())

    assert b"there" == play(main())


@pytest.mark.parametrize("make", [coop.timeout, coop.move_on_after, coop.shield])
@pytest.mark.parametrize("seconds", [-1, -1e-9, -math.inf, math.nan])
def test_a_negative_time_is_refused(make: Callable[[float], Scope], seconds: float) -> None:
    with pytest.raises(ValueError, match=r"seconds from now, 0 or more, not .*None means for ever"):
        make(seconds)


def test_the_time_counts_from_the_entry() -> None:
    def main() -> Gen[float]:
        scope = coop.move_on_after(5)
        assert 5 == scope.remaining
        yield from coop.sleep(100)
        yield from sleep_in(scope, 50)
        return kit.now()

    assert 105.0 == play(main())


def test_the_time_counts_from_a_fresh_reading_of_the_clock() -> None:
    world = World()

    def main() -> Gen[float]:
        world.clock.time += 100  # a long computation in this very turn
        yield from sleep_in(coop.move_on_after(5), 50)
        return kit.now()

    assert 105.0 == world.run(main())


def test_a_deadline_that_passed_in_a_computation_is_met_at_the_next_wait() -> None:
    world = World()

    def main() -> Gen[float]:
        with pytest.raises(TimeoutError):
            with coop.timeout(5):
                world.clock.time += 100
                yield from coop.sleep(1)
        return kit.now()

    assert 100.0 == world.run(main())


def test_a_deadline_that_passed_without_a_wait_harms_nobody() -> None:
    world = World()

    def main() -> Gen[str]:
        with coop.timeout(5):
            world.clock.time += 100
        yield from coop.sleep(1)
        return "fine"

    assert "fine" == world.run(main())


def test_remaining_counts_down() -> None:
    def main() -> Gen[list[float]]:
        with coop.move_on_after(10) as scope:
            seen = [scope.remaining]
            yield from coop.sleep(4)
            seen.append(scope.remaining)
            try:
                yield from coop.sleep(100)
            finally:
                seen.append(scope.remaining)
        return seen

    assert [10.0, 6.0, 0.0] == play(main())


def test_an_error_inside_a_timeout_passes_as_it_is() -> None:
    def main() -> Gen[None]:
        with coop.timeout(5):
            yield from coop.sleep(1)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        play(main())


def test_an_error_that_replaces_cancelled_passes_as_it_is() -> None:
    def main() -> Gen[None]:
        with coop.timeout(5):
            try:
                yield from coop.sleep(10)
            finally:
                raise ValueError("in cleanup")

    with pytest.raises(ValueError, match="in cleanup"):
        play(main())


# -- move_on_after --------------------------------------------------------------------------------


def test_move_on_after_goes_on_and_tells() -> None:
    assert (True, 5.0) == play(sleep_in(coop.move_on_after(5), 10))
    assert (False, 3.0) == play(sleep_in(coop.move_on_after(5), 3))


def test_when_the_wait_and_the_deadline_end_together_the_wait_has_happened() -> None:
    assert (False, 5.0) == play(sleep_in(coop.move_on_after(5), 5))


def test_cancelled_is_raised_again_at_each_wait_until_the_scope_is_left() -> None:
    def main() -> Gen[tuple[int, float]]:
        count = 0
        with coop.move_on_after(5):
            for _ in range(3):
                try:
                    yield from coop.sleep(10)
                except coop.Cancelled:
                    count += 1
        yield from coop.sleep(1)
        return count, kit.now()

    assert (3, 6.0) == play(main())


def test_what_is_received_as_the_time_runs_out_is_not_lost() -> None:
    """Woken and cancelled exclude each other, also in one turn."""
    world = World()

    def main() -> Gen[tuple[bytes | None, bool]]:
        a, b = kit.pair()
        with a, b:
            got = None

            def both() -> None:
                b.socket.send(b"just in time")
                world.clock.time = 5.0

            world.poller.before_poll = both
            with coop.move_on_after(5) as scope:
                got = yield from a.recv()
            return got, scope.caught

    assert (b"just in time", False) == world.run(main())


# -- nesting --------------------------------------------------------------------------------------


def test_the_outer_timeout_passes_through_the_inner_in_silence() -> None:
    log: list[Any] = []

    def main() -> Gen[None]:
        try:
            with coop.timeout(3):
                try:
                    with coop.timeout(10) as inner:
                        yield from coop.sleep(100)
                except TimeoutError:
                    log.append("the inner one reported")
                finally:
                    log.append((inner.caught, inner.has_expired))
        except TimeoutError:
            log.append(kit.now())
        yield None

    play(main())
    assert [(False, False), 3.0] == log


def test_the_inner_timeout_leaves_the_outer_alone() -> None:
    def main() -> Gen[tuple[float, float]]:
        with coop.timeout(10) as outer:
            with pytest.raises(TimeoutError):
                with coop.timeout(3):
                    yield from coop.sleep(100)
            return kit.now(), outer.remaining

    assert (3.0, 7.0) == play(main())


def test_with_both_expired_at_once_the_outer_one_reports() -> None:
    def main() -> Gen[list[bool]]:
        with coop.move_on_after(5) as outer:
            with coop.move_on_after(5) as inner:
                yield from coop.sleep(100)
        return [outer.caught, inner.caught]

    assert [True, False] == play(main())


def test_an_inner_scope_cannot_outlast_the_outer() -> None:
    def main() -> Gen[float]:
        with coop.move_on_after(5):
            with coop.move_on_after(50):
                yield from coop.sleep(100)
        return kit.now()

    assert 5.0 == play(main())


def test_a_scope_entered_inside_a_cancelled_one_is_cancelled_at_once() -> None:
    def main() -> Gen[float]:
        with coop.move_on_after(5):
            try:
                yield from coop.sleep(10)
            finally:
                with coop.timeout(100):
                    yield from coop.sleep(50)
        return kit.now()

    assert 5.0 == play(main())


# -- shields --------------------------------------------------------------------------------------


def test_a_shield_protects_cleanup() -> None:
    log: list[float] = []

    def main() -> Gen[None]:
        with coop.move_on_after(5):
            try:
                yield from coop.sleep(10)
            finally:
                with coop.shield():
                    yield from coop.sleep(20)
                    log.append(kit.now())

    play(main())
    assert [25.0] == log


def test_a_shield_with_a_limit_protects_no_longer() -> None:
    log: list[Any] = []

    def main() -> Gen[float]:
        with coop.move_on_after(5):
            try:
                yield from coop.sleep(10)
            finally:
                with coop.shield(2):
                    yield from coop.sleep(20)
                    log.append("slept")
                log.append("left")
        return kit.now()

    assert 7.0 == play(main())
    assert [] == log, "what had been cancelled outside is cancelled inside too, and outward"


def test_a_shield_whose_limit_passes_without_a_cancellation_is_no_timeout() -> None:
    def main() -> Gen[float]:
        with coop.shield(2):
            yield from coop.sleep(20)
        return kit.now()

    assert 20.0 == play(main())


def test_after_a_shields_limit_the_outer_deadline_is_in_force_again() -> None:
    def main() -> Gen[float]:
        with coop.move_on_after(5):
            with coop.shield(2):
                yield from coop.sleep(20)
        return kit.now()

    assert 5.0 == play(main())


def test_an_outer_deadline_that_passed_behind_a_shield_is_met_after_it() -> None:
    log: list[float] = []

    def main() -> Gen[float]:
        with coop.move_on_after(5) as outer:
            with coop.shield():
                yield from coop.sleep(10)
                log.append(kit.now())
            yield from coop.sleep(1)
            log.append(kit.now())
        assert outer.caught
        return kit.now()

    assert 10.0 == play(main())
    assert [10.0] == log


def test_a_timeout_inside_a_shield_works_as_ever() -> None:
    def main() -> Gen[float]:
        with coop.shield():
            with pytest.raises(TimeoutError):
                with coop.timeout(3):
                    yield from coop.sleep(10)
        return kit.now()

    assert 3.0 == play(main())


def test_a_shield_holds_off_the_cancellation_of_the_task() -> None:
    log: list[Any] = []

    def work() -> Gen[None]:
        with coop.shield():
            yield from coop.sleep(10)
            log.append(kit.now())
        yield from coop.sleep(10)
        log.append("not reached")

    def main() -> Gen[coop.Task]:
        task = coop.spawn(work())
        yield from coop.sleep(1)
        task.cancel()
        yield from coop.sleep(100)
        return task

    assert "cancelled" == play(main()).state.value
    assert [10.0] == log


def test_a_shield_can_be_cancelled_itself() -> None:
    def main() -> Gen[tuple[bool, float]]:
        with coop.shield() as scope:
            coop.current_scheduler().call_soon(scope.cancel)
            yield from coop.sleep(10)
        return scope.caught, kit.now()

    assert (True, 0.0) == play(main())


# -- cancelling by hand ---------------------------------------------------------------------------


def test_another_task_cancels_a_scope_and_its_reason_travels() -> None:
    reasons: list[object] = []

    def main() -> Gen[tuple[bool, float]]:
        with coop.move_on_after(100) as scope:

            def meddle() -> Gen[None]:
                yield from coop.sleep(2)
                scope.cancel("enough")

            coop.spawn(meddle())
            try:
                yield from coop.sleep(50)
            except coop.Cancelled as cancelled:
                reasons.append(cancelled.reason)
                raise
        return scope.caught, kit.now()

    assert (True, 2.0) == play(main())
    assert ["enough"] == reasons


def test_a_timeout_that_is_cancelled_by_hand_raises_nothing() -> None:
    def main() -> Gen[bool]:
        with coop.timeout(5) as scope:
            scope.cancel()
            yield from coop.sleep(50)
        return scope.caught

    assert play(main())


def test_cancelled_before_its_entry_a_scope_ends_its_first_wait() -> None:
    def main() -> Gen[tuple[bool, float]]:
        scope = coop.move_on_after(None)
        scope.cancel()
        return (yield from sleep_in(scope, 5))

    assert (True, 0.0) == play(main())


def test_to_cancel_a_scope_again_or_after_its_end_changes_nothing() -> None:
    def main() -> Gen[float]:
        with coop.move_on_after(None) as scope:
            scope.cancel("first")
            scope.cancel("second")
        assert "first" == scope.cancel_reason
        with coop.move_on_after(None) as left:
            pass
        left.cancel()
        yield from coop.sleep(1)
        assert not left.caught
        return kit.now()

    assert 1.0 == play(main())


def test_a_scope_tells_whether_it_is_cancelled() -> None:
    scope = coop.timeout(5)
    assert "<timeout open>" == repr(scope)
    scope.cancel()
    assert "<timeout cancelled>" == repr(scope)


# -- deadlines that change ------------------------------------------------------------------------


def test_a_deadline_can_be_moved_earlier_while_its_task_waits() -> None:
    def main() -> Gen[float]:
        with coop.move_on_after(50) as scope:

            def meddle() -> Gen[None]:
                yield from coop.sleep(1)
                scope.deadline = 3.0

            coop.spawn(meddle())
            yield from coop.sleep(100)
        return kit.now()

    assert 3.0 == play(main())


def test_a_deadline_can_be_moved_later_while_its_task_waits() -> None:
    def main() -> Gen[float]:
        with coop.move_on_after(5) as scope:

            def meddle() -> Gen[None]:
                yield from coop.sleep(4)
                scope.deadline = 30.0

            coop.spawn(meddle())
            yield from coop.sleep(100)
        return kit.now()

    assert 30.0 == play(main())


def test_a_deadline_can_be_taken_away() -> None:
    def main() -> Gen[float]:
        with coop.move_on_after(5) as scope:
            scope.deadline = math.inf
            yield from coop.sleep(10)
        return kit.now()

    assert 10.0 == play(main())


def test_a_deadline_set_to_the_past_cancels_at_the_next_wait() -> None:
    def main() -> Gen[tuple[bool, float]]:
        yield from coop.sleep(10)
        with coop.move_on_after(None) as scope:
            scope.deadline = 3.0
            yield from coop.sleep(10)
        return scope.caught, kit.now()

    assert (True, 10.0) == play(main())


def test_a_deadline_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not NaN"):
        coop.move_on_after(5).deadline = math.nan


def test_a_deadline_put_off_after_it_passed_does_not_undo_the_cancellation() -> None:
    def main() -> Gen[bool]:
        with coop.move_on_after(5) as scope:
            try:
                yield from coop.sleep(10)
            except coop.Cancelled:
                scope.deadline = 1000.0
                yield from coop.sleep(1)
        return scope.caught

    assert play(main())


# -- misuse ---------------------------------------------------------------------------------------


def test_a_scope_cannot_be_entered_twice() -> None:
    def main() -> Gen[None]:
        scope = coop.timeout(5)
        with scope:
            pass
        with pytest.raises(coop.MisuseError, match="has been entered before: make a new one"):
            with scope:
                pass
        with coop.move_on_after(5) as inside:
            with pytest.raises(coop.MisuseError, match="has been entered before"):
                inside.__enter__()
        yield

    play(main())


def test_a_scope_left_out_of_order_is_named() -> None:
    def main() -> Gen[None]:
        outer, inner = coop.timeout(5), coop.move_on_after(5)
        outer.__enter__()
        inner.__enter__()
        with pytest.raises(coop.MisuseError, match="<timeout open> is left out of order"):
            outer.__exit__(None, None, None)
        with pytest.raises(coop.MisuseError, match="<scope open> is left out of order"):
            inner.__exit__(None, None, None)
        with coop.move_on_after(1) as later:
            yield from coop.sleep(10)
        assert later.caught, "the scopes of the task are in order again"

    play(main())


def test_a_scope_held_open_by_a_generator_used_as_an_iterator_is_found_out() -> None:
    def numbers() -> Gen[None]:
        with coop.timeout(5):
            yield 1

    def main() -> Gen[None]:
        iterator = numbers()
        with pytest.raises(coop.MisuseError, match=r"out of order.*used as an iterator"):
            with coop.timeout(10):
                next(iterator)
        with pytest.raises(coop.MisuseError, match="out of order"):
            next(iterator)
        yield from coop.sleep(100)

    play(main())


def test_a_scope_is_for_tasks() -> None:
    with pytest.raises(coop.MisuseError, match="no scheduler runs"):
        with coop.timeout(5):
            pass
    with pytest.raises(coop.MisuseError, match="no scheduler runs"):
        coop.convenient()


# -- what it costs --------------------------------------------------------------------------------


def test_a_million_scopes_entered_and_left_leave_no_alarms() -> None:
    def main() -> Gen[int]:
        scheduler = coop.current_scheduler()
        most = 0
        for _ in range(10_000):
            for _ in range(100):
                with coop.timeout(30):
                    pass
            with coop.timeout(30):
                yield None
            most = max(most, scheduler.alarm_count)
        return most

    assert play(main()) < 1000


def test_deadlines_that_come_nearer_and_nearer_leave_few_alarms() -> None:
    """Each of them is nearer than the last one's alarm, so each has to be set."""

    def main() -> Gen[int]:
        scheduler = coop.current_scheduler()
        most = 0
        for seconds in range(100_000, 0, -1):
            with coop.timeout(seconds):
                yield None
            most = max(most, scheduler.alarm_count)
        return most

    assert play(main()) < 1000


def test_a_timeout_around_each_of_many_waits_sets_one_alarm() -> None:
    world = World()

    def main() -> Gen[int]:
        a, b = kit.pair()
        with a, b:
            for _ in range(100):
                with coop.timeout(30):
                    yield from b.sendall(b"x")
                    yield from a.recv()
        return world.scheduler.alarm_count

    assert world.run(main()) <= 1


# -- any program, against a model -----------------------------------------------------------------


class Modelled:
    """A scope as the contract has it, without tasks or alarms."""

    def __init__(self, deadline: float, kind: str) -> None:
        self.deadline = deadline
        self.kind = kind
        self.is_shielding = kind == "shield"
        self.is_cancelled = False

    def run_out(self) -> None:
        self.is_cancelled = self.is_cancelled or self.kind != "shield"
        self.is_shielding = False
        self.deadline = math.inf if self.kind == "shield" else self.deadline


class CancelledInModel(Exception):
    pass


class Model:
    """What the contract says of a program: a stack of scopes and a clock."""

    def __init__(self) -> None:
        self.time = 0.0
        self.stack: list[Modelled] = []
        self.trace: list[Any] = []

    def visible(self) -> list[Modelled]:
        seen = []
        for scope in reversed(self.stack):
            seen.append(scope)
            if scope.is_shielding:
                break
        return seen

    def expire(self) -> None:
        for scope in reversed(self.stack):
            if scope.deadline <= self.time:
                scope.run_out()
            if scope.is_shielding:
                break

    def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        while True:
            self.expire()
            if any(scope.is_cancelled for scope in self.visible()):
                raise CancelledInModel
            nearest = min((scope.deadline for scope in self.visible()), default=math.inf)
            if nearest >= end:
                self.time = end
                self.expire()  # with both at once the wait has happened, and the time is up too
                return
            self.time = nearest

    def run(self, program: list[Any]) -> None:
        for index, (verb, *args) in enumerate(program):
            getattr(self, f"do_{verb}")(index, *args)

    def do_sleep(self, index: int, seconds: float) -> None:
        self.sleep(seconds)
        self.trace.append(("slept", index, self.time))

    def do_stubborn(self, index: int, seconds: float) -> None:
        try:
            self.sleep(seconds)
        except CancelledInModel:
            self.trace.append(("swallowed", index, self.time))

    def do_compute(self, index: int, seconds: float) -> None:
        self.time += seconds

    def do_cancel(self, index: int, depth: int) -> None:
        if depth < len(self.stack):
            self.stack[-1 - depth].is_cancelled = True

    def do_move(self, index: int, depth: int, seconds: float) -> None:
        if depth < len(self.stack):
            self.stack[-1 - depth].deadline = self.time + seconds

    def do_scope(self, index: int, kind: str, seconds: float | None, body: list[Any]) -> None:
        deadline = math.inf if seconds is None else self.time + seconds
        scope = Modelled(deadline, kind)
        self.stack.append(scope)
        try:
            self.run(body)
        except CancelledInModel:
            self.stack.remove(scope)
            is_ours = scope.is_cancelled and not any(s.is_cancelled for s in self.visible())
            if not is_ours:
                self.trace.append(("through", index, self.time))
                raise
            self.trace.append(("caught", index, self.time))
        else:
            self.stack.remove(scope)
            self.trace.append(("left", index, self.time))


KINDS = {"timeout": coop.timeout, "move on": coop.move_on_after, "shield": coop.shield}


class Real:
    """The same program, run by the library."""

    def __init__(self) -> None:
        self.world = World()
        self.stack: list[Scope] = []
        self.trace: list[Any] = []

    def run(self, program: list[Any]) -> Gen[None]:
        for index, (verb, *args) in enumerate(program):
            yield from getattr(self, f"do_{verb}")(index, *args)

    def do_sleep(self, index: int, seconds: float) -> Gen[None]:
        yield from coop.sleep(seconds)
        self.trace.append(("slept", index, kit.now()))

    def do_stubborn(self, index: int, seconds: float) -> Gen[None]:
        try:
            yield from coop.sleep(seconds)
        except coop.Cancelled:
            self.trace.append(("swallowed", index, kit.now()))

    def do_compute(self, index: int, seconds: float) -> Gen[None]:
        self.world.clock.time += seconds
        return
        yield

    def do_cancel(self, index: int, depth: int) -> Gen[None]:
        if depth < len(self.stack):
            self.stack[-1 - depth].cancel()
        return
        yield

    def do_move(self, index: int, depth: int, seconds: float) -> Gen[None]:
        if depth < len(self.stack):
            self.stack[-1 - depth].deadline = kit.now() + seconds
        return
        yield

    def do_scope(self, index: int, kind: str, seconds: float | None, body: list[Any]) -> Gen[None]:
        scope = KINDS[kind](seconds)
        try:
            with scope:
                self.stack.append(scope)
                try:
                    yield from self.run(body)
                finally:
                    self.stack.remove(scope)
        except TimeoutError:
            assert kind == "timeout"
            assert scope.caught
        except coop.Cancelled:
            self.trace.append(("through", index, kit.now()))
            raise
        self.trace.append(("caught" if scope.caught else "left", index, kit.now()))


times = st.integers(1, 8)
leaves = st.one_of(
    st.tuples(st.sampled_from(["sleep", "stubborn", "compute"]), times),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("move"), st.integers(0, 3), times),
)
kinds = st.sampled_from(list(KINDS))
programs = st.recursive(
    st.lists(leaves, max_size=4),
    lambda bodies: st.lists(
        st.one_of(leaves, st.tuples(st.just("scope"), kinds, st.none() | times, bodies)),
        max_size=4,
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("has_waited", [False, True])
def test_a_deadline_that_passed_unnoticed_counts_when_something_else_cancels(
    has_waited: bool,
) -> None:
    """Whether an alarm was set for it, by an earlier wait, makes no difference."""
    world = World()

    def main() -> Gen[list[bool]]:
        with coop.move_on_after(2) as outer:
            if has_waited:
                yield from coop.sleep(1)
            with coop.move_on_after(None) as inner:
                inner.cancel()
                world.clock.time += 2
                yield from coop.sleep(1)
        return [outer.caught, inner.caught]

    assert [True, False] == world.run(main())


@settings(max_examples=500)
@given(programs)
def test_any_program_of_scopes_does_what_the_model_says(program: list[Any]) -> None:
    model, real = Model(), Real()
    model.run(program)
    real.world.run(real.run(program))
    assert model.trace == real.trace
    assert model.time == real.world.now


@given(st.lists(st.tuples(times, times), min_size=1, max_size=8))
def test_no_timeout_is_early_or_late_whatever_the_other_tasks_do(
    pairs: list[tuple[int, int]],
) -> None:
    ends: list[float] = []

    def work(start: int, seconds: int) -> Gen[None]:
        yield from coop.sleep(start)
        with coop.move_on_after(seconds):
            yield from coop.sleep(1000)
        ends.append(kit.now())

    def main() -> Gen[None]:
        for start, seconds in pairs:
            coop.spawn(work(start, seconds))
        yield None

    play(main())
    assert sorted(float(start + seconds) for start, seconds in pairs) == ends
