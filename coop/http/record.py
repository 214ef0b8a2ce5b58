"""The record: what is known of a request once its answer is sent, or cannot be.

What lives here: AccessRecord, and AccessLog, whatever is called with one.  What it must not know:
how a line of a log is written, and where it goes.  Stands on: messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coop.address import Address
from coop.http.messages import Request, Response
from coop.http.source import BodySource

#: The status of a request whose client left before the answer was begun, as nginx writes it.
CLIENT_GONE: Final = 499


class AccessRecord:
    """One request and what became of it.

    It may be kept, but it keeps the request and the response with it.
    """

    __slots__ = (
        "_refused_line", "_source", "body_bytes", "is_whole", "request", "response", "seconds",
    )  # fmt: skip

    def __init__(
        self,
        request: Request | None,
        response: Response,
        source: BodySource,
        *,
        refused_line: bytes = b"",
        body_bytes: int = 0,
        seconds: float = 0.0,
        is_whole: bool = True,
    ) -> None:
        #: The request; None for what was refused before it was one (400, 408, 414, 431, 505, …).
        self.request = request
        #: The answer; status 499 without a body where the client left before one was begun.
        self.response = response
        #: How many bytes of the answer's body were sent, without the framing; where not all of it
        #: was, how many were about to be.
        self.body_bytes = body_bytes
        #: From the first byte of the request to the last of the answer, by the server's clock.
        self.seconds = seconds
        #: Whether all of the answer was sent.
        self.is_whole = is_whole
        self._source = source
        self._refused_line = refused_line

    @property
    def status(self) -> int:
        """The answer's status; 499 when the client left before it was begun."""
        return self.response.status

    @property
    def peer(self) -> Address | None:
        """The client's address, None when there is none: ``Request.peer``.

        Of a request that was refused before it was one, the connection's other end.
        """
        peer, forwarding = self._source.peer_address, self._source.forwarding
        if self.request is None or forwarding is None:
            return peer
        return forwarding.origin(peer, self.request.headers).peer

    @property
    def request_line(self) -> str:
        """``GET /path HTTP/1.1``, as it was sent; of a refused request as much as was received.

        One character per octet.  A refused one may hold any octet: escape it before it is printed.
        """
        line = self._refused_line if self.request is None else self.request.line
        return line.decode("latin-1")

    def __repr__(self) -> str:
        return f"<access {self.request_line!r} {self.status}>"


AccessLog = Callable[[AccessRecord], object]
"""What is called once for each request, after its answer was sent: ``access_log(record)``.

Refused requests too (400, 408, 413, 414, 431, 505, …), and those whose client left or took nothing.
Never for a connection on which no request began.  It must not wait; an error of its own ends the
connection.
"""
