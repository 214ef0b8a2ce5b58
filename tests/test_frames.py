"""The walk from a suspended generator to the innermost it waits in."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from coop.frames import code_of, frames_of

pytestmark = pytest.mark.core


@types.coroutine
def wait() -> Generator[None, None, None]:
    yield


def names(thing: Any) -> list[str]:
    return [frame.f_code.co_name for frame in frames_of(thing)]


def test_each_generator_is_given_the_outermost_first() -> None:
    def middle() -> Generator[None, None, None]:
        yield from wait()

    def outer() -> Generator[None, None, None]:
        yield from middle()

    suspended = outer()
    assert ["outer"] == names(suspended)
    next(suspended)
    assert ["outer", "middle", "wait"] == names(suspended)
    suspended.close()
    assert [] == names(suspended)


def test_coroutines_their_awaitables_and_async_generators_are_no_end() -> None:
    async def inner() -> None:
        await wait()

    class Awaitable:
        def __await__(self) -> Generator[Any, None, None]:
            return inner().__await__()

    async def items() -> AsyncIterator[int]:
        await Awaitable()
        yield 1

    async def outer() -> None:
        async for _ in items():
            pass

    suspended = outer()
    suspended.send(None)
    assert ["outer", "items", "inner", "wait"] == names(suspended)
    suspended.close()


def test_what_does_not_tell_is_the_end() -> None:
    def outer() -> Generator[int, None, None]:
        yield from iter([1, 2])

    suspended = outer()
    next(suspended)
    assert ["outer"] == names(suspended)
    assert [] == names(5)
    assert [None, outer.__code__] == [code_of(5), code_of(suspended)]
