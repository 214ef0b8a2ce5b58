"""Files: what an application answers with when its answer is a file (PEP 3333, "file_wrapper").

What lives here: FileWrapper, and the question whether the system may send the file itself.
What it must not know: the application.  Stands on: the HTTP server's messages.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import Any, Final

from coop.http.messages import FileRegion

#: How much of a file is read at once, unless the application says otherwise.
BLOCK_BYTES: Final = 65536


class FileWrapper:
    """An iterable over a file's blocks: ``environ["wsgi.file_wrapper"]``.

    Returned as the answer, and around a regular file, it is sent by the system (sendfile).
    """

    __slots__ = ("_block_bytes", "file")

    def __init__(self, file: Any, block_bytes: int = BLOCK_BYTES) -> None:
        #: What has a ``read(size)``, and perhaps a ``close()``.
        self.file = file
        self._block_bytes = block_bytes

    def __iter__(self) -> Iterator[bytes]:
        while block := self.file.read(self._block_bytes):
            yield block

    def close(self) -> None:
        """Close the file, if it can be closed."""
        close = getattr(self.file, "close", None)
        if close is not None:
            close()

    def region(self, max_bytes: int | None) -> FileRegion | None:
        """Return what is left of the file, or its first ``max_bytes``, as the system may send it.

        None for what is no regular file that Python itself has opened: what else has a
        descriptor may give other bytes than lie there, as a GzipFile does.
        """
        file = self.file
        raw = file.raw if isinstance(file, (io.BufferedReader, io.BufferedRandom)) else file
        if type(raw) is not io.FileIO:
            return None
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        if isinstance(file, io.BufferedRandom):
            file.flush()
            status = os.fstat(raw.fileno())
        left = max(0, status.st_size - file.tell())
        return FileRegion(file, file.tell(), left if max_bytes is None else min(left, max_bytes))
