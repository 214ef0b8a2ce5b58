"""The handshake at the server's end: a request that asks for a WebSocket, and the answer to it.

What lives here: ``upgrade``, and the run of a handler from the answer to the connection's end.
What it must not know: frames.  Stands on: coop.http's Upgrade; websockets' negotiation; websocket.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request as Wish
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from coop.groups import as_generator
from coop.http import Request, Response, Upgrade
from coop.outcomes import ClosedError
from coop.stream import Connection
from coop.traps import Coop
from coop.ws.codec import Codec
from coop.ws.life import WebSocketState
from coop.ws.rules import DEFAULT_RULES, Rules
from coop.ws.websocket import INTERNAL_ERROR, WebSocket

logger = logging.getLogger("coop.ws")

Handler = Callable[[WebSocket], Any]
"""What talks with one peer: called with its WebSocket, it returns a generator (or a coroutine)."""

Origins = Iterable[str | re.Pattern[str] | None] | Literal["same", "any"]
"""Whose pages may connect: their origins, such as ``https://example.com``, or patterns of them."""

#: Handed to a peer that asks for another version of the protocol (RFC 6455 section 4.4).
_VERSION: Final = ("Sec-WebSocket-Version", "13")
#: The fields of an answer, in the order in which websockets gives their values.
_AGREED: Final = ("Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol")
_WISH: Final = ("Upgrade", "websocket")

#: Nothing is kept between messages: idle connections cost no memory, and all members of a room may
#: be sent the same frame.  The window is that of the peers: 4 KiB.
_DEFLATE: Final = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)


def upgrade(
    request: Request,
    handler: Handler,
    *,
    origins: Origins = "same",
    subprotocols: Sequence[str] = (),
    compression: bool = True,
    rules: Rules = DEFAULT_RULES,
    headers: Iterable[tuple[str, str]] = (),
) -> Response:
    """Answer a request for a WebSocket: ``return coop.ws.upgrade(request, chat)``.

    ``handler(ws)`` runs once the answer has been sent; when it returns, the WebSocket is closed
    with 1000, when it fails, with 1011.  ``origins``: a browser's request is refused unless it
    comes from a page of the same host, or of these; None among them lets in whoever names no
    origin, which no browser does; ``"any"`` asks no question.  ``subprotocols``: those known, the
    best first; without a common one there is none.  ``compression``: permessage-deflate, where the
    peer offers it; nothing is kept between messages.  ``headers`` are added to the answer.

    Returns an Upgrade, or the refusal: 405, 426, 400 or 403.  Waits: never.
    Source: RFC 6455 section 4.2, RFC 7692.
    """
    refusal = _refuse(request, origins)
    if refusal is not None:
        return refusal
    protocol = ServerProtocol(
        extensions=[_DEFLATE] if compression else None,
        subprotocols=[Subprotocol(name) for name in subprotocols],
        select_subprotocol=_select,
        state=OPEN,
        max_size=rules.max_message_bytes,
        logger=logger,
    )
    wish = Wish(request.target, Headers(request.headers.pairs))
    try:
        agreed = protocol.process_request(wish)
    except InvalidHandshake as error:
        logger.debug("%r: %s", request, error)
        return _refusal(400, "the handshake is not one of RFC 6455")
    fields = [(name, value) for name, value in zip(_AGREED, agreed, strict=True) if value]

    def take_over(connection: Connection, received: bytes) -> Coop[None]:
        codec = Codec(protocol, rules, received)
        return _run(connection, codec, rules, handler, request, protocol.subprotocol)

    return Upgrade("websocket", take_over, [*fields, *headers])


def _refuse(request: Request, origins: Origins) -> Response | None:
    """Judge what can be judged before any negotiation."""
    fields = request.headers
    if request.method != "GET":
        return _refusal(405, "a WebSocket begins with GET", ("Allow", "GET"))
    if request.minor < 1 or request.framing.content_length != 0:
        return _refusal(400, "a WebSocket begins with a request of HTTP/1.1, without a body")
    if not _has_token(fields.get_all("upgrade"), "websocket"):
        return _refusal(426, "this is the address of a WebSocket", _WISH)
    if not _has_token(fields.get_all("connection"), "upgrade"):
        return _refusal(426, "the field Connection does not say Upgrade", _WISH)
    if fields.get_all("sec-websocket-version") != ["13"]:
        return _refusal(426, "the version of the protocol is 13", _WISH, _VERSION)
    if not _is_key(fields.get_all("sec-websocket-key")):
        return _refusal(400, "Sec-WebSocket-Key must be 16 bytes in base64, once")
    if not _is_welcome(request, origins):
        return _refusal(403, "pages of that origin may not connect")
    return None


def _has_token(values: Iterable[str], token: str) -> bool:
    return any(token == each.strip().lower() for value in values for each in value.split(","))


def _is_key(values: Sequence[str]) -> bool:
    try:
        return len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _is_welcome(request: Request, origins: Origins) -> bool:
    """Tell whether the page that asks may connect (RFC 6455 section 10.2)."""
    if origins == "any":
        return True
    given = request.headers.get_all("origin")
    if len(given) > 1:
        return False
    origin = given[0] if given else None
    if origins == "same":
        return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()
    return any(
        bool(origin is not None and each.fullmatch(origin))
        if isinstance(each, re.Pattern)
        else each == origin
        for each in origins
    )


def _refusal(status: int, why: str, *fields: tuple[str, str]) -> Response:
    return Response(f"{why}\n", status, [*fields, ("Connection", "close")])


def _select(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose the first of ours that the peer knows too."""
    known = protocol.available_subprotocols or ()
    return next((name for name in known if name in offered), None)


def _run(
    connection: Connection,
    codec: Codec,
    rules: Rules,
    handler: Handler,
    request: Request,
    subprotocol: str | None,
) -> Coop[None]:
    """Run the handler over a connection whose handshake is done, and close it well."""
    ws = WebSocket(
        connection, codec, rules, path=request.path, request=request, subprotocol=subprotocol
    )
    with ws:
        try:
            yield from as_generator(handler(ws))
        except Exception as error:
            if ws.state is WebSocketState.OPEN or not _is_end(error):
                yield from ws.close(INTERNAL_ERROR)
                raise
        yield from ws.close()


def _is_end(error: Exception) -> bool:
    """Tell whether a handler was ended by nothing but the end of what it used."""
    if isinstance(error, ExceptionGroup):
        return error.split(ClosedError)[1] is None
    return isinstance(error, ClosedError)
