"""Pieces: the body of an answer as it is made, one piece after the other.

What lives here: the one step that asks a body's generator for its next piece and passes on what it
waits for, and the view of an asynchronous iterator as such a generator.
What it must not know: framing, connections.  Stands on: groups' view of coroutines, traps.

A body's generator yields two kinds of things: pieces, for whoever sends them, and waiters, for the
scheduler.  Whoever stands between the two, to send or to repack, asks here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable
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
