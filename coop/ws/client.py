"""The client's end: a connection, the handshake, a WebSocket.

What lives here: ``connect``.  What it must not know: frames.
Stands on: coop.dial; websockets' ClientProtocol; websocket.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidURI
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Origin, Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from coop.address import Address
from coop.dial import connect as dial
from coop.outcomes import CoopError, IncompleteError, LimitError
from coop.scopes import timeout as within
from coop.stream import Connection
from coop.traps import Coop, operation
from coop.ws.codec import Codec
from coop.ws.rules import DEFAULT_RULES, Rules
from coop.ws.websocket import WebSocket

logger = logging.getLogger("coop.ws")

#: How long the handshake may take unless told otherwise, that of TLS included, in seconds.
HANDSHAKE_SECONDS: Final = 10.0
#: Longest head of an answer, in bytes.
_HEAD_BYTES: Final = 32 * 1024

_find_status = re.compile(rb"HTTP/1\.1 (\d{3})(?: |\r)").match


class HandshakeError(CoopError):
    """The server did not agree to a WebSocket.  ``status`` is what it answered; 0: no HTTP."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@operation
def connect(
    uri: str,
    *,
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    compression: bool = True,
    headers: Iterable[tuple[str, str]] = (),
    rules: Rules = DEFAULT_RULES,
    tls: ssl.SSLContext | Literal[True] = True,
    address: Address | None = None,
    timeout: float | None = HANDSHAKE_SECONDS,
) -> Coop[WebSocket]:
    """Open a WebSocket: ``with (yield from coop.ws.connect("ws://localhost:8000/chat")) as ws:``

    Inside the with-block the peer's pings are answered whatever the program does, and its silence
    is noticed.  Leaving it closes at once; to be polite, ``yield from ws.close()`` before.
    ``tls`` is for ``wss:``, as for ``coop.connect``; ``address`` is where to connect instead of to
    the host of the URI.
    Waits: until the handshake is done, at most ``timeout`` seconds.  Errors: ValueError for what is
    no URI of a WebSocket; HandshakeError when the server refuses; those of ``coop.connect``.
    """
    try:
        where = parse_uri(uri)
    except InvalidURI as error:
        raise ValueError(str(error)) from None
    protocol = ClientProtocol(
        where,
        origin=None if origin is None else Origin(origin),
        extensions=[_DEFLATE] if compression else None,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        max_size=rules.max_message_bytes,
        logger=logger,
    )
    with within(timeout):
        connection = yield from _dial(where, tls, address)
        try:
            yield from _shake_hands(connection, protocol, headers)
        except BaseException:
            connection.close()
            raise
    codec = Codec(protocol, rules)
    return WebSocket(
        connection, codec, rules, path=where.resource_name, subprotocol=protocol.subprotocol
    )


def _dial(
    where: WebSocketURI, tls: ssl.SSLContext | Literal[True], address: Address | None
) -> Coop[Connection]:
    host, port = (where.host, where.port) if address is None else (address, None)
    if where.secure:
        return (yield from dial(host, port, tls=tls, server_hostname=where.host))
    return (yield from dial(host, port))


def _shake_hands(
    connection: Connection, protocol: ClientProtocol, headers: Iterable[tuple[str, str]]
) -> Coop[None]:
    """Ask, and hear the answer (RFC 6455 section 4.1); what follows it stays in the connection."""
    wish = protocol.connect()
    for name, value in headers:
        wish.headers[name] = value
    protocol.send_request(wish)
    yield from connection.sendall(b"".join(protocol.data_to_send()))
    try:
        head = yield from connection.recv_until(b"\r\n\r\n", _HEAD_BYTES)
    except (IncompleteError, LimitError) as error:
        raise HandshakeError(f"no answer to a handshake came: {error}") from None
    found = _find_status(head)
    status = int(found[1]) if found else 0
    if status != 101:
        raise HandshakeError(f"the server answered {status or 'no HTTP/1.1'}, not 101", status)
    protocol.receive_data(head)
    protocol.events_received()
    if protocol.handshake_exc is not None:
        why = protocol.handshake_exc
        kind = "refused" if isinstance(why, InvalidHandshake) else "broke"
        raise HandshakeError(f"the handshake {kind}: {why}", status) from None


_DEFLATE: Final = ClientPerMessageDeflateFactory(
    client_max_window_bits=True, compress_settings={"memLevel": 5}
)
