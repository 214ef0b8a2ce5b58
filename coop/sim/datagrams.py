"""Datagrams: what the system of a simulated host keeps for one UDP socket.

What lives here: DatagramEndpoint, with the methods of ``socket.socket`` that coop's UdpSocket
calls; Datagram, on its way.  What it must not know: tasks, who waits.
Stands on: faults, bound, links.

A datagram may be lost, doubled or late; one that finds nobody comes back as ECONNREFUSED to a
connected sender, as ICMP's "port unreachable" does.
"""

from __future__ import annotations

import errno
from collections import deque
from socket import SOCK_DGRAM
from typing import TYPE_CHECKING, Any, Final

from coop.base_socket import Buffer
from coop.poller import ERROR, READ, WRITE
from coop.sim.bound import BoundEndpoint, SockName, error, preview
from coop.sim.faults import DATAGRAM_DOUBLED, DATAGRAM_LATE, DATAGRAM_LOST, RECV_BLOCKED
from coop.sim.links import Message

if TYPE_CHECKING:
    from coop.sim.host import Host

#: The largest payload of a datagram (RFC 768, RFC 791), and what a receiver keeps at most.
MOST_BYTES: Final = 65507
BUFFER_BYTES: Final = 212992
LATE_SECONDS: Final = 0.01
MOST_LATE: Final = 100


class DatagramEndpoint(BoundEndpoint):
    """One UDP socket of a simulated host."""

    __slots__ = ("_queued_bytes", "queue", "remote")

    type = SOCK_DGRAM
    kind = "udp"

    def __init__(self, host: Host, family: int, fd: int) -> None:
        super().__init__(host, family, fd)
        self.remote: SockName | None = None
        self.queue: deque[tuple[bytes, SockName]] = deque()
        self._queued_bytes = 0

    def recvfrom(self, max_bytes: int) -> tuple[bytes, Any]:
        """As recvfrom(2)."""
        self.world.calls += 1
        if self.error:
            raise error(self.take_error())
        if not self.queue or self.world.faults.strike(RECV_BLOCKED, 1):
            raise error(errno.EAGAIN)
        data, name = self.queue.popleft()
        self._queued_bytes -= len(data)
        self._note("recv", f"{len(data)} bytes {preview(data)}")
        return data[:max_bytes], self._sockaddr(name)

    def recv(self, max_bytes: int, flags: int = 0) -> bytes:
        """As recv(2)."""
        return self.recvfrom(max_bytes)[0]

    def sendto(self, data: Buffer, sockaddr: Any) -> int:
        """As sendto(2)."""
        return self._send(data, self._name_of(sockaddr))

    def send(self, data: Buffer) -> int:
        """As send(2), to the connected peer."""
        if self.remote is None:
            raise error(errno.EDESTADDRREQ)
        return self._send(data, self.remote)

    def connect(self, sockaddr: Any) -> None:
        """As connect(2): nothing is sent."""
        self.world.calls += 1
        remote = self._name_of(sockaddr)
        self._bind_towards(remote)
        self.remote = remote

    def getpeername(self) -> Any:
        """As getpeername(2)."""
        if self.remote is None:
            raise error(errno.ENOTCONN)
        return self._sockaddr(self.remote)

    def shutdown(self, how: int) -> None:
        """As shutdown(2), which has nothing to end here."""
        raise error(errno.ENOTCONN)

    def close(self) -> None:
        """As close(2)."""
        if not self.is_closed:
            self.world.calls += 1
            self._note("close", "")
            self._release()

    def forget(self) -> None:
        """Be lost with the host's power."""
        self.is_closed = self.is_forgotten = True

    def bits(self) -> int:
        return WRITE | (READ if self.queue else 0) | (READ | ERROR if self.error else 0)

    # -- on the way ---------------------------------------------------------------------------

    def _send(self, data: Buffer, remote: SockName) -> int:
        world, faults = self.world, self.world.faults
        world.calls += 1
        if self.error:
            raise error(self.take_error())
        payload = bytes(data)
        if len(payload) > MOST_BYTES:
            raise error(errno.EMSGSIZE)
        source = self._bind_towards(remote)
        self._note("send", f"to {remote[0]}:{remote[1]} {len(payload)} bytes {preview(payload)}")
        there = world.host_at(self.host, remote)
        link = world.link(self.host, there)
        if there is None or link.is_cut(world.clock.time) or faults.strike(DATAGRAM_LOST, 1):
            return len(payload)
        for _ in range(1 + faults.strike(DATAGRAM_DOUBLED, 1)):
            late = LATE_SECONDS * faults.strike(DATAGRAM_LATE, MOST_LATE)
            wait = max(0.0, link.arrival(world, len(payload)) - world.clock.time)
            world.after(wait + late, Datagram(self, there, remote, payload, source).pump)
        return len(payload)

    def _bind_towards(self, remote: SockName) -> SockName:
        """Have a port, as every sender does; return where the datagram comes from."""
        peer_host = self.world.host_at(self.host, remote)
        loopback = "::1" if ":" in remote[0] else "127.0.0.1"
        source = loopback if peer_host is self.host else self.host.address
        if not self.local[1]:
            self.host.ports.bind(self, (self._any(), 0))
        return (source if self.local[0] in ("0.0.0.0", "::") else self.local[0]), self.local[1]

    def be_refused(self, remote: SockName) -> None:
        """Hear that nobody is there."""
        if self.remote == remote and not self.is_closed:
            self.error = errno.ECONNREFUSED
            self.touch()

    def take(self, payload: bytes, source: SockName) -> None:
        """Receive a datagram, if there is room for it."""
        if self._queued_bytes + len(payload) <= BUFFER_BYTES:
            self.queue.append((payload, source))
            self._queued_bytes += len(payload)
            self.touch()

    def _note(self, what: str, detail: str) -> None:
        if self.world.trace is not None:
            self.world.note(self.host.name, what, f"{self.label} {detail}")


class Datagram:
    """One datagram on its way."""

    __slots__ = ("payload", "remote", "sender", "source", "there")

    def __init__(
        self,
        sender: DatagramEndpoint,
        there: Host,
        remote: SockName,
        payload: bytes,
        source: SockName,
    ) -> None:
        self.sender = sender
        self.there = there
        self.remote = remote
        self.payload = payload
        self.source = source

    def pump(self) -> None:
        """Arrive, unless it is kept back."""
        sender, there, world = self.sender, self.there, self.sender.world
        if world.link(sender.host, there).keeps(self) or not there.is_up:
            return
        receiver = there.ports.datagram_endpoint(self.remote, self.source)
        if receiver is None:
            world.after(world.link(there, sender.host).latency, sender.be_refused, self.remote)
        else:
            receiver.take(self.payload, self.source)

    def held(self) -> list[Message]:
        """Return it."""
        return [Message("datagram", self.sender.label, self.payload)]
