"""The vigil: what watches over a WebSocket while its handler does something else, or nothing.

What lives here: Vigil, a scope around the handler.  What it must not know: frames.
Stands on: scopes.

It costs no task and no timer of its own.  A scope has a deadline; when that comes, this one cancels
nothing, but looks after the connection, and names the time at which it wants to look again.  And a
server that stops asks it, as any convenient scope, to be cancelled: it lets the WebSocket say
goodbye instead.
"""

from __future__ import annotations

from typing import Protocol

from coop.scopes import Scope
from coop.traps import FOREVER


class Ward(Protocol):
    """What is watched over."""

    def look_after(self, now: float) -> float:
        """Do what is due; return the clock time at which to be looked after next."""
        raise NotImplementedError

    def go_away(self) -> None:
        """Begin to end, since the server stops."""
        raise NotImplementedError


class Vigil(Scope):
    """Watch over a WebSocket from the entry of a with-block to its end."""

    __slots__ = ("_ward",)

    def __init__(self, ward: Ward, seconds: float) -> None:
        super().__init__(seconds)
        self._ward: Ward | None = ward

    def run_out(self) -> None:
        """Look after the WebSocket: the time for it has come."""
        task, ward = self.task, self._ward
        if task is None or ward is None:
            self._deadline = FOREVER
        elif task.waiter is not None:  # else it goes on this very turn, and the alarm comes again
            self._deadline = ward.look_after(task.scheduler.now)

    def cancel(self, reason: object = None) -> None:
        """Begin to end: called when the handler waits for a message, and the server stops."""
        if self._ward is not None:
            self._ward.go_away()

    @property
    def is_told_to_stop(self) -> bool:
        """Whether the server has begun to stop."""
        return self.task is not None and self.task.soft_cancelled

    def end(self) -> None:
        """Let go of the WebSocket: the two would be left to the cycle collector."""
        self._ward = None
