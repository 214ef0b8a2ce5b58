"""Sockets of a simulation: coop's own raw sockets over simulated endpoints.

What lives here: the kinds of coop.sockets, with the few calls overridden that would otherwise ask
the operating system by descriptor number.  What it must not know: how bytes travel.
Stands on: sockets, endpoints.
"""

from __future__ import annotations

import os

from coop.outcomes import WouldBlock
from coop.poller import HasFileno
from coop.sim.datagrams import DatagramEndpoint
from coop.sim.endpoints import Endpoint
from coop.sockets import TcpSocket, UdpSocket, UnixSocket

_PIECE_BYTES = 65536


class SimulatedTcpSocket(TcpSocket):
    """A TCP socket of a simulated host."""

    __slots__ = ()

    def bytes_pending(self) -> int:
        """Return how many bytes can be received at once."""
        return _pending(self.os_socket)

    def sendfile(self, file: int | HasFileno, offset: int, count: int) -> int | WouldBlock:
        """Send a piece of a real file; return how many bytes were taken, 0 at its end."""
        return _send_piece(self, file, offset, count)


class SimulatedUnixSocket(UnixSocket):
    """A unix socket of a simulated host."""

    __slots__ = ()

    def bytes_pending(self) -> int:
        """Return how many bytes can be received at once."""
        return _pending(self.os_socket)

    def sendfile(self, file: int | HasFileno, offset: int, count: int) -> int | WouldBlock:
        """Send a piece of a real file; return how many bytes were taken, 0 at its end."""
        return _send_piece(self, file, offset, count)


class SimulatedUdpSocket(UdpSocket):
    """A UDP socket of a simulated host."""

    __slots__ = ()

    def bytes_pending(self) -> int:
        """Return how many bytes the next datagram has."""
        return _pending(self.os_socket)


def _pending(endpoint: object) -> int:
    if isinstance(endpoint, DatagramEndpoint):
        return len(endpoint.queue[0][0]) if endpoint.queue else 0
    return len(endpoint.received) if isinstance(endpoint, Endpoint) else 0


def _send_piece(
    socket: TcpSocket | UnixSocket, file: int | HasFileno, offset: int, count: int
) -> int | WouldBlock:
    fd = file if isinstance(file, int) else file.fileno()
    data = os.pread(fd, min(count, _PIECE_BYTES), offset) if count else b""
    return socket.send(data) if data else 0
