"""The call: one request to an application, by the letter of PEP 3333.

What lives here: Call, which runs the application, takes its ``start_response`` and its pieces, and
its life as a table; ApplicationError, when it breaks the rules.  What it must not know: tasks,
threads, how anything is waited for.  Stands on: environ, files, the HTTP server's messages.

An answer begins with its first piece that is not empty: until then, start_response may be called
again with an error.  ``close`` of what the application returned is called whatever happens.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Iterable
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from types import TracebackType
from typing import IO, Any, Final
from wsgiref.util import is_hop_by_hop

from coop.http.messages import BODILESS, FileRegion, Response
from coop.outcomes import CoopError
from coop.wsgi.environ import Environ
from coop.wsgi.files import FileWrapper

Application = Callable[[Environ, Any], Iterable[bytes]]
"""What PEP 3333 calls an application: ``application(environ, start_response)``."""

Piece = bytes | FileRegion
"""A part of the answer's body."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_split_status: Final = re.compile(r"([2-5][0-9][0-9]) (.*)").fullmatch


class ApplicationError(CoopError):
    """The application broke a rule of PEP 3333; the message says which, and what is right."""


class CallState(Enum):
    """Where a call to an application is."""

    #: It has not said how its answer begins.
    SILENT = "silent"
    #: It has called start_response; nothing of the answer has been sent.
    STARTED = "started"
    #: Its first piece was taken: the head is on its way.
    ANSWERING = "answering"


#: The life of a call: {state: {event: next state}}.
CALL_LIFE: Final[dict[CallState, dict[str, CallState]]] = {
    CallState.SILENT: {"start": CallState.STARTED},
    CallState.STARTED: {"start_again": CallState.STARTED, "first_piece": CallState.ANSWERING},
    CallState.ANSWERING: {},
}


class Call:
    """One request, and what the application makes of it."""

    __slots__ = (
        "_application", "_is_written", "emit", "environ", "input", "is_whole", "response", "state",
    )  # fmt: skip

    def __init__(self, application: Application, environ: Environ) -> None:
        self.environ = environ
        self.state = CallState.SILENT
        #: The request's body, closed when the call is over.
        self.input: IO[bytes] | None = None
        #: The answer's head, as start_response gave it; its body is to be filled in.
        self.response: Response | None = None
        #: Whether the answer is a single piece and all there is.
        self.is_whole = False
        #: Takes what is given to ``write``; set by whoever runs the call.
        self.emit: Callable[[Piece], None] = refuse_piece
        self._application = application
        self._is_written = False

    def pieces(self) -> Generator[Piece, None, None]:
        """Run the application and give what it answers; empty pieces too: it has nothing yet.

        Errors: the application's; ApplicationError.
        """
        answer: Any = None
        try:
            answer = self._application(self.environ, self.start_response)
            if type(answer) is FileWrapper and (region := self._take_region(answer)) is not None:
                yield region
            else:
                self._judge_answer(answer)
                for piece in answer:
                    yield self._take(piece)
            if self.state is CallState.SILENT:
                raise ApplicationError("the application did not call start_response")
        finally:
            try:
                close = getattr(answer, "close", None)
                if close is not None:
                    close()
            finally:
                self.release()

    def release(self) -> None:
        """Let go of the request's body."""
        if self.input is not None:
            self.input.close()

    # -- what the application calls ---------------------------------------------------------------

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take the answer's head; return ``write``.  See PEP 3333.

        Errors: ApplicationError for a head that is none, and for a second one without ``exc_info``;
        that error itself, when it is too late to tell the client.
        """
        try:
            if self.state is CallState.SILENT:
                event = "start"
            elif exc_info is None:
                raise ApplicationError("start_response was called again, and without exc_info")
            elif self.state is CallState.ANSWERING:
                raise exc_info[1].with_traceback(exc_info[2])
            else:
                event = "start_again"
            self.response = _make_head(status, headers)
            self.state = CALL_LIFE[self.state][event]
        finally:
            exc_info = None  # it holds the frame that holds it
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body at once: for applications that cannot return an iterable."""
        self._is_written = True
        self.emit(self._take(data))

    # -- the pieces -------------------------------------------------------------------------------

    def _take(self, piece: bytes) -> bytes:
        if not isinstance(piece, bytes):
            raise ApplicationError(f"the application gave {piece!r} where bytes were expected")
        if piece:
            self._begin()
        return piece

    def _begin(self) -> None:
        if self.state is CallState.STARTED:
            self.state = CALL_LIFE[self.state]["first_piece"]
        elif self.state is CallState.SILENT:
            raise ApplicationError("the application gave a piece before it called start_response")

    def _judge_answer(self, answer: object) -> None:
        if isinstance(answer, (bytes, str)) or not hasattr(answer, "__iter__"):
            raise ApplicationError(
                f"the application returned {answer!r}: return an iterable of bytes, such as [body]"
            )
        if type(answer) in (list, tuple) and len(answer) == 1:  # type: ignore[arg-type]
            self.is_whole = not self._is_written

    def _take_region(self, wrapper: FileWrapper) -> FileRegion | None:
        if self.response is None or self._is_written:
            return None
        region = wrapper.region(self.response.content_length)
        if region is None:
            return None
        if self.response.content_length is None and self.response.status not in BODILESS:
            self.response.content_length = region.count
        self._begin()
        return region


def refuse_piece(piece: Piece) -> None:
    """Take no piece: what ``emit`` is while the application does not run."""
    raise ApplicationError("write was called while the application did not run")


def _make_head(status: str, headers: list[tuple[str, str]]) -> Response:
    """Make the answer's head of what start_response was given.  Errors: ApplicationError."""
    if not isinstance(headers, list):
        raise ApplicationError(f"the headers are a list of pairs, not {headers!r}")
    try:
        number, reason = _read_status(status)
        bodiless = number in BODILESS
        kept = [_judge_header(pair) for pair in headers]
        if bodiless:
            kept = [pair for pair in kept if pair[0].lower() != "content-length"]
        return Response(b"" if bodiless else (), number, kept, reason=reason)
    except ValueError as error:
        raise ApplicationError(f"start_response was given a bad head: {error}") from None


@lru_cache(maxsize=128)
def _read_status(status: str) -> tuple[int, str | None]:
    """Return the number of a status, and its reason where it is not the usual one."""
    parts = _split_status(status) if isinstance(status, str) else None
    if parts is None:
        raise ApplicationError(f"the status is a str such as '200 OK', not {status!r}")
    number, reason = int(parts[1]), sys.intern(parts[2])
    usual = number in _PHRASES and _PHRASES[number] == reason
    return number, None if usual else reason


_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}


def _judge_header(pair: Any) -> tuple[str, str]:
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ApplicationError(f"a header is a tuple of name and value, not {pair!r}")
    name, value = pair
    if not isinstance(name, str) or not isinstance(value, str):
        raise ApplicationError(f"name and value of a header are str, not {pair!r}")
    if is_hop_by_hop(name):
        raise ApplicationError(f"the header {name} is the server's business, not an application's")
    return name, value.strip(" \t")  # Django puts a space before its cookies
