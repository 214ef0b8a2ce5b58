"""The stage: where an application runs, and how its waits become those of a task.

What lives here: Stage, what an adapter asks of any; InlineStage, on which nothing can be waited
for; WaitingStage, what the others have in common; and ``wait``, for applications.
What it must not know: HTTP, threads, greenlets.  Stands on: call, traps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import closing
from contextvars import ContextVar, copy_context
from typing import Any, Final

from coop.outcomes import MisuseError
from coop.traps import Coop
from coop.wsgi.call import Call, Piece, refuse_piece


class Stage:
    """One call to an application, under way."""

    __slots__ = ("_call", "_context")

    #: Whether the application may wait: whether it is a WaitingStage.
    can_wait = False

    def __init__(self, call: Call) -> None:
        self._call = call
        #: The context variables of this call: no other call sees what it sets.
        self._context = copy_context()

    def next_piece(self) -> Coop[Piece | None]:
        """Let the application go on until it gives a piece, and return that; None at the end.

        Never an empty one.  Waits: for whatever the application waits.  Errors: its own.
        """
        raise NotImplementedError

    def wait(self, function: Callable[..., Coop[Any]], *args: Any) -> Any:
        """From the application: have the task run ``function(*args)``; return its result."""
        raise MisuseError(f"an application cannot wait on {self!r}")

    def close(self) -> None:
        """Have the application end, if it has not.  Never waits; again: no effect."""
        raise NotImplementedError


class InlineStage(Stage):
    """The application runs in the task's own step, and cannot wait."""

    __slots__ = ("_pieces", "_written")

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._pieces = call.pieces()
        #: What the application has given and nobody has taken.
        self._written: deque[Piece] = deque()
        call.emit = self._written.append

    def next_piece(self) -> Coop[Piece | None]:
        """Ask the application for its next piece; pass while it has none (PEP 3333)."""
        written = self._written
        while not written:
            piece = self._context.run(next, self._pieces, None)
            if piece is None:
                break
            if piece:
                written.append(piece)
            elif not written:
                yield None
        return written.popleft() if written else None

    def close(self) -> None:
        """End the application where it stands."""
        self._written.clear()
        self._context.run(self._pieces.close)
        self._call.release()


class WaitingStage(Stage):
    """The application runs beside the task, and hands over what it gives and what it wants."""

    __slots__ = ()

    can_wait = True

    def _perform(self) -> None:
        """Run the application to its end: what a thread does, or a greenlet."""
        call = self._call
        # Only meanwhile do these two know the stage: it must not be left to the cycle collector.
        call.emit = self._give
        _present_stage.set(self)
        try:
            with closing(call.pieces()) as pieces:
                for piece in pieces:
                    self._give(piece)
        finally:
            call.emit = refuse_piece
            _present_stage.set(None)

    def _give(self, piece: Piece) -> None:
        """From the application: hand over a piece, or an empty one: it has nothing yet."""
        raise NotImplementedError


_present_stage: Final[ContextVar[Stage | None]] = ContextVar("coop.wsgi stage", default=None)


def wait(function: Callable[..., Coop[Any]], *args: Any) -> Any:
    """Wait inside a WSGI application: ``coop.wsgi.wait(coop.sleep, 0.1)``.

    The request's task runs ``function(*args)``, and the application goes on with its result.
    Waits: meanwhile, in mode ``"greenlet"`` and ``"executor"``.  Errors: its own; MisuseError in
    mode ``"inline"``, and outside a request.
    """
    stage = _present_stage.get()
    if stage is None:
        raise MisuseError(
            "coop.wsgi.wait works inside an application that coop.wsgi.adapt runs with "
            "mode='greenlet' or mode='executor'"
        )
    return stage.wait(function, *args)
