"""Rules: every number that bounds what a peer may ask of a WebSocket, and how long it may take.

What lives here: one frozen record, with defaults and units.  What it must not know: bytes, tasks.
Stands on: the standard library alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True)
class Rules:
    """Hold the limits and deadlines of WebSockets; every number is positive.

    Times are seconds by the scheduler's clock; ``math.inf`` is for ever.
    Raises ValueError for a number that is not positive.
    """

    #: Longest message, in bytes, counted after inflation and over all its fragments.  Closed 1009.
    max_message_bytes: int = 1 << 20
    #: Most fragments of one message.  1009.
    max_fragments: int = 4096
    #: For which a peer may be silent before it is sent a ping.
    ping_interval: float = 20.0
    #: For which it may be silent after that.  Then it is taken for dead: 1011.
    ping_timeout: float = 20.0
    #: For which it may be busy closing, after which the connection is simply cut.
    close_timeout: float = 10.0
    #: Shortest message that is worth compressing, in bytes.
    compress_from_bytes: int = 512

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"rule {field.name}={value!r} must be greater than zero")


DEFAULT_RULES: Final = Rules()
"""The rules of a WebSocket that was told none."""
