"""Servers: an accept loop with limits, and an orderly end.

What lives here: Server, its life as a table, and ``serve``.  What it must not know: any protocol; a
handler is a generator function of one connection.  Stands on: conversations, groups, listener,
scopes, signals.
"""

from __future__ import annotations

import logging
import signal
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from enum import Enum
from typing import Final

from coop.address import Address
from coop.arguments import check_callable, length_of_time, whole_number
from coop.conversations import Conversations, Handler
from coop.groups import Group, gather, group, hold
from coop.listener import BACKLOG, Listener, listen
from coop.outcomes import (
    WOULDBLOCK,
    AcceptFailure,
    MisuseError,
    errno_name,
    judge_accept,
)
from coop.parking import ParkingLot
from coop.printable import counted
from coop.proxies import TrustedPeers
from coop.scopes import Scope, move_on_after
from coop.signals import Signals
from coop.stream import Connection
from coop.tls import HANDSHAKE_SECONDS, check_server_context
from coop.traps import Coop, current_scheduler, operation

logger = logging.getLogger("coop.server")

#: Seconds that open conversations get to finish when the server is asked to stop.
DRAIN_SECONDS: Final = 30.0
#: Seconds to leave the listener alone when the system is out of descriptors or memory.
BACK_OFF_SECONDS: Final = 0.1
#: How many of those in the backlog are still taken in when a server is told to stop.
LAST_CALLS: Final = 1024
_HANDLER_WANTED: Final = "a handler is something to call with a connection"


class ServerState(Enum):
    """Where a server is in its life."""

    #: Made, not yet accepting.
    IDLE = "idle"
    #: Accepting connections.
    SERVING = "serving"
    #: Told to stop, and still accepting, so that whoever asks for its health can go elsewhere.
    LEAVING = "leaving"
    #: Accepting no more, waiting for the conversations to finish.
    DRAINING = "draining"
    #: No connection is left.
    STOPPED = "stopped"


#: The life of a server: {state: {event: next state}}.
SERVER_LIFE: Final[dict[ServerState, dict[str, ServerState]]] = {
    ServerState.IDLE: {"run": ServerState.SERVING, "stop": ServerState.DRAINING},
    ServerState.SERVING: {
        "leave": ServerState.LEAVING,
        "stop": ServerState.DRAINING,
        "end": ServerState.STOPPED,
    },
    ServerState.LEAVING: {"stop": ServerState.DRAINING, "end": ServerState.STOPPED},
    ServerState.DRAINING: {
        "run": ServerState.DRAINING,
        "stop": ServerState.DRAINING,
        "end": ServerState.STOPPED,
    },
    ServerState.STOPPED: {"stop": ServerState.STOPPED},
}


