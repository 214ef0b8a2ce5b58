"""The life of a WebSocket after its handshake, as a table.

What lives here: WebSocketState and WEBSOCKET_LIFE.  What it must not know: anything else.
Stands on: the standard library alone.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class WebSocketState(Enum):
    """Where a WebSocket is in its life."""

    #: Messages go both ways.
    OPEN = "open"
    #: Our Close is on its way; messages are received until the peer's comes.
    CLOSING = "closing"
    #: Nothing more comes or goes.
    CLOSED = "closed"


#: The life of a WebSocket after its handshake: {state: {event: next state}}.
WEBSOCKET_LIFE: Final[dict[WebSocketState, dict[str, WebSocketState]]] = {
    WebSocketState.OPEN: {
        "close_sent": WebSocketState.CLOSING,
        "close_received": WebSocketState.CLOSED,
        "failed": WebSocketState.CLOSED,
        "lost": WebSocketState.CLOSED,
    },
    WebSocketState.CLOSING: {
        "close_received": WebSocketState.CLOSED,
        "failed": WebSocketState.CLOSED,
        "lost": WebSocketState.CLOSED,
    },
    WebSocketState.CLOSED: {},
}
