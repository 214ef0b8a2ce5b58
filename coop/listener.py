"""Listeners: where connections come in.

What lives here: Listener and ``listen``.  What it must not know: what is done with a connection,
how many there may be.  Stands on: port, outcomes, address, readiness, stream, tls, the
scheduler's network.
"""

from __future__ import annotations

import logging
import ssl
from enum import Enum
from typing import Final

from coop.address import (
    Address,
    check_host,
    interface_addresses,
    parse_address,
    split_host_port,
)
from coop.outcomes import WOULDBLOCK, AcceptFailure, WouldBlock, errno_name, judge_accept
from coop.port import Port
from coop.readiness import retry
from coop.sockets import StreamSocket
from coop.stream import Connection
from coop.tls import check_server_context, expect_tls
from coop.traps import Operation, current_scheduler

logger = logging.getLogger("coop.listener")

#: How many connections the system keeps for us before they are accepted, unless told otherwise.
BACKLOG: Final = 1024


class ListenerState(Enum):
    """Where a listener is in its life."""

    #: Connections come in.
    LISTENING = "listening"
    #: Closed: the port is free again.
    CLOSED = "closed"


#: The life of a listener: {state: {event: next state}}.
LISTENER_LIFE: Final[dict[ListenerState, dict[str, ListenerState]]] = {
    ListenerState.LISTENING: {"close": ListenerState.CLOSED},
    ListenerState.CLOSED: {"close": ListenerState.CLOSED},
}


class Listener(Port[StreamSocket]):
    """A socket that listens; ``accept`` waits for the next connection."""

    __slots__ = ("state", "tls")

    def __init__(self, socket: StreamSocket, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(socket)
        #: The context of the connections that come in, if they are to be encrypted.
        self.tls = tls
        self.state = ListenerState.LISTENING

    def accept(self) -> Operation[Connection]:
        """Wait for a connection and return it.

        A connection that is gone before it was accepted is passed over.  With ``tls`` it is a
        TlsConnection whose ``handshake`` is still to be waited for: not here, where one silent
        client would keep the others out.
        Errors: OSError EMFILE, ENFILE, ENOBUFS or ENOMEM when the system is short (the listener
        stays usable: wait a little); ClosedError; BusyError when another task is accepting.
        """
        return retry(self._descriptor.reader, Listener._try_accept, self)

    def accept_waiting(self) -> Connection | WouldBlock:
        """Return a connection that waits in the backlog already, or WOULDBLOCK.

        Waits: never.  Errors: as ``accept``.
        """
        for _ in range(BACKLOG):  # so many may be gone, and nobody polls for those behind them
            connection = self._accept_once()
            if connection is not None:
                return connection
        return WOULDBLOCK

    def _try_accept(self) -> Connection | WouldBlock:
        connection = self._accept_once()
        # Behind one that is gone there may be others: the poller says so at once.
        return WOULDBLOCK if connection is None else connection

    def _accept_once(self) -> Connection | WouldBlock | None:
        """Accept a connection; None for one that is gone."""
        try:
            socket = self._socket.accept()
        except OSError as error:
            if judge_accept(error) is not AcceptFailure.GONE:
                raise
            logger.debug("a connection to %s was gone: %s", self.address, errno_name(error))
            return None
        if socket is WOULDBLOCK:
            return WOULDBLOCK
        return Connection(socket) if self.tls is None else expect_tls(socket, self.tls)

    def close(self) -> None:
        """Stop listening; a task in ``accept`` gets ClosedError.  Never waits; again: no effect."""
        super().close()
        self.state = LISTENER_LIFE[self.state]["close"]

    def __repr__(self) -> str:
        return f"<listener {self.address} {self.state.value}>"


def listen(
    host: str | Address | None = None,
    port: int | None = None,
    *,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
    interface: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Listener:
    """Listen on an address, by default on every address of the machine and any free port.

    ``host`` is an address, a name in the hosts file, ``unix:/path``, ``host:port``, an Address, or
    None for every address of either family; ``interface`` instead names a network interface.
    ``tls``: what ``coop.tls_server_context`` makes, for connections that are encrypted.
    Waits: never.  Errors: OSError that names the step, the address and the remedy; ResolveError;
    ValueError for an address that cannot be read.
    """
    if tls is not None:
        check_server_context(tls)
    network = current_scheduler().network
    address: Address | None
    if host is not None and not isinstance(host, Address):
        check_host(host)
    if interface is not None:
        if host is not None:
            raise ValueError(f"listen on either a host or an interface, not {host} and {interface}")
        address = interface_addresses(interface, port or 0)[0]
    elif isinstance(host, Address):
        address = host if port is None else host.with_port(port)
    elif host is not None and host.startswith("unix:"):
        address = parse_address(host)
    else:
        if host and port is None and (host.count(":") == 1 or "]:" in host):
            host, port = split_host_port(host)
        address = None if host in {None, "", "*"} else network.own_address(host, port or 0)
    number = (port or 0) if address is None else address.port
    socket = network.listen(address, number, backlog=backlog, reuse_port=reuse_port)
    return Listener(socket, tls=tls)
