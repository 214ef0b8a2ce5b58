"""Pieces: the body of an answer as it is made, one piece after the other.

What lives here: the one step that asks a body's generator for its next piece and passes on what it
waits for, the view of an asynchronous iterator as such a generator, and the look at what cannot be
a body.
What it must not know: framing, connections.  Stands on: groups' view of coroutines, traps.

A body's generator yields two kinds of things: pieces, for whoever sends them, and waiters, for the
scheduler.  Whoever stands between the two, to send or to repack, asks here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping
from inspect import CO_ITERABLE_COROUTINE
from typing import Any, Final

from coop.groups import as_generator
from coop.traps import Coop, Waiter

END: Final = object()
"""What ``next_piece`` returns when there are no more."""


def next_piece(
    pieces: Generator[Any, Any, Any], before_waiting: Callable[[], object] | None = None
) -> Coop[Any]:
    """Ask a generator for its next piece, and pass on what it waits for; END behind the last one.

    At once: a waiter that were woken before we yield it would have nobody to wake.
    ``before_waiting`` is called before each wait.
    """
    piece = next(pieces, END)
    while piece is None or isinstance(piece, Waiter):
        if before_waiting is not None:
            before_waiting()
        try:
            yield piece
        except BaseException as error:
            try:
                piece = pieces.throw(error)
            except StopIteration:
                piece = END
        else:
            piece = next(pieces, END)
    return piece


def check_pieces(body: Any) -> None:
    """Raise TypeError, with what was probably meant, for what does not give a body's pieces.

    An operation gives none, whatever it is that it returns; and to stream a dictionary would be to
    send its keys.
    """
    code = getattr(body, "gi_code", None)
    if code is not None and code.co_flags & CO_ITERABLE_COROUTINE:
        hint = ": did you mean 'yield from' (or 'await')?"
    elif isinstance(body, Coroutine):
        hint = ": did you mean 'await'?"
    elif isinstance(body, Mapping):
        hint = ": did you mean coop.http.json(...)?"
    elif isinstance(body, (set, frozenset)):
        hint = ": did you mean coop.http.json(list(...))?"
    elif isinstance(body, (Iterable, AsyncIterator)):
        return
    else:
        hint = ""
    if hasattr(body, "throw"):
        body.close()  # or Python would complain that it never ran
    raise TypeError(
        f"a response body is bytes, str, an open file or an iterable of bytes, not {body!r}{hint}"
    )


def as_pieces(body: Iterable[Any] | AsyncIterator[Any]) -> Any:
    """Return an iterator over a body's pieces; a generator for a body that may wait."""
    return _give(body) if isinstance(body, AsyncIterator) else iter(body)


def _give(pieces: AsyncIterator[Any]) -> Generator[Any, None, None]:
    """Give the pieces of an asynchronous iterator, and between them what it waits for."""
    try:
        while True:
            try:
                piece = yield from as_generator(pieces.__anext__())
            except StopAsyncIteration:
                return
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            _run_without_waiting(close())


def _run_without_waiting(coroutine: Any) -> None:
    """Run the end of an asynchronous generator, which has no time left to wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
