"""The body of a request, as a file that an application reads: ``wsgi.input``.

What lives here: Intake, which opens it: collected before the application is called, or received
while the application reads (BodyReader).  What it must not know: how a wait is made.
Stands on: call, stage, the HTTP server's requests.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from coop.http.messages import Request
from coop.traps import Coop
from coop.wsgi.call import Call
from coop.wsgi.stage import Stage

#: A body up to this long is collected in every mode: no thread is held up while it comes.
SMALL_BYTES: Final = 65536


@dataclass(frozen=True)
class Intake:
    """How the bodies of one adapter's requests are taken in."""

    #: How much of a body is kept in memory while it is collected.
    memory_bytes: int
    #: The largest body; None is the server's limit.
    max_bytes: int | None
    #: Whether one in chunks is streamed too, where the application can wait.
    stream_chunked: bool

    def open(self, request: Request, call: Call, stage: Stage) -> Coop[None]:
        """Put the body where the application reads it.

        Waits: until it has come, if it is to be collected.  Errors: as ``Request.read``; OSError
        when the disk is full.
        """
        length = request.content_length
        source: Any
        if stage.can_wait and (self.stream_chunked if length is None else length > SMALL_BYTES):
            source = io.BufferedReader(BodyReader(request, self.max_bytes, stage.wait), SMALL_BYTES)
        elif length is not None and length <= self.memory_bytes:
            source = io.BytesIO((yield from request.read(self.max_bytes)) if length else b"")
        else:
            source = yield from self._collect(request)
            call.environ["CONTENT_LENGTH"] = str(source.seek(0, io.SEEK_END))
            source.seek(0)
        call.input = call.environ["wsgi.input"] = source

    def _collect(self, request: Request) -> Coop[Any]:
        file: Any = tempfile.SpooledTemporaryFile(self.memory_bytes)  # noqa: SIM115
        try:
            while piece := (yield from request.read_piece(self.max_bytes)):
                file.write(piece)
        except BaseException:
            file.close()
            raise
        return file


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

    def close(self) -> None:
        """Read no more."""
        self._wait = _refuse  # it leads to the stage, which would lead back here
        super().close()


def _refuse(*_: Any) -> NoReturn:
    raise ValueError("the body was closed")
