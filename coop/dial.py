"""Dialling: opening a connection to somewhere else.

What lives here: ``connect``.  What it must not know: what is said then.
Stands on: outcomes, address, readiness, stream, the scheduler's network.
"""

from __future__ import annotations

from coop.address import Address, parse_address, split_host_port
from coop.scopes import timeout as within
from coop.stream import Connection
from coop.traps import Coop, current_scheduler, operation


@operation
def connect(
    host: str | Address,
    port: int | None = None,
    *,
    local: Address | None = None,
    timeout: float | None = None,
) -> Coop[Connection]:
    """Connect to ``host``: a name, an address, ``host:port``, ``unix:/path``, or an Address.

    The addresses of a name are tried in turn.  ``local`` is where to come from.  Waits: until
    connected, at most ``timeout`` seconds in all.
    Errors: TimeoutError; ResolveError; the OSError of the last address tried
    (``ConnectionRefusedError``, …), naming each address and what it said.
    """
    with within(timeout):
        addresses = yield from _find(host, port)
        failures: list[tuple[Address, OSError]] = []
        for address in addresses:
            try:
                return (yield from _connect_to(address, local))
            except OSError as error:
                failures.append((address, error))
    tried = "; ".join(f"{address}: {error.strerror or error}" for address, error in failures)
    last = failures[-1][1]
    raise type(last)(last.errno, f"cannot connect to {host!r}: {tried}") from last


def _find(host: str | Address, port: int | None) -> Coop[list[Address]]:
    if isinstance(host, Address):
        return [host if port is None else host.with_port(port)]
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
