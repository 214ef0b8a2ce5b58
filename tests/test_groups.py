"""Groups: children never outlive the call that holds them, and no error is lost."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import kit
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import Gen, play

import coop

pytestmark = pytest.mark.core


def answer(value: Any, seconds: float = 0) -> Gen[Any]:
    yield from coop.sleep(seconds)
    return value


def fail(error: BaseException, seconds: float = 0) -> Gen[None]:
    yield from coop.sleep(seconds)
    raise error


def note_end(log: list[Any], name: str, seconds: float = 1000) -> Gen[None]:
    """Sleep, and note how it ended and when."""
    try:
        yield from coop.sleep(seconds)
    except coop.Cancelled:
        log.append((name, "cancelled", kit.now()))
        raise
    log.append((name, "slept", kit.now()))


def slow_to_leave(log: list[Any], name: str, seconds: float) -> Gen[None]:
    """When cancelled, take some time to clean up."""
    try:
        yield from coop.sleep(1000)
    finally:
        with coop.shield():
            yield from coop.sleep(seconds)
        log.append((name, kit.now()))


# -- group ----------------------------------------------------------------------------------------


def test_a_group_returns_what_its_body_returns() -> None:
    def body(group: coop.Group, left: int, right: int) -> Gen[int]:
        yield None
        return left + right

    assert 5 == play(coop.group(body, 2, 3))


def test_a_body_may_be_an_async_function() -> None:
    async def body(group: coop.Group) -> str:
        task = group.spawn(answer("child", 1))
        return str(await task.join())

    assert "child" == play(coop.group(body))


def test_a_group_ends_when_its_last_child_has_ended() -> None:
    def body(group: coop.Group) -> Gen[str]:
        group.spawn(answer(1, 5))
        group.spawn(answer(2, 7))
        return "body"
        yield

    def main() -> Gen[tuple[str, float]]:
        return (yield from coop.group(body)), kit.now()

    assert ("body", 7.0) == play(main())


def test_a_child_may_spawn_siblings_after_the_body_has_ended() -> None:
    log: list[Any] = []

    def child(group: coop.Group, generation: int) -> Gen[None]:
        yield from coop.sleep(1)
        log.append((generation, kit.now()))
        if generation < 3:
            group.spawn(child(group, generation + 1))

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(child(group, 1))
        return
        yield

    play(coop.group(body))
    assert [(1, 1.0), (2, 2.0), (3, 3.0)] == log


def test_the_results_of_children_are_joined() -> None:
    def body(group: coop.Group) -> Gen[list[Any]]:
        left, right = group.spawn(answer("l", 2)), group.spawn(answer("r", 1))
        return [(yield from left.join()), (yield from right.join())]

    assert ["l", "r"] == play(coop.group(body))


def test_the_first_error_cancels_the_rest_and_comes_out_in_a_group() -> None:
    log: list[Any] = []
    error = ValueError("broken")

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(note_end(log, "sibling"))
        group.spawn(fail(error, 3))
        yield from note_end(log, "body")

    with pytest.raises(ExceptionGroup, match="1 failed in the group") as caught:
        play(coop.group(body))
    assert (error,) == caught.value.exceptions
    assert [("sibling", "cancelled", 3.0), ("body", "cancelled", 3.0)] == sorted(log, reverse=True)


def test_the_bodys_error_cancels_the_children_and_comes_in_the_group_too() -> None:
    log: list[Any] = []
    error = ValueError("broken")

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(note_end(log, "child"))
        yield from coop.sleep(2)
        raise error

    with pytest.raises(ExceptionGroup) as caught:
        play(coop.group(body))
    assert (error,) == caught.value.exceptions
    assert [("child", "cancelled", 2.0)] == log


def test_all_errors_come_out_in_order() -> None:
    errors = [ValueError("first"), KeyError("second"), OSError("body")]

    def fail_in_cleanup(error: Exception) -> Gen[None]:
        try:
            yield from coop.sleep(1000)
        finally:
            raise error

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(fail(errors[0], 1))
        group.spawn(fail_in_cleanup(errors[1]))
        try:
            yield from coop.sleep(1000)
        finally:
            with coop.shield():
                yield from coop.sleep(5)
            raise errors[2]

    with pytest.raises(ExceptionGroup, match="3 failed in the group") as caught:
        play(coop.group(body))
    assert tuple(errors) == caught.value.exceptions


def test_an_error_is_named_once_though_the_body_joined_the_child() -> None:
    error = ValueError("broken")

    def body(group: coop.Group) -> Gen[None]:
        yield from group.spawn(fail(error, 1)).join()

    with pytest.raises(ExceptionGroup) as caught:
        play(coop.group(body))
    assert (error,) == caught.value.exceptions


def test_a_joiner_that_deals_with_the_error_keeps_it_from_the_group() -> None:
    def body(group: coop.Group) -> Gen[str]:
        try:
            yield from group.spawn(fail(ValueError("broken"), 1)).join()
        except ValueError:
            return "dealt with"
        return ""

    assert "dealt with" == play(coop.group(body))


def test_errors_that_end_the_program_come_in_a_base_exception_group() -> None:
    def body(group: coop.Group) -> Gen[None]:
        group.spawn(fail(SystemExit(3)))
        yield from coop.sleep(1)

    def main() -> Gen[None]:
        with pytest.raises(BaseExceptionGroup) as caught:
            yield from coop.group(body)
        assert not isinstance(caught.value, ExceptionGroup)
        assert [SystemExit] == [type(error) for error in caught.value.exceptions]

    play(main())


def test_a_thousand_children_that_fail_at_once_are_no_square() -> None:
    def body(group: coop.Group) -> Gen[None]:
        for number in range(3000):
            group.spawn(fail(ValueError(number)))
        yield None

    with pytest.raises(ExceptionGroup) as caught:
        play(coop.group(body))
    assert 3000 == len(caught.value.exceptions)


def test_a_group_waits_for_the_cleanup_of_its_children() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(slow_to_leave(log, "child", 5))
        yield None
        group.cancel()

    def main() -> Gen[float]:
        yield from coop.group(body)
        return kit.now()

    assert 5.0 == play(main())
    assert [("child", 5.0)] == log


def test_to_cancel_a_group_ends_its_body_and_its_children() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[str]:
        group.spawn(note_end(log, "child"))
        coop.current_scheduler().call_soon(lambda: group.cancel("closing time"))
        yield from note_end(log, "body")
        return "not reached"

    def main() -> Gen[str]:
        assert (yield from coop.group(body)) is None
        return "went on"

    assert "went on" == play(main())
    assert [("body", "cancelled", 0.0), ("child", "cancelled", 0.0)] == sorted(log)


def test_spawned_into_a_cancelled_group_a_child_begins_and_is_cancelled() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.cancel()
        group.spawn(note_end(log, "late"))
        return
        yield

    play(coop.group(body))
    assert [("late", "cancelled", 0.0)] == log


def test_nothing_can_be_spawned_into_a_group_that_is_over() -> None:
    groups: list[coop.Group] = []

    def body(group: coop.Group) -> Gen[None]:
        groups.append(group)
        yield None

    def main() -> Gen[None]:
        yield from coop.group(body)
        assert {} == groups[0].children
        assert groups[0].is_over
        late = answer("late")
        with pytest.raises(coop.MisuseError, match="<group over> is over: spawn into it while"):
            groups[0].spawn(late)
        late.close()

    play(main())


def test_a_child_that_is_cancelled_alone_disturbs_nobody() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(note_end(log, "stays", 5))
        group.spawn(note_end(log, "goes")).cancel()
        yield None

    play(coop.group(body))
    assert [("goes", "cancelled", 0.0), ("stays", "slept", 5.0)] == log


def test_an_outer_timeout_cancels_the_children_and_is_never_hidden() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(note_end(log, "child"))
        return
        yield

    def main() -> Gen[float]:
        with pytest.raises(TimeoutError):
            with coop.timeout(5):
                yield from coop.group(body)
        return kit.now()

    assert 5.0 == play(main())
    assert [("child", "cancelled", 5.0)] == log


def test_an_outer_timeout_during_a_slow_cleanup_is_never_hidden() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(slow_to_leave(log, "child", 10))
        yield None
        group.cancel()

    def main() -> Gen[float]:
        with coop.move_on_after(5) as scope:
            yield from coop.group(body)
        assert scope.caught
        return kit.now()

    assert 10.0 == play(main()), "the cleanup is waited for"


def test_an_outer_timeout_reaches_the_body_first() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(note_end(log, "child"))
        yield from note_end(log, "body")

    def main() -> Gen[bool]:
        with coop.move_on_after(5) as scope:
            yield from coop.group(body)
        return scope.caught

    assert play(main())
    assert [("body", "cancelled", 5.0), ("child", "cancelled", 5.0)] == log


def test_errors_weigh_more_than_an_outer_timeout() -> None:
    def fail_in_cleanup() -> Gen[None]:
        try:
            yield from coop.sleep(1000)
        finally:
            raise ValueError("in cleanup")

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(fail_in_cleanup())
        yield from coop.sleep(1000)

    def main() -> Gen[None]:
        with coop.timeout(5):
            yield from coop.group(body)

    def outer() -> Gen[list[type]]:
        try:
            yield from main()
        except ExceptionGroup as errors:
            return [type(error) for error in errors.exceptions]
        return []

    assert [ValueError] == play(outer())


def test_a_cancelled_task_takes_its_groups_with_it() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(note_end(log, "child"))
        yield from note_end(log, "body")

    def main() -> Gen[coop.Task]:
        task = coop.spawn(coop.group(body))
        yield from coop.sleep(3)
        task.cancel()
        yield from coop.sleep(1)
        return task

    assert "cancelled" == play(main()).state.value
    assert [("body", "cancelled", 3.0), ("child", "cancelled", 3.0)] == log


def test_a_group_that_is_thrown_away_cancels_its_children() -> None:
    log: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(note_end(log, "child"))
        yield from coop.sleep(1000)

    def main() -> Gen[None]:
        generator = iter(coop.group(body))
        waiter = next(generator)
        yield None
        assert waiter is not None
        generator.close()
        yield from coop.sleep(1)

    play(main())
    assert [("child", "cancelled", 0.0)] == log


def test_a_group_tells_how_many_are_in_it() -> None:
    def body(group: coop.Group) -> Gen[str]:
        for _ in range(3):
            group.spawn(answer(1))
        return repr(group)
        yield

    assert "<group of 3 tasks>" == play(coop.group(body))


def test_cancel_soon_reaches_every_child() -> None:
    log: list[Any] = []

    def child(name: str) -> Gen[None]:
        with coop.convenient():
            yield from coop.sleep(1000)
        log.append((name, kit.now()))

    def body(group: coop.Group) -> Gen[None]:
        for name in "ab":
            group.spawn(child(name))
        yield from coop.sleep(4)
        group.cancel_soon()

    play(coop.group(body))
    assert [("a", 4.0), ("b", 4.0)] == log


def test_a_group_wants_a_function_and_not_its_generator() -> None:
    async def work() -> None: ...

    for wrong in (None, 5, answer(1), work()):
        with pytest.raises(TypeError, match="group wants a function to call with the group, not "):
            play(coop.group(wrong))  # type: ignore[arg-type]


def test_a_body_that_is_no_generator_is_told_apart() -> None:
    def body(group: coop.Group) -> None:
        return None

    with pytest.raises(TypeError, match=r"is a generator or a coroutine, not None"):
        play(coop.group(body))  # type: ignore[arg-type]


# -- the error hook -------------------------------------------------------------------------------


def test_with_a_hook_a_childs_error_is_its_own() -> None:
    log: list[Any] = []
    seen: list[Any] = []
    error = ValueError("broken")

    def body(group: coop.Group) -> Gen[str]:
        group.spawn(fail(error, 1), name="bad")
        group.spawn(note_end(log, "sibling", 5))
        yield from coop.sleep(2)
        return "body"

    hooked = coop.group(body, on_error=lambda task, error: seen.append((task.name, error)))
    assert "body" == play(hooked)
    assert [("bad", error)] == seen
    assert [("sibling", "slept", 5.0)] == log


def test_with_a_hook_the_bodys_error_is_the_groups_all_the_same() -> None:
    seen: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        yield None
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup):
        play(coop.group(body, on_error=lambda task, error: seen.append(error)))
    assert [] == seen


def test_a_hook_that_fails_is_the_groups_failure() -> None:
    broken = KeyError("in the hook")

    def hook(task: coop.Task, error: BaseException) -> None:
        raise broken

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(fail(ValueError("broken")))
        yield from coop.sleep(1000)

    with pytest.raises(ExceptionGroup) as caught:
        play(coop.group(body, on_error=hook))
    assert (broken,) == caught.value.exceptions


def test_a_hook_is_not_asked_about_what_is_to_end_the_program() -> None:
    seen: list[Any] = []

    def body(group: coop.Group) -> Gen[None]:
        group.spawn(fail(SystemExit(3)))
        yield from coop.sleep(1000)

    with pytest.raises(BaseExceptionGroup):
        play(coop.group(body, on_error=lambda task, error: seen.append(error)))
    assert [] == seen


# -- gather ---------------------------------------------------------------------------------------


def test_gather_returns_the_results_in_the_order_given() -> None:
    def main() -> Gen[tuple[Any, float]]:
        results = yield from coop.gather(answer("a", 3), answer("b", 1), answer("c", 2))
        return results, kit.now()

    assert (("a", "b", "c"), 3.0) == play(main())


def test_to_gather_nothing_gives_nothing() -> None:
    assert () == play(coop.gather())


def test_gather_cancels_the_rest_at_the_first_failure() -> None:
    log: list[Any] = []
    error = ValueError("broken")
    with pytest.raises(ExceptionGroup) as caught:
        play(coop.gather(note_end(log, "a"), fail(error, 2), note_end(log, "b")))
    assert (error,) == caught.value.exceptions
    assert [("a", "cancelled", 2.0), ("b", "cancelled", 2.0)] == log


def test_gather_takes_coroutines_and_generators_alike() -> None:
    async def coroutine() -> str:
        await coop.sleep(1)
        return "coroutine"

    assert ("coroutine", "generator") == play(coop.gather(coroutine(), answer("generator")))


# -- race -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [coop.gather, coop.race])
def test_what_is_no_generator_is_refused_before_any_is_begun(way: Callable[..., Any]) -> None:
    begun: list[str] = []

    def work() -> Gen[None]:
        begun.append("generator")
        yield None

    async def work_too() -> None:
        begun.append("coroutine")

    with pytest.raises(TypeError, match=r"not the function .*work: did you mean (gather|race)\("):
        play(way(work(), work_too(), work))
    generator = work()
    with pytest.raises(coop.MisuseError, match="the same generator twice"):
        play(way(generator, work_too(), generator))
    assert [] == begun


def test_race_returns_the_result_of_the_first_to_end() -> None:
    def main() -> Gen[tuple[Any, float]]:
        value = yield from coop.race(answer("slow", 3), answer("fast", 1))
        return value, kit.now()

    assert ("fast", 1.0) == play(main())


def test_the_losers_of_a_race_are_cancelled_and_awaited() -> None:
    log: list[Any] = []

    def main() -> Gen[tuple[Any, float]]:
        value = yield from coop.race(slow_to_leave(log, "loser", 5), answer("fast", 1))
        return value, kit.now()

    assert ("fast", 6.0) == play(main())
    assert [("loser", 6.0)] == log


def test_race_raises_the_error_of_the_first_to_end_as_it_is() -> None:
    log: list[Any] = []
    error = ValueError("broken")
    with pytest.raises(ValueError, match="broken") as caught:
        play(coop.race(note_end(log, "loser"), fail(error, 1)))
    assert error is caught.value
    assert [("loser", "cancelled", 1.0)] == log


def test_a_loser_that_fails_on_its_way_out_is_heard() -> None:
    def fail_in_cleanup() -> Gen[None]:
        try:
            yield from coop.sleep(1000)
        finally:
            raise ValueError("in cleanup")

    with pytest.raises(ExceptionGroup) as caught:
        play(coop.race(fail_in_cleanup(), answer("fast", 1)))
    assert [ValueError] == [type(error) for error in caught.value.exceptions]


def test_two_that_fail_at_once_in_a_race_are_both_heard() -> None:
    errors = ValueError("one"), ValueError("other")
    with pytest.raises(ExceptionGroup) as caught:
        play(coop.race(fail(errors[0], 1), fail(errors[1], 1)))
    assert errors == caught.value.exceptions


def test_of_two_that_end_at_once_the_first_given_wins() -> None:
    assert "a" == play(coop.race(answer("a", 1), answer("b", 1)))


def test_a_race_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="race needs at least one generator"):
        play(coop.race())


def test_a_race_in_which_everybody_is_cancelled_has_no_winner() -> None:
    def give_up() -> Gen[None]:
        coop.current_task().cancel()
        yield from coop.sleep(1)

    with pytest.raises(coop.TaskCancelled, match="no winner"):
        play(coop.race(give_up(), give_up()))


def test_a_runner_that_is_cancelled_alone_does_not_win() -> None:
    def give_up() -> Gen[None]:
        coop.current_task().cancel()
        yield from coop.sleep(1)

    assert "winner" == play(coop.race(give_up(), answer("winner", 5)))


def test_an_outer_timeout_ends_a_race() -> None:
    log: list[Any] = []

    def main() -> Gen[tuple[bool, float]]:
        with coop.move_on_after(2) as scope:
            yield from coop.race(note_end(log, "a"), note_end(log, "b"))
        return scope.caught, kit.now()

    assert (True, 2.0) == play(main())
    assert [("a", "cancelled", 2.0), ("b", "cancelled", 2.0)] == log


# -- map ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 1, 2, 3, 100])
def test_map_returns_the_results_in_order(limit: int | None) -> None:
    def double(number: int) -> Gen[int]:
        yield from coop.sleep(10 - number)
        return 2 * number

    assert [0, 2, 4, 6, 8] == play(coop.map(double, range(5), limit=limit))


def test_map_runs_at_most_so_many_at_once() -> None:
    running = most = 0

    def work(item: int) -> Gen[None]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        yield from coop.sleep(1 + item % 3)
        running -= 1

    play(coop.map(work, range(20), limit=4))
    assert 4 == most


def test_map_without_a_limit_runs_all_at_once() -> None:
    def main() -> Gen[float]:
        yield from coop.map(lambda item: coop.sleep(item), range(10))
        return kit.now()

    assert 9.0 == play(main())


def test_map_takes_items_as_places_come_free() -> None:
    taken: list[Any] = []

    def items() -> Iterator[int]:
        for number in range(6):
            taken.append((number, kit.now()))
            yield number

    play(coop.map(lambda item: coop.sleep(1), items(), limit=2))
    assert [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0)] == taken


def test_map_over_an_endless_iterable_can_be_ended() -> None:
    def main() -> Gen[bool]:
        with coop.move_on_after(5) as scope:
            yield from coop.map(lambda item: coop.sleep(1), itertools.count(), limit=2)
        return scope.caught

    assert play(main())


def test_map_spawns_no_more_workers_than_there_are_items() -> None:
    def main() -> Gen[int]:
        before = coop.current_scheduler().spawned
        yield from coop.map(answer, [1, 2, 3], limit=10**9)
        return coop.current_scheduler().spawned - before

    assert 3 == play(main())


def test_map_over_nothing_gives_nothing() -> None:
    assert [] == play(coop.map(answer, []))
    assert [] == play(coop.map(answer, [], limit=3))


@pytest.mark.parametrize("limit", [None, 2])
def test_map_stops_at_the_first_failure(limit: int | None) -> None:
    begun: list[int] = []

    def work(item: int) -> Gen[None]:
        begun.append(item)
        yield from coop.sleep(1)
        if item == 1:
            raise ValueError(item)
        yield from coop.sleep(100)

    with pytest.raises(ExceptionGroup) as caught:
        play(coop.map(work, range(4), limit=limit))
    assert [ValueError] == [type(error) for error in caught.value.exceptions]
    assert ([0, 1, 2, 3] if limit is None else [0, 1]) == begun


def test_an_iterable_that_fails_fails_the_map() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("no more")

    for limit in (None, 2):
        with pytest.raises(ExceptionGroup) as caught:
            play(coop.map(answer, items(), limit=limit))
        assert [KeyError] == [type(error) for error in caught.value.exceptions]


def test_map_takes_async_functions() -> None:
    async def double(number: int) -> int:
        await coop.sleep(1)
        return 2 * number

    assert [2, 4] == play(coop.map(double, [1, 2]))
    assert [2, 4] == play(coop.map(double, [1, 2], limit=1))


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_each_item_of_a_map_starts_with_the_callers_context(limit: int | None) -> None:
    """With a limit, what one item had set was seen by the next that its worker took."""
    tint = contextvars.ContextVar("tint", default="none")

    def work(item: int) -> Gen[str]:
        before = tint.get()
        tint.set(f"that of {item}")
        yield from coop.sleep(1)
        return before

    def main() -> Gen[tuple[list[str], str]]:
        tint.set("the caller's")
        return (yield from coop.map(work, range(5), limit=limit)), tint.get()

    assert (["the caller's"] * 5, "the caller's") == play(main())


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_an_item_that_is_cancelled_alone_has_no_result_and_says_so(limit: int | None) -> None:
    """Without a limit it was a KeyError; with one, the other results were lost in silence."""

    def work(item: int) -> Gen[int]:
        if item == 1:
            coop.current_task().cancel()
        yield from coop.sleep(1)
        return item

    with pytest.raises(coop.TaskCancelled, match="no result for an item"):
        play(coop.map(work, range(3), limit=limit))


def test_map_begins_nothing_more_after_a_failure() -> None:
    begun: list[int] = []

    def work(item: int) -> Gen[None]:
        begun.append(item)
        with coop.shield():
            yield from coop.sleep(1 + item)
        if item == 0:
            raise ValueError

    with pytest.raises(ExceptionGroup):
        play(coop.map(work, range(9), limit=2))
    assert [0, 1] == begun


@pytest.mark.parametrize("limit", [1.5, float("nan"), "2"])
def test_a_limit_that_is_no_whole_number_is_refused(limit: Any) -> None:
    with pytest.raises(TypeError, match=r"limit is how many may run at once.* whole number"):
        play(coop.map(answer, [1], limit=limit))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="limit is how many may run at once, 1 or more"):
        play(coop.map(answer, [1], limit=limit))


# -- any tree of groups ---------------------------------------------------------------------------

ends = st.sampled_from(["return", "raise", "stubborn"])
trees = st.recursive(
    st.tuples(ends, st.integers(0, 5)),
    lambda children: st.tuples(st.lists(children, max_size=3), st.integers(0, 5)),
    max_leaves=12,
)


@given(trees, st.none() | st.integers(0, 8))
def test_no_task_outlives_its_group_and_no_error_is_lost(tree: Any, limit: int | None) -> None:
    alive: set[object] = set()
    raised: list[BaseException] = []

    def grow(node: Any) -> Gen[None]:
        me = object()
        alive.add(me)
        kind, seconds = node
        try:
            if isinstance(kind, list):
                yield from coop.group(branch, kind, seconds)
            else:
                yield from leaf(kind, seconds)
        finally:
            alive.discard(me)

    def branch(group: coop.Group, children: list[Any], seconds: int) -> Gen[None]:
        before = set(alive)
        for child in children:
            group.spawn(grow(child))
        yield from coop.sleep(seconds)
        assert before <= alive | before

    def leaf(kind: str, seconds: int) -> Gen[None]:
        try:
            yield from coop.sleep(seconds)
        except coop.Cancelled:
            if kind == "stubborn":
                with coop.shield():
                    yield from coop.sleep(3)
            raise
        if kind == "raise":
            raised.append(ValueError(len(raised)))
            raise raised[-1]

    def main() -> Gen[None]:
        with coop.move_on_after(limit):
            yield from coop.group(branch, [tree], 0)
        assert not alive, "the call has returned, and a task of its is alive"

    heard: list[BaseException] = []

    def listen(errors: BaseException) -> None:
        if isinstance(errors, BaseExceptionGroup):
            for error in errors.exceptions:
                listen(error)
        else:
            heard.append(errors)

    try:
        play(main())
    except ExceptionGroup as errors:
        listen(errors)
    assert set(raised) == set(heard)
    assert not alive
