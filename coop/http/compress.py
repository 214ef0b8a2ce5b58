"""Compression: answers packed with gzip for clients that ask for it.

What lives here: the middleware ``compress``, what is worth packing, and bodies packed as they come.
What it must not know: connections.  Stands on: messages, pieces, negotiation, middleware.

A page that holds a secret and repeats what its visitor says should not be packed: its length then
tells of the secret (BREACH).  ``Cache-Control: no-transform`` keeps an answer as it is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

from coop.http.messages import FileRegion, Request, Response
from coop.http.middleware import Handler, answer
from coop.http.negotiate import choose_coding
from coop.http.pieces import END, as_pieces, next_piece
from coop.traps import Coop

#: Level of zlib: above it, texts grow little smaller for much more time.
LEVEL: Final = 5
#: Bodies shorter than this, in bytes, are sent as they are: a packet is a packet.
MIN_BYTES: Final = 1000
#: How much is packed in one go, in bytes; nobody else runs meanwhile: 0.4 ms.
STEP_BYTES: Final = 65536

_GZIP: Final = 16 + zlib.MAX_WBITS
_UNTOUCHED: Final = frozenset([101, 204, 205, 206, 304])
_is_text: Final = re.compile(
    r"text/.*|application/(?:.*\+)?(?:json|xml|javascript|ecmascript|wasm|manifest|x-ndjson)"
    r"|image/(?:svg\+xml|bmp|x-icon)|font/(?:ttf|otf)",
    re.IGNORECASE,
).fullmatch


def is_worth_packing(content_type: str) -> bool:
    """Tell whether content of this media type shrinks: text in the widest sense."""
    return _is_text(content_type.partition(";")[0].strip()) is not None


def compress(
    handler: Handler,
    *,
    min_bytes: int = MIN_BYTES,
    level: int = LEVEL,
    is_worth: Callable[[str], bool] = is_worth_packing,
) -> Handler:
    """Send a handler's answers with ``Content-Encoding: gzip`` to clients that accept it.

    Not: bodies known to be shorter than ``min_bytes``, media types that ``is_worth`` denies, parts
    of a range, what is encoded already, what says ``no-transform``.  Vary is added to whatever
    could have been packed, and a strong entity tag made weak, as the bytes are others.
    A body made piece by piece is flushed with each piece, so events arrive when they happen.
    """

    def wrapped(request: Request) -> Coop[Response]:
        response = yield from answer(handler, request)
        if response.status == 304 or _may_pack(response, is_worth):
            response = response.copy()
            _add_vary(response)
            length = response.content_length
            is_asked = choose_coding(request.headers.get("accept-encoding"), ["gzip"]) == "gzip"
            if is_asked and response.status != 304 and (length is None or length >= min_bytes):
                _pack(response, level)
        return response

    return wrapped


def _may_pack(response: Response, is_worth: Callable[[str], bool]) -> bool:
    if response.status in _UNTOUCHED:
        return False
    headers = response.headers
    return (
        "content-encoding" not in headers
        and "content-range" not in headers
        and "no-transform" not in headers.get("cache-control", "").lower()
        and is_worth(headers.get("content-type", ""))
    )


def _add_vary(response: Response) -> None:
    vary = response.headers.get("vary", "")
    names = {name.strip().lower() for name in vary.split(",")}
    if not names & {"*", "accept-encoding"}:
        response.set_header("Vary", f"{vary}, Accept-Encoding" if vary else "Accept-Encoding")


def _pack(response: Response, level: int) -> None:
    """Replace the body of an answer, and say so in its fields."""
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    body = response.body
    if isinstance(body, bytes) and len(body) <= STEP_BYTES:
        response.body = packer.compress(body) + packer.flush()
        response.content_length = len(response.body)
    else:
        response.body = PackedBody(body, packer)
        response.content_length = None
    response.set_header("Content-Encoding", "gzip")
    response.drop_header("Accept-Ranges")
    tag = response.headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        response.set_header("ETag", f"W/{tag}")


class PackedBody(Generator[Any, None, None]):
    """A body as gzip, which closes what it is made of even if it was never begun.

    Pieces that are waited for are flushed one by one.  What is at hand is packed step by step, so
    that others may run in between.
    """

    def __init__(self, body: Any, packer: Any) -> None:
        self._body = body
        self._packer = packer
        self._packed = self._pack()

    def _pack(self) -> Generator[Any, None, None]:
        body = self._body
        pieces = iter([body]) if isinstance(body, (bytes, FileRegion)) else as_pieces(body)
        if hasattr(pieces, "throw"):
            yield from self._pack_as_they_come(pieces)
        else:
            yield from self._pack_in_steps(pieces)
        yield self._packer.flush()

    def _pack_as_they_come(self, pieces: Any) -> Generator[Any, None, None]:
        try:
            while (piece := (yield from next_piece(pieces))) is not END:
                for part in _octets(piece):
                    yield self._packer.compress(part)
                yield self._packer.flush(zlib.Z_SYNC_FLUSH)
        finally:
            pieces.close()

    def _pack_in_steps(self, pieces: Iterator[Any]) -> Generator[Any, None, None]:
        since_pass = 0
        for piece in pieces:
            for part in _octets(piece):
                yield self._packer.compress(part)
                since_pass += len(part)
                if since_pass >= STEP_BYTES:
                    since_pass = 0
                    yield None  # to the scheduler: let the others run

    def send(self, value: None) -> Any:
        """Go on to the next piece, or to the next wait."""
        return self._packed.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error where the body waits."""
        return self._packed.throw(*error)

    def close(self) -> None:
        """Let go of the body."""
        self._packed.close()
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _octets(piece: Any) -> Iterator[bytes]:
    """Give a piece of a body as bytes, no more than a step at once."""
    if isinstance(piece, FileRegion):
        piece.file.seek(piece.offset)
        left = piece.count
        while left > 0:
            part = piece.file.read(min(STEP_BYTES, left))
            if not part:
                raise EOFError(f"the file ended {left} bytes early")
            left -= len(part)
            yield part
    else:
        octets = memoryview(piece.encode() if isinstance(piece, str) else piece).cast("B")
        for at in range(0, len(octets), STEP_BYTES):
            yield bytes(octets[at : at + STEP_BYTES])
