"""Messages: a request as a handler sees it, and the response it gives back.

What lives here: Request, Response, FileRegion, and the bytes of a response's head.
What it must not know: connections; reading a body is asked of whoever received the request.
Stands on: fields, head's framing, cookies, forms, payload, pieces, negotiation, source, errors.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import IO, Any, Final
from urllib.parse import parse_qsl, unquote

from coop.address import Address
from coop.http.cookies import format_cookie, parse_cookies
from coop.http.errors import HttpError
from coop.http.fields import (
    HeaderPairs,
    Headers,
    Pairs,
    check_fields,
    drop_field,
    encode_field,
    http_date,
    split_fields,
)
from coop.http.forms import DEFAULT_FORM_LIMITS, Form, FormLimits, read_form
from coop.http.forwarded import Origin
from coop.http.head import NO_BODY, Framing
from coop.http.negotiate import choose_type
from coop.http.payload import read_json
from coop.http.pieces import check_pieces
from coop.http.source import BodySource
from coop.stopwatch import wall_seconds
from coop.traps import Operation

#: Most parameters of one query string.
QUERY_COUNT: Final = 1000
#: Statuses whose answers have no content (RFC 9110 sections 15.3.5, 15.3.6, 15.4.5).
BODILESS: Final = frozenset([204, 205, 304])

_split_target: Final = re.compile(
    r"(?:(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>[^/?]*))?(?P<path>[^?]*)(?:\?(?P<query>.*))?"
).fullmatch
_find_condition: Final = re.compile(rb"\n(?=[IiRr])(?i:if-|range:)").search
_is_reason: Final = re.compile(r"[\t -~\x80-\xff]*").fullmatch


class Request:
    """A request whose head has been received, judged and found good.

    What few handlers ask for is computed when it is first asked for.
    """

    __slots__ = (
        "_head", "_headers", "_parts", "_query", "framing", "method", "minor", "source",
    )  # fmt: skip

    def __init__(
        self, method: str, head: bytes, framing: Framing = NO_BODY, minor: int = 1
    ) -> None:
        #: ``"GET"``, ``"POST"``, …
        self.method = method
        #: The minor version of HTTP/1 that the client speaks.
        self.minor = minor
        #: How the body is delimited, and what becomes of the connection.
        self.framing = framing
        #: Where the body is read from; None for a request that came on no connection.
        self.source: BodySource | None = None
        self._head = head
        self._headers: Headers | None = None
        self._parts: re.Match[str] | None = None
        self._query: Pairs | None = None

    @property
    def version(self) -> str:
        """``"1.1"`` or ``"1.0"``, as the client said."""
        return f"1.{self.minor}"

    @property
    def line(self) -> bytes:
        """The request line as it was sent, without its end."""
        return self._head.partition(b"\r\n")[0]

    @property
    def target(self) -> str:
        """The request target as it was sent, still percent-encoded."""
        return self._head.split(b" ", 2)[1].decode("ascii")

    @property
    def raw_path(self) -> str:
        """The path of the target, still percent-encoded; ``*`` for a request of that form."""
        return self._split()["path"] or "/"

    @property
    def path(self) -> str:
        """The path, percent-decoded as UTF-8; what is not UTF-8 becomes U+FFFD.

        It may hold any character, ``/..`` and NUL too: never join it to a directory.
        """
        return unquote(self.raw_path)

    @property
    def query_string(self) -> str:
        """What stands behind the ``?``, still encoded; empty without one."""
        return self._split()["query"] or ""

    @property
    def query(self) -> Pairs:
        """The parameters of the query string, decoded; ``query["a"]`` is the first value of a.

        Errors: HttpError 400 for more than 1000 parameters.
        """
        if self._query is None:
            self._query = _parse_query(self.query_string)
        return self._query

    @property
    def headers(self) -> Headers:
        """The fields of the head; names in any case."""
        if self._headers is None:
            self._headers = Headers(split_fields(self._head))
        return self._headers

    @property
    def has_conditions(self) -> bool:
        """Whether a field may ask for a part of an answer, or for one under conditions.

        ``Range`` and what begins with ``If-``, in a head whose fields nobody need take apart.
        """
        return _find_condition(self._head) is not None

    @property
    def host(self) -> str:
        """The host, with its port if one was given, that the request is for; empty if unknown.

        It is the ``authority``, unless a proxy that is believed in this has told another one.
        """
        told = self._told()
        return (told and told.host) or self.authority

    @property
    def authority(self) -> str:
        """The host that the request itself names, with its port if one was given.

        A target in absolute form overrules the Host field (RFC 9112 section 3.2.2).
        """
        return self._split()["host"] or self.headers.get("host", "")

    @property
    def cookies(self) -> Pairs:
        """The cookies that the client sent, parsed leniently; each call parses them anew.

        Source: RFC 6265 section 5.4.  Errors: none.
        """
        return parse_cookies(self.headers.get("cookie", ""))

    @property
    def mount(self) -> str:
        """The path below which the handler is mounted, percent-encoded; empty at the top."""
        return ""

    @property
    def content_length(self) -> int | None:
        """Octets of the body; None when it comes in chunks."""
        return self.framing.content_length

    @property
    def has_body(self) -> bool:
        """Whether a body comes behind the head; it may still be empty when chunked."""
        return self.framing.content_length != 0

    @property
    def peer(self) -> Address | None:
        """The client's address, None when there is none.

        That of the connection's other end, or whom trusted proxies name: see ``Forwarding``.  Their
        word is of the port only when they tell it, else it is 0.
        """
        told = self._told()
        if told is not None:
            return told.peer
        return self.source.peer_address if self.source else None

    @property
    def local(self) -> Address | None:
        """The address the request came to, None when there is none."""
        return self.source.local_address if self.source else None

    @property
    def scheme(self) -> str:
        """``"https"`` when the connection is encrypted, else ``"http"``; or as proxies tell."""
        told = self._told()
        if told is not None and told.scheme is not None:
            return told.scheme
        return "https" if self.source and self.source.is_encrypted else "http"

    def accepts(self, *offers: str) -> str | None:
        """Return the media type that the client prefers, None when it accepts none of them.

        ``request.accepts("text/html", "application/json")``; the first one if it does not care.
        """
        return choose_type(self.headers.get("accept"), offers)

    def below(self, prefix: str, rest: str) -> Request:
        """Return the request as a handler sees it that is mounted below a path.

        Both are percent-encoded and begin with a slash: ``prefix`` is added to the mount, ``rest``
        is the new path.
        """
        return _RequestBelow(self, self.mount + prefix, rest)

    def read(self, max_bytes: int | None = None) -> Operation[bytes]:
        """Read the body, or what is left of it, into memory: ``body = yield from request.read()``.

        ``max_bytes`` overrides the server's limit for this request.
        Waits: until it has come.  Errors: HttpError 413 when it is larger, 400 when its framing is
        broken, 408 when it comes too slowly; IncompleteError when the client left.
        """
        return self._open_source().read_body(max_bytes)

    def read_piece(self, max_bytes: int | None = None) -> Operation[bytes]:
        """Read a piece of the body as it comes, ``b""`` at the end.

        ``while piece := (yield from request.read_piece()): …`` reads no faster than the handler
        takes it: the client feels the backpressure.  ``max_bytes`` is the limit of the whole body.
        Waits, errors: as ``read``.
        """
        return self._open_source().read_body_piece(max_bytes)

    def json(self, max_bytes: int | None = None) -> Operation[Any]:
        """Read the body as JSON: ``order = yield from request.json()``.

        Waits: until it has come.  Errors: as ``read``; HttpError 415 unless its Content-Type is
        application/json or ends with ``+json`` (pages of other sites can send all else without
        asking), 400 when it is not JSON, or not UTF-8.
        """
        return read_json(self, max_bytes)

    def form(
        self, max_bytes: int | None = None, *, limits: FormLimits = DEFAULT_FORM_LIMITS
    ) -> Operation[Form]:
        """Read the body as a form: ``form = yield from request.form()``.

        The Form maps fields to values; ``form.files`` has the files, large ones on disk, which
        ``form.close()`` deletes.  ``max_bytes`` is the limit of the whole body.
        Waits: until it has come.  Errors: as ``read``; HttpError 415 unless it is urlencoded or
        multipart/form-data, 413 for what exceeds ``limits``, 400 when it is broken; ImportError
        for a multipart body when the package that parses it is missing.
        """
        return read_form(self, max_bytes, limits)

    def stream(self, max_bytes: int | None = None) -> BodyStream:
        """Iterate over the body as it comes, no faster than the handler takes it::

            for piece in request.stream():
                file.write((yield from piece))

        Each ``piece`` is an operation to wait for; the last one may give ``b""``.  In a coroutine,
        ``async for piece in request.stream()`` gives the bytes.  ``max_bytes`` is the limit of the
        whole body.  Waits, errors: as ``read``.
        """
        return BodyStream(self._open_source(), max_bytes)

    def _told(self) -> Origin | None:
        """What proxies say about where it came from; None where nobody is asked."""
        source = self.source
        forwarding = None if source is None else source.forwarding
        if source is None or forwarding is None:
            return None
        return forwarding.origin(source.peer_address, self.headers)

    def _open_source(self) -> BodySource:
        if self.source is None:
            raise RuntimeError(f"{self!r} came on no connection, so its body cannot be read")
        return self.source

    def _split(self) -> re.Match[str]:
        if self._parts is None:
            self._parts = _split_target(self.target)
            assert self._parts is not None  # the pattern matches whatever is one line
        return self._parts

    def __repr__(self) -> str:
        return f"<request {self.method} {self.target}>"


class _RequestBelow(Request):
    """A request as a mounted handler sees it: the same, but for its path."""

    __slots__ = ("_mount", "_rest", "_whole")

    def __init__(self, whole: Request, mount: str, rest: str) -> None:
        for name in Request.__slots__:
            if name != "source":
                setattr(self, name, getattr(whole, name))
        self._whole = whole
        self._mount = mount
        self._rest = rest

    @property
    def source(self) -> BodySource | None:  # type: ignore[override]
        """Where the body is read from, as long as it is this request's."""
        return self._whole.source

    @property
    def mount(self) -> str:
        """The path below which the handler is mounted, percent-encoded."""
        return self._mount

    @property
    def raw_path(self) -> str:
        """The path below the mount, still percent-encoded."""
        return self._rest


