"""The network of one simulated host: what ``coop.connect`` and ``coop.listen`` ask for sockets.

What lives here: SimulatedNetwork.  What it must not know: streams, how bytes travel.
Stands on: address, network's contract, endpoints, sockets.
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from coop.address import Address, wildcard
from coop.network import literal
from coop.outcomes import ResolveError
from coop.sim.bound import error
from coop.sim.datagrams import DatagramEndpoint
from coop.sim.endpoints import EXHAUSTED, Endpoint
from coop.sim.faults import NAME_SLOW, NAME_UNKNOWN, SOCKET_EXHAUSTED
from coop.sim.sockets import SimulatedTcpSocket, SimulatedUdpSocket, SimulatedUnixSocket
from coop.sockets import StreamSocket, UdpSocket
from coop.traps import Coop, operation
from coop.waits import sleep

if TYPE_CHECKING:
    from coop.sim.host import Host

_SLOW_NAMES: Final = 10


class SimulatedNetwork:
    """Hands out the simulated sockets of one host."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def open_stream(self, address: Address) -> StreamSocket:
        """Return a fresh socket that can connect to this address."""
        return self._open_stream(address.family)

    def listen(
        self, address: Address | None, port: int, *, backlog: int, reuse_port: bool = False
    ) -> StreamSocket:
        """Return a listening socket bound to this address; None is every address.

        Errors: OSError that names the step, the address and the remedy.
        """
        local = wildcard(port) if address is None else address
        # Not struck: a program that cannot listen at its start just ends.
        listener = self._open_stream(local.family, is_struck=False)
        with _closed_on_failure(listener):
            listener.set_reuse_address()
            if reuse_port:
                listener.set_reuse_port()
            listener.bind(local)
            listener.start_listening(backlog)
        return listener

    def open_datagram(self, address: Address) -> UdpSocket:
        """Return a datagram socket bound to this address; port 0 is any."""
        endpoint = self._open(DatagramEndpoint, address.family)
        udp = SimulatedUdpSocket(cast(Any, endpoint))
        with _closed_on_failure(udp):
            udp.bind(address)
        return udp

    def own_address(self, host: str, port: int) -> Address:
        """Return the address of this host that the text spells or names.

        Errors: ResolveError for any other name.
        """
        known = self._known(host, port)
        if not known:
            raise ResolveError(socket.EAI_NONAME, f"cannot listen on {host!r}: no such host here")
        return known[0]

    @operation
    def resolve(self, host: str, port: int) -> Coop[list[Address]]:
        """Wait for the addresses of a host of the simulation.

        Errors: ResolveError for a name that no host has, or when struck.
        """
        found = literal(host, port)
        if found:
            return found
        faults = self._host.world.faults
        if seconds := faults.strike(NAME_SLOW, _SLOW_NAMES):
            yield from sleep(seconds)
        if faults.strike(NAME_UNKNOWN, 1):
            raise ResolveError(socket.EAI_AGAIN, f"{host!r}: temporary failure in name resolution")
        found = self._known(host, port)
        if not found:
            hosts = ", ".join(self._host.world.hosts)
            raise ResolveError(socket.EAI_NONAME, f"no simulated host is called {host!r}: {hosts}")
        return found

    def _known(self, host: str, port: int) -> list[Address]:
        found = literal(host, port)
        name = host.rstrip(".").lower()
        if found:
            return found
        if name == "localhost":
            return literal("127.0.0.1", port)
        known = self._host.world.hosts.get(name)
        return literal(known.address, port) if known is not None else []

    def _open_stream(
        self, family: int, is_struck: bool = True
    ) -> SimulatedTcpSocket | SimulatedUnixSocket:
        endpoint = cast(Any, self._open(Endpoint, family, is_struck))
        if family == getattr(socket, "AF_UNIX", None):
            return SimulatedUnixSocket(endpoint)
        return SimulatedTcpSocket(endpoint)

    def _open(self, kind: Any, family: int, is_struck: bool = True) -> Endpoint | DatagramEndpoint:
        host = self._host
        world = host.world
        if is_struck and (which := world.faults.strike(SOCKET_EXHAUSTED, len(EXHAUSTED))):
            raise error(EXHAUSTED[which - 1])
        if len(host.poller.endpoints) >= host.most_descriptors:
            raise error(EXHAUSTED[0])
        endpoint = kind(host, family, -1)
        endpoint.fd = host.open_descriptor(endpoint)
        return cast("Endpoint | DatagramEndpoint", endpoint)


@contextmanager
def _closed_on_failure(opened: StreamSocket | UdpSocket) -> Generator[None, None, None]:
    try:
        yield
    except BaseException:
        opened.close()
        raise
