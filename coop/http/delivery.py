"""Delivery: an answer on its way out.

What lives here: the framing of an answer, and sending a body that is not bytes: a file, or pieces
as they come.  What it must not know: requests' bodies, the parser, what follows the answer.
Stands on: messages, pieces, exchange, stream.
"""

from __future__ import annotations

from typing import Any, Final

from coop.http.exchange import Exchange
from coop.http.messages import FileRegion, Request, Response
from coop.http.pieces import END, as_pieces, next_piece
from coop.outcomes import CoopError
from coop.stream import Connection
from coop.traps import Coop

#: Pieces that cannot make us wait are put together until they are this many bytes.
GATHER_BYTES: Final = 65536
#: Statuses whose answers say nothing of a length (RFC 9110 section 8.6: a 304 would have to say
#: that of the answer it stands for).
_LENGTHLESS: Final = frozenset([204, 304])


class BrokenBodyError(CoopError):
    """The body of a response did not turn out as its head had told; the connection must end."""


class Delivery:
    """Send one answer over a connection."""

    __slots__ = (
        "_connection", "_exchange", "_left", "_pending", "_pending_bytes", "_response",
        "body_bytes", "is_chunked", "is_close_delimited", "is_headless", "may_read",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        request: Request | None,
        response: Response,
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._response = response
        #: Octets of a body of known length still to come.
        self._left = response.content_length
        is_open_ended = response.content_length is None
        is_old = request is not None and request.minor == 0
        #: Whether the body goes out in chunks, or ends where the connection does.
        self.is_chunked = is_open_ended and not is_old
        self.is_close_delimited = is_open_ended and is_old
        #: Whether the body's making may read the request's body.
        self.may_read = hasattr(response.body, "throw") or hasattr(response.body, "__anext__")
        #: Whether only the head is sent (RFC 9110 section 9.3.2).
        self.is_headless = request is not None and request.method == "HEAD"
        #: Octets of the body that were handed to the system, or are about to be.
        self.body_bytes = 0
        #: What has been made and not yet sent.
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def framing_lines(self, keep_lines: bytes) -> bytes:
        """Return the field lines that say how the body is delimited, before ``keep_lines``."""
        if self._response.status in _LENGTHLESS:
            return keep_lines
        if self._left is not None:
            return b"Content-Length: %d\r\n%b" % (self._left, keep_lines)
        if self.is_chunked:
            return b"Transfer-Encoding: chunked\r\n" + keep_lines
        return keep_lines

    def run(self, head: bytes) -> Coop[None]:
        """Send the head and the body.

        Errors: BrokenBodyError, or the body's own error, when the body cannot be sent as told;
        OSError when the connection broke.
        """
        body = self._response.body
        self._put(head)
        if self.is_headless:
            pass
        elif isinstance(body, bytes):
            if len(body) >= GATHER_BYTES:
                yield from self._flush()
            self.body_bytes = len(body)
            self._put(body)
        elif isinstance(body, FileRegion):
            yield from self._send_region(body)
        else:
            yield from self._send_pieces(body)
        yield from self._flush()

    # -- pieces ---------------------------------------------------------------------------------

    def _send_pieces(self, body: Any) -> Coop[None]:
        pieces = as_pieces(body)
        if hasattr(pieces, "throw"):
            yield from self._send_as_they_come(pieces)
        else:
            for piece in pieces:
                yield from self._put_piece(piece)
                if self._pending_bytes >= GATHER_BYTES:
                    yield from self._flush()
        if self._left:
            raise BrokenBodyError(f"the body ended {self._left} bytes short of its Content-Length")
        if self.is_chunked:
            self._put(b"0\r\n\r\n")

    def _send_as_they_come(self, pieces: Any) -> Coop[None]:
        """Send each piece before the next one is asked for, since that may wait.

        The head goes with the first one, or before the first wait.
        """
        try:
            while (piece := (yield from self._next_piece(pieces))) is not END:
                yield from self._put_piece(piece)
                yield from self._flush()
        except Exception:
            yield from self._flush()  # the head, without which nobody sees that it breaks off
            raise
        finally:
            pieces.close()

    def _next_piece(self, pieces: Any) -> Coop[Any]:
        self._exchange.advance("produce")
        piece = yield from next_piece(pieces, self._before_waiting)
        self._exchange.advance("answer")
        return piece

    def _before_waiting(self) -> None:
        self._exchange.watch_client()
        if self._pending:
            self._offer()

    def _put_piece(self, piece: Any) -> Coop[None]:
        if isinstance(piece, str):
            piece = piece.encode()
        elif not isinstance(piece, (bytes, FileRegion)):
            piece = bytes(memoryview(piece))
        size = len(piece)
        if not size:
            return
        if self._left is not None:
            if size > self._left:
                raise BrokenBodyError("the body is longer than its Content-Length")
            self._left -= size
        if self.is_chunked:
            self._put(b"%x\r\n" % size)
        if isinstance(piece, FileRegion):
            yield from self._send_region(piece)
        else:
            self.body_bytes += size
            self._put(piece)
        if self.is_chunked:
            self._put(b"\r\n")

    def _send_region(self, region: FileRegion) -> Coop[None]:
        yield from self._flush()
        sent = yield from self._connection.sendfile(region.file, region.offset, region.count)
        self.body_bytes += sent
        if sent < region.count:
            raise BrokenBodyError(f"the file ended {region.count - sent} bytes early")

    # -- bytes ----------------------------------------------------------------------------------

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)

    def _offer(self) -> None:
        """Send of what is pending as much as the system takes at once."""
        data = b"".join(self._pending)
        try:
            sent = self._connection.socket.send(data) or 0
        except OSError:
            return  # which the next one to send is told
        self._pending = [data[sent:]] if sent < len(data) else []
        self._pending_bytes = len(data) - sent

    def _flush(self) -> Coop[None]:
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
            yield from self._connection.sendall(data)
