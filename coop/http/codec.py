"""The codec: bytes in, requests and pieces of bodies out.  It does no input or output.

What lives here: RequestParser, one per connection.  What it must not know: where bytes come from,
who handles requests.  Stands on: httptools for parsing heads; head and body for the strict rules.

A head is collected until its empty line is there, so how it was cut can change nothing.  It must
then please two parsers: the rules of ``head``, and httptools (llhttp).  Bodies are framed by
``body`` alone: llhttp calls back for every message in what it is fed and counts nothing, so it
gives no place to stop at a limit or between two pipelined requests.  What comes behind a request
stays in the buffer until the next one is asked for.

After HttpError the parser has failed for good: answer, and close.  It never looks for a place to
go on from.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal

from coop.http.body import ChunkedBody, FixedBody
from coop.http.errors import HttpError
from coop.http.fields import TOKEN_OCTETS, VALUE_OCTETS
from coop.http.head import (
    HOST,
    METHODS,
    NO_BODY,
    TARGET_OCTETS,
    Framing,
    RequestLine,
    find_line_end,
    judge_field,
    judge_framing,
    judge_method_length,
    judge_request_line,
)
from coop.http.limits import DEFAULT_LIMITS, Limits
from coop.http.messages import Request
from coop.outcomes import MisuseError

try:
    import httptools
except ImportError as error:
    raise ImportError("coop.http needs httptools: pip install 'coop-net[http]'") from error


class _NeedData(Enum):
    """The type of NEED_DATA; an Enum, so that type checkers can narrow it with ``is``."""

    NEED_DATA = "need_data"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NEED_DATA"


NeedData = Literal[_NeedData.NEED_DATA]
NEED_DATA: Final = _NeedData.NEED_DATA
"""The answer of a parser that wants more bytes: falsy, and never an error."""


class ParserState(Enum):
    """What a parser is at."""

    #: Between requests, or inside a head.
    HEAD = "head"
    #: Inside a body.
    BODY = "body"
    #: An error was raised: nothing more comes out.
    FAILED = "failed"
    #: The rest of the connection speaks another protocol, and was handed over.
    HANDED_OVER = "handed_over"


#: The life of a parser: {state: {event: next state}}.
PARSER_LIFE: Final[dict[ParserState, dict[str, ParserState]]] = {
    ParserState.HEAD: {
        "head_with_body": ParserState.BODY,
        "refused": ParserState.FAILED,
        "hand_over": ParserState.HANDED_OVER,
    },
    ParserState.BODY: {"body_end": ParserState.HEAD, "refused": ParserState.FAILED},
    ParserState.FAILED: {"refused": ParserState.FAILED},
    ParserState.HANDED_OVER: {},
}

_HEAD: Final = ParserState.HEAD
# The two steps of a body, taken from the table once.
_BODY: Final = PARSER_LIFE[_HEAD]["head_with_body"]
_AFTER_BODY: Final = PARSER_LIFE[_BODY]["body_end"]

#: A field line; and one that says nothing of the message's framing, nor of the connection's end.
_FIELD: Final = rb"[" + TOKEN_OCTETS + rb"]++:[" + VALUE_OCTETS + rb"]*+\r\n"
_PLAIN_FIELDS: Final = (
    rb"(?:(?![Hh][Oo][Ss][Tt]:|[CcTtEe](?i:ontent-length|ransfer-encoding|xpect):"
    rb"|[Cc](?i:onnection):(?! [Kk]eep-[Aa]live\r))" + _FIELD + rb")*+"
)
#: A head of the most usual kind: HTTP/1.1, one good Host, no body, and the connection stays.
_match_plain_line: Final = re.compile(
    rb"([A-Z]++) /[" + TARGET_OCTETS + rb"]*+ HTTP/1\.1\r\n"
).match
#: One pattern for all its fields: a second look for those of the framing took as long again.
_match_plain_fields: Final = re.compile(
    _PLAIN_FIELDS
    + rb"[Hh][Oo][Ss][Tt]:[ \t]*+" + HOST + rb"[ \t]*+\r\n"
    + _PLAIN_FIELDS + rb"\r\n"
).match  # fmt: skip
#: Where the length of a body stands, in a head that was found good; and what may stand there.
_find_length: Final = re.compile(rb"\n(?i:content-length):[ \t]*+([0-9]++)").search
_match_length: Final = re.compile(rb"[0-9]{1,18}+").match
#: A whole head of the usual kind; its last group is 2 in HTTP/1.0.  What it matches breaks no rule
#: of ``head`` but those on limits and on the meaning of fields; all else is judged line by line.
_match_ordinary_head: Final = re.compile(
    rb"([A-Z]++) /[" + TARGET_OCTETS + rb"]*+ HTTP/1\.(?:1|(0))\r\n(?:" + _FIELD + rb")++\r\n"
).match
#: The shortest field line there is: a letter, the colon, CRLF.
_LEAST_FIELD_BYTES: Final = 4
#: So many bytes of fields are remembered for the next request: what an idle connection may keep.
_REMEMBERED_BYTES: Final = 1024


class _Silent:
    """The callbacks that httptools is given: none, for only its verdict is asked."""


class RequestParser:
    """Parse the requests that come over one connection, one at a time.

    ``next_request(data)`` until it is a Request; then ``next_body(data)`` until it is ``b""``;
    then again.  ``data`` is what was received, of any length; ``b""`` goes on with what is there.
    The result does not depend on how the bytes were cut.
    """

    __slots__ = (
        "_at", "_body", "_buffer", "_checked_bytes", "_error", "_fields", "_good_fields",
        "_good_head", "_good_method", "_has_blank_line", "_known", "_limits", "_line",
        "_plain_bytes", "_request_line", "_sized_fields", "has_rest", "state",
    )  # fmt: skip

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.state = ParserState.HEAD
        #: When a request, or its body, is complete: whether something was received behind it.
        self.has_rest = False
        self._limits = limits
        #: What was received; what lies before ``_at`` has been used up.
        self._buffer = b""
        self._at = 0
        #: A head up to this long can have no line, nor be itself, over its limit;
        self._checked_bytes = min(
            limits.request_line_bytes, limits.header_line_bytes, limits.head_bytes
        )
        #: and up to this long it cannot have too many fields either.
        self._plain_bytes = min(self._checked_bytes, _LEAST_FIELD_BYTES * limits.header_count)
        #: The fields of the last plain head: the next one of the same client mostly has the same,
        #: and what was found good once need not be judged again.
        self._good_fields: bytes | None = None
        #: The last plain head and its method: who asks for the same again is judged by one glance.
        self._good_head: bytes | None = None
        self._good_method = ""
        #: The same for the last head whose body has a length: what stands before its digits, and
        #: what behind them, since the length is what differs.
        self._sized_fields: tuple[bytes, bytes] | None = None
        #: The body being read; kept after its end, so that asking again says ``b""``.
        self._body: FixedBody | ChunkedBody | None = None
        self._error: HttpError | None = None
        #: The head being judged line by line: where its next line begins, counted from ``_at``,
        self._line = 0
        #: how many octets of that were found to be good,
        self._known = 0
        #: how many fields it has so far, its request line, and whether a blank line came before.
        self._fields = 0
        self._request_line: RequestLine | None = None
        self._has_blank_line = False

    # -- asked by the connection ----------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether we are between requests, with nothing received of the next one."""
        return self.state is _HEAD and self._at == len(self._buffer) and not self._has_blank_line

    @property
    def is_body_read(self) -> bool:
        """Whether nothing of the present request's body is left."""
        return self.state is not _BODY

    @property
    def line_so_far(self) -> bytes:
        """What was received of the request line of a head that is not complete, or was refused."""
        return self._buffer[self._at :].partition(b"\r\n")[0]

    @property
    def body_remaining(self) -> int | None:
        """Octets of the present body not yet read; None when only its end will tell."""
        return 0 if self._body is None else self._body.remaining

    def next_request(self, data: bytes = b"") -> Request | NeedData:
        """Return the next request whose head is complete, or NEED_DATA.

        Errors: HttpError, once and for all; MisuseError while a body is unread.
        """
        if data == self._good_head and not self._buffer and self.state is _HEAD:
            return Request(self._good_method, data)
        if self.state is not _HEAD:
            raise self._out_of_turn()
        if self._at == len(self._buffer):
            self._buffer = data
            self._at = 0
        elif data:
            self._append(data)
            return self._next_by_line()
        elif self._good_head is not None and self._buffer.startswith(self._good_head, self._at):
            return self._take_head(self._good_method, self._good_head, NO_BODY, 1)
        line = _match_plain_line(self._buffer, self._at)
        if line is None or self._line:
            return self._next_ordinary()
        fields = self._sized_fields
        if fields is not None and self._buffer.startswith(fields[0], line.end()):
            return self._next_sized(line[1], line.end(), *fields)
        return self._next_plain(line[1], line.end())

    def next_body(self, data: bytes = b"") -> bytes | NeedData:
        """Return the next piece of the present request's body, ``b""`` at its end, or NEED_DATA.

        Errors: HttpError, once and for all.
        """
        if data:
            self._append(data)
        body = self._body
        if body is None or self.state is not _BODY:
            if self._error is not None:
                raise self._error
            return b""
        try:
            piece, self._at = body.read(self._buffer, self._at)
        except HttpError as error:
            self._fail(error)
            raise
        if body.is_done:
            self._use_up(self._at)
            self.state = _AFTER_BODY
        elif not piece:
            return NEED_DATA
        return piece

    def set_body_limit(self, max_bytes: int) -> None:
        """Let the present body be up to ``max_bytes`` long, counted from here on."""
        if self._body is not None:
            self._body.limit = max_bytes

    def hand_over(self) -> bytes:
        """Return what was received behind the request, and parse no more."""
        rest = self._buffer[self._at :]
        self._advance("hand_over")
        self._buffer = b""
        self._at = 0
        return rest

    # -- heads, from the usual to the rare -------------------------------------------------------

    def _next_plain(self, name: bytes, start: int) -> Request | NeedData:
        """Take a head that has no body behind it, or hand it on."""
        buffer, good_fields = self._buffer, self._good_fields
        if is_known := good_fields is not None and buffer.startswith(good_fields, start):
            end = start + len(good_fields)
        elif fields := _match_plain_fields(buffer, start):
            end = fields.end()
        else:
            return self._next_ordinary()
        head = buffer[self._at : end]
        method = METHODS.get(name)
        if method is None or not self._keeps_limits(head):
            return self._next_by_line()
        if not is_known:
            try:
                _consult_httptools(head, 1)
            except HttpError:
                return self._next_by_line()  # which comes to the same end
            self._good_fields = buffer[start:end] if end - start <= _REMEMBERED_BYTES else None
        if len(head) <= _REMEMBERED_BYTES:
            self._good_head, self._good_method = head, method
        return self._take_head(method, head, NO_BODY, 1)

    def _next_sized(
        self, name: bytes, start: int, before: bytes, behind: bytes
    ) -> Request | NeedData:
        """Take a head whose fields are the last ones before a body, but for its length."""
        length = _match_length(self._buffer, start + len(before))
        if length is None or not self._buffer.startswith(behind, length.end()):
            return self._next_ordinary()
        head = self._buffer[self._at : length.end() + len(behind)]
        method = METHODS.get(name)
        if method is None or not self._keeps_limits(head):
            return self._next_by_line()
        return self._take_head(method, head, Framing(int(length[0])), 1)

    def _next_ordinary(self) -> Request | NeedData:
        """Take a whole head of which only the meaning of its fields is still to be judged."""
        found = _match_ordinary_head(self._buffer, self._at)
        if found is None or self._line:
            return self._next_by_line()
        head = found[0]
        method = METHODS.get(found[1])
        if method is None or not self._keeps_limits(head):
            return self._next_by_line()
        try:
            request = self._finish_head(method, head, 0 if found[2] else 1)
        except HttpError as error:
            self._fail(error)
            raise
        if request.framing == (request.content_length, True, False) and request.content_length:
            self._remember_sized(head)
        return request

    def _remember_sized(self, head: bytes) -> None:
        """Keep what is the same in the next head before a body, of a client that sends another."""
        length = _find_length(head)
        start = head.index(b"\n") + 1
        if length and len(head) - start <= _REMEMBERED_BYTES:
            self._sized_fields = head[start : length.start(1)], head[length.end(1) :]

    def _keeps_limits(self, head: bytes) -> bool:
        size = len(head)
        return size <= self._plain_bytes or (
            size <= self._checked_bytes and head.count(b"\n") - 2 <= self._limits.header_count
        )

    def _next_by_line(self) -> Request | NeedData:
        """Judge a head line by line, as far as it has come."""
        try:
            if not self._judge_lines():
                return NEED_DATA
            line = self._request_line
            assert line is not None
            head = self._buffer[self._at : self._at + self._line]
            return self._finish_head(line.method, head, line.minor)
        except HttpError as error:
            self._fail(error)
            raise

    def _finish_head(self, method: str, head: bytes, minor: int) -> Request:
        framing = judge_framing(head, minor)
        _consult_httptools(head, minor)
        return self._take_head(method, head, framing, minor)

    def _take_head(self, method: str, head: bytes, framing: Framing, minor: int) -> Request:
        """Use up a head that was found good, and begin with the body behind it."""
        self._use_up(self._at + len(head))
        self._line = self._fields = 0
        self._request_line = None
        self._has_blank_line = False
        if framing is NO_BODY:
            self._body = None
            return Request(method, head)
        self._begin_body(framing.content_length)
        if framing == NO_BODY and minor:
            framing = NO_BODY  # the one object: the server knows the usual case by identity
        return Request(method, head, framing, minor)

    def _judge_lines(self) -> bool:
        """Judge the lines that are complete, and the octets of the one that is not.

        True when the head is complete.  Before a request line one empty line is let pass
        (RFC 9112 section 2.2).
        """
        limits, buffer = self._limits, self._buffer
        while True:
            start = self._at + self._line
            stop = min(len(buffer), self._at + limits.head_bytes)
            is_first = self._request_line is None
            if is_first:
                judge_method_length(buffer, start)
            end = find_line_end(
                buffer,
                start,
                stop,
                limits.request_line_bytes if is_first else limits.header_line_bytes,
                414 if is_first else 431,
                self._known,
            )
            if end < 0:
                if len(buffer) > stop:
                    raise HttpError(431, f"head longer than {limits.head_bytes} bytes")
                self._known = stop - start
                return False
            self._known = 0
            if is_first:
                self._take_first_line(start, end)
                continue
            self._line = end + 2 - self._at
            if start == end:
                return True
            self._fields += 1
            if self._fields > limits.header_count:
                raise HttpError(431, f"more than {limits.header_count} fields")
            judge_field(buffer[start:end])

    def _take_first_line(self, start: int, end: int) -> None:
        if start < end:
            self._request_line = judge_request_line(self._buffer[start:end])
            self._line = end + 2 - self._at
        elif self._has_blank_line:
            raise HttpError(400, "more than one empty line before the request")
        else:
            self._has_blank_line = True
            self._at = end + 2

    # -- bookkeeping ---------------------------------------------------------------------------

    def _begin_body(self, length: int | None) -> None:
        limits = self._limits
        if length == 0:
            self._body = None
            return
        if length is None:
            self._body = ChunkedBody(limits, limits.body_bytes)
        else:
            self._body = FixedBody(length, limits.body_bytes)
        self.state = _BODY

    def _append(self, data: bytes) -> None:
        if self._at == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def _use_up(self, end: int) -> None:
        """Take note that all before ``end`` is done with; an idle connection keeps no buffer."""
        self.has_rest = end < len(self._buffer)
        if self.has_rest:
            self._at = end
        else:
            self._buffer = b""
            self._at = 0

    def _fail(self, error: HttpError) -> None:
        self._error = error
        # Of what was received no more is kept than the access log wants to show.
        self._buffer = self.line_so_far[: self._limits.request_line_bytes]
        self._at = 0
        self._advance("refused")

    def _out_of_turn(self) -> Exception:
        if self._error is not None:
            return self._error
        return MisuseError(
            f"next_request() in state {self.state.value}: read the body to its end before, and "
            "nothing after hand_over()"
        )

    def _advance(self, event: str) -> None:
        self.state = PARSER_LIFE[self.state][event]


def _consult_httptools(head: bytes, minor: int) -> None:
    """Hear the second opinion on a head that the rules let pass; 400 when it is no.

    In a parser of its own: behind this head llhttp may expect a body or another protocol.
    """
    if minor > 1:
        head = head.replace(b" HTTP/1.%d\r\n" % minor, b" HTTP/1.1\r\n", 1)
    try:
        httptools.HttpRequestParser(_Silent()).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # we may ignore the wish, and then the request is an ordinary one
    except httptools.HttpParserError as error:
        raise HttpError(400, f"httptools: {error}") from None
