"""Rooms: one message to many, none of whom can hold up the others.

What lives here: Room.  What it must not know: frames, connections.  Stands on: websocket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from coop.ws.codec import Message
from coop.ws.life import WebSocketState
from coop.ws.websocket import WebSocket

#: How far a member may fall behind unless told otherwise, in bytes.
BEHIND_BYTES: Final = 1 << 20
#: Try again later: the code with which a slow reader is put out (RFC 6455, IANA's registry).
TOO_SLOW: Final = 1013


class Room:
    """Members who hear what is broadcast.

    Each is sent a message at once as far as its connection takes it; the rest waits for it alone,
    ``max_behind_bytes`` at most.  Who falls back further is put out, with ``close_code``: its
    handler's ``recv`` answers CLOSED.
    """

    __slots__ = ("_members", "close_code", "max_behind_bytes")

    def __init__(self, *, max_behind_bytes: int = BEHIND_BYTES, close_code: int = TOO_SLOW) -> None:
        if not max_behind_bytes > 0:
            raise ValueError(f"max_behind_bytes must be 1 or more, not {max_behind_bytes!r}")
        self.max_behind_bytes = max_behind_bytes
        self.close_code = close_code
        #: In the order in which they came.
        self._members: dict[WebSocket, None] = {}

    def add(self, ws: WebSocket) -> None:
        """Let it hear what is broadcast from now on."""
        self._members[ws] = None

    def remove(self, ws: WebSocket) -> None:
        """Let it hear no more; it may have left already."""
        self._members.pop(ws, None)

    @contextmanager
    def joined(self, ws: WebSocket) -> Iterator[None]:
        """Have it in the room for the length of a block: ``with room.joined(ws): …``"""
        self.add(ws)
        try:
            yield
        finally:
            self.remove(ws)

    def broadcast(self, message: Message, *, but: WebSocket | None = None) -> int:
        """Send a message to every member, ``but`` perhaps one; return to how many.

        Waits: never.  Those who have ended are left out, and leave.  The message is encoded once
        for all who speak alike.  Errors: TypeError for what is no message.
        """
        frames: dict[int, bytes] = {}
        count = 0
        for ws in list(self._members):
            if ws is but:
                continue
            is_open = ws.state is WebSocketState.OPEN
            if is_open and ws.post(message, frames) > self.max_behind_bytes:
                ws.drop(self.close_code, "too slow")
            if ws.state is WebSocketState.OPEN:
                count += 1
            else:
                self.remove(ws)
        return count

    def __contains__(self, ws: WebSocket) -> bool:
        return ws in self._members

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(list(self._members))

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"<room of {len(self)}>"
