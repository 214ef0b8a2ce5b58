"""The source: what a request asks of the connection that it came on.

What lives here: BodySource.  What it must not know: how a connection does any of it.
Stands on: address, forwarded.
"""

from __future__ import annotations

from typing import Protocol

from coop.address import Address
from coop.http.forwarded import Forwarding
from coop.traps import Operation


class BodySource(Protocol):
    """Whoever can read the body of a request: the connection that it came on."""

    @property
    def peer_address(self) -> Address | None:
        """The other end's address."""
        raise NotImplementedError

    @property
    def local_address(self) -> Address:
        """This end's address."""
        raise NotImplementedError

    @property
    def is_encrypted(self) -> bool:
        """Whether what comes and goes is encrypted."""
        raise NotImplementedError

    @property
    def forwarding(self) -> Forwarding | None:
        """Whom to believe about where requests come from; None for nobody."""
        raise NotImplementedError

    @property
    def is_body_read(self) -> bool:
        """Whether nothing of the body is left to read."""
        raise NotImplementedError

    @property
    def is_lost(self) -> bool:
        """Whether the client has gone, or the body has come to a bad end."""
        raise NotImplementedError

    def read_body(self, max_bytes: int | None) -> Operation[bytes]:
        """Read all of the body that is left."""
        raise NotImplementedError

    def read_body_piece(self, max_bytes: int | None) -> Operation[bytes]:
        """Read some of the body; ``b""`` at its end."""
        raise NotImplementedError
