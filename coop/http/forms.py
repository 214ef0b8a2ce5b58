"""Forms: what browsers send when somebody fills one in, fields and files through one face.

What lives here: Form, Upload, FormLimits, and reading them from a request's body, urlencoded or
multipart.  What it must not know: connections.
Stands on: payload, errors; the package `multipart` takes multipart bodies apart.

A body is parsed as it comes.  Fields are kept in memory; a file goes to disk, into an unnamed
temporary file, once it is larger than a limit.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, fields
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from coop.http.errors import HttpError
from coop.http.fields import Pairs
from coop.http.payload import media_type, refuse_type
from coop.traps import Coop, operation

try:
    from multipart import MultipartError, ParserLimitReached, PushMultipartParser
except ImportError:  # complained of when a multipart body comes
    PushMultipartParser = None

if TYPE_CHECKING:
    from coop.http.messages import Request

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"


@dataclass(frozen=True)
class FormLimits:
    """Hold the limits of a form, each a positive number; what goes over one is answered 413.

    The size of the whole body is the request's own limit: see ``Request.form``.
    """

    #: Most fields and files together.
    parts: int = 1000
    #: Longest value of a field that is no file, in bytes.
    field_bytes: int = 256 * 1024
    #: Longest line in the head of a part, in bytes; a head has eight lines at most.
    header_bytes: int = 4096
    #: Largest file that is kept in memory, in bytes; larger ones go to disk.
    spool_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"limit {field.name}={value!r} must be greater than zero")


DEFAULT_FORM_LIMITS: Final = FormLimits()


class Upload:
    """A file that came with a form.  Closing it, or its form, deletes it."""

    __slots__ = ("content_type", "file", "filename", "name", "size")

    def __init__(self, name: str, filename: str, content_type: str, file: IO[bytes]) -> None:
        #: The name of the form's field.
        self.name = name
        #: What the client calls the file: any text at all.  Never make a path of it.
        self.filename = filename
        #: What the client says it is; empty when it says nothing.
        self.content_type = content_type
        #: The content, open for reading from its start.
        self.file = file
        #: Bytes of the content.
        self.size = 0

    def read(self) -> bytes:
        """Return the whole content."""
        self.file.seek(0)
        return self.file.read()

    def close(self) -> None:
        """Delete the content."""
        self.file.close()

    def __repr__(self) -> str:
        return f"<upload {self.filename!r} of {self.size} bytes>"


class Form(Pairs):
    """The fields of a form as a mapping, where a name may come twice; and its files.

    ``with (yield from request.form()) as form: …`` deletes the files at the end of the block.
    """

    __slots__ = ("uploads",)

    def __init__(self, pairs: list[tuple[str, str]], uploads: list[Upload]) -> None:
        super().__init__(pairs)
        #: Every file in the order received.
        self.uploads: Final = tuple(uploads)

    @property
    def files(self) -> dict[str, Upload]:
        """The files by the names of their fields; of several under one name, the first."""
        return {upload.name: upload for upload in reversed(self.uploads)}

    def close(self) -> None:
        """Delete the files."""
        for upload in self.uploads:
            upload.close()

    def __enter__(self) -> Form:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@operation
def read_form(request: Request, max_bytes: int | None, limits: FormLimits) -> Coop[Form]:
    """Read a form from a request's body; see ``Request.form``."""
    kind, parameters = media_type(request)
    if kind == URLENCODED:
        return Form(parse_urlencoded((yield from request.read(max_bytes)), limits), [])
    if kind != MULTIPART:
        refuse_type(kind, f"{URLENCODED}, {MULTIPART}")
    reader = MultipartReader(parameters.get("boundary", ""), limits)
    try:
        while piece := (yield from request.read_piece(max_bytes)):
            reader.feed(piece)
        return reader.finish()
    except BaseException:
        reader.close()
        raise


def parse_urlencoded(
    body: bytes, limits: FormLimits = DEFAULT_FORM_LIMITS
) -> list[tuple[str, str]]:
    """Return the fields of an urlencoded body in order; HttpError 400 for what is not UTF-8."""
    if body.count(b"&") >= limits.parts:
        raise HttpError(413, f"more than {limits.parts} fields")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise HttpError(400, "a field is not percent-encoded UTF-8") from None
    if any(len(value.encode()) > limits.field_bytes for _, value in pairs):
        raise HttpError(413, f"a field is longer than {limits.field_bytes} bytes")
    return pairs


class MultipartReader:
    """Collect the parts of a multipart/form-data body (RFC 7578), fed in pieces of any size."""

    def __init__(self, boundary: str, limits: FormLimits = DEFAULT_FORM_LIMITS) -> None:
        if PushMultipartParser is None:
            raise ImportError("multipart forms need multipart: pip install 'coop-net[forms]'")
        if not (boundary.isascii() and 1 <= len(boundary) <= 70):
            raise HttpError(400, "multipart without a boundary of 1 to 70 characters")
        self._limits = limits
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=limits.header_bytes,
            max_segment_count=limits.parts,
        )
        self._pairs: list[tuple[str, str]] = []
        self._uploads: list[Upload] = []
        #: The part that is coming: its name, and its content if it is a file or else its value.
        self._name = ""
        self._upload: Upload | None = None
        self._value = b""

    def feed(self, data: bytes) -> None:
        """Take in some of the body.  Errors: HttpError 400 for bad form, 413 for a limit."""
        try:
            for event in self._parser.parse(data):
                if event is None:
                    self._end_part()
                elif isinstance(event, (bytes, bytearray)):
                    self._add(bytes(event))
                else:
                    self._begin_part(event)
        except ParserLimitReached as error:
            raise HttpError(413, f"multipart: {error}") from None
        except MultipartError as error:
            raise HttpError(400, f"multipart: {error}") from None

    def finish(self) -> Form:
        """Return the form, when all of it has been fed; HttpError 400 when something is missing."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise HttpError(400, f"multipart: {error}") from None
        return Form(self._pairs, self._uploads)

    def close(self) -> None:
        """Delete the files that have come."""
        for upload in self._uploads:
            upload.close()

    def _begin_part(self, part: Any) -> None:
        self._name, self._upload, self._value = part.name, None, b""
        if part.filename is not None:
            file: Any = tempfile.SpooledTemporaryFile(self._limits.spool_bytes)  # noqa: SIM115
            self._upload = Upload(part.name, part.filename, part.content_type or "", file)
            self._uploads.append(self._upload)

    def _add(self, data: bytes) -> None:
        if self._upload is not None:
            self._upload.file.write(data)
            self._upload.size += len(data)
            return
        self._value += data
        if len(self._value) > self._limits.field_bytes:
            raise HttpError(413, f"a field is longer than {self._limits.field_bytes} bytes")

    def _end_part(self) -> None:
        if self._upload is not None:
            self._upload.file.seek(0)
            return
        try:
            self._pairs.append((self._name, self._value.decode()))
        except UnicodeDecodeError:
            raise HttpError(400, "a field is not UTF-8") from None
