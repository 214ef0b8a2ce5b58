"""UDP sockets: datagrams, to one peer, to many, to a multicast group.

What lives here: UdpSocket; each call tries once and never waits.
What it must not know: who waits, how long, or what for.  Stands on: base_socket.
"""

from __future__ import annotations

import socket
import struct
from socket import AF_INET, AF_INET6, SOL_SOCKET
from typing import Final

from coop.address import Address, wildcard
from coop.base_socket import Buffer, Socket
from coop.outcomes import WOULDBLOCK, WouldBlock
from coop.remedies import fail

# The same four things have other names in each family: ip(7), ipv6(7).
_IPV4, _IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
_JOIN_GROUP: Final[dict[int, tuple[int, int]]] = {
    AF_INET: (_IPV4, socket.IP_ADD_MEMBERSHIP),
    AF_INET6: (_IPV6, socket.IPV6_JOIN_GROUP),
}
_LEAVE_GROUP: Final[dict[int, tuple[int, int]]] = {
    AF_INET: (_IPV4, socket.IP_DROP_MEMBERSHIP),
    AF_INET6: (_IPV6, socket.IPV6_LEAVE_GROUP),
}
_MULTICAST_TTL: Final[dict[int, tuple[int, int]]] = {
    AF_INET: (_IPV4, socket.IP_MULTICAST_TTL),
    AF_INET6: (_IPV6, socket.IPV6_MULTICAST_HOPS),
}
_MULTICAST_LOOP: Final[dict[int, tuple[int, int]]] = {
    AF_INET: (_IPV4, socket.IP_MULTICAST_LOOP),
    AF_INET6: (_IPV6, socket.IPV6_MULTICAST_LOOP),
}


class UdpSocket(Socket):
    """A socket for datagrams, each of which comes whole, or not at all.  Source: udp(7), ip(7)."""

    __slots__ = ()

    def recv_from(self, max_bytes: int) -> tuple[bytes, Address] | WouldBlock:
        """Return the next datagram and its sender; what exceeds ``max_bytes`` is lost."""
        try:
            data, sockaddr = self.os_socket.recvfrom(max_bytes)
        except BlockingIOError:
            return WOULDBLOCK
        return data, Address.from_sockaddr(self.family, sockaddr)

    def send_to(self, data: Buffer, address: Address) -> int | WouldBlock:
        """Send one datagram; return its length."""
        try:
            return self.os_socket.sendto(data, self.sockaddr_of(address))
        except BlockingIOError:
            return WOULDBLOCK

    def connect(self, address: Address) -> None:
        """Choose the one peer of ``recv`` and ``send``.  Never waits: nothing is sent."""
        sockaddr = self.sockaddr_of(address)
        try:
            self.os_socket.connect(sockaddr)
        except OSError as err:
            fail(f"connect to {address}", err, address)
        self.peer = address

    def recv(self, max_bytes: int) -> bytes | WouldBlock:
        """Return the peer's next datagram; b"" is an empty one, for datagrams have no end.

        Errors: ConnectionRefusedError when an earlier one found nobody there; go on as you like.
        """
        try:
            return self.os_socket.recv(max_bytes)
        except BlockingIOError:
            return WOULDBLOCK

    def send(self, data: Buffer) -> int | WouldBlock:
        """Send one datagram to the peer; return its length.  Errors: as for ``recv``."""
        try:
            return self.os_socket.send(data)
        except BlockingIOError:
            return WOULDBLOCK

    def bind_to_port(self, port: int, family: int | None = None) -> None:
        """Take this port at every address of the machine, in the family of the socket."""
        self.bind(wildcard(port, family or self.family))

    def set_broadcast(self, on: bool = True) -> None:
        """Allow to send to a broadcast address."""
        self.set_option(SOL_SOCKET, socket.SO_BROADCAST, on)

    def join_group(self, group: Address, interface: str = "") -> None:
        """Receive what is sent to a multicast group; at this interface, or at one that suits."""
        self._change_membership(_JOIN_GROUP, group, interface)

    def leave_group(self, group: Address, interface: str = "") -> None:
        """Receive what is sent to a multicast group no longer."""
        self._change_membership(_LEAVE_GROUP, group, interface)

    def set_multicast_ttl(self, hops: int) -> None:
        """Set how many routers a multicast datagram may pass, plus one; 1 stays on the link."""
        self.set_option(*_MULTICAST_TTL[self.family], hops)

    def set_multicast_loop(self, on: bool = True) -> None:
        """Have multicast datagrams reach this machine's own members too, or not."""
        self.set_option(*_MULTICAST_LOOP[self.family], on)

    def _change_membership(
        self, names: dict[int, tuple[int, int]], group: Address, interface: str
    ) -> None:
        index = socket.if_nametoindex(interface) if interface else group.scope_id
        request = socket.inet_pton(group.family, group.host)
        if group.family == AF_INET6:
            request += struct.pack("I", index)  # struct ipv6_mreq
        else:  # struct ip_mreqn if the interface matters, else the ip_mreq that every system has
            request += bytes(4) + (struct.pack("i", index) if index else b"")
        self.set_option(*names[self.family], request)
