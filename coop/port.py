"""Ports: a socket of the scheduler's with an address of its own.

What lives here: Port, what a listener and a socket for datagrams have in common: the number, the
raw socket; and how any socket is closed that tasks wait on.  What it must not know: what comes in.
Stands on: address, base_socket, the scheduler's table of descriptors.
"""

from __future__ import annotations

from typing import Generic, Self, TypeVar

from coop.address import Address
from coop.base_socket import Socket
from coop.readiness import Descriptor
from coop.traps import current_scheduler

S = TypeVar("S", bound=Socket)


class Port(Generic[S]):
    """A raw socket, bound to an address, that tasks wait on."""

    __slots__ = ("__weakref__", "_descriptor", "_socket", "address")

    def __init__(self, socket: S) -> None:
        self._socket = socket
        self._descriptor = current_scheduler().descriptors.add(socket.fileno())
        #: Where it is reached; the port is the real one, also when 0 was asked for.
        self.address: Address = socket.local_address

    @property
    def port(self) -> int:
        """The number of the port; 0 for a unix socket."""
        return self.address.port

    @property
    def socket(self) -> S:
        """The raw socket, for its options."""
        return self._socket

    def fileno(self) -> int:
        """Return the descriptor's number.  Errors: ClosedError."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close; a task that waits on it gets ClosedError.  Never waits; again: no effect."""
        if not self._socket.is_closed:
            close_socket(self._socket, self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def close_socket(socket: Socket, descriptor: Descriptor) -> None:
    """Close a raw socket that has an entry in the table; who waits on it gets ClosedError."""
    if descriptor.is_forgotten:
        # Somebody closed our number behind our back, and it is another's by now.
        socket.detach().detach()
        return
    descriptor.reader.scheduler.descriptors.forget(descriptor)
    socket.close()
