"""The exchange: where a request and its answer are, and how long each phase may take.

What lives here: the life of an exchange as a table, and Exchange, the scope that ends a phase whose
deadline has passed, and the work for a client that has left.  What it must not know: messages,
handlers, how anything is sent.
Stands on: limits, scopes, the connection's socket.

A deadline per phase costs a request nothing.  There is one scope for the connection's whole life,
and one alarm, set for the shortest deadline.  When it fires, it looks which phase is on and since
when: most often the deadline is a later one, and the alarm is set anew.

To notice that the client leaves costs as little.  The poller watches the connection since its first
wait anyway, and tells when something comes while the handler is at work: see ``something_came``,
and docs/decisions/client-gone.md.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from coop.http.limits import Deadlines
from coop.outcomes import WOULDBLOCK
from coop.readiness import Readiness
from coop.scopes import Scope
from coop.stream import Connection
from coop.traps import FOREVER


class ExchangeState(Enum):
    """Where the exchange on a connection is."""

    #: Nothing has come of the next request.
    IDLE = "idle"
    #: A head has begun to come.
    HEAD = "head"
    #: The handler has the word; it may read the body.
    HANDLING = "handling"
    #: The handler makes the next piece of the answer's body.
    PRODUCING = "producing"
    #: Some of the answer is on its way out.
    SENDING = "sending"
    #: The answer is sent; what the handler left of the request's body is read and dropped.
    DISCARDING = "discarding"
    #: Nothing more comes from us; the connection is closed so that the peer gets everything.
    LINGERING = "lingering"
    #: Broken off, by the client, the server's end or us.
    BROKEN = "broken"


#: The life of an exchange, and of those that follow it: {state: {event: next state}}.
EXCHANGE_LIFE: Final[dict[ExchangeState, dict[str, ExchangeState]]] = {
    ExchangeState.IDLE: {
        "first_bytes": ExchangeState.HEAD,
        "request": ExchangeState.HANDLING,
        "answer": ExchangeState.SENDING,
        "end": ExchangeState.LINGERING,
        "break": ExchangeState.BROKEN,
    },
    ExchangeState.HEAD: {
        "request": ExchangeState.HANDLING,
        "answer": ExchangeState.SENDING,
        "end": ExchangeState.LINGERING,
        "break": ExchangeState.BROKEN,
    },
    ExchangeState.HANDLING: {
        "answer": ExchangeState.SENDING,
        "answered": ExchangeState.IDLE,
        "break": ExchangeState.BROKEN,
    },
    ExchangeState.SENDING: {
        "produce": ExchangeState.PRODUCING,
        "discard": ExchangeState.DISCARDING,
        "answered": ExchangeState.IDLE,
        "end": ExchangeState.LINGERING,
        "break": ExchangeState.BROKEN,
    },
    ExchangeState.PRODUCING: {
        "answer": ExchangeState.SENDING,
        "end": ExchangeState.LINGERING,
        "break": ExchangeState.BROKEN,
    },
    ExchangeState.DISCARDING: {
        "answered": ExchangeState.IDLE,
        "end": ExchangeState.LINGERING,
        "break": ExchangeState.BROKEN,
    },
    ExchangeState.LINGERING: {},
    ExchangeState.BROKEN: {"break": ExchangeState.BROKEN},
}


def phase_seconds(deadlines: Deadlines) -> dict[ExchangeState, float]:
    """Return how long each state may last; those that are missing, for ever."""
    return {
        ExchangeState.IDLE: deadlines.idle,
        ExchangeState.HEAD: deadlines.head,
        ExchangeState.SENDING: deadlines.stall,
    }


#: The states in which the client's leaving is ours to notice; in all others we receive or send.
_AT_WORK: Final = (ExchangeState.HANDLING, ExchangeState.PRODUCING)


class Exchange(Scope):
    """The exchanges of one connection, one after the other, as the scope that bounds them.

    Left with ``has_expired`` when a phase took too long; ``state`` tells which.  Left with
    ``is_client_gone`` when the client did not wait for its answer.
    """

    __slots__ = (
        "_connection", "_half_close", "_parting", "_reader", "_seconds_of", "_tick",
        "_unsent_bytes", "is_client_gone", "since", "state",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        seconds_of: dict[ExchangeState, float],
        reader: Readiness | None = None,
        half_close: float = FOREVER,
    ) -> None:
        #: No phase can end sooner than this after the alarm was set, so it never comes late.
        self._tick = min(seconds_of.values())
        super().__init__(self._tick)
        #: How long each state may last; those that are missing, for ever.
        self._seconds_of = seconds_of
        self._connection = connection
        #: The connection's, whose witness we are.
        self._reader = reader
        if reader is not None:
            reader.descriptor.witness = self
        #: Seconds for which a client that sends no more may still be reading.
        self._half_close = half_close
        #: Clock time at which we shall take it to be gone.
        self._parting = FOREVER
        #: Whether its leaving has cancelled the handler.
        self.is_client_gone = False
        #: What the peer had not yet taken when the alarm looked last; None when it did not look.
        self._unsent_bytes: int | None = None
        #: Clock time at which ``advance`` led to the state.
        self.since = 0.0
        self.state = ExchangeState.IDLE
        # A server that stops cancels those who wait for a request: see ``coop.convenient``.
        self.is_convenient = True

    def advance(self, event: str) -> None:
        """Go on to the state that the table names."""
        self.state = EXCHANGE_LIFE[self.state][event]
        self.is_convenient = False
        self._unsent_bytes = None
        if self.task is not None:
            self.since = self.task.scheduler.clock.now()

    # -- the client that leaves -----------------------------------------------------------------

    def watch_client(self) -> None:
        """See to it that we are told when the client leaves during the wait that is about to begin.

        Nothing to do where the connection has waited before, as all but the newest have.
        """
        reader = self._reader
        if reader is None or reader.is_watched or reader.is_busy or reader.descriptor.is_forgotten:
            return
        if reader.is_ready and self._look():
            return  # what came is the next request, and the end would be behind it
        reader.is_ready = False
        reader.scheduler.descriptors.watch(reader)

    def something_came(self) -> None:
        """Part from the client if it is its end; leave a pipelined request where it is."""
        reader = self._reader
        if self.state in _AT_WORK and reader is not None and not reader.is_busy:
            self._look()

    def _look(self) -> bool:
        """Look what has come without taking it; return whether there is anything."""
        assert self.task is not None
        try:
            seen = self._connection.socket.peek(1)
        except OSError:
            self._part()
            return True
        if seen == b"" and self._parting is FOREVER:
            self._parting = self.task.scheduler.now + self._half_close
            self.deadline = min(self.deadline, self._parting)
        return seen is not WOULDBLOCK

    def _part(self) -> None:
        """Cancel what is done for a client that is gone."""
        self.is_client_gone = True
        super().cancel("the client has left")

    # -- the deadlines --------------------------------------------------------------------------

    def cancel(self, reason: object = None) -> None:
        """Cancel the wait for a request; not when one has just woken us, which is then answered."""
        if self.task is not None and self.task.waiter is not None:
            super().cancel(reason)

    def run_out(self) -> None:
        """Take note that the alarm has come: the phase is over, or the alarm is set anew."""
        task = self.task
        assert task is not None
        if task.waiter is None:
            return  # it goes on this very turn; the alarm comes again as soon as it parks
        now = task.scheduler.now
        end = self._phase_end(now, task.since)
        if end > now:
            self._deadline = min(end, now + self._tick)
        elif self.state in _AT_WORK:
            self._part()
        else:
            super().run_out()

    def _phase_end(self, now: float, parked_since: float) -> float:
        """Return the clock time at which the present phase has taken too long."""
        seconds = self._seconds_of.get(self.state)
        if seconds is None:
            return self._parting if self.state in _AT_WORK else FOREVER
        if self.state is ExchangeState.HEAD:
            return self.since + seconds  # for all of it, however often some came
        if self.state is ExchangeState.SENDING and self._is_peer_taking():
            self.since = now
        # To be woken and park again is progress: data came, or there was room to send.
        return max(self.since, parked_since) + seconds

    def _is_peer_taking(self) -> bool:
        """Tell whether the peer has taken something since the alarm looked last.

        A socket is writable only when a third of its buffer is free (tcp(7)), megabytes perhaps:
        a slow reader that takes a little all the time is seen here.
        """
        before, self._unsent_bytes = self._unsent_bytes, self._connection.socket.bytes_unsent()
        return before is not None and self._unsent_bytes != before
