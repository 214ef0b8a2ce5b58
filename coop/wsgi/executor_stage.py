"""The stage of an executor: the application runs in another thread, and its task waits for it.

What lives here: ExecutorStage.  What it must not know: whose threads they are.
Stands on: stage, call, groups, traps; the door that a scheduler has for other threads.

The thread puts events into a queue and rings; the task takes them.  An event is a piece, or a wish:
something that only the task can do, and for whose result the thread blocks.  Pieces need no answer,
but after so many bytes the thread wishes for nothing at all, which is fulfilled when those before
it are on their way: that bounds what is in memory.  The queue is the only thing both sides change.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as Answer
from contextlib import suppress
from functools import partial
from typing import Any, Final

from coop.executors import Executor, Future
from coop.groups import as_generator
from coop.http.messages import FileRegion
from coop.outcomes import ClosedError, MisuseError
from coop.scheduler import Scheduler
from coop.traps import Coop, Waiter, current_scheduler, running
from coop.wsgi.call import Call, Piece
from coop.wsgi.stage import WaitingStage

logger = logging.getLogger("coop.wsgi")

#: How much of an answer a thread may make before the client's side has taken it.
BUFFER_BYTES: Final = 256 * 1024


class _Wish:
    """Something that the application wants its task to do."""

    __slots__ = ("answer", "args", "function")

    def __init__(self, function: Callable[..., Coop[Any]], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        #: What the thread blocks on.
        self.answer: Answer[Any] = Answer()


class _Turn(Waiter):
    """A wait that the application's thread ends."""

    __slots__ = ()

    external = True

    def reason(self) -> str:
        return "the application, in another thread"


class ExecutorStage(WaitingStage):
    """The application runs in an executor, from its first line to its ``close``."""

    __slots__ = ("_events", "_executor", "_future", "_is_closed", "_scheduler", "_turn", "_unheard")

    def __init__(self, call: Call, executor: Executor) -> None:
        super().__init__(call)
        self._executor = executor
        self._scheduler = current_scheduler()
        self._turn = _Turn()
        #: What the thread has to say; it appends, the task takes.
        self._events: deque[Piece | _Wish] = deque()
        self._future: Future | None = None
        self._is_closed = False
        #: Bytes that the thread has given since it last heard from the task; the thread's own.
        self._unheard = 0

    # -- the task's side ------------------------------------------------------------------------

    def next_piece(self) -> Coop[Piece | None]:
        """Take the next piece that the thread has made, and do meanwhile what it wishes."""
        if self._future is None:
            self._future = self._executor.submit(self._context.run, self._perform_alone)
            self._future.add_done_callback(partial(_ring, self._scheduler, self._turn))
        while isinstance(event := (yield from self._next_event(self._future)), _Wish):
            yield from self._fulfil(event)
        return event

    def _next_event(self, future: Future) -> Coop[Piece | _Wish | None]:
        while True:
            is_done = (
                future.done()
            )  # asked first: whatever the thread has said is in the queue then
            if self._events:
                return self._events.popleft()
            if is_done:
                future.result()  # raises what the application has raised
                return None
            yield self._turn

    def _fulfil(self, wish: _Wish) -> Coop[None]:
        try:
            value = yield from as_generator(wish.function(*wish.args))
        except Exception as error:
            wish.answer.set_exception(error)
        except BaseException:
            wish.answer.set_exception(_goodbye())
            raise  # the task's own end, which is none of the thread's business
        else:
            wish.answer.set_result(value)

    def close(self) -> None:
        """Have the application end: what it does next with the client raises ClosedError."""
        # Set before the queue is emptied, as the thread looks at it after it has added to that.
        self._is_closed = True
        if self._future is None or self._future.cancel():
            self._call.release()
        while self._events:
            event = self._events.popleft()
            if isinstance(event, _Wish):
                event.answer.set_exception(_goodbye())

    # -- the application's side -----------------------------------------------------------------

    def _perform_alone(self) -> None:
        """Run the application; nobody asks for its result when its client has left."""
        try:
            self._perform()
        except Exception as error:
            if not self._is_closed:
                raise
            if not isinstance(error, ClosedError):
                logger.error("the application failed after its client had left", exc_info=error)

    def _give(self, piece: Piece) -> None:
        if not piece:
            return
        self._post(piece)
        self._unheard += len(piece)
        # A file must not be closed before it is sent.
        if self._unheard >= BUFFER_BYTES or isinstance(piece, FileRegion):
            self._unheard = 0
            self.wait(_do_nothing)

    def wait(self, function: Callable[..., Coop[Any]], *args: Any) -> Any:
        """Have the task run ``function(*args)``; block this thread until it has."""
        if running.scheduler is self._scheduler:
            raise MisuseError("the task itself cannot wait by coop.wsgi.wait: use 'yield from'")
        wish = _Wish(function, args)
        self._post(wish)
        return wish.answer.result()

    def _post(self, event: Piece | _Wish) -> None:
        self._events.append(event)
        if self._is_closed:
            raise _goodbye()
        if len(self._events) == 1:  # or the task has not yet taken what it was rung for
            self._scheduler.call_threadsafe(self._turn.wake)


def _ring(scheduler: Scheduler, turn: _Turn, _: object) -> None:
    with suppress(ClosedError):  # the run is over: nobody wants to know any more
        scheduler.call_threadsafe(turn.wake)


def _do_nothing() -> Coop[None]:
    return
    yield  # a wish is a generator


def _goodbye() -> ClosedError:
    return ClosedError("the client is gone, or the server ends: nobody takes the answer")
