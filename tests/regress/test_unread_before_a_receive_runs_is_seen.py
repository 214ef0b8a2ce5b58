"""A recv that was made before bytes were put back, and ran after, skipped them."""

from __future__ import annotations

import kit
import pytest
from kit import Gen, play

import coop


@pytest.mark.parametrize("how", ["recv", "recv_into"])
def test_bytes_put_back_before_a_receive_runs_come_first(how: str) -> None:
    def main() -> Gen[bytes]:
        ours, theirs = kit.pair()
        with ours, theirs:
            yield from theirs.sendall(b"second")
            buffer = bytearray(5)
            task = coop.spawn(ours.recv(5) if how == "recv" else ours.recv_into(buffer))
            ours.unread(b"first")
            got = yield from task.join()
            return got if how == "recv" else bytes(buffer[:got])

    assert b"first" == play(main())


def test_bytes_put_back_are_received_though_nothing_new_comes() -> None:
    def main() -> Gen[bytes]:
        ours, theirs = kit.pair()
        with ours, theirs:
            yield from theirs.sendall(b"x")
            yield from ours.recv()
            task = coop.spawn(ours.recv())
            ours.unread(b"first")
            with coop.timeout(1):
                return (yield from task.join())

    assert b"first" == play(main())


def test_bytes_cannot_be_put_back_behind_a_receivers_back() -> None:
    def main() -> Gen[None]:
        ours, theirs = kit.pair()
        with ours, theirs:
            task = coop.spawn(ours.recv_exactly(3))
            yield None
            with pytest.raises(coop.BusyError):
                ours.unread(b"first")
            task.cancel()

    play(main())
