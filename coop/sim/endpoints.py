"""Endpoints: what the system of a simulated host keeps for one TCP or unix stream socket.

What lives here: Endpoint, with the methods of ``socket.socket`` that coop's raw sockets call, and
what Linux does in each of them.  What it must not know: tasks, streams, who waits.
Stands on: faults, links, address.

The conformance suite holds every answer here against a real socket over loopback: values, errno,
the bits of poll(2), SO_ERROR, and what can still be read after an end or a reset.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from enum import Enum
from socket import AF_INET, AF_INET6, SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_STREAM, SOL_SOCKET
from typing import TYPE_CHECKING, Any, Final

from coop.base_socket import Buffer
from coop.poller import ERROR, HANGUP, READ, WRITE
from coop.sim.faults import (
    ACCEPT_ABORTED,
    ACCEPT_EXHAUSTED,
    CONNECT_HANGS,
    PARTIAL_SEND,
    RECV_BLOCKED,
    REFUSED,
    RESET,
    SEND_BLOCKED,
    SHORT_READ,
    SMALL_BUFFERS,
    UNREACHABLE,
)
from coop.sim.links import Pipe

if TYPE_CHECKING:
    from coop.sim.host import Host

#: The default size of either buffer of a connection: small, so that backpressure is met early.
BUFFER_BYTES: Final = 65536
#: When a connect whose packet was not answered asks again, and when it gives up: tcp(7).
CONNECT_RETRIES: Final = (1.0, 3.0, 7.0, 15.0, 31.0, 63.0)
CONNECT_GIVES_UP: Final = 127.0
UNREACHABLE_SECONDS: Final = 3.0
#: Buffers when struck; the last is the least that Linux gives (socket(7)).
SMALL_BYTES: Final = (32768, 16384, 8192, 4096, 2304)

WILDCARDS: Final = ("0.0.0.0", "::")
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_UNREACHABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_SO_PEERCRED: Final = getattr(socket, "SO_PEERCRED", -1)

SockName = tuple[str, int]


class State(Enum):
    """Where a TCP socket is in its life, as far as its calls can tell."""

    CLOSED = "closed"
    LISTENING = "listening"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class BoundEndpoint:
    """What stream and datagram endpoints have in common: a descriptor, a name, options."""

    __slots__ = (
        "family", "fd", "host", "interest", "is_closed", "is_forgotten", "local", "options",
        "world",
    )  # fmt: skip

    kind = "tcp"

    def __init__(self, host: Host, family: int, fd: int) -> None:
        self.host = host
        self.world = host.world
        self.family = family
        #: The descriptor; -1 without one: closed, or not accepted yet.
        self.fd = fd
        #: What the poller watches.
        self.interest = 0
        #: Whether the program has closed it; what was sent may still be on its way.
        self.is_closed = False
        #: Whether its host lost power: it answers nothing, and later with a reset.
        self.is_forgotten = False
        self.local: SockName = ("", 0)
        self.options: dict[tuple[int, int], int | bytes] = {}

    def fileno(self) -> int:
        return self.fd

    def setblocking(self, flag: bool) -> None:
        if flag:
            raise ValueError("a simulated socket cannot block: there is nobody else to move time")

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        self.options[level, name] = value

    def getsockopt(self, level: int, name: int, size: int = 0) -> int | bytes:
        if (level, name) == (SOL_SOCKET, socket.SO_ERROR):
            return self.take_error()
        if (level, name) == (SOL_SOCKET, _SO_PEERCRED):
            return bytes(size)
        return self.options.get((level, name), bytes(size) if size else 0)

    def take_error(self) -> int:
        """Return SO_ERROR and clear it."""
        return 0

    def bind(self, sockaddr: Any) -> None:
        if self.local[1]:
            raise error(errno.EINVAL)
        self.host.ports.bind(self, self._name_of(sockaddr))

    def getsockname(self) -> Any:
        return self._sockaddr(self.local) if self.local[0] else self._sockaddr((self._any(), 0))

    def touch(self) -> None:
        """Have the poller look at it, for it may have become ready."""
        if self.interest:
            self.host.poller.touched[self.fd] = None

    def bits(self) -> int:
        """Return what poll(2) would report."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """What the trace calls it."""
        return f"{self.kind} {_show(self.local)}"

    def _any(self) -> str:
        return "::" if self.family == AF_INET6 else "0.0.0.0" if self.family == AF_INET else ""

    def _name_of(self, sockaddr: Any) -> SockName:
        if isinstance(sockaddr, str):
            return sockaddr, -1
        return sockaddr[0], sockaddr[1]

    def _sockaddr(self, name: SockName) -> Any:
        if self.family == AF_INET6:
            return name[0], name[1], 0, 0
        return name if self.family == AF_INET else name[0]

    def _release(self) -> None:
        """Give descriptor and port back."""
        self.is_closed = True
        self.host.ports.release(self)
        self.host.close_descriptor(self.fd)
        self.fd = -1


class Endpoint(BoundEndpoint):
    """One end of a stream, or a listener."""

    __slots__ = (
        "_backlog", "_is_reported", "error", "is_fin_acked", "is_fin_received", "is_receive_shut",
        "is_send_shut", "label_cache", "out", "queue", "receive_buffer", "received", "remote",
        "send_buffer", "source", "state",
    )  # fmt: skip

    type = SOCK_STREAM

    def __init__(self, host: Host, family: int, fd: int) -> None:
        super().__init__(host, family, fd)
        self.state = State.CLOSED
        #: SO_ERROR: an errno, or 0.
        self.error = 0
        self.remote: SockName = ("", 0)
        #: What came and was not read.
        self.received = bytearray()
        self.receive_buffer = host.buffer_bytes
        self.send_buffer = host.buffer_bytes
        self.is_fin_received = self.is_fin_acked = False
        self.is_receive_shut = self.is_send_shut = False
        #: To the peer, and from it.
        self.out: Pipe | None = None
        self.source: Pipe | None = None
        #: For a listener: who has connected and was not accepted yet.
        self.queue: deque[Endpoint] = deque()
        self._backlog = 0
        self._is_reported = False
        self.label_cache = ""

    # -- receiving ----------------------------------------------------------------------------

    def recv(self, max_bytes: int, flags: int = 0) -> bytes:
        world = self.world
        world.calls += 1
        received = self.received
        faults = world.faults
        if self.out is not None and (how := faults.strike(RESET, 2)):
            self._break(how)
        if not received or max_bytes == 0:
            return self._recv_nothing(max_bytes)
        if faults.strike(RECV_BLOCKED, 1):
            raise error(errno.EAGAIN)
        count = min(len(received), max_bytes)
        if count > 1:
            count -= faults.strike(SHORT_READ, count - 1)
        if count == len(received):
            data = bytes(received)
            received.clear()
        else:
            data = bytes(memoryview(received)[:count])
            del received[:count]
        source = self.source
        if source is not None and source.flight:
            source.pump()
        if world.trace is not None:
            world.note(self.host.name, "recv", f"{self.label} {count} bytes {preview(data)}")
        return data

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        view = memoryview(buffer).cast("B")
        data = self.recv(len(view))
        view[: len(data)] = data
        return len(data)

    def _recv_nothing(self, max_bytes: int) -> bytes:
        """Answer a recv that finds no data, in the order of Linux's tcp_recvmsg."""
        if self.received or self.is_fin_received:
            ended = True
        elif self.error:
            raise self._failure("recv", self.take_error())
        elif self.is_receive_shut:
            ended = True
        elif self.state in (State.CLOSED, State.LISTENING):
            raise error(errno.ENOTCONN)
        else:
            ended = max_bytes == 0
        if not ended:
            raise error(errno.EAGAIN)
        if self.world.trace is not None:
            self.world.note(self.host.name, "recv", f"{self.label} the end")
        return b""

    # -- sending ------------------------------------------------------------------------------

    def send(self, data: Buffer) -> int:
        world = self.world
        world.calls += 1
        faults = world.faults
        pipe = self.out
        if pipe is not None and (how := faults.strike(RESET, 2)):
            self._break(how)
        if self.is_send_shut or self.error or self.state is not State.CONNECTED or pipe is None:
            raise self._send_failure()
        size = len(data)
        room = self.send_buffer - pipe.flight_bytes
        if size == 0:
            return 0
        if room <= 0 or faults.strike(SEND_BLOCKED, 1):
            raise error(errno.EAGAIN)
        if size > room:
            size = room
        if size > 1:
            size -= faults.strike(PARTIAL_SEND, size - 1)
        piece = bytes(data) if size == len(data) else bytes(memoryview(data)[:size])
        if world.trace is not None:
            world.note(self.host.name, "send", f"{self.label} {size} bytes {preview(piece)}")
        pipe.put_data(piece)
        return size

    def sendmsg(self, parts: Sequence[Buffer]) -> int:
        return self.send(b"".join(parts))

    def _send_failure(self) -> OSError:
        if self.error:
            return self._failure("send", self.take_error())
        if self.state is State.CONNECTING:
            return error(errno.EAGAIN)
        return self._failure("send", errno.EPIPE)

    def _failure(self, call: str, code: int) -> OSError:
        if self.world.trace is not None:
            self.world.note(self.host.name, call, f"{self.label} {errno.errorcode[code]}")
        return error(code)

    # -- connecting ---------------------------------------------------------------------------

    def connect(self, sockaddr: Any) -> None:
        code = self.connect_ex(sockaddr)
        if code:
            raise error(code)

    def connect_ex(self, sockaddr: Any) -> int:
        self.world.calls += 1
        if self.state is State.CONNECTED:
            code = errno.EISCONN if self._is_reported else 0
            self._is_reported = True
            return code
        if self.state is State.CONNECTING:
            return errno.EALREADY
        if self.state is State.LISTENING:
            return errno.EISCONN
        return self._start_connecting(self._name_of(sockaddr))

    def _start_connecting(self, remote: SockName) -> int:
        world, host = self.world, self.host
        peer_host = world.host_at(host, remote)
        if world.trace is not None:
            world.note(host.name, "connect", f"{self.kind} to {_show(remote)}")
        if remote[1] == -1:
            return self._connect_unix(host.ports.listener(remote))
        source = "127.0.0.1" if self.family == AF_INET else "::1"
        if peer_host is not host:
            source = host.address
        if not self.local[1]:
            host.ports.bind(self, (source, 0))
        if self.local[0] in WILDCARDS:
            self.local = source, self.local[1]
        self.remote = (source, remote[1]) if remote[0] in WILDCARDS else remote
        self.label_cache = ""
        self.state = State.CONNECTING
        if which := world.faults.strike(UNREACHABLE, 2):
            world.after(world.link(host, peer_host).latency, self._fail, _UNREACHABLE[which - 1])
        elif world.faults.strike(REFUSED, 1):
            world.after(2 * world.link(host, peer_host).latency, self._fail, errno.ECONNREFUSED)
        elif peer_host is None:
            world.after(UNREACHABLE_SECONDS, self._fail, errno.EHOSTUNREACH)
        else:
            lost = world.faults.strike(CONNECT_HANGS, len(CONNECT_RETRIES) + 1)
            self._ask(peer_host, 0, lost)
        return errno.EINPROGRESS

    def _connect_unix(self, listener: Endpoint | None) -> int:
        if listener is None:
            return errno.ECONNREFUSED
        if len(listener.queue) > listener._backlog:
            return errno.EAGAIN
        self._meet(listener)
        self._is_reported = True
        return 0

    def _ask(self, peer_host: Host, attempt: int, lost: int) -> None:
        """Send the first packet of a connect, or send it again."""
        if self.state is not State.CONNECTING or self.is_closed:
            return
        waits = (0.0, *CONNECT_RETRIES, CONNECT_GIVES_UP)
        if attempt > len(CONNECT_RETRIES):
            self._fail(errno.ETIMEDOUT)
            return
        if attempt >= lost:
            delay = self.world.link(self.host, peer_host).latency
            self.world.after(delay, self._be_asked, peer_host)
        self.world.after(
            waits[attempt + 1] - waits[attempt], self._ask, peer_host, attempt + 1, lost
        )

    def _be_asked(self, peer_host: Host) -> None:
        """Arrive at the other host: its system answers, whoever runs there."""
        world, now = self.world, self.world.clock.time
        there, back = world.link(self.host, peer_host), world.link(peer_host, self.host)
        cut = there.is_cut(now) or back.is_cut(now) or not peer_host.is_up
        if self.state is not State.CONNECTING or self.is_closed or self.out is not None or cut:
            return
        listener = peer_host.ports.listener(self.remote)
        if listener is None:
            world.after(back.latency, self._fail, errno.ECONNREFUSED)
        elif len(listener.queue) <= listener._backlog:
            self._meet(listener)

    def _meet(self, listener: Endpoint) -> None:
        """Become one end of a connection whose other end stands in the listener's queue."""
        other = Endpoint(listener.host, self.family, -1)
        other.local, other.remote = self.remote, self.local
        if self.remote[1] == -1 or not self.remote[1]:
            other.local, other.remote = listener.local, ("", 0)
        if which := self.world.faults.strike(SMALL_BUFFERS, len(SMALL_BYTES)):
            for end in (self, other):
                end.receive_buffer = end.send_buffer = SMALL_BYTES[which - 1]
        world = self.world
        self.out = other.source = Pipe(self, other, world.link(self.host, other.host))
        other.out = self.source = Pipe(other, self, world.link(other.host, self.host))
        other.state = State.CONNECTED
        other._is_reported = True
        listener.queue.append(other)
        listener.touch()
        world.after(other.out.link.latency, self._be_answered)

    def _be_answered(self) -> None:
        if self.is_closed or self.is_forgotten:
            if self.out is not None:
                self.out.put_reset()
        elif self.state in (State.CONNECTING, State.CLOSED) and not self.is_receive_shut:
            self.state = State.CONNECTED
            self.touch()

    def _fail(self, code: int) -> None:
        """Let a connect fail."""
        if self.state is State.CONNECTING and not self.is_closed:
            self.state = State.CLOSED
            self.error = code
            # Linux marks both directions as shut (tcp_done), so that everybody wakes.
            self.is_send_shut = self.is_receive_shut = True
            self.touch()

    # -- listening ----------------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        if self.state not in (State.CLOSED, State.LISTENING):
            raise error(errno.EINVAL)
        if not self.local[1]:
            self.host.ports.bind(self, (self._any(), 0))
        self.host.ports.listen(self)
        self.state = State.LISTENING
        self._backlog = backlog
        self.label_cache = ""

    def accept(self) -> tuple[Endpoint, Any]:
        world = self.world
        world.calls += 1
        if self.state is not State.LISTENING:
            raise error(errno.EINVAL)
        if not self.queue:
            raise error(errno.EAGAIN)
        if which := world.faults.strike(ACCEPT_EXHAUSTED, len(EXHAUSTED)):
            raise self._failure("accept", EXHAUSTED[which - 1])
        if len(self.host.poller.endpoints) >= self.host.most_descriptors:
            raise self._failure("accept", errno.EMFILE)
        accepted = self.queue.popleft()
        if world.faults.strike(ACCEPT_ABORTED, 1):
            accepted.abort()
            raise self._failure("accept", errno.ECONNABORTED)
        accepted.fd = self.host.open_descriptor(accepted)
        if world.trace is not None:
            world.note(self.host.name, "accept", accepted.label)
        return accepted, accepted._sockaddr(accepted.remote)

    # -- ending -------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        self.world.calls += 1
        if self.state is State.CLOSED:
            raise self._failure("shutdown", errno.ENOTCONN)
        if self.state is State.LISTENING:
            if how != SHUT_WR:
                self._stop_listening()
            return
        if self.state is State.CONNECTING:
            self.state = State.CLOSED
            self.touch()
            return
        if how in (SHUT_RD, SHUT_RDWR):
            self.is_receive_shut = True
        if how in (SHUT_WR, SHUT_RDWR):
            self._send_fin()
        self.touch()

    def close(self) -> None:
        if self.is_closed:
            return
        self.world.calls += 1
        if self.world.trace is not None:
            self.world.note(self.host.name, "close", self.label)
        self._release()
        if self.state is State.LISTENING:
            self._stop_listening()
        elif self.state is State.CONNECTED:
            if self.received or self._lingers_not():
                self.abort()  # RFC 2525 2.17: with unread data, the peer is told by a reset
            else:
                self._send_fin()
        else:
            self.state = State.CLOSED

    def abort(self) -> None:
        """End at once: the peer gets a reset."""
        if self.state is State.CONNECTED and self.out is not None:
            self.out.put_reset()
        self.state = State.CLOSED
        self.is_closed = True
        self.received.clear()

    def _stop_listening(self) -> None:
        self.state = State.CLOSED
        while self.queue:
            self.queue.popleft().abort()
        self.touch()

    def _lingers_not(self) -> bool:
        linger = self.options.get((SOL_SOCKET, socket.SO_LINGER), b"")
        return isinstance(linger, bytes) and linger[:1] == b"\1" and not any(linger[4:])

    def _send_fin(self) -> None:
        if not self.is_send_shut and self.out is not None:
            self.is_send_shut = True
            self.out.put_fin()

    # -- what arrives -------------------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """Whether nobody will ever read what arrives here."""
        return self.is_closed or self.state is State.CLOSED

    def take(self, data: bytes) -> None:
        """Receive a segment; after the close it is answered with a reset."""
        if self.is_gone:
            if self.out is not None:
                self.state = State.CLOSED
                self.out.put_reset()
            return
        self.received += data
        if self.interest & READ:
            self.host.poller.touched[self.fd] = None

    def take_fin(self) -> None:
        """Receive the end of the stream."""
        self.is_fin_received = True
        self.settle()
        self.touch()

    def settle(self) -> None:
        """Be closed when both directions have ended."""
        if self.is_fin_received and self.is_fin_acked:
            self.state = State.CLOSED

    def reset(self) -> None:
        """Receive a reset."""
        if self.state is State.CONNECTED or self.state is State.CONNECTING:
            is_after_end = self.is_fin_received and not self.is_send_shut
            self._die(errno.EPIPE if is_after_end else errno.ECONNRESET)

    def time_out(self) -> None:
        """Be given up: what was sent was never acknowledged."""
        if self.state is State.CONNECTED:
            self._die(errno.ETIMEDOUT)

    def forget(self) -> None:
        """Be lost with the host's power: no packet says so."""
        self.state = State.CLOSED
        self.is_closed = self.is_forgotten = True
        if self.out is not None:
            self.out.drop()
        if self.source is not None:
            self.world.after(0.0, self.source.pump)  # what waits for room must notice

    def _die(self, code: int) -> None:
        self.error = code
        self.state = State.CLOSED
        self.is_send_shut = self.is_receive_shut = True
        if self.out is not None:
            self.out.drop()
        if self.world.trace is not None:
            self.world.note(self.host.name, "died", f"{self.label} {errno.errorcode[code]}")
        self.touch()

    def _break(self, how: int) -> None:
        """Reset both ends; ``how`` 2 loses what was under way."""
        for pipe in (self.out, self.source):
            if pipe is not None and how > 1:
                pipe.drop()
        if self.out is not None and self.state is State.CONNECTED:
            self.out.put_reset()
            self.reset()

    # -- what it is ---------------------------------------------------------------------------

    def bits(self) -> int:
        if self.state is State.LISTENING:
            return READ if self.queue else 0
        bits = ERROR if self.error else 0
        if self.state is State.CONNECTING:
            return bits
        has_ended = self.is_receive_shut or self.is_fin_received
        if self.received or has_ended:
            bits |= READ
        if self.is_send_shut or self._has_room():
            bits |= WRITE
        if self.state is State.CLOSED or (has_ended and self.is_send_shut):
            bits |= HANGUP
        return bits

    def _has_room(self) -> bool:
        """Whether a writer is woken: not for every byte, but with a third of the buffer free."""
        return self.out is None or self.out.flight_bytes * 3 <= self.send_buffer * 2

    def take_error(self) -> int:
        code, self.error = self.error, 0
        return code

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        super().setsockopt(level, name, value)
        if level == SOL_SOCKET and isinstance(value, int):
            if name == socket.SO_RCVBUF:
                self.receive_buffer = max(2 * value, 2048)
            elif name == socket.SO_SNDBUF:
                self.send_buffer = max(2 * value, 4096)

    def getsockopt(self, level: int, name: int, size: int = 0) -> int | bytes:
        if level == SOL_SOCKET and name == socket.SO_RCVBUF:
            return self.receive_buffer
        if level == SOL_SOCKET and name == socket.SO_SNDBUF:
            return self.send_buffer
        return super().getsockopt(level, name, size)

    def getpeername(self) -> Any:
        if self.state is not State.CONNECTED:
            raise error(errno.ENOTCONN)
        return self._sockaddr(self.remote)

    @property
    def label(self) -> str:
        if not self.label_cache:
            peer = f">{_show(self.remote)}" if self.remote[1] else ""
            self.label_cache = _show(self.local) + peer
        return self.label_cache


def error(code: int) -> OSError:
    """Make the OSError of a code, of the class that Python gives it."""
    return OSError(code, os.strerror(code))


def preview(data: bytes, most: int = 24) -> str:
    """Show the start of some bytes."""
    return repr(data[:most])[1:] + ("…" if len(data) > most else "")


def _show(name: SockName) -> str:
    return name[0] if name[1] == -1 else f"{name[0]}:{name[1]}"
