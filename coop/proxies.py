"""Proxies: who may speak for a client, and hearing what they say.

What lives here: TrustedPeers, and ``receive_proxy_header``.  What it must not know: the bytes of
the header.  Stands on: proxy_protocol, stream, tls_socket, readiness.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from coop.address import Address
from coop.proxy_protocol import ProxyHeader, ProxyHeaderParser, ProxyProtocolError
from coop.readiness import retry
from coop.stream import Connection
from coop.tls_socket import TlsSocket
from coop.traps import Coop, current_scheduler, operation


class TrustedPeers:
    """The peers whose word is believed.

    Each is an address (``192.0.2.7``), a network (``10.0.0.0/8``, ``2001:db8::/32``), ``unix`` for
    every peer on a unix socket, or ``*`` for everybody who can connect.
    Errors: ValueError for what is none of these.
    """

    __slots__ = ("_has_all", "_has_unix", "_networks", "_text")

    def __init__(self, peers: Iterable[str]) -> None:
        if isinstance(peers, str):
            raise TypeError(f"trusted peers are a list of names, such as [{peers!r}]")
        names = list(peers)
        if not names:
            raise ValueError("trust somebody, such as '127.0.0.1', or '*' for everybody")
        self._text = ", ".join(names)
        self._has_all = "*" in names
        self._has_unix = "unix" in names
        try:
            self._networks = [
                ipaddress.ip_network(name) for name in names if name not in ("*", "unix")
            ]
        except ValueError as error:
            raise ValueError(f"{error}: give addresses, networks, 'unix' or '*'") from None

    def __contains__(self, address: Address | None) -> bool:
        if self._has_all:
            return True
        if address is None:
            return False
        if address.path is not None:
            return self._has_unix
        host = ipaddress.ip_address(address.unmapped().host)
        return any(host in network for network in self._networks)

    def __repr__(self) -> str:
        return f"<trusted {self._text}>"


@operation
def receive_proxy_header(connection: Connection) -> Coop[ProxyHeader]:
    """Receive the header of the PROXY protocol, and not a byte more.

    It must be the first thing that is received, before a handshake of TLS too.  If it names a
    client, that is the connection's ``peer_address`` from now on.  ``coop.serve`` does this when
    told ``proxy_protocol``; here is also what else the header says.
    Waits: for the proxy; bound it with ``coop.timeout``.  Errors: ProxyProtocolError when something
    else comes, or the end; OSError.  The connection is of no use then: close it.
    """
    raw = connection.socket
    if isinstance(raw, TlsSocket):
        raw = raw.raw
    parser = ProxyHeaderParser()
    header = None
    with current_scheduler().descriptors.lend(connection.fileno()) as descriptor:
        while header is None:
            data = yield from retry(descriptor.reader, raw.recv, parser.wanted)
            if not data:
                raise ProxyProtocolError(f"{raw!r} ended before a PROXY header had come")
            header = parser.feed(data)
    if header.source is not None:
        connection.socket.peer = raw.peer = header.source
    return header
