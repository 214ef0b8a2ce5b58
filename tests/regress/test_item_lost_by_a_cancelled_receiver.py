"""An item was put for a receiver that was cancelled before it ran, and nobody ever got it.

asyncio: bpo-23812 (Queue.get), gh-86296 = bpo-42130 (wait_for and a result that was there).  Here
the value is handed over at the wake-up, and what has been woken returns what it got.
"""

from __future__ import annotations

import pytest
from sync_kit import Gen, passes, play

import coop


@pytest.mark.parametrize("capacity", [0, 1])
def test_a_receiver_cancelled_after_the_wakeup_still_returns_the_value(capacity: int) -> None:
    def main() -> Gen[list[str]]:
        channel = coop.Channel[str](capacity)
        got: list[str] = []

        def receive() -> Gen[None]:
            got.append(str((yield from channel.recv())))
            yield from coop.sleep(1)
            got.append("and went on")

        task = coop.spawn(receive())
        yield from passes(2)
        yield from channel.send("value")
        task.cancel()
        yield from passes(3)
        return got

    assert ["value"] == play(main())


def test_a_receiver_cancelled_before_leaves_the_value_to_the_next() -> None:
    def main() -> Gen[object]:
        channel = coop.Channel[str](1)
        task = coop.spawn(channel.recv())
        yield from passes(2)
        task.cancel()
        yield from channel.send("value")
        return (yield from channel.recv())

    assert "value" == play(main())


def test_a_result_that_is_there_when_the_time_runs_out_is_returned() -> None:
    """At the same moment the value is sent and the timeout expires: either, but never neither."""

    def main() -> Gen[None]:
        channel = coop.Channel[str](0)

        def send() -> Gen[bool]:
            yield from coop.sleep(1)
            with coop.move_on_after(5) as scope:
                yield from channel.send("value")
            return not scope.caught

        sender = coop.spawn(send())
        got = None
        with coop.move_on_after(1):
            got = yield from channel.recv()
        rest = None if got is not None else (yield from channel.recv())
        assert "value" in (got, rest)
        assert (yield from sender.join())

    play(main())
