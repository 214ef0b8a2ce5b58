"""Upgrade: the answer after which a connection speaks another protocol.

What lives here: Upgrade, which a handler returns in place of a plain Response, and its head.
What it must not know: which protocol follows, and how it is spoken.  Stands on: fields, messages,
stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coop.http.fields import HeaderPairs, encode_field
from coop.http.messages import Response
from coop.stream import Connection
from coop.traps import Coop

_STATUS_LINE: Final = b"HTTP/1.1 101 Switching Protocols\r\n"

TakeOver = Callable[[Connection, bytes], Coop[Any]]
"""What goes on with a connection, and with the bytes that were received behind the request."""


class Upgrade(Response):
    """Answer a request with 101, and give its connection to another protocol.

    ``take_over(connection, received)`` returns a generator, which is run when the answer has been
    sent; HTTP's deadlines hold no more then.  When it returns, the connection is closed as after
    any handler.  The request must have no body.
    Errors: ValueError for a field that could break the message.  Source: RFC 9110 section 7.8.
    """

    __slots__ = ("protocol", "take_over")

    def __init__(self, protocol: str, take_over: TakeOver, headers: HeaderPairs = ()) -> None:
        super().__init__(b"", 200, headers)
        self.status = 101
        #: As the field Upgrade says it.
        self.protocol = protocol
        self.take_over = take_over
        # No request follows on this connection.
        self.should_close = True

    def head(self, date: bytes, framing: bytes = b"") -> bytes:
        """Return the head to send; it is never followed by a body, so nothing frames it."""
        fields = encode_field("Upgrade", self.protocol) + b"Connection: Upgrade\r\n"
        return b"%b%b%b%b\r\n" % (_STATUS_LINE, b"" if self.has_date else date, fields, self._lines)

    def __repr__(self) -> str:
        return f"<upgrade to {self.protocol}>"
