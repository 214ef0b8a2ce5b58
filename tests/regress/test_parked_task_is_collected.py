"""A task that nobody referred to was collected in the middle of its wait.

asyncio: gh-91887 and dozens of fixes downstream, since its table of tasks is weak.  Here the
scheduler holds every live task; and nothing else does when it has ended (trio#1793, #1864).
"""

from __future__ import annotations

import gc
import weakref

from sync_kit import Gen, passes, play

import coop


class _Baggage:
    pass


def test_a_task_without_a_reference_lives_until_its_end() -> None:
    def main() -> Gen[list[str]]:
        event = coop.Event()
        log: list[str] = []

        def wait() -> Gen[None]:
            yield from event.wait()
            log.append("woken")

        coop.spawn(wait())
        yield from passes(2)
        gc.collect()
        event.set()
        yield from passes(2)
        return log

    assert ["woken"] == play(main())


def test_a_task_that_was_cancelled_lets_go_of_all_it_held() -> None:
    def main() -> Gen[list[object]]:
        event, lock, channel = coop.Event(), coop.Lock(), coop.Channel[int](0)
        baggage: list[weakref.ref[_Baggage]] = []

        def wait(thing: _Baggage) -> Gen[None]:
            with (yield from lock.acquire()):
                yield from coop.first(event, channel, coop.after(100))

        def start() -> list[coop.Task]:
            things = [_Baggage() for _ in range(3)]
            baggage.extend(map(weakref.ref, things))
            return [coop.spawn(wait(thing)) for thing in things]

        for task in start():
            yield from passes(2)
            task.cancel()
        del task
        yield from passes(3)
        gc.collect()
        return [thing() for thing in baggage]

    assert [None, None, None] == play(main())