class Server:
    """A handler, one listener or several, and how many connections at once."""

    __slots__ = (
        "_accepting", "_conversations", "_fault", "accepted", "active", "broken", "drain",
        "failed", "handler", "handshake_timeout", "lame_duck", "listeners", "max_connections",
        "proxies", "room", "state", "unshaken",
    )  # fmt: skip

    def __init__(
        self,
        handler: Handler,
        listener: Listener | Sequence[Listener],
        *,
        max_connections: int | None = None,
        drain: float | None = DRAIN_SECONDS,
        lame_duck: float = 0.0,
        handshake_timeout: float | None = HANDSHAKE_SECONDS,
        proxy_protocol: bool | Iterable[str] = False,
    ) -> None:
        check_callable(handler, _HANDLER_WANTED)
        if max_connections is not None:
            whole_number(max_connections, 1, "max_connections must be 1 or more")
        length_of_time(lame_duck, "lame_duck must be 0 seconds or more")
        for name, seconds in (("drain", drain), ("handshake_timeout", handshake_timeout)):
            if seconds is not None:
                length_of_time(seconds, f"{name} must be 0 seconds or more, or None for ever")
        self.handler = handler
        #: Where it listens: one at least.
        self.listeners = _as_tuple(listener)
        #: How many connections may be open at once, those beyond wait in the backlog; and it may be
        #: one more for each listener but the first.
        self.max_connections = max_connections
        #: Seconds that conversations get to finish in a stop; None is for ever.
        self.drain = drain
        #: Seconds for which a server that was told to stop goes on accepting.
        self.lame_duck = lame_duck
        #: Seconds that a peer gets for the PROXY header, and for the handshake of TLS; None is for
        #: ever.
        self.handshake_timeout = handshake_timeout
        #: Who has to send a PROXY header, and is believed; None is nobody.
        self.proxies = _as_trusted(proxy_protocol)
        self.state = ServerState.IDLE
        #: Counted since the start: connections accepted, open now, whose handler failed, and which
        #: broke (reset by the peer, and the like), or never came through the PROXY header or the
        #: handshake of TLS.
        self.accepted = self.active = self.failed = self.broken = self.unshaken = 0
        self._accepting = Scope()
        self._conversations = Conversations(self)
        # What made the listener unusable.
        self._fault: OSError | None = None
        #: Where the accept loops wait while it is full; woken when a connection has ended.
        self.room = ParkingLot(self, "room in")

    @property
    def listener(self) -> Listener:
        """The first of its listeners."""
        return self.listeners[0]

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.listener.address

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.listener.port

    @property
    def is_ready(self) -> bool:
        """Whether more work is welcome: it serves, and nobody has told it to stop."""
        return self.state is ServerState.SERVING

    def stop(self) -> None:
        """Begin the orderly end: accept no more, let conversations finish.  Never waits.

        With ``lame_duck`` it is not ready from now on, and goes on accepting for so many seconds.
        """
        if self.state is ServerState.SERVING and self.lame_duck > 0:
            self._advance("leave")
            self._accepting.deadline = current_scheduler().clock.now() + self.lame_duck
        elif self.state is not ServerState.LEAVING:
            self._cease()

    def abort(self) -> None:
        """End now: cancel every conversation.  Never waits."""
        self._cease()
        self._conversations.cancel("the server was told to end now")

    @operation
    def run(
        self,
        *,
        heed_signals: bool | None = None,
        on_listening: Callable[[Server], object] | None = None,
    ) -> Coop[None]:
        """Serve until stopped, and until every connection has ended.

        ``heed_signals``: the first SIGTERM or SIGINT stops, the second aborts; None does so in the
        main thread only.  ``on_listening`` is called with the server when signals are heeded.
        Waits: as long as it serves.  Errors: OSError when the listener fails.
        """
        if heed_signals is None:
            # They are the process's: a simulated host, whose scheduler has no doorbell, has none.
            has_door = current_scheduler().doorbell is not None
            heed_signals = has_door and Signals.are_available()
        heeding = Signals(signal.SIGTERM, signal.SIGINT) if heed_signals else nullcontext()
        self._advance("run")
        try:
            with _closing(self.listeners), heeding as arrivals:
                if on_listening is not None:
                    on_listening(self)
                if arrivals is not None:
                    yield from group(self._run_with_signals, arrivals)
                else:
                    yield from self._converse_with_all()
        except ExceptionGroup:
            if self._fault is None:
                raise
            raise self._fault from None
        finally:
            self._advance("end")
            self._fault = None

    def _run_with_signals(self, members: Group, arrivals: Signals) -> Coop[None]:
        watcher = members.spawn(self._watch(arrivals), name="signals")
        yield from self._converse_with_all()
        watcher.cancel("the server has ended")

    def _watch(self, arrivals: Signals) -> Coop[None]:
        self._tell_of((yield from arrivals.next()))
        self.stop()
        yield from arrivals.next()
        logger.warning("ending now: cutting off %s", counted(self.active, "connection"))
        self.abort()

    def _tell_of(self, number: int) -> None:
        """Say that the server stops; aloud to who sits at a terminal, and would wait in silence."""
        those = counted(self.active, "connection")
        if number == signal.SIGINT and (self.active or self.lame_duck):
            seconds = "" if self.drain is None else f" within {self.lame_duck + self.drain:g} s"
            logger.warning("stopping: %s may finish%s; Ctrl-C again ends at once", those, seconds)
        else:
            logger.info("stopping: %s may finish", those)

    def _cease(self) -> None:
        self._advance("stop")
        self._accepting.cancel("the server is stopping")

    def _converse_with_all(self) -> Coop[None]:
        try:
            yield from hold(self._conversations, self._run_conversations(self._conversations))
        finally:
            self._conversations.close_all()

    def _run_conversations(self, conversations: Conversations) -> Coop[None]:
        with self._accepting:
            loops = [self._accept(each, conversations) for each in self.listeners]
            yield from (gather(*loops) if len(loops) > 1 else loops[0])
        self._cease()
        for listener in self.listeners:
            self._give_last_call(listener, conversations)
            listener.close()
        conversations.cancel_soon("the server is stopping")
        with move_on_after(self.drain) as patience:
            yield from conversations.wait_for_children()
        if patience.has_expired:
            logger.warning("the conversations that took over %s s to end were cut off", self.drain)

    @property
    def _is_full(self) -> bool:
        return self.max_connections is not None and self.active >= self.max_connections

    def _accept(self, listener: Listener, conversations: Conversations) -> Coop[None]:
        while self.state is not ServerState.DRAINING:
            while self._is_full:
                yield from self.room.park()
            try:
                connection = yield from listener.accept()
            except OSError as error:
                if judge_accept(error) is not AcceptFailure.EXHAUSTED:
                    self._fault = error
                    raise
                yield from self._back_off(error)
            else:
                self._take_in(connection, conversations)

    def _take_in(self, connection: Connection, conversations: Conversations) -> None:
        self.accepted += 1
        self.active += 1
        conversations.take_in(connection)

    def _give_last_call(self, listener: Listener, conversations: Conversations) -> None:
        """Take in those who wait in the backlog: they have connected, and would be reset."""
        for _ in range(LAST_CALLS):
            try:
                connection = WOULDBLOCK if self._is_full else listener.accept_waiting()
            except OSError as error:
                logger.debug("%r accepts no more: %s", listener, errno_name(error))
                return
            if connection is WOULDBLOCK:
                return
            self._take_in(connection, conversations)

    def _back_off(self, error: OSError) -> Coop[None]:
        """Leave the listener alone until a connection ends, or for a moment."""
        logger.warning("cannot accept: %s; %d connections open", errno_name(error), self.active)
        with move_on_after(BACK_OFF_SECONDS):
            yield from self.room.park()

    def _advance(self, event: str) -> None:
        following = SERVER_LIFE[self.state].get(event)
        if following is None:
            raise MisuseError(f"{self!r} can {event} only once: make another Server")
        self.state = following

    def __repr__(self) -> str:
        return f"<server {self.address} {self.state.value}, {self.active} connections>"


