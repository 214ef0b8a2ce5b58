"""Reads that the buffer could answer went past every rule of the others.

They were not counted, so a flood of short lines held up every task; a second reader took the bytes
that the first, parked in ``recv_exactly``, had collected; two that were made before either ran
shared one buffer, and the second got ``b""``, which is the end of the stream, in the midst of it;
and ``recv_exactly(a million million)`` set aside that much memory before a byte had come.
The fairness is tested in test_scheduler.py.
"""

from __future__ import annotations

from typing import Any

import kit
import pytest
from kit import Gen, play

import coop

pytestmark = pytest.mark.core


@pytest.mark.parametrize("way", ["recv", "recv_exactly", "readline", "recv_into"])
def test_a_second_reader_does_not_take_what_the_first_has_collected(way: str) -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            first = coop.spawn(a.recv_exactly(10))
            yield from b.sendall(b"12\n45")
            yield from kit.passes(3)
            calls: dict[str, Any] = {
                "recv": a.recv,
                "recv_exactly": lambda: a.recv_exactly(1),
                "readline": a.readline,
                "recv_into": lambda: a.recv_into(bytearray(1)),
            }
            with pytest.raises(coop.BusyError):
                yield from calls[way]()
            yield from b.sendall(b"67890")
            return (yield from first.join())

    assert b"12\n4567890" == play(main())


def test_a_read_made_before_another_emptied_the_buffer_waits_for_more() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            a.unread(b"first")
            one, other = coop.spawn(a.recv()), coop.spawn(a.recv())
            yield from kit.passes(3)
            yield from b.sendall(b"second")
            return [(yield from one.join()), (yield from other.join())]

    assert [b"first", b"second"] == play(main())


def test_closed_while_it_passes_a_buffered_read_says_so() -> None:
    def read_on(conn: coop.Connection) -> Gen[None]:
        while True:
            yield from conn.recv_exactly(1)

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            a.unread(bytes(1000))
            reader = coop.spawn(read_on(a))
            yield None
            yield None
            a.close()
            with pytest.raises(coop.ClosedError):
                yield from reader.join()

    play(main())


def test_a_huge_count_sets_no_huge_memory_aside() -> None:
    def main() -> Gen[coop.IncompleteError]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"all there is")
            b.shutdown_send()
            with pytest.raises(coop.IncompleteError) as caught:
                yield from a.recv_exactly(10**15)
            return caught.value

    assert b"all there is" == play(main()).partial
