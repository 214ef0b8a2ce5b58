"""Datagrams: messages that arrive whole, twice, late, or not at all.

What lives here: DatagramSocket and ``open_datagram``.  What it must not know: what the messages
mean.  Stands on: port, address, readiness, sockets, the scheduler's network.
"""

from __future__ import annotations

from coop.address import Address, wildcard
from coop.outcomes import WouldBlock
from coop.port import Port
from coop.readiness import retry
from coop.sockets import UdpSocket
from coop.traps import Operation, current_scheduler

#: The largest datagram there is, in bytes: what one receive asks for unless told otherwise.
DATAGRAM_BYTES = 65536


class DatagramSocket(Port[UdpSocket]):
    """A port for datagrams.  One task may receive while another sends."""

    __slots__ = ()

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
