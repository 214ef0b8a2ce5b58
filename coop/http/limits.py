"""Limits: every number that bounds what a peer may ask of the HTTP server.

What lives here: one frozen record of limits with their defaults, units and the status that answers
a breach.  What it must not know: bytes, sockets, tasks.  Stands on: the standard library alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True)
class Limits:
    """Hold the limits of one server; every field is a positive number, or None for no limit.

    Sizes are counted while reading, over all segments, without the CRLF that ends a line.
    Raises ValueError for a number that is not positive.
    """

    #: Longest request line, in bytes.  Answered 414.
    request_line_bytes: int = 8190
    #: Longest field line, in a head or in trailers, in bytes: 431.  Longest chunk-size line: 400.
    header_line_bytes: int = 8190
    #: Longest head from the request line to the empty line, and longest trailer section.  431.
    head_bytes: int = 32 * 1024
    #: Most fields in a head, and most in a trailer section.  431.
    header_count: int = 100
    #: Largest body a handler is given, unless it asks for more.  413.
    body_bytes: int = 1024 * 1024
    #: Most chunks in one body.  413.
    chunk_count: int = 65_536
    #: Most bytes of chunk extensions in one body.  400.
    chunk_extension_bytes: int = 32 * 1024
    #: Most bytes of a body nobody read that are thrown away to keep the connection.
    discard_bytes: int = 64 * 1024
    #: Most bytes of an answer that the system holds for a client that does not take them, behind
    #: those on their way; where it can be told (TCP_NOTSENT_LOWAT).  Left to itself, Linux holds
    #: megabytes, and a thousand slow readers leave it no memory for anybody.  For at most 64
    #: connections at once that were sent files, it holds eight times as much: see ``headroom``.
    unsent_bytes: int = 128 * 1024
    #: Most requests on one connection: the answer to the last says ``Connection: close``.
    requests_per_connection: int | None = None
    #: Most connections at once from one address, an IPv6 one counted by its first 64 bits.  Those
    #: beyond are answered 503 without being asked, as by nginx, and closed.  Off by default, since
    #: behind a proxy all clients may have one address.
    connections_per_address: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not value > 0:
                raise ValueError(f"limit {field.name}={value!r} must be greater than zero")


#: Most connections at once, unless ``serve`` is told otherwise.  Those beyond wait unaccepted, in
#: the listener's backlog.
MAX_CONNECTIONS: Final = 10_000

DEFAULT_LIMITS: Final = Limits()
"""The limits of a server that was told none."""


@dataclass(frozen=True)
class Deadlines:
    """Hold how long each phase of an exchange may take; every field is a positive number.

    All but the last are seconds, by the scheduler's clock; ``math.inf`` is for ever.  A deadline is
    active: the connection of a peer that stays silent is closed when it passes.
    """

    #: For the first byte of a request, on a new connection and after an answer.  Closed silently.
    idle: float = 5.0
    #: For a whole head, from its first byte on.  Answered 408.
    head: float = 10.0
    #: For which a body may fall behind ``body_rate``, or be silent.  408.
    body: float = 10.0
    #: For which a peer may take nothing of what is being sent.  Reset.
    stall: float = 30.0
    #: For which a handler may wait on when the client has ended its side: it may be reading still.
    #: Then it is taken to be gone, and the handler is cancelled; at once when it was a reset.
    half_close: float = 0.25
    #: How fast a body has to come, in bytes per second.
    body_rate: float = 500.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"deadline {field.name}={value!r} must be greater than zero")


DEFAULT_DEADLINES: Final = Deadlines()
