"""The adapter: a handler of HTTP requests made of a WSGI application.

What lives here: ``adapt``, and Adapter, what it returns.  What it must not know: how an application
waits; a stage does.  Stands on: body, call, environ, files, the stages, the HTTP server's messages.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Generator
from typing import Any, Final

from coop.executors import Executor
from coop.http.messages import BODILESS, Request, Response
from coop.traps import Coop
from coop.wsgi.body import BodyReader, read_ahead
from coop.wsgi.call import Application, ApplicationError, Call, Piece
from coop.wsgi.environ import Environ, make_environ
from coop.wsgi.files import FileWrapper
from coop.wsgi.stage import InlineStage, Stage

#: How much of a body is kept in memory while it is collected; the rest goes to a temporary file.
MEMORY_BYTES: Final = 256 * 1024
#: The greatest piece that is read of a body at once.
_READ_BYTES: Final = 65536


class Adapter:
    """A handler for ``coop.http.serve`` that asks a WSGI application; made by ``adapt``."""

    def __init__(
        self,
        application: Application,
        make_stage: Callable[[Call], Stage],
        *,
        constants: Environ,
        script_name: str,
        memory_bytes: int,
        max_body_bytes: int | None,
    ) -> None:
        #: The application.
        self.application: Final = application
        #: Variables that are the same in every call; a program may add to them.
        self.constants: Final = constants
        self._make_stage = make_stage
        self._script_name = script_name
        self._memory_bytes = memory_bytes
        self._max_body_bytes = max_body_bytes

    def __call__(self, request: Request) -> Coop[Response]:
        """Ask the application, and return its answer.

        Waits: as the application does.  Errors: its own; ApplicationError; HttpError.
        """
        call = Call(self.application, make_environ(request, self.constants, self._script_name))
        stage = self._make_stage(call)
        try:
            yield from self._open_input(request, call, stage)
            piece = yield from stage.next_piece()
            if piece is not None and call.is_whole:
                yield from stage.next_piece()
            return _answer(request, call, stage, piece)
        except BaseException:
            stage.close()
            raise

    def _open_input(self, request: Request, call: Call, stage: Stage) -> Coop[None]:
        """Put the body where the application reads it."""
        source: Any
        if stage.can_wait and request.content_length:
            reader = BodyReader(request, self._max_body_bytes, stage.wait)
            source = io.BufferedReader(reader, _READ_BYTES)
        else:
            source = yield from read_ahead(request, self._memory_bytes, self._max_body_bytes)
            if request.content_length is None:
                # Told for the many who read CONTENT_LENGTH bytes and no more.
                size = source.seek(0, io.SEEK_END)
                source.seek(0)
                call.environ["CONTENT_LENGTH"] = str(size)
        call.input = call.environ["wsgi.input"] = source


def _answer(request: Request, call: Call, stage: Stage, piece: Piece | None) -> Response:
    """Fill in the body of the answer, whose first piece has come, or which has none."""
    response = call.response
    assert response is not None  # or there would have been an error
    if response.status in BODILESS:
        stage.close()
        return response
    told = response.content_length
    if piece is None or call.is_whole:
        size = 0 if piece is None else len(piece)
        if request.method != "HEAD":
            if told not in (None, size):
                raise ApplicationError(f"the body has {size} bytes, its Content-Length is {told}")
            response.content_length = size
        elif piece is not None and told is None:
            response.content_length = size
        stage.close()
        response.body = piece or (b"" if response.content_length is not None else ())
        return response
    response.body = _Body(stage, piece)
    return response


class _Body:
    """The body of an answer: a piece, and then what the application gives.

    It has the methods of a generator, by which the server knows that it may wait.
    """

    __slots__ = ("_pieces", "_stage")

    def __init__(self, stage: Stage, first: Piece) -> None:
        self._stage = stage
        self._pieces = self._give(first)

    def _give(self, first: Piece) -> Generator[Any, Any, None]:
        piece: Piece | None = first
        while piece is not None:
            yield piece
            piece = yield from self._stage.next_piece()

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> Any:
        return next(self._pieces)

    def throw(self, error: BaseException) -> Any:
        """Raise the error where it waits."""
        return self._pieces.throw(error)

    def close(self) -> None:
        """Have the application end."""
        self._pieces.close()
        self._stage.close()


def adapt(
    application: Application,
    *,
    mode: str = "inline",
    executor: Executor | None = None,
    script_name: str = "",
    max_body_bytes: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    multiprocess: bool = False,
) -> Adapter:
    """Make a handler for ``coop.http.serve`` of a WSGI application."""
    constants: Environ = {
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "SERVER_SOFTWARE": "coop",
    }
    if mode != "inline":
        raise ValueError(f"mode is 'inline', not {mode!r}")
    return Adapter(
        application,
        InlineStage,
        constants=constants,
        script_name=script_name,
        max_body_bytes=max_body_bytes,
        memory_bytes=memory_bytes,
    )
