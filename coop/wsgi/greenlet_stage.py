"""The stage of a greenlet: the application runs in this thread, and stops where it waits.

What lives here: GreenletStage.  What it must not know: HTTP.  Stands on: stage, call, groups,
traps; the greenlet package, without which it cannot be made.

The application has a stack of its own.  Where it gives a piece, or wishes for something that only
the task can do, it switches to the task; the task switches back when that is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from coop.groups import as_generator
from coop.outcomes import ClosedError, MisuseError
from coop.traps import Coop
from coop.wsgi.call import Call, Piece
from coop.wsgi.stage import WaitingStage

try:
    import greenlet
except ImportError:  # said when it is needed: nothing else here does
    greenlet = None

logger = logging.getLogger("coop.wsgi")

#: How often an application is told that its client is gone before it is left where it stands.
PATIENCE: Final = 100


class _Wish:
    """Something that the application wants its task to do."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Coop[Any]], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args


def check_greenlet() -> None:
    """Raise ImportError, with the remedy, where the greenlet package is missing."""
    if greenlet is None:
        raise ImportError("mode='greenlet' needs greenlet: pip install 'coop-net[greenlet]'")


class GreenletStage(WaitingStage):
    """The application runs in a greenlet, from its first line to its ``close``."""

    __slots__ = ("_greenlet", "_hub")

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        #: Where the task runs.
        self._hub = greenlet.getcurrent()
        self._greenlet = greenlet.greenlet(self._perform)
        self._greenlet.gr_context = self._context

    # -- the task's side ------------------------------------------------------------------------

    def next_piece(self) -> Coop[Piece | None]:
        """Let the application go on to its next piece, and do meanwhile what it wishes."""
        if self._greenlet.dead:
            return None
        event = self._greenlet.switch()
        while type(event) is _Wish:
            try:
                value = yield from as_generator(event.function(*event.args))
            except GeneratorExit:
                raise
            except BaseException as error:  # a Cancelled too: for the scopes that it has entered
                event = self._greenlet.throw(error)
            else:
                event = self._greenlet.switch(value)
        return event  # type: ignore[no-any-return]

    def close(self) -> None:
        """Have the application end: raise ClosedError where it stands."""
        goodbye = ClosedError("the client is gone, or the server ends: nobody takes the answer")
        for _ in range(PATIENCE):
            if self._greenlet.dead:
                break
            try:
                self._greenlet.throw(goodbye)
            except ClosedError:
                pass
            except Exception as error:
                logger.error("the application failed after its client had left", exc_info=error)
        else:
            logger.error("the application does not end, though its client has left")
        self._call.release()

    # -- the application's side -----------------------------------------------------------------

    def _give(self, piece: Piece) -> None:
        if piece:
            self._hub.switch(piece)
        else:
            self.wait(_pass)  # it has nothing yet (PEP 3333)

    def wait(self, function: Callable[..., Coop[Any]], *args: Any) -> Any:
        """Have the task run ``function(*args)``; others run meanwhile."""
        if greenlet.getcurrent() is not self._greenlet:
            raise MisuseError("coop.wsgi.wait works in the application's own greenlet only")
        return self._hub.switch(_Wish(function, args))


def _pass() -> Coop[None]:
    yield None
