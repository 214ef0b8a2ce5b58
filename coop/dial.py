"""Dialling: opening a connection to somewhere else.

What lives here: ``connect``.  What it must not know: what is said then.
Stands on: outcomes, address, readiness, stream, tls, the scheduler's network.
"""

from __future__ import annotations

import ssl
from typing import Literal, overload

from coop.address import Address, check_host, parse_address, split_host_port
from coop.scopes import timeout as within
from coop.stream import Connection
from coop.tls import TlsConnection, start_tls
from coop.traps import Coop, Operation, current_scheduler, operation


@overload
def connect(
    host: str | Address,
    port: int | None = None,
    *,
    local: Address | None = None,
    timeout: float | None = None,
    tls: None = None,
    server_hostname: None = None,
) -> Operation[Connection]: ...


@overload
def connect(
    host: str | Address,
    port: int | None = None,
    *,
    local: Address | None = None,
    timeout: float | None = None,
    tls: ssl.SSLContext | Literal[True],
    server_hostname: str | None = None,
) -> Operation[TlsConnection]: ...


def connect(
    host: str | Address,
    port: int | None = None,
    *,
    local: Address | None = None,
    timeout: float | None = None,
    tls: ssl.SSLContext | Literal[True] | None = None,
    server_hostname: str | None = None,
) -> Operation[Connection] | Operation[TlsConnection]:
    """Connect to ``host``: a name, an address, ``host:port``, ``unix:/path``, or an Address.

    The addresses of a name are tried in turn.  ``local`` is where to come from.  ``tls``: True for
    a connection encrypted with a server whose certificate the system trusts and is for ``host``, or
    a context, such as ``coop.tls_client_context`` makes; ``server_hostname``: whom it must be for
    instead.  Waits: until connected, and the handshake done, at most ``timeout`` seconds in all.
    Errors: TimeoutError; ResolveError; the OSError of the last address tried
    (``ConnectionRefusedError``, …), naming each address and what it said; with ``tls`` also those
    of ``TlsConnection.handshake``.
    """
    if tls is None:
        return _connect(host, port, local, timeout)
    return _connect_securely(host, port, local, timeout, tls, server_hostname)


@operation
def _connect_securely(
    host: str | Address,
    port: int | None,
    local: Address | None,
    timeout: float | None,
    tls: ssl.SSLContext | Literal[True],
    server_hostname: str | None,
) -> Coop[TlsConnection]:
    with within(timeout):
        with (yield from _connect(host, port, local, None)) as connection:
            name = server_hostname or _name_of(host, port)
            secure = yield from start_tls(connection, tls, server_hostname=name)
    return secure


def _name_of(host: str | Address, port: int | None) -> str | None:
    """Return whom a server at this address should be, as a certificate would say it."""
    if isinstance(host, Address):
        return host.host or None
    if host.startswith("unix:"):
        return None
    name = host if port is not None else split_host_port(host)[0]
    return name.strip("[]").partition("%")[0].rstrip(".") or None


@operation
def _connect(
    host: str | Address, port: int | None, local: Address | None, timeout: float | None
) -> Coop[Connection]:
    with within(timeout):
        addresses = yield from _find(host, port)
        code, tried = None, []
        for address in addresses:
            try:
                return (yield from _connect_to(address, local))
            except OSError as error:
                # Not the error itself: its traceback keeps this frame, which would keep it.
                code, said = error.errno, error.strerror or str(error)
                tried.append(said if str(address) in said else f"{address}: {said}")
    what = "" if isinstance(host, Address) else f"cannot connect to {host!r}: "
    raise OSError(code, what + "; ".join(tried))  # Python finds the class by the code


def _find(host: str | Address, port: int | None) -> Coop[list[Address]]:
    if isinstance(host, Address):
        return [host if port is None else host.with_port(port)]
    check_host(host)
    if host.startswith("unix:"):
        return [parse_address(host)]
    if port is None:
        host, port = split_host_port(host)
    return (yield from current_scheduler().network.resolve(host, port))  # type: ignore[no-any-return]


def _connect_to(address: Address, local: Address | None) -> Coop[Connection]:
    socket = current_scheduler().network.open_stream(address)
    connection = None
    try:
        if local is not None:
            socket.bind(local)
        connection = Connection(socket)
        yield from connection.connect(address)
    except BaseException:
        (connection or socket).close()
        raise
    return connection
