"""WebSocket for coop, over websockets' sans-I/O layer.

The front door: public names, and what to do when websockets is missing.
"""

try:
    import websockets  # noqa: F401
except ImportError as error:
    raise ImportError("coop.ws needs websockets: pip install 'coop-net[ws]'") from error

from coop.ws.client import HandshakeError, connect
from coop.ws.handshake import Handler, upgrade
from coop.ws.life import WebSocketState
from coop.ws.room import Room
from coop.ws.rules import Rules
from coop.ws.websocket import WebSocket

__all__ = [
    "Handler",
    "HandshakeError",
    "Room",
    "Rules",
    "WebSocket",
    "WebSocketState",
    "connect",
    "upgrade",
]
