"""Datagrams: messages that arrive whole, twice, late, or not at all.

What lives here: DatagramSocket and ``open_datagram``.  What it must not know: what the messages
mean.  Stands on: address, readiness, sockets, the scheduler's network.
"""

from __future__ import annotations

from types import TracebackType

from coop.address import Address, wildcard
from coop.outcomes import WouldBlock
from coop.readiness import retry
from coop.sockets import UdpSocket
from coop.traps import Operation, current_scheduler

#: The largest datagram there is, in bytes: what one receive asks for unless told otherwise.
DATAGRAM_BYTES = 65536


class DatagramSocket:
    """A port for datagrams.  One task may receive while another sends."""

    __slots__ = ("__weakref__", "_descriptor", "_socket", "address")

    def __init__(self, socket: UdpSocket) -> None:
        self._socket = socket
        self._descriptor = current_scheduler().descriptors.add(socket.fileno())
        #: Where it receives; the port is the real one, also when 0 was asked for.
        self.address: Address = socket.local_address

    def recv_from(self, max_bytes: int = DATAGRAM_BYTES) -> Operation[tuple[bytes, Address]]:
        """Receive one datagram, cut off at ``max_bytes``, and where it came from.

        Waits: until one has come.  Errors: ClosedError; BusyError when another task is receiving;
        ConnectionRefusedError when one that was sent before found nobody (udp(7)).
        """
        return retry(self._descriptor.reader, self._socket.recv_from, max_bytes)

    def send_to(self, data: bytes, address: Address) -> Operation[int]:
        """Send one datagram; return its size.

        Waits: while the system has no room for it.  Errors: OSError when it cannot be sent, such
        as EMSGSIZE for one too long; ClosedError; BusyError when another task is sending.
        """
        return retry(self._descriptor.writer, self._try_send_to, (data, address))

    def _try_send_to(self, parcel: tuple[bytes, Address]) -> int | WouldBlock:
        return self._socket.send_to(*parcel)

    @property
    def port(self) -> int:
        """The port it receives at."""
        return self.address.port

    @property
    def socket(self) -> UdpSocket:
        """The raw socket, for its options: broadcast, multicast groups, …"""
        return self._socket

    def fileno(self) -> int:
        """Return the descriptor's number.  Errors: ClosedError."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close; a task that waits on it gets ClosedError.  Never waits; again: no effect."""
        if not self._socket.is_closed:
            self._descriptor.reader.scheduler.descriptors.forget(self._descriptor)
            self._socket.close()

    def __enter__(self) -> DatagramSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._socket.is_closed else "open"
        return f"<datagram socket {self.address} {state}>"


def open_datagram(host: str | Address | None = None, port: int = 0) -> DatagramSocket:
    """Open a port for datagrams: by default any free one, at every IPv4 address of the machine.

    Waits: never.  Errors: as ``coop.listen``.
    """
    network = current_scheduler().network
    if host is None:
        address = wildcard(port)
    elif isinstance(host, Address):
        address = host
    else:
        address = network.own_address(host, port)
    return DatagramSocket(network.open_datagram(address))
