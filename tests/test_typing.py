"""A program with types, as a user writes it: mypy reads it in strict mode, and it runs.

What a call gives is stated by ``assert_type``; what mypy refuses in here is a mistake in coop.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import assert_type

import coop


def number() -> coop.Coop[int]:
    yield from coop.sleep(0)
    return 1


async def number_too() -> int:
    await coop.sleep(0)
    return 2


@coop.operation
def either() -> coop.Coop[int]:
    return (yield from number())


def test_a_run_returns_what_its_main_does() -> None:
    assert_type(coop.run(number()), int)
    assert_type(coop.run(number_too()), int)
    assert [1, 2] == [coop.run(number()), coop.run(number_too())]


def test_a_coroutine_may_be_spawned() -> None:
    def main() -> coop.Coop[list[int]]:
        one, two = coop.spawn(number()), assert_type(coop.spawn(number_too()), coop.Task[int])
        return [assert_type((yield from one.join()), int), (yield from two.join())]

    assert [1, 2] == coop.run(main())


def test_an_operation_of_ones_own_serves_both() -> None:
    async def asked() -> int:
        return assert_type(await either(), int)

    def told() -> coop.Coop[int]:
        return assert_type((yield from either()), int)

    assert [1, 1] == [coop.run(asked()), coop.run(told())]


def test_what_an_executor_returns_has_its_type() -> None:
    def main() -> coop.Coop[int]:
        with ThreadPoolExecutor(1) as threads:
            return assert_type((yield from coop.run_in_executor(threads, len, "abc")), int)

    assert 3 == coop.run(main())


def test_what_several_return_has_its_type() -> None:
    def main() -> coop.Coop[int]:
        first = assert_type((yield from coop.race(number(), number())), int)
        listed = assert_type(
            (yield from coop.map(lambda _: number(), range(2), limit=1)), list[int]
        )
        return first + sum(listed)

    assert 3 == coop.run(main())


def test_coroutines_may_stand_wherever_generators_do() -> None:
    async def talk(conn: coop.Connection) -> None:
        await conn.sendall(b"hello")

    async def body(members: coop.Group) -> int:
        return await members.spawn(number_too()).join()

    def main() -> coop.Coop[list[int]]:
        server = coop.Server(talk, coop.listen("127.0.0.1", 0))
        server.abort()
        yield from server.run(heed_signals=False)
        winner = assert_type((yield from coop.race(number_too(), number())), int)
        grouped = assert_type((yield from coop.group(body)), int)
        gathered = yield from coop.gather(number(), number_too())
        mapped = yield from coop.map(lambda _: number_too(), "ab")
        return [grouped, *gathered, *mapped, winner]

    assert [2, 1, 2, 2, 2] == coop.run(main())[:5]
