"""The body of a request: where it ends, and nothing of what it means.

What lives here: the two framings of RFC 9112 section 6, a length and chunks, as readers over the
parser's buffer.  What it must not know: where the bytes come from.
Stands on: fields' and head's rules, limits, errors.

A reader's ``read(buffer, at)`` returns (piece of the body, offset behind what was consumed); an
empty piece means that it needs more bytes, or that it is done: ``is_done`` tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Final

from coop.http.errors import HttpError
from coop.http.fields import TOKEN_OCTETS, VALUE_OCTETS
from coop.http.head import find_line_end, judge_field
from coop.http.limits import Limits

_TOKEN: Final = rb"[" + TOKEN_OCTETS + rb"]++"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[' + VALUE_OCTETS + rb'])*+"'
#: A size and its extensions (RFC 9112 section 7.1.1), whose "bad" white space must be accepted.
_split_chunk_line: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)((?:[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b))?)*+)"
    % (_TOKEN, _TOKEN, _QUOTED)
).fullmatch
#: Fields that would reframe or reroute the message: never in trailers (RFC 9110 section 6.5.1).
_NEVER_TRAILERS: Final = frozenset([b"content-length", b"transfer-encoding", b"host"])


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"body larger than {limit} bytes")


class FixedBody:
    """A body whose length the head told."""

    __slots__ = ("limit", "remaining")

    def __init__(self, length: int, limit: int) -> None:
        #: Octets still to come.
        self.remaining: int = length
        #: The most that is let through, in bytes; may be raised before the first read.
        self.limit = limit

    @property
    def is_done(self) -> bool:
        """Whether the whole body has been read."""
        return self.remaining == 0

    def read(self, buffer: bytes, at: int) -> tuple[bytes, int]:
        """Take what is there; HttpError 413 when more remains than ``limit``."""
        if self.remaining > self.limit:
            raise _too_large(self.limit)
        piece = buffer[at : at + self.remaining]
        self.remaining -= len(piece)
        self.limit -= len(piece)
        return piece, at + len(piece)


class ChunkState(Enum):
    """What a chunked body waits for next."""

    SIZE = "size"
    DATA = "data"
    DATA_END = "data_end"
    TRAILERS = "trailers"
    DONE = "done"


#: The life of a chunked body: {state: {event: next state}}.
CHUNK_LIFE: Final[dict[ChunkState, dict[str, ChunkState]]] = {
    ChunkState.SIZE: {"chunk": ChunkState.DATA, "last_chunk": ChunkState.TRAILERS},
    ChunkState.DATA: {"filled": ChunkState.DATA_END},
    ChunkState.DATA_END: {"line_end": ChunkState.SIZE},
    ChunkState.TRAILERS: {"empty_line": ChunkState.DONE},
    ChunkState.DONE: {},
}


class ChunkedBody:
    """A body in chunks (RFC 9112 section 7.1), whose extensions and trailers are dropped."""

    __slots__ = (
        "_chunk_bytes", "_chunks", "_extension_bytes", "_known", "_limits", "_steps",
        "_trailer_bytes", "_trailers", "limit", "state",
    )  # fmt: skip

    def __init__(self, limits: Limits, limit: int) -> None:
        self.state = ChunkState.SIZE
        #: The most that is let through from here on, in bytes; may be raised.
        self.limit = limit
        self._limits = limits
        #: Octets of the present chunk still to come.
        self._chunk_bytes = 0
        self._chunks = 0
        self._extension_bytes = 0
        #: Octets of an unfinished line that were found to be good.
        self._known = 0
        self._trailers = 0
        #: Octets of the trailer section so far, with line ends.
        self._trailer_bytes = 0
        self._steps: dict[ChunkState, Callable[[bytes, int, list[bytes]], int]] = {
            ChunkState.SIZE: self._read_size,
            ChunkState.DATA: self._read_data,
            ChunkState.DATA_END: self._read_data_end,
            ChunkState.TRAILERS: self._read_trailer,
        }

    @property
    def is_done(self) -> bool:
        """Whether the body and its trailers have been read."""
        return self.state is ChunkState.DONE

    @property
    def remaining(self) -> int | None:
        """None: the length of a chunked body is not known before its end."""
        return 0 if self.is_done else None

    def read(self, buffer: bytes, at: int) -> tuple[bytes, int]:
        """Take what is there, of as many chunks as there are.

        Errors: HttpError 400 for bad framing, 413 and 431 for a limit; what came before the error
        is returned first, and the next call raises.
        """
        pieces: list[bytes] = []
        while not self.is_done:
            try:
                after = self._steps[self.state](buffer, at, pieces)
            except HttpError:
                if pieces:
                    break
                raise
            if after == at:
                break
            at = after
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), at

    def _advance(self, event: str) -> None:
        self.state = CHUNK_LIFE[self.state][event]

    def _read_size(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        """Read a chunk's size (RFC 9112 section 7.1): up to 16 hex digits; extensions are skipped.

        An extension's line end is where parsers disagree, so the whole grammar of section 7.1.1 is
        demanded, and CRLF.
        """
        stop = len(buffer)
        end = find_line_end(buffer, at, stop, self._limits.header_line_bytes, 400, self._known)
        self._known = stop - at if end < 0 else 0
        if end < 0:
            return at
        parts = _split_chunk_line(buffer, at, end)
        if parts is None:
            raise HttpError(400, "chunk size is not 1 to 16 hex digits, then extensions")
        size = int(parts[1], 16)
        if self._extension_bytes + len(parts[2]) > self._limits.chunk_extension_bytes:
            most = self._limits.chunk_extension_bytes
            raise HttpError(400, f"more than {most} bytes of chunk extensions")
        if size > self.limit:
            raise _too_large(self.limit)
        if self._chunks >= self._limits.chunk_count and size:
            raise HttpError(413, f"more than {self._limits.chunk_count} chunks")
        self._extension_bytes += len(parts[2])
        self._chunks += 1
        self._chunk_bytes = size
        self._advance("chunk" if size else "last_chunk")
        return end + 2

    def _read_data(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        """Read what is there of the chunk's octets."""
        piece = buffer[at : at + self._chunk_bytes]
        if not piece:
            return at
        pieces.append(piece)
        self._chunk_bytes -= len(piece)
        self.limit -= len(piece)
        if not self._chunk_bytes:
            self._advance("filled")
        return at + len(piece)

    def _read_data_end(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        """Demand CRLF right behind the chunk's octets (RFC 9112 section 7.1)."""
        line_end = buffer[at : at + 2]
        if not b"\r\n".startswith(line_end):
            raise HttpError(400, "no CRLF where the chunk's data ends")
        if len(line_end) < 2:
            return at
        self._advance("line_end")
        return at + 2

    def _read_trailer(self, buffer: bytes, at: int, pieces: list[bytes]) -> int:
        """Read a line of the trailer section (RFC 9112 section 7.1.2), judge it and drop it.

        A field that frames or routes a message may not be there (RFC 9110 section 6.5.1): 400.
        """
        limits = self._limits
        room = limits.head_bytes - self._trailer_bytes
        stop = min(len(buffer), at + room)
        end = find_line_end(buffer, at, stop, limits.header_line_bytes, 431, self._known)
        self._known = stop - at if end < 0 else 0
        if end < 0:
            if len(buffer) > at + room:
                raise HttpError(431, f"more than {limits.head_bytes} bytes of trailers")
            return at
        if end == at:
            self._advance("empty_line")
            return end + 2
        if self._trailers >= limits.header_count:
            raise HttpError(431, f"more than {limits.header_count} trailers")
        line = buffer[at:end]
        judge_field(line)
        if line.partition(b":")[0].lower() in _NEVER_TRAILERS:
            raise HttpError(400, "a framing field among the trailers")
        self._trailers += 1
        self._trailer_bytes += end + 2 - at
        return end + 2