def _as_tuple(listener: Listener | Sequence[Listener]) -> tuple[Listener, ...]:
    listeners = (listener,) if isinstance(listener, Listener) else tuple(listener)
    if not listeners:
        raise ValueError("a server needs a listener: see coop.listen")
    return listeners


def _as_trusted(proxy_protocol: bool | Iterable[str]) -> TrustedPeers | None:
    if isinstance(proxy_protocol, bool):
        return TrustedPeers(["*"]) if proxy_protocol else None
    return TrustedPeers(proxy_protocol)


def _closing(listeners: Iterable[Listener]) -> ExitStack:
    stack = ExitStack()
    for listener in listeners:
        stack.enter_context(listener)
    return stack


@operation
def serve(
    handler: Handler,
    host: str | Address | None = None,
    port: int | None = None,
    *,
    listener: Listener | Sequence[Listener] | None = None,
    max_connections: int | None = None,
    backlog: int = BACKLOG,
    drain: float | None = DRAIN_SECONDS,
    lame_duck: float = 0.0,
    reuse_port: bool = False,
    tls: ssl.SSLContext | None = None,
    handshake_timeout: float | None = HANDSHAKE_SECONDS,
    proxy_protocol: bool | Iterable[str] = False,
    on_listening: Callable[[Server], object] | None = None,
    heed_signals: bool | None = None,
) -> Coop[None]:
    """Serve ``handler(connection)`` on every connection that comes in.

    A handler's error is its connection's alone: logged with its traceback, counted, closed.  When a
    handler returns, the connection is closed so that the peer gets everything (``aclose``).
    ``host`` and ``port`` as for ``coop.listen``, or a ``listener`` of your own, or several of them.
    ``on_listening`` is called with the Server once the port is open and signals are heeded: it has
    the address, the counters, and ``stop``.
    ``max_connections``: those beyond wait in the backlog, not accepted.  ``tls``: what
    ``coop.tls_server_context`` makes, for connections that are encrypted; the handler gets a
    TlsConnection once the handshake is done, and never one that did not do it within
    ``handshake_timeout`` seconds.  ``proxy_protocol``: whose connections begin with a header of
    the PROXY protocol, version 1 or 2, in which they name their client, who is the ``peer_address``
    then: a list of addresses and networks (see ``coop.TrustedPeers``), or True for everybody.
    Connections from elsewhere, and those that begin otherwise, are closed unheard.

    The first SIGTERM or SIGINT drains: stop accepting, let conversations finish for ``drain``
    seconds, cancel; the second ends now.  A handler that waits for what may never come says so:
    see ``coop.convenient``, and ``coop.first_word`` for those who have only just connected.  With
    ``lame_duck`` it first goes on accepting for so many seconds, while ``Server.is_ready`` is
    false: time for a balancer to notice.

    Waits: until stopped.  Errors: as ``coop.listen``; TypeError for a handler that cannot be
    called; OSError when the listener fails.
    """
    check_callable(handler, _HANDLER_WANTED)
    if listener is None:
        listener = listen(host, port, backlog=backlog, reuse_port=reuse_port, tls=tls)
    elif tls is not None:
        check_server_context(tls)
        for each in _as_tuple(listener):
            each.tls = tls
    with _closing(_as_tuple(listener)):
        server = Server(
            handler,
            listener,
            max_connections=max_connections,
            drain=drain,
            lame_duck=lame_duck,
            handshake_timeout=handshake_timeout,
            proxy_protocol=proxy_protocol,
        )
        yield from server.run(heed_signals=heed_signals, on_listening=on_listening)