class BodyStream:
    """The body of a request as pieces; made by ``Request.stream``."""

    __slots__ = ("_limit", "_source")

    def __init__(self, source: BodySource, limit: int | None) -> None:
        self._source = source
        self._limit = limit

    def __iter__(self) -> BodyStream:
        return self

    def __next__(self) -> Operation[bytes]:
        if self._source.is_body_read:
            raise StopIteration
        return self._source.read_body_piece(self._limit)

    def __aiter__(self) -> BodyStream:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._source.read_body_piece(self._limit)
        if not piece:
            raise StopAsyncIteration
        return piece


def _parse_query(text: str) -> Pairs:
    try:
        return Pairs(parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_COUNT))
    except ValueError:
        raise HttpError(400, f"more than {QUERY_COUNT} query parameters") from None


class FileRegion:
    """A stretch of an open regular file, to be sent by the system without passing through Python.

    Closing it closes the file.
    """

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> None:
        self.file = file
        #: Where it begins, in bytes from the start of the file.
        self.offset = offset
        #: How many bytes it has; up to the end of the file as it is now, when not given.
        self.count = _file_size(file) - offset if count is None else count

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Close the file."""
        self.file.close()


BodyPiece = bytes | bytearray | memoryview | str | FileRegion
"""What a streamed body may yield; a generator may also wait (``yield from``) between pieces."""

Body = BodyPiece | Iterable[Any] | AsyncIterator[BodyPiece] | IO[bytes]
"""What a Response may be given as its body."""


class Response:
    """An answer: a status, fields and a body.

    ``body`` is bytes; or a str, sent as UTF-8 with a Content-Type of text/plain unless another is
    given; or an open binary file, sent from where it stands to its end; or any iterable of those,
    streamed as it comes: a generator may wait between its pieces.  An empty piece is skipped.

    Content-Length, Transfer-Encoding, Date and Server are the server's business.  A Content-Length
    given for a streamed body is kept to; when the body turns out otherwise, the connection is
    closed.  ``Connection: close`` closes it behind the answer.

    Errors: ValueError for a status outside 200 to 599, for a body where there may be none (204,
    205, 304), and for a field or reason that could break the message, as CR, LF and NUL would;
    TypeError for what is no body, such as a dictionary (see ``coop.http.json``), and for headers
    that are no texts.
    """

    __slots__ = (
        "_lines", "_reason", "body", "content_length", "has_date", "should_close", "status",
    )  # fmt: skip

    def __init__(
        self,
        body: Body = b"",
        status: int = 200,
        headers: HeaderPairs = (),
        *,
        reason: str | None = None,
    ) -> None:
        #: What is sent: bytes, a FileRegion, or an iterable of pieces.
        self.body: Any = body
        self.status = status
        #: Octets of the body; None when it is streamed and nobody told.
        self.content_length: int | None = None
        #: Whether the connection ends with this answer.
        self.should_close = False
        #: Whether the fields have a Date.
        self.has_date = False
        #: The fields as they are sent, each with its CRLF.
        self._lines = b""
        self._reason: bytes | None = None
        if headers:
            # The first question is there because the second takes as long as all the rest.
            if type(headers) is not list and isinstance(headers, Mapping):
                headers = headers.items()
            try:
                for name, value in headers:
                    line, keep = _prepare_field(name, value)
                    if keep is None or keep(self, value):
                        self._lines += line
            except (TypeError, ValueError):
                check_fields(headers)
                raise
        if type(body) is bytes and self.content_length is None:
            self.content_length = len(body)
        else:
            self._adopt(body)
        if status != 200 or reason is not None:
            self._check_status(reason)

    @property
    def headers(self) -> Headers:
        """The fields given so far."""
        return Headers(split_fields(b"\n" + self._lines))

    def add_header(self, name: str, value: str) -> None:
        """Add a field behind those already there.

        Errors: ValueError as for ``Response``, TypeError for what is no text.
        """
        try:
            line, keep = _prepare_field(name, value)
        except TypeError:
            check_fields([(name, value)])
            raise
        if keep is None or keep(self, value):
            self._lines += line

    def drop_header(self, name: str) -> None:
        """Remove every field of this name, in any case; those that are the server's stay."""
        self._lines = drop_field(self._lines, name)
        if name.lower() == "date":
            self.has_date = False

    def set_header(self, name: str, value: str) -> None:
        """Put a field in the place of all of its name.  Errors: ValueError as for ``Response``."""
        self.drop_header(name)
        self.add_header(name, value)

    def copy(self) -> Response:
        """Return another response with the same fields and the same body.

        A middleware that changes more than a field changes a copy: a handler may answer with one
        response many times.
        """
        twin = Response.__new__(Response)
        for name in Response.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        http_only: bool = True,
        same_site: str | None = "Lax",
    ) -> None:
        """Have the client keep a cookie, for ``max_age`` seconds or until the browser is closed.

        Scripts cannot read it unless ``http_only=False``; other sites cannot send it along with
        their forms unless ``same_site="None"``; ``secure`` binds it to HTTPS.
        Errors: ValueError for what could break the field, or what browsers would drop: characters
        outside RFC 6265 section 4.1.1, more than 4096 bytes, a ``__Host-`` name that does not keep
        its promise.
        """
        cookie = format_cookie(
            name, value, max_age=max_age, path=path, domain=domain,
            secure=secure, http_only=http_only, same_site=same_site,
        )  # fmt: skip
        self.add_header("Set-Cookie", cookie)

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        same_site: str | None = "Lax",
    ) -> None:
        """Have the client forget a cookie that was set with the same path and domain."""
        self.set_cookie(
            name, "", max_age=0, path=path, domain=domain, secure=secure, same_site=same_site
        )

    def head(self, date: bytes, framing: bytes) -> bytes:
        """Return the head to send, up to and including the empty line.

        ``date`` and ``framing`` are whole lines: Date and Server; Content-Length and its like.
        """
        line = self._reason or _STATUS_LINES.get(self.status) or _status_line(self.status, "")
        return b"%b%b%b%b\r\n" % (line, b"" if self.has_date else date, self._lines, framing)

    def message(self, date: bytes) -> bytes:
        """Return all there is to send, of an answer whose body is bytes and whose length is told.

        ``date`` as for ``head``, whose work this does in one piece: half of what two take.
        """
        line = self._reason or _STATUS_LINES.get(self.status) or _status_line(self.status, "")
        if self.has_date:
            date = b""
        body = self.body
        size = len(body)
        last = _LENGTH_LINES[size] if size < _SHORT_BYTES else b"Content-Length: %d\r\n\r\n" % size
        return b"".join((line, date, self._lines, last, body))

    def close(self) -> None:
        """Let go of the body: close its file, or its generator."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()

    def _adopt(self, body: Any) -> None:
        """Bring the body into one of the forms that can be sent, and learn its length."""
        if isinstance(body, str):
            self.body = body = body.encode()
            if "content-type" not in self.headers:
                self.add_header("Content-Type", "text/plain; charset=utf-8")
        elif isinstance(body, (bytearray, memoryview)):
            self.body = body = bytes(body)
        elif isinstance(body, io.IOBase):
            self.body = body = _file_body(body)
        if isinstance(body, (bytes, FileRegion)):
            if self.content_length not in (None, len(body)):
                raise ValueError(f"Content-Length is not the body's, which is {len(body)}")
            self.content_length = len(body)
        else:
            check_pieces(body)

    def _check_status(self, reason: str | None) -> None:
        status = self.status
        if type(status) is not int:
            self.status = status = int(status)
        if not 200 <= status <= 599:
            raise ValueError(f"a response has a status from 200 to 599, not {status}")
        if status in BODILESS and self.content_length != 0:
            raise ValueError(f"status {status} has no body (RFC 9110 section 6.4.1)")
        if reason is not None:
            if not _is_reason(reason):
                raise ValueError(f"reason {reason!r} has characters a status line cannot carry")
            self._reason = _status_line(status, reason)

    def _note_length(self, value: str) -> bool:
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            raise ValueError(f"Content-Length is a number of bytes, not {value!r}")
        if self.content_length is not None:
            raise ValueError("Content-Length is given twice, or for a body whose length is known")
        self.content_length = int(value)
        return False

    def _note_connection(self, value: str) -> bool:
        if value.lower() != "close":
            raise ValueError(f"a response may ask for 'Connection: close' only, not {value!r}")
        self.should_close = True
        return False

    def _refuse_coding(self, value: str) -> bool:
        raise ValueError("Transfer-Encoding is the server's: give an iterable body to have chunks")

    def _note_date(self, value: str) -> bool:
        self.has_date = True
        return True

    def __repr__(self) -> str:
        return f"<response {self.status} {type(self.body).__name__}>"


#: Fields that mean something to the server too; each says whether the field itself is kept.
_MANAGED: Final[dict[str, Callable[[Response, str], bool]]] = {
    "content-length": Response._note_length,
    "connection": Response._note_connection,
    "transfer-encoding": Response._refuse_coding,
    "date": Response._note_date,
}


@lru_cache(maxsize=256)
def _prepare_field(name: str, value: str) -> tuple[bytes, Callable[[Response, str], bool] | None]:
    """Return the line of a field, and who is to be told of it.

    The last ones are remembered, since most answers have the same few: 0.1 µs instead of 1.
    """
    return encode_field(name, value), _MANAGED.get(name.lower())


def _status_line(status: int, reason: str) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, reason.encode("latin-1"))


#: The last line of a head, by the length of a short body: made anew, it is a third of the work.
_SHORT_BYTES: Final = 1024
_LENGTH_LINES: Final = [b"Content-Length: %d\r\n\r\n" % size for size in range(_SHORT_BYTES)]

_STATUS_LINES: Final = {
    int(status): _status_line(status, status.phrase) for status in HTTPStatus if status >= 200
}


def _file_size(file: IO[bytes]) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise TypeError(f"only a regular file has a size, so {file!r} cannot be sent as one")
    return status.st_size


def _file_body(file: Any) -> FileRegion | bytes:
    """Make what can be sent of an open file: a region of it, or what a file in memory holds."""
    try:
        file.fileno()
    except io.UnsupportedOperation:
        return bytes(file.read())
    return FileRegion(file, file.tell())


class DateLine:
    """Hold the Server and Date lines of the present second (RFC 9110 sections 6.6.1 and 10.2.4).

    Whoever has read the time of another clock already asks ``fresh_until`` before ``renew``, and
    saves a reading of the wall clock.
    """

    __slots__ = ("_server", "_wall", "fresh_until", "lines")

    def __init__(self, wall: Callable[[], float] = wall_seconds, server: str = "coop") -> None:
        self._wall = wall
        self._server = encode_field("Server", server) if server else b""
        #: Time of the other clock at which the lines grow old.
        self.fresh_until = -math.inf
        #: The lines as they were made last.
        self.lines = b""

    def renew(self, now: float) -> bytes:
        """Make the lines of the present second, and return them; ``now`` by the other clock."""
        seconds = self._wall()
        self.fresh_until = now + 1 - seconds % 1
        self.lines = self._server + encode_field("Date", http_date(int(seconds)))
        return self.lines
