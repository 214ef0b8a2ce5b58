"""The headroom: more space in the system's buffers for the few connections that are sent files.

What lives here: Headroom.  What it must not know: files, answers, who asks and why.
Stands on: sockets.

A connection for which the system holds little takes a long file in many steps; with more, in one.
What sendfile(2) queues is no copy of the file, but the system counts it as memory for TCP, of which
it has a fixed amount for all, and takes an eighth of it in fact.  Measured with a thousand clients
that read nothing of 4 MiB: 168 MB counted without headroom, 229 with these places, 1.1 GB with a
MiB for each, and with no bound 1.6 GB, where the system begins to be short of it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from coop.sockets import StreamSocket, TcpSocket

#: Most connections with headroom at once.
PLACES: Final = 64
#: So many times of what the system holds for any connection, it holds for one with headroom.
FACTOR: Final = 8


class Headroom:
    """Places for connections that may have more unsent than others; a new one drives out an old."""

    __slots__ = ("_holders", "_places", "_unsent_bytes")

    def __init__(self, unsent_bytes: int, places: int = PLACES) -> None:
        #: What the system holds for a connection without headroom, in bytes.
        self._unsent_bytes = unsent_bytes
        self._places = places
        #: The connections with headroom, in the order in which they came or were last looked at.
        self._holders: dict[TcpSocket, None] = {}

    def give(self, raw: StreamSocket, size: int) -> bool:
        """Give headroom to a connection that is to be sent ``size`` bytes of a file.

        Only to TCP as it is, since where sendfile(2) is not used nothing is gained; and only if
        there is a place.  Returns whether it has headroom.  Waits: never.  Errors: none.
        """
        if size <= self._unsent_bytes or type(raw) is not TcpSocket:
            return False
        if raw in self._holders:
            return True
        if len(self._holders) >= self._places and not self._take_back():
            return False
        self._holders[raw] = None
        _set(raw, FACTOR * self._unsent_bytes)
        return True

    def _take_back(self) -> bool:
        """Take headroom from the oldest connection if its peer has caught up; return whether.

        One look each time, at another one: a slow reader keeps its place, and costs little.
        """
        oldest = next(iter(self._holders))
        del self._holders[oldest]
        if oldest.is_closed:
            return True
        if (oldest.bytes_unsent() or 0) > self._unsent_bytes:
            self._holders[oldest] = None
            return False
        _set(oldest, self._unsent_bytes)
        return True


def _set(raw: TcpSocket, count: int) -> None:
    with suppress(OSError):  # macOS: the peer has gone, which others will notice
        raw.set_unsent_bytes(count)
