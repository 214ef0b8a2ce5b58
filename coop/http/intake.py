"""The intake: what comes over one connection, and whom it comes from.

What lives here: Intake, the source of requests' bodies, which reads no faster than handlers ask and
gives a client no more time than it may have.  What it must not know: handlers, answers.
Stands on: codec, exchange, limits, stream.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from coop.address import Address, unmapped
from coop.http.codec import NEED_DATA, RequestParser
from coop.http.errors import HttpError
from coop.http.exchange import Exchange
from coop.http.forwarded import Forwarding
from coop.http.messages import Request
from coop.outcomes import IncompleteError
from coop.scopes import move_on_after
from coop.stream import Connection
from coop.tls import TlsConnection
from coop.traps import Coop, current_task, operation

if TYPE_CHECKING:
    from coop.http.site import Site

logger = logging.getLogger("coop.http")

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Intake:
    """A connection as the source of requests, and of the present one's body."""

    __slots__ = (
        "_allowance", "_awaits_continue", "_connection", "_exchange", "_has_limit", "_loss",
        "_must_close", "_parser", "_reader", "_site", "_task", "_way",
    )  # fmt: skip

    def __init__(self, site: Site, connection: Connection) -> None:
        self._site = site
        self._connection = connection
        self._parser = RequestParser(site.limits)
        self._task = current_task()
        #: The direction in which requests come.
        self._way = self._task.scheduler.descriptors.table[connection.fileno()].reader
        self._exchange = self._begin_exchanges()
        # Of the last request that may have had a body:
        self._reader: Request | None = None
        #: Seconds for which the client may be silent; each byte that comes earns some back.
        self._allowance = site.deadlines.body
        #: Whether the client waits for 100 (Continue) before it sends the body.
        self._awaits_continue = False
        #: Whether the handler has set the body's limit.
        self._has_limit = False
        #: Whether the body has come to a bad end, so that nothing behind it can be understood.
        self._must_close = False
        #: The error that ended the connection while the body was read.
        self._loss: OSError | None = None

    def _begin_exchanges(self) -> Exchange:
        site = self._site
        return Exchange(self._connection, site.phase_seconds, self._way, site.deadlines.half_close)

    @property
    def peer_address(self) -> Address | None:
        """The other end's address."""
        return unmapped(self._connection.peer_address)

    @property
    def local_address(self) -> Address:
        """This end's address, asked of the system."""
        return self._connection.local_address.unmapped()

    @property
    def is_encrypted(self) -> bool:
        """Whether what comes and goes is encrypted."""
        return isinstance(self._connection, TlsConnection)

    @property
    def forwarding(self) -> Forwarding | None:
        """Whom to believe about where requests come from; None for nobody."""
        return self._site.forwarding

    @property
    def is_body_read(self) -> bool:
        """Whether nothing of the body is left to read."""
        return self._parser.is_body_read

    @property
    def is_lost(self) -> bool:
        """Whether the client has gone, or the body has come to a bad end."""
        return self._must_close or self._loss is not None or self._exchange.is_client_gone

    @operation
    def read_body(self, max_bytes: int | None) -> Coop[bytes]:
        """Read all of the body that is left."""
        piece = yield from self._read_piece(max_bytes)
        if self._parser.is_body_read:
            return piece  # all at once, as most bodies are
        pieces = [piece]
        while piece := (yield from self._read_piece(max_bytes)):
            pieces.append(piece)
        return b"".join(pieces)

    @operation
    def read_body_piece(self, max_bytes: int | None) -> Coop[bytes]:
        """Read some of the body; ``b""`` at its end."""
        return (yield from self._read_piece(max_bytes))

    def _begin_body(self, request: Request) -> None:
        if self._reader is not None:
            self._reader.source = None  # whoever kept it must not read this one's body
        self._reader = request
        self._allowance = self._site.deadlines.body
        self._awaits_continue = request.framing.expects_continue
        self._has_limit = False

    def _read_piece(self, max_bytes: int | None) -> Coop[bytes]:
        if max_bytes is not None and not self._has_limit:
            self._parser.set_body_limit(max_bytes)
            self._has_limit = True
        piece = self._parser.next_body()
        while piece is NEED_DATA:
            piece = self._parser.next_body((yield from self._receive()))
        if not self._way.is_watched and self._parser.is_body_read:
            self._exchange.watch_client()  # which had the body before it, when the handler began
        return piece

    def _receive(self) -> Coop[bytes]:
        """Receive some of the body, as long as the client may take for it.

        It may be silent for ``allowance`` seconds; what it sends earns it new ones, up to the full
        number, at ``body_rate`` bytes each.  The time that the handler takes does not count.
        """
        deadlines, clock = self._site.deadlines, self._task.scheduler.clock
        begin = clock.now()
        data = b""
        with move_on_after(self._allowance) as patience:
            try:
                if self._awaits_continue:
                    yield from self._send_continue()
                data = yield from self._connection.recv()
            except OSError as error:
                self._loss = error
                raise
        if not data:
            self._must_close = True
            if patience.caught:
                raise HttpError(408, "the body comes too slowly")
            raise IncompleteError("the client left before the body had come")
        spare = self._allowance - (clock.now() - begin) + len(data) / deadlines.body_rate
        self._allowance = max(0.0, min(deadlines.body, spare))
        return data

    def _send_continue(self) -> Coop[None]:
        self._awaits_continue = False
        yield from self._connection.sendall(_CONTINUE)

    def _discard(self) -> Coop[bool]:
        """Read what is left of the body and drop it; return whether that went well."""
        self._exchange.advance("discard")
        self._parser.set_body_limit(self._site.limits.discard_bytes)
        try:
            while (yield from self._read_piece(None)):
                pass
        except (HttpError, IncompleteError) as error:
            logger.debug("%r: %s", self._connection, error)
            return False
        return True
