"""Of two tasks waiting on one foreign descriptor, the first to finish took it from the other.

``wait_readable`` and ``wait_writable`` enter a descriptor that somebody else owns for the length of
the wait.  The one that had entered it also forgot it, and the other got ClosedError.
"""

from __future__ import annotations

import socket

from kit import Gen, passes, play

import coop


def test_a_reader_keeps_the_descriptor_when_a_writer_is_done() -> None:
    def main() -> Gen[str]:
        ours, theirs = socket.socketpair()
        with ours, theirs:

            def wait() -> Gen[str]:
                yield from coop.wait_readable(ours)
                return "readable"

            writer = coop.spawn(coop.wait_writable(ours))
            reader = coop.spawn(wait())
            yield from writer.join()
            yield from passes(2)
            theirs.send(b"x")
            return (yield from reader.join())  # type: ignore[no-any-return]

    assert "readable" == play(main())
