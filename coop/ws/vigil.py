"""The vigil: what watches over a WebSocket while its handler does something else, or nothing.

What lives here: Vigil, a scope around the handler.  What it must not know: frames.
Stands on: rules, scopes.

It costs no task and no timer of its own.  A scope has a deadline; when that comes, this one cancels
nothing, but looks after the connection, and names the time at which it wants to look again.  And a
server that stops asks it, as any convenient scope, to be cancelled: it lets the WebSocket say
goodbye instead.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from coop.scopes import Scope
from coop.traps import FOREVER
from coop.ws.rules import Rules

#: How often it is looked whether somebody reads, in seconds.
LOOK_SECONDS: Final = 5.0


class Pulse(Enum):
    """What a peer's silence means."""

    ALIVE = "alive"
    #: To be sent a ping.
    DOUBTFUL = "doubtful"
    #: To be given up.
    DEAD = "dead"


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

    __slots__ = ("_ping_sent", "_quiet_since", "_rules", "_ward", "heard")

    def __init__(self, ward: Ward, rules: Rules, now: float) -> None:
        super().__init__(min(LOOK_SECONDS, rules.ping_interval))
        self._ward: Ward | None = ward
        self._rules = rules
        #: Whether the peer has been heard since the last look; set by whoever receives.
        self.heard = False
        #: Clock time since when it has not; and at which it was sent a ping for that, or None.
        self._quiet_since = now
        self._ping_sent: float | None = None

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

    def take_pulse(self, now: float) -> Pulse:
        """Judge the peer by its silence."""
        if self.heard:
            self.heard = False
            self._quiet_since = now
            self._ping_sent = None
        elif self._ping_sent is None:
            if now - self._quiet_since >= self._rules.ping_interval:
                self._ping_sent = now
                return Pulse.DOUBTFUL
        elif now - self._ping_sent >= self._rules.ping_timeout:
            return Pulse.DEAD
        return Pulse.ALIVE

    def next_look(self, now: float) -> float:
        """Return the clock time at which to look again."""
        return now + min(LOOK_SECONDS, self._rules.ping_interval, self._rules.ping_timeout)

    def end(self) -> None:
        """Let go of the WebSocket: the two would be left to the cycle collector."""
        self._ward = None
