"""The adapter: a handler of HTTP requests made of a WSGI application.

What lives here: ``adapt``, and Adapter, what it returns.  What it must not know: how an application
waits; a stage does.  Stands on: body, call, environ, files, the stages, the HTTP server's messages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Literal

from coop.executors import Executor
from coop.http.messages import BODILESS, Request, Response
from coop.traps import Coop
from coop.wsgi.body import Intake
from coop.wsgi.call import Application, ApplicationError, Call, Piece
from coop.wsgi.environ import Environ, make_environ
from coop.wsgi.executor_stage import ExecutorStage
from coop.wsgi.files import FileWrapper
from coop.wsgi.greenlet_stage import GreenletStage, check_greenlet
from coop.wsgi.stage import InlineStage, Stage

#: How much of a body is kept in memory while it is collected; the rest goes to a temporary file.
MEMORY_BYTES: Final = 256 * 1024


class Adapter:
    """A handler for ``coop.http.serve`` that asks a WSGI application; made by ``adapt``."""

    def __init__(
        self,
        application: Application,
        make_stage: Callable[[Call], Stage],
        *,
        constants: Environ,
        script_name: str,
        intake: Intake,
        amend: Callable[[Request, Environ], object] | None = None,
        own_executor: ThreadPoolExecutor | None = None,
    ) -> None:
        if not callable(application):
            raise TypeError(f"a WSGI application is something to call, not {application!r}")
        #: The application.
        self.application: Final = application
        #: Variables that are the same in every call; a program may add to them.
        self.constants: Final = constants
        self._make_stage = make_stage
        self._script_name = script_name
        self._intake = intake
        self._amend = amend
        self._own_executor = own_executor

    def __call__(self, request: Request) -> Coop[Response]:
        """Ask the application, and return its answer.

        Waits: as the application does.  Errors: its own; ApplicationError; HttpError.
        """
        environ = make_environ(request, self.constants, self._script_name)
        if self._amend is not None:
            self._amend(request, environ)
        call = Call(self.application, environ)
        stage = self._make_stage(call)
        try:
            yield from self._intake.open(request, call, stage)
            piece = yield from stage.next_piece()
            if piece is not None and call.is_whole:
                yield from stage.next_piece()
            return _answer(request, call, stage, piece)
        except BaseException:
            stage.close()
            raise

    def close(self) -> None:
        """End the threads that it has started itself; blocks until they have ended."""
        if self._own_executor is not None:
            self._own_executor.shutdown()


def _answer(request: Request, call: Call, stage: Stage, piece: Piece | None) -> Response:
    """Fill in the body of the answer, whose first piece has come, or which has none."""
    response, call.response = call.response, None  # whose body will know the stage, and that us
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
    mode: Literal["inline", "executor", "greenlet"] = "inline",
    executor: Executor | None = None,
    script_name: str = "",
    max_body_bytes: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    stream_chunked: bool = False,
    multiprocess: bool = False,
    amend: Callable[[Request, Environ], object] | None = None,
) -> Adapter:
    """Make a handler for ``coop.http.serve`` of a WSGI application (PEP 3333).

    ``mode`` says where the application runs, and who waits for it:

    * ``"inline"``: in the server's own thread.  The body is collected first, the answer is streamed
      between two steps; while the application computes or blocks, everybody waits.
    * ``"executor"``: in a thread of ``executor``, by default a ThreadPoolExecutor of its own.  The
      body streams in and the answer streams out; it may block as it likes.
    * ``"greenlet"``: in the server's thread, on a stack of its own: reading the body, sending the
      answer and ``coop.wsgi.wait`` let others run.  What blocks in another way blocks all.

    ``script_name``: where it is mounted, such as ``"/shop"``; requests for other paths are answered
    404.  ``max_body_bytes``: the largest body, instead of the server's limit.  A body that is
    collected is kept in memory up to ``memory_bytes``, else in a temporary file; so is one in
    chunks, whatever the mode, since most applications want to know its length:
    ``stream_chunked`` streams it to those that read to the end.  ``multiprocess`` is told to the
    application.  ``amend(request, environ)`` may change the environ before each call.
    Errors: TypeError, ValueError for what is no application and no mode; ImportError without the
    greenlet package.
    """
    if (executor is not None) > (mode == "executor"):
        raise ValueError(f"an executor goes with mode='executor', not {mode!r}")
    if script_name and (not script_name.startswith("/") or script_name.endswith("/")):
        raise ValueError(f"script_name is '' or such as '/shop', not {script_name!r}")
    if mode == "greenlet":
        check_greenlet()
    own_executor = None
    if mode == "executor" and executor is None:
        executor = own_executor = ThreadPoolExecutor(thread_name_prefix="coop.wsgi")
    return Adapter(
        application,
        _stage_maker(mode, executor),
        own_executor=own_executor,
        constants={
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": mode != "inline",
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
            "SERVER_SOFTWARE": "coop",
        },
        script_name=script_name,
        intake=Intake(memory_bytes, max_body_bytes, stream_chunked),
        amend=amend,
    )


def _stage_maker(mode: str, executor: Executor | None) -> Callable[[Call], Stage]:
    if mode == "inline":
        return InlineStage
    if mode == "greenlet":
        return GreenletStage
    if mode == "executor" and executor is not None:
        return partial(ExecutorStage, executor=executor)
    raise ValueError(f"mode is 'inline', 'executor' or 'greenlet', not {mode!r}")
