"""Tasks: names, results, joining, cancelling, and what may be yielded."""

from __future__ import annotations

import collections.abc
import contextvars
import gc
import inspect
import logging
import re
import traceback
import types
import weakref
from typing import Any

import kit
import pytest
from kit import Gen, play

import coop
from coop.task import TaskState
from coop.traps import Waiter

pytestmark = pytest.mark.core


class HandMade(collections.abc.Generator[Any, Any, Any]):
    """A generator that is no ``types.GeneratorType``, as Cython and psycopg make them."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def send(self, value: Any) -> Any:
        return self.inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self.inner.throw(*error)


def answer(value: Any = 42) -> Gen[Any]:
    yield None
    return value


def fail(error: BaseException) -> Gen[None]:
    yield None
    raise error


def wait_forever() -> Gen[None]:
    yield from coop.sleep(10**9)


# -- what can be a task ---------------------------------------------------------------------------


def test_a_generator_becomes_a_task() -> None:
    def main() -> Gen[Any]:
        return (yield from coop.spawn(answer()).join())

    assert 42 == play(main())


def test_an_async_function_becomes_a_task() -> None:
    async def sleepy() -> str:
        await coop.sleep(3)
        return "awake"

    def main() -> Gen[Any]:
        return (yield from coop.spawn(sleepy()).join())

    assert "awake" == play(main())


def test_an_operation_becomes_a_task() -> None:
    def main() -> Gen[Any]:
        yield from coop.spawn(coop.sleep(3)).join()
        return kit.now()

    assert 3.0 == play(main())


def test_what_is_no_generator_type_but_behaves_like_one_becomes_a_task() -> None:
    def sleepy() -> Gen[float]:
        with coop.move_on_after(2):
            yield from coop.sleep(5)
        return kit.now()

    def main() -> Gen[Any]:
        task = coop.spawn(HandMade(sleepy()))
        assert not isinstance(task.generator, types.GeneratorType)
        return (yield from task.join())

    assert 2.0 == play(main())


def test_a_run_takes_what_is_no_generator_type() -> None:
    assert 42 == play(HandMade(answer()))


def test_to_spawn_a_function_asks_whether_its_call_was_meant() -> None:
    def main() -> Gen[None]:
        coop.spawn(answer)  # type: ignore[arg-type]
        yield

    with pytest.raises(TypeError, match=r"not the function answer: did you mean spawn\(answer\("):
        play(main())


@pytest.mark.parametrize("thing", [None, 7, "text", [1, 2], range(3)], ids=repr)
def test_to_spawn_what_is_no_generator_says_so(thing: Any) -> None:
    def main() -> Gen[None]:
        coop.spawn(thing)
        yield

    with pytest.raises(TypeError, match=rf"wants a generator .*not {re.escape(repr(thing))}"):
        play(main())


# -- names ----------------------------------------------------------------------------------------


def test_a_task_is_named_after_its_generator_and_its_number() -> None:
    def main() -> Gen[coop.Task]:
        task = coop.spawn(answer())
        yield None
        return task

    task = play(main())
    assert f"answer-{task.number}" == task.name
    assert f"<task 'answer-{task.number}' returned>" == repr(task)


def test_a_local_function_is_named_without_the_path_to_it() -> None:
    def local() -> Gen[None]:
        yield None

    def main() -> Gen[coop.Task]:
        return coop.spawn(local())
        yield

    task = play(main())
    assert f"local-{task.number}" == task.name


def test_an_operation_is_named_after_itself_in_debug_mode_too() -> None:
    def main() -> Gen[coop.Task]:
        return coop.spawn(coop.sleep(1))
        yield

    task = play(main())
    assert f"sleep-{task.number}" == task.name


def test_a_task_has_the_name_it_was_given() -> None:
    def main() -> Gen[coop.Task]:
        return coop.spawn(answer(), name="the answer")
        yield

    assert "the answer" == play(main()).name


def test_tasks_are_numbered_in_the_order_of_spawning() -> None:
    def main() -> Gen[list[int]]:
        return [coop.spawn(answer()).number for _ in range(3)]
        yield

    first, second, third = play(main())
    assert (first + 1, first + 2) == (second, third)


def test_a_repr_tells_the_state() -> None:
    def main() -> Gen[list[str]]:
        task = coop.spawn(wait_forever(), name="w")
        before = repr(task)
        yield None
        parked = repr(task)
        task.cancel()
        yield None
        return [before, parked, repr(task), repr(coop.current_task())]

    assert [
        "<task 'w' ready>",
        "<task 'w' parked>",
        "<task 'w' cancelled>",
        "<task 'main' running>",
    ] == play(main())


# -- context variables ----------------------------------------------------------------------------


def test_a_task_and_its_scheduler_say_who_waits() -> None:
    def main() -> Gen[tuple[str, str]]:
        task = coop.spawn(coop.sleep(5), name="slow")
        joiner = coop.spawn(task.join(), name="joiner")
        yield None
        texts = repr(task), repr(coop.current_scheduler())
        joiner.cancel()
        return texts

    expected = "<task 'slow' parked, 1 wait: 'joiner'>", "<scheduler of 3 tasks, 0 of them ready>"
    assert expected == play(main())


def test_each_task_has_its_own_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen = []

    def work(name: str) -> Gen[None]:
        variable.set(name)
        yield None
        seen.append((name, variable.get()))

    def main() -> Gen[None]:
        yield from coop.gather(work("a"), work("b"))
        seen.append(("main", variable.get()))

    play(main())
    assert [("a", "a"), ("b", "b"), ("main", "unset")] == seen
    assert "unset" == variable.get()


def test_a_task_inherits_the_context_of_its_spawner_at_that_moment() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def tell() -> Gen[str]:
        yield None
        return variable.get()

    def main() -> Gen[str]:
        variable.set("before")
        task = coop.spawn(tell())
        variable.set("after")
        return (yield from task.join())

    assert "before" == play(main())


def test_an_error_thrown_in_is_met_in_the_tasks_own_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen = []

    def work() -> Gen[None]:
        variable.set("mine")
        try:
            yield from coop.sleep(9)
        finally:
            seen.append(variable.get())

    def main() -> Gen[None]:
        task = coop.spawn(work())
        yield None
        task.cancel()

    play(main())
    assert ["mine"] == seen


# -- what may be yielded --------------------------------------------------------------------------


def yield_badly(value: Any) -> Gen[str]:
    try:
        yield value
    except TypeError as error:
        return str(error)
    return "no error"


def line_of_the_bad_yield() -> str:
    lines, start = inspect.getsourcelines(yield_badly)
    offset = next(number for number, line in enumerate(lines) if "yield value" in line)
    return f"{__file__}:{start + offset}: yield value"


@pytest.mark.parametrize("value", [7, 0, "text", False, object, [1]], ids=repr)
def test_a_foreign_value_is_thrown_back_at_that_very_yield(value: Any) -> None:
    message = play(yield_badly(value))
    assert f"task 'main' yielded {value!r}, which is nothing to wait for" in message
    assert line_of_the_bad_yield() in message


def test_a_yielded_generator_brings_the_question_whether_yield_from_was_meant() -> None:
    generator = answer()
    message = play(yield_badly(generator))
    assert "did you mean 'yield from'?" in message
    assert repr(generator) in message
    assert line_of_the_bad_yield() in message


def test_a_yielded_operation_brings_the_same_question() -> None:
    operation = coop.sleep(1)
    assert "did you mean 'yield from'?" in play(yield_badly(operation))
    yield_from = operation.__iter__()
    yield_from.close()


def test_the_place_is_found_below_any_number_of_generators() -> None:
    def middle() -> Gen[str]:
        return (yield from yield_badly(7))

    def main() -> Gen[str]:
        return (yield from HandMade(middle()))

    assert line_of_the_bad_yield() in play(middle())
    assert "yielded 7" in play(main())


def test_the_place_is_found_in_an_async_function() -> None:
    bad = types.coroutine(yield_badly)

    async def main() -> str:
        return await bad(7)

    def outer() -> Gen[Any]:
        return (yield from coop.spawn(main()).join())

    assert line_of_the_bad_yield() in play(outer())
    assert line_of_the_bad_yield() in play(main())


def test_a_bad_yield_that_nobody_catches_ends_the_task_with_the_error() -> None:
    def main() -> Gen[None]:
        yield 7

    with pytest.raises(TypeError, match="yielded 7"):
        play(main())


def test_a_task_goes_on_after_a_bad_yield_that_it_caught() -> None:
    def main() -> Gen[float]:
        yield from yield_badly(7)
        yield from coop.sleep(1)
        return kit.now()

    assert 1.0 == play(main())


def test_a_waiter_that_another_task_is_parked_on_is_refused() -> None:
    waiter = Waiter()

    def main() -> Gen[str]:
        def park() -> Gen[None]:
            yield waiter

        coop.spawn(park())
        yield None
        message = yield from yield_badly(waiter)
        waiter.wake()
        return message

    message = play(main())
    assert "another task is parked on" in message
    assert line_of_the_bad_yield() in message


def test_a_bad_yield_in_a_cancelled_scope_is_told_all_the_same() -> None:
    def main() -> Gen[str]:
        with coop.move_on_after(None) as scope:
            scope.cancel()
            return (yield from yield_badly(7))

    assert "yielded 7" in play(main())


# -- results and joining --------------------------------------------------------------------------


def test_join_returns_what_the_generator_returned() -> None:
    def main() -> Gen[Any]:
        return (yield from coop.spawn(answer("value")).join())

    assert "value" == play(main())


def test_join_of_an_ended_task_answers_at_once() -> None:
    def main() -> Gen[tuple[int, Any]]:
        task = coop.spawn(answer())
        yield from kit.wait_until(lambda: task.is_done)
        turns = coop.current_scheduler().turns
        value = yield from task.join()
        return coop.current_scheduler().turns - turns, value

    assert (0, 42) == play(main())


def test_many_join_the_same_task_and_each_gets_the_result_in_order() -> None:
    log = []

    def join(task: coop.Task, name: str) -> Gen[None]:
        log.append((name, (yield from task.join())))

    def main() -> Gen[None]:
        task = coop.spawn(answer())
        for name in "abc":
            coop.spawn(join(task, name))
        yield None

    play(main())
    assert [("a", 42), ("b", 42), ("c", 42)] == log


def test_a_task_cannot_join_itself() -> None:
    def main() -> Gen[None]:
        yield from coop.current_task().join()

    with pytest.raises(coop.MisuseError, match="<task 'main' running> cannot join itself"):
        play(main())


def test_a_waiting_joiner_receives_the_error_and_it_is_his() -> None:
    error = ValueError("broken")

    def main() -> Gen[BaseException]:
        task = coop.spawn(fail(error))
        try:
            yield from task.join()
        except ValueError as caught:
            return caught
        raise AssertionError

    assert error is play(main()), "and the run does not fail on account of it"


def test_a_failure_that_nobody_waits_for_is_the_groups() -> None:
    error = ValueError("broken")

    def main() -> Gen[None]:
        coop.spawn(fail(error))
        yield from coop.sleep(5)

    with pytest.raises(ExceptionGroup) as caught:
        play(main())
    assert (error,) == caught.value.exceptions


def test_a_joiner_that_was_cancelled_before_does_not_take_the_error() -> None:
    error = ValueError("broken")

    def main() -> Gen[None]:
        task = coop.spawn(fail(error))
        with coop.move_on_after(None) as scope:
            scope.cancel()
            yield from task.join()
        yield from coop.sleep(5)

    with pytest.raises(ExceptionGroup) as caught:
        play(main())
    assert (error,) == caught.value.exceptions


def test_join_after_a_failure_raises_it_again() -> None:
    def main() -> Gen[str]:
        tasks: list[coop.Task] = []

        def body(group: coop.Group) -> Gen[None]:
            tasks.append(group.spawn(fail(ValueError("broken"))))
            yield None

        with pytest.raises(ExceptionGroup, match="1 failed in the group"):
            yield from coop.group(body)
        with pytest.raises(ValueError, match="broken"):
            yield from tasks[0].join()
        return "went on"

    assert "went on" == play(main())


def test_the_result_of_each_end_is_what_it_should_be() -> None:
    def main() -> Gen[None]:
        good, bad, gone = (
            coop.spawn(answer()),
            coop.spawn(fail(ValueError("broken"))),
            coop.spawn(wait_forever(), name="gone"),
        )
        with pytest.raises(coop.MisuseError, match=r"no result yet: 'yield from task\.join\(\)'"):
            _ = good.result
        gone.cancel("not needed")
        with pytest.raises(ValueError, match="broken"):
            yield from bad.join()
        assert (42, None) == (good.result, good.exception)
        with pytest.raises(ValueError, match="broken"):
            _ = bad.result
        assert isinstance(bad.exception, ValueError)
        with pytest.raises(coop.TaskCancelled, match=r"'gone' .*cancelled \(not needed\)"):
            _ = gone.result
        assert gone.exception is None
        assert [True] * 3 == [good.is_done, bad.is_done, gone.is_done]

    play(main())


def test_join_of_a_cancelled_task_raises_task_cancelled_and_not_cancelled() -> None:
    def main() -> Gen[str]:
        task = coop.spawn(wait_forever())
        yield None
        task.cancel()
        try:
            yield from task.join()
        except coop.TaskCancelled as error:
            return str(error)
        return "no error"

    assert "was cancelled" in play(main())


def test_asking_often_for_a_failed_result_does_not_lengthen_its_traceback() -> None:
    def main() -> Gen[tuple[int, int]]:
        task = coop.spawn(fail(ValueError("broken")))
        with pytest.raises(ValueError, match="broken"):
            yield from task.join()
        lengths = []
        for _ in range(20):
            with pytest.raises(ValueError, match="broken") as caught:
                _ = task.result
            lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
        return lengths[0], lengths[-1]

    first, last = play(main())
    assert first == last


def test_a_traceback_shows_where_the_task_failed_and_not_the_loop() -> None:
    def main() -> Gen[None]:
        yield from fail(ValueError("broken"))

    with pytest.raises(ValueError, match="broken") as caught:
        play(main())
    functions = [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert ["main", "fail"] == functions[-2:]
    assert "step_all" not in functions


# -- cancelling -----------------------------------------------------------------------------------


def test_cancelled_before_its_first_step_a_task_still_begins() -> None:
    log = []

    def work(thing: Any) -> Gen[None]:
        log.append(("begun", thing))
        try:
            yield from coop.sleep(1)
            log.append("slept")
        finally:
            log.append("cleaned up")

    def main() -> Gen[coop.Task]:
        task = coop.spawn(work("resource"))
        task.cancel()
        yield None
        yield None
        return task

    assert TaskState.CANCELLED is play(main()).state
    assert [("begun", "resource"), "cleaned up"] == log


def test_to_cancel_an_ended_task_changes_nothing() -> None:
    def main() -> Gen[coop.Task]:
        task = coop.spawn(answer())
        yield from task.join()
        task.cancel()
        assert not task.cancel_requested
        return task

    assert 42 == play(main()).result


def test_to_cancel_twice_keeps_the_first_reason() -> None:
    def main() -> Gen[coop.Task]:
        task = coop.spawn(wait_forever())
        task.cancel("first")
        task.cancel("second")
        yield None
        return task

    assert "first" == play(main()).cancel_reason


def test_the_reason_travels_with_cancelled() -> None:
    reasons = []

    def work() -> Gen[None]:
        try:
            yield from coop.sleep(1)
        except coop.Cancelled as cancelled:
            reasons.append(cancelled.reason)
            raise

    def main() -> Gen[None]:
        task = coop.spawn(work())
        yield None
        task.cancel("the weather")
        yield None

    play(main())
    assert ["the weather"] == reasons


def test_a_cancelled_task_is_told_again_at_each_park() -> None:
    told = []

    def work() -> Gen[None]:
        for _ in range(3):
            try:
                yield from coop.sleep(1)
            except coop.Cancelled:
                told.append(kit.now())
        try:
            yield None
        except coop.Cancelled:
            told.append("at a pass too")

    def main() -> Gen[coop.Task]:
        task = coop.spawn(work())
        yield None
        task.cancel()
        yield from task.join()
        return task

    assert TaskState.RETURNED is play(main()).state
    assert [0.0, 0.0, 0.0, "at a pass too"] == told


def test_a_task_that_ends_with_a_value_though_cancelled_has_returned() -> None:
    def work() -> Gen[str]:
        try:
            yield from coop.sleep(1)
        except coop.Cancelled:
            return "partly done"
        return "done"

    def main() -> Gen[str]:
        task = coop.spawn(work())
        yield None
        task.cancel()
        return (yield from task.join())

    assert "partly done" == play(main())


def test_a_task_that_fails_while_it_is_cancelled_has_failed() -> None:
    def work() -> Gen[None]:
        try:
            yield from coop.sleep(1)
        finally:
            raise ValueError("in cleanup")

    def main() -> Gen[None]:
        task = coop.spawn(work())
        yield None
        task.cancel()
        with pytest.raises(ValueError, match="in cleanup"):
            yield from task.join()
        assert TaskState.FAILED is task.state

    play(main())


def test_cancelled_is_not_caught_by_except_exception() -> None:
    log = []

    def work() -> Gen[None]:
        try:
            yield from coop.sleep(1)
        except Exception:
            log.append("caught")

    def main() -> Gen[None]:
        task = coop.spawn(work())
        yield None
        task.cancel()

    play(main())
    assert [] == log


def test_a_task_that_never_waits_is_not_cancelled_in_the_midst() -> None:
    def main() -> Gen[str]:
        coop.current_task().cancel()
        return "done"
        yield

    def outer() -> Gen[Any]:
        return (yield from coop.spawn(main()).join())

    assert "done" == play(outer())


def test_a_task_may_cancel_itself() -> None:
    def work() -> Gen[None]:
        coop.current_task().cancel("enough")
        yield from coop.sleep(1)

    def main() -> Gen[coop.Task]:
        task = coop.spawn(work())
        yield None
        yield None
        return task

    assert TaskState.CANCELLED is play(main()).state


def test_to_swallow_cancelled_in_a_loop_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    def stubborn() -> Gen[None]:
        for _ in range(250):
            try:
                yield from coop.sleep(1)
            except coop.Cancelled:
                pass

    def main() -> Gen[None]:
        task = coop.spawn(stubborn(), name="mule")
        yield None
        task.cancel()
        yield from task.join()

    with caplog.at_level(logging.WARNING, "coop"):
        play(main())
    warnings = [record.getMessage() for record in caplog.records]
    assert 2 == len(warnings)
    assert "'mule'" in warnings[0]
    assert "told 100 times that it is cancelled" in warnings[0]


def test_cancel_soon_waits_for_a_convenient_point() -> None:
    log = []

    def work() -> Gen[None]:
        yield from coop.sleep(1)
        log.append(("undisturbed", kit.now()))
        with coop.convenient() as idle:
            yield from coop.sleep(100)
        log.append((idle.caught, kit.now()))

    def main() -> Gen[None]:
        task = coop.spawn(work())
        yield None
        task.cancel_soon()
        yield from task.join()

    play(main())
    assert [("undisturbed", 1.0), (True, 1.0)] == log


def test_cancel_soon_reaches_a_task_that_is_at_a_convenient_point() -> None:
    def work() -> Gen[tuple[bool, Any, float]]:
        with coop.convenient() as idle:
            yield from coop.sleep(100)
        return idle.caught, idle.cancel_reason, kit.now()

    def main() -> Gen[Any]:
        task = coop.spawn(work())
        yield from coop.sleep(7)
        task.cancel_soon("closing time")
        return (yield from task.join())

    assert (True, "closing time", 7.0) == play(main())


def test_cancel_soon_of_an_ended_task_changes_nothing() -> None:
    def main() -> Gen[coop.Task]:
        task = coop.spawn(answer())
        yield from task.join()
        task.cancel_soon()
        return task

    assert 42 == play(main()).result


def test_an_inconvenient_scope_inside_a_convenient_one_is_cancelled_with_it() -> None:
    def work() -> Gen[list[bool]]:
        with coop.convenient() as idle:
            with coop.timeout(50) as inner:
                yield from coop.sleep(100)
        return [idle.caught, inner.caught]

    def main() -> Gen[Any]:
        task = coop.spawn(work())
        yield None
        task.cancel_soon()
        return (yield from task.join())

    assert [True, False] == play(main())


# -- memory ---------------------------------------------------------------------------------------


def dies_without_the_collector(main: Any) -> None:
    """Run ``main(watch)``; what it handed to ``watch`` must be dead after it, by counts alone."""
    watched: list[weakref.ref[Any]] = []

    def watch(thing: Any) -> Any:
        watched.append(weakref.ref(thing))
        return thing

    with kit.no_collector():
        play(main(watch))
        alive = [reference() for reference in watched if reference() is not None]
        assert watched
        assert [] == alive, [gc.get_referrers(thing) for thing in alive]


def test_an_ended_task_frees_itself_and_what_it_held() -> None:
    def work(thing: Any) -> Gen[None]:
        yield from coop.sleep(1)

    def main(watch: Any) -> Gen[None]:
        yield from watch(coop.spawn(work(watch(kit.Thing())))).join()

    dies_without_the_collector(main)


def test_a_cancelled_task_frees_itself_and_what_it_held() -> None:
    def work(thing: Any) -> Gen[None]:
        with coop.timeout(5):
            yield from coop.sleep(1)

    def main(watch: Any) -> Gen[None]:
        task = watch(coop.spawn(work(watch(kit.Thing()))))
        yield None
        task.cancel()
        del task
        yield None

    dies_without_the_collector(main)


def test_a_timeout_frees_what_its_task_held() -> None:
    def work(thing: Any) -> Gen[None]:
        with coop.timeout(1):
            yield from coop.sleep(5)

    def main(watch: Any) -> Gen[None]:
        try:
            yield from watch(coop.spawn(work(watch(kit.Thing())))).join()
        except TimeoutError:
            pass

    dies_without_the_collector(main)


def test_a_joined_failure_frees_what_its_task_held() -> None:
    def work(thing: Any) -> Gen[None]:
        yield None
        raise ValueError

    def main(watch: Any) -> Gen[None]:
        try:
            yield from watch(coop.spawn(work(watch(kit.Thing())))).join()
        except ValueError:
            pass

    dies_without_the_collector(main)


def test_a_failed_group_frees_what_its_children_and_its_body_held() -> None:
    def work(thing: Any) -> Gen[None]:
        yield None
        raise ValueError

    def body(group: coop.Group, watch: Any) -> Gen[None]:
        thing = watch(kit.Thing())
        group.spawn(work(watch(kit.Thing())))
        yield from coop.sleep(1)
        del thing

    def failing_body(group: coop.Group, watch: Any) -> Gen[None]:
        thing = watch(kit.Thing())
        yield None
        raise ValueError(repr(thing))

    def main(watch: Any) -> Gen[None]:
        for each in (body, failing_body):
            try:
                yield from coop.group(each, watch)
            except ExceptionGroup:
                pass

    dies_without_the_collector(main)


def test_gather_race_and_map_free_what_their_children_held() -> None:
    def work(thing: Any, fails: bool) -> Gen[None]:
        yield None
        if fails:
            raise ValueError

    def main(watch: Any) -> Gen[None]:
        for fails in (False, True):
            calls = (
                lambda make: coop.gather(make(), make()),
                lambda make: coop.race(make(), make()),
                lambda make: coop.map(lambda _: make(), [1, 2, 3]),
                lambda make: coop.map(lambda _: make(), [1, 2, 3], limit=2),
            )
            for call in calls:
                try:
                    yield from call(lambda fails=fails: work(watch(kit.Thing()), fails))
                except (ValueError, ExceptionGroup):
                    pass

    dies_without_the_collector(main)


def test_a_failed_run_leaves_nothing_to_the_collector() -> None:
    watched: list[weakref.ref[Any]] = []

    def main() -> Gen[None]:
        thing = kit.watch_death(watched, kit.Thing())
        yield None
        raise ValueError(repr(thing))

    with kit.no_collector():
        try:
            play(main())
        except ValueError:
            pass
        assert watched[0]() is None


def test_a_run_whose_task_crashed_leaves_nothing_to_the_collector() -> None:
    watched: list[weakref.ref[Any]] = []

    def crash() -> Gen[None]:
        thing = kit.watch_death(watched, kit.Thing())
        yield None
        raise ValueError(repr(thing))

    def main() -> Gen[None]:
        coop.spawn(crash())
        yield from coop.sleep(5)

    with kit.no_collector():
        try:
            play(main())
        except ExceptionGroup:
            pass
        assert watched[0]() is None


def test_a_hundred_thousand_tasks_spawned_and_joined_leave_nothing_behind() -> None:
    def work() -> Gen[None]:
        with coop.timeout(30):
            yield None

    world = kit.World()

    def main() -> Gen[int]:
        for _ in range(1000):
            for task in [coop.spawn(work()) for _ in range(100)]:
                yield from task.join()
        return world.scheduler.alarm_count

    assert 1000 > world.run(main())
    assert 100_001 == world.scheduler.spawned
