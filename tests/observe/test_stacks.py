"""Stacks: the exact line, through whatever a task waits in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sync_kit import Gen, passes, play

import coop
from coop.observe import Line
from coop.observe.stacks import stack_of


def functions(stack: tuple[Line, ...]) -> list[str]:
    return [line.function.rpartition(".")[2] for line in stack]


def of_a_parked_task(body: Any) -> list[str]:
    """The names of the functions on the stack of a task that runs this body and has parked."""

    def main() -> Gen[list[str]]:
        task = coop.spawn(body)
        yield from passes(3)
        names = functions(stack_of(task))
        task.cancel()
        return names

    return play(main())


EVENT = coop.Event()


def inner() -> Gen[None]:
    yield from EVENT.wait()


def outer() -> Gen[None]:
    yield from inner()


async def awaiting() -> None:
    await EVENT.wait()


async def generating() -> AsyncIterator[int]:
    await EVENT.wait()
    yield 1


async def iterating() -> None:
    async for _ in generating():
        pass


async def deep() -> None:
    await awaiting()


def test_it_goes_through_generators() -> None:
    assert ["outer", "inner", "wait"] == of_a_parked_task(outer())


def test_it_goes_through_coroutines() -> None:
    assert ["deep", "awaiting", "wait"] == of_a_parked_task(deep())


def test_it_goes_through_async_generators() -> None:
    """Which the attributes of generators do not show; asyncio's pstree was wrong in gh-135371."""
    assert ["iterating", "generating", "wait"] == of_a_parked_task(iterating())


def test_it_goes_from_generators_into_coroutines() -> None:
    def mixed() -> Gen[None]:
        yield from deep().__await__()

    assert ["mixed", "deep", "awaiting", "wait"] == of_a_parked_task(mixed())


def test_a_line_is_where_the_task_stands() -> None:
    def main() -> Gen[Line]:
        task = coop.spawn(outer())
        yield from passes(2)
        line = stack_of(task)[1]
        task.cancel()
        return line

    line = play(main())
    assert __file__ == line.file
    assert "yield from EVENT.wait()" == line.source


def test_the_stack_of_the_running_task_ends_where_it_is_asked_for() -> None:
    def main() -> Gen[list[str]]:
        def ask() -> list[str]:
            return functions(stack_of(coop.current_task()))

        return ask()
        yield

    names = play(main())
    assert ["main", "ask"] == names[-2:]


def test_a_task_that_has_not_begun_stands_at_its_first_line() -> None:
    def main() -> Gen[list[str]]:
        task = coop.spawn(outer())
        names = functions(stack_of(task))
        task.cancel()
        return names
        yield

    assert ["outer"] == play(main())


def test_a_task_that_has_ended_has_no_stack() -> None:
    def main() -> Gen[tuple[Line, ...]]:
        task = coop.spawn(passes(0))
        yield from task.join()
        return stack_of(task)

    assert () == play(main())


def test_a_generator_of_another_making_shows_what_can_be_seen() -> None:
    generator = outer()

    class Foreign:
        """Like a generator of C or Cython: it has the methods, and no frame."""

        __slots__ = ()
        send = staticmethod(generator.send)
        throw = staticmethod(generator.throw)
        close = staticmethod(generator.close)

    assert [] == of_a_parked_task(Foreign())
