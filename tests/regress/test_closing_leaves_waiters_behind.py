"""Whoever waited on a channel when it was closed waited for ever, or took what was not there.

trio#3520 (2026) asks for every order of close, send and wake-up to be documented and tested.  Here
closing wakes all: receivers with the end, senders with the news that their value was not taken.
"""

from __future__ import annotations

import itertools

import pytest
from sync_kit import Gen, play

import coop


@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize("order", list(itertools.permutations(["send", "recv", "close"])))
def test_send_receive_and_close_in_any_order_agree(capacity: int, order: list[str]) -> None:
    def main() -> Gen[None]:
        channel = coop.Channel[str](capacity)
        outcome: dict[str, object] = {}

        def send() -> Gen[None]:
            try:
                yield from channel.send("value")
                outcome["send"] = True
            except coop.ClosedError:
                outcome["send"] = False

        def receive() -> Gen[None]:
            outcome["recv"] = yield from channel.recv()

        def body(group: coop.Group) -> Gen[None]:
            for what in order:
                if what == "close":
                    channel.close()
                else:
                    group.spawn(send() if what == "send" else receive())
                yield None

        yield from coop.group(body)
        assert outcome["recv"] == ("value" if outcome["send"] else coop.CLOSED)

    play(main())
