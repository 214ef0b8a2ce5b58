"""What the tests of WebSockets share: frames made and read by hand, and a server to talk with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import http_kit
from http_kit import Gen, Hall
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

import coop
import coop.http
import coop.ws
from coop.ws.codec import Codec
from coop.ws.rules import DEFAULT_RULES, Rules

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"

WISH = (
    b"GET /ws?room=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
#: Nobody is given up: a clock that leaps would do so at the first moment without an event.
PATIENT = Rules(ping_interval=1e12, ping_timeout=1e12)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Frame(NamedTuple):
    """A frame as it came over the wire."""

    opcode: int
    data: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def code(self) -> int:
        """The code of a Close."""
        assert CLOSE == self.opcode, self
        return int.from_bytes(self.data[:2], "big") if self.data else 1005


def frame(
    opcode: int,
    data: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: int | None = None,
    width: int | None = None,
) -> bytes:
    """Make a frame, a good one or not; ``width`` is that of the length, 0, 2 or 8 bytes."""
    size = len(data) if length is None else length
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0 if mask is None else 0x80
    head += bytes([bit | (size if width == 0 else 126 if width == 2 else 127)])
    head += size.to_bytes(width, "big") if width else b""
    if mask is None:
        return head + data
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def read_frames(data: bytes) -> list[Frame]:
    """Read what a server sent: whole frames, none of them masked."""
    frames = []
    while data:
        size, at = data[1], 2
        assert size < 128, "a server masks nothing"
        if size >= 126:
            at += 2 if size == 126 else 8
            size = int.from_bytes(data[2:at], "big")
        assert len(data) >= at + size, "half a frame"
        first = data[0]
        frames.append(Frame(first & 15, data[at : at + size], bool(first >> 7), first >> 4 & 7))
        data = data[at + size :]
    return frames


def server_codec(
    received: bytes = b"", rules: Rules = DEFAULT_RULES, *, deflate: bool = False
) -> Codec:
    """A codec after its handshake."""
    protocol = ServerProtocol(state=OPEN, max_size=rules.max_message_bytes)
    if deflate:
        protocol.extensions = [PerMessageDeflate(True, True, 15, 12)]
    return Codec(protocol, rules, received)


class Peer:
    """A client by hand, whose handshake is done."""

    def __init__(self, client: http_kit.Client, head: bytes) -> None:
        self.conn = client.conn
        self.head = head

    def say(self, *frames: bytes, cut: int | None = None) -> Gen[None]:
        """Send these, in pieces of ``cut`` bytes that arrive one by one."""
        yield from http_kit.Client(self.conn).say(b"".join(frames), cut)

    def hear(self) -> Gen[Frame]:
        """Receive one frame."""
        data = yield from self.conn.recv_exactly(2)
        if data[1] >= 126:
            data += yield from self.conn.recv_exactly(2 if data[1] == 126 else 8)
            size = int.from_bytes(data[2:], "big")
        else:
            size = data[1]
        data += yield from self.conn.recv_exactly(size)
        return read_frames(data)[0]

    def hear_end(self) -> Gen[list[Frame]]:
        """Receive everything up to the end, and close."""
        return read_frames((yield from http_kit.Client(self.conn).hear_end()))


def enter(hall: Hall, fields: bytes = b"", more: bytes = b"", **options: Any) -> Gen[Peer]:
    """Connect, and shake hands; ``more`` goes with the request."""
    client = yield from hall.enter(**options)
    yield from client.say(WISH + fields + b"\r\n" + more)
    head = yield from client.conn.recv_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    return Peer(client, head)


def visit(
    handler: Callable[[coop.ws.WebSocket], Any],
    visitor: Callable[[Hall], Gen[Any]],
    options: dict[str, Any] | None = None,
    **serving: Any,
) -> Any:
    """Run ``visitor(hall)`` against a server of WebSockets, in a world whose clock leaps."""

    def app(request: coop.http.Request) -> coop.http.Response:
        return coop.ws.upgrade(request, handler, **{"rules": PATIENT, **(options or {})})

    return http_kit.visit(app, visitor, **serving)


def echo(ws: coop.ws.WebSocket) -> Gen[None]:
    while (message := (yield from ws.recv())) is not coop.CLOSED:
        yield from ws.send(message)
