"""The body of a request, as a file that an application reads: ``wsgi.input``.

What lives here: ``read_ahead``, which collects a body before the application is called; BodyReader,
which fetches it while the application reads.  What it must not know: how a wait is made.
Stands on: the HTTP server's requests.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from typing import IO, Any

from coop.http.messages import Request
from coop.traps import Coop


def read_ahead(request: Request, memory_bytes: int, max_bytes: int | None) -> Coop[IO[bytes]]:
    """Read all of the body; return a file that begins where it does.

    In memory up to ``memory_bytes``, else in a temporary file.
    Waits, errors: as ``Request.read``; OSError when the disk is full.
    """
    length = request.content_length
    if length is not None and length <= memory_bytes:
        return io.BytesIO((yield from request.read(max_bytes)) if length else b"")
    file: Any = tempfile.SpooledTemporaryFile(memory_bytes)  # noqa: SIM115
    try:
        while piece := (yield from request.read_piece(max_bytes)):
            file.write(piece)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file  # type: ignore[no-any-return]


class BodyReader(io.RawIOBase):
    """A body that is received while it is read."""

    def __init__(self, request: Request, max_bytes: int | None, wait: Callable[..., Any]) -> None:
        super().__init__()
        self._request = request
        self._max_bytes = max_bytes
        self._wait = wait
        #: What was received and not yet read.
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Whether it may be read: yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read some into the buffer; return how many bytes, 0 at the end.

        Waits: for the client.  Errors: as ``Request.read_piece``.
        """
        if not self._rest:
            self._rest = memoryview(self._wait(self._request.read_piece, self._max_bytes))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
