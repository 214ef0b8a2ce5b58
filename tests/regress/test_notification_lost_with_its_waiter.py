"""A notification was lost with the waiter it had been given to, and another slept for ever.

asyncio: gh-112202, Condition.notify and a cancel of the notified task while it waits for the lock.
Here the notification goes on to the next in line, at the moment of the cancel.
"""

from __future__ import annotations

from sync_kit import Gen, passes, play

import coop


def test_a_notification_passes_on_when_its_waiter_is_cancelled() -> None:
    def main() -> Gen[str]:
        condition = coop.Condition()

        def wait(name: str) -> Gen[str]:
            with (yield from condition.acquire()):
                yield from condition.wait()
                return name

        first, second = coop.spawn(wait("first")), coop.spawn(wait("second"))
        yield from passes(3)
        with (yield from condition.acquire()):
            condition.notify()
            first.cancel()
        return (yield from second.join())  # type: ignore[no-any-return]

    assert "second" == play(main())


def test_a_notification_of_all_wakes_nobody_who_came_later() -> None:
    def main() -> Gen[int]:
        condition = coop.Condition()

        def wait() -> Gen[None]:
            with (yield from condition.acquire()):
                yield from condition.wait()

        first = coop.spawn(wait())
        yield from passes(3)
        with (yield from condition.acquire()):
            condition.notify_all()
            yield None
            late = coop.spawn(wait())
            yield from passes(2)
            first.cancel()
        yield from passes(4)
        waiting = condition.waiting
        late.cancel()
        return waiting

    assert 1 == play(main())
