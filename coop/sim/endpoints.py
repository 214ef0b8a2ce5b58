"""Endpoints: what the system of a simulated host keeps for one TCP or unix stream socket.

What lives here: Endpoint, with the methods of ``socket.socket`` that coop's raw sockets call, and
what Linux does in each of them.  What it must not know: tasks, streams, who waits.
Stands on: bound, handshake, faults, links.

The conformance suite holds every answer here against a real socket over loopback: values, errno,
the bits of poll(2), SO_ERROR, and what can still be read after an end or a reset.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Sequence
from socket import SHUT_RD, SHUT_RDWR, SHUT_WR, SOCK_STREAM, SOL_SOCKET
from typing import TYPE_CHECKING, Any, Final

from coop.base_socket import Buffer
from coop.poller import ERROR, HANGUP, READ, WRITE
from coop.sim import handshake
from coop.sim.bound import BoundEndpoint, SockName, State, error, preview, show
from coop.sim.faults import (
    ACCEPT_ABORTED,
    ACCEPT_EXHAUSTED,
    PARTIAL_SEND,
    RECV_BLOCKED,
    RESET,
    SEND_BLOCKED,
    SHORT_READ,
)
from coop.sim.links import Pipe

if TYPE_CHECKING:
    from coop.sim.host import Host

#: The default size of either buffer of a connection: small, so that backpressure is met early.
BUFFER_BYTES: Final = 65536

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Endpoint(BoundEndpoint):
    """One end of a stream, or a listener."""

    __slots__ = (
        "backlog",
        "is_fin_acked",
        "is_fin_received",
        "is_receive_shut",
        "is_reported",
        "is_send_shut",
        "label_cache",
        "out",
        "queue",
        "receive_buffer",
        "received",
        "remote",
        "send_buffer",
        "source",
        "state",
    )  # fmt: skip

    type = SOCK_STREAM

    def __init__(self, host: Host, family: int, fd: int) -> None:
        super().__init__(host, family, fd)
        self.state = State.CLOSED
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
        self.backlog = 0
        self.is_reported = False
        self.label_cache = ""

    # -- receiving ----------------------------------------------------------------------------

    def recv(self, max_bytes: int, flags: int = 0) -> bytes:
        """As recv(2); and here a reader is struck, unless it only looks."""
        world = self.world
        world.calls += 1
        received = self.received
        if flags & socket.MSG_PEEK:
            return bytes(received[:max_bytes]) or self._recv_nothing(max_bytes)
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
        """As recv(2), into a buffer."""
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
        """As send(2); and here a sender is struck."""
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
        """As sendmsg(2)."""
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
        """As connect(2)."""
        code = self.connect_ex(sockaddr)
        if code:
            raise error(code)

    def connect_ex(self, sockaddr: Any) -> int:
        """As connect(2), but return the errno."""
        self.world.calls += 1
        if self.state is State.CONNECTED:
            code = errno.EISCONN if self.is_reported else 0
            self.is_reported = True
            return code
        if self.state is State.CONNECTING:
            return errno.EALREADY
        if self.state is State.LISTENING:
            return errno.EISCONN
        return handshake.start(self, self._name_of(sockaddr))

    def fail_connecting(self, code: int) -> None:
        """Let a connect fail."""
        if self.state is State.CONNECTING and not self.is_closed:
            self.state = State.CLOSED
            self.error = code
            # Linux marks both directions as shut (tcp_done), so that everybody wakes.
            self.is_send_shut = self.is_receive_shut = True
            self.touch()

    # -- listening ----------------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        """As listen(2)."""
        if self.state not in (State.CLOSED, State.LISTENING):
            raise error(errno.EINVAL)
        if not self.local[1]:
            self.host.ports.bind(self, (self._any(), 0))
        self.host.ports.listen(self)
        self.state = State.LISTENING
        self.backlog = backlog
        self.label_cache = ""

    def accept(self) -> tuple[Endpoint, Any]:
        """As accept(2); and here a listener is struck."""
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
        """As shutdown(2)."""
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
        """As close(2): with unread data it is a reset."""
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
        """As getpeername(2)."""
        if self.state is not State.CONNECTED:
            raise error(errno.ENOTCONN)
        return self._sockaddr(self.remote)

    @property
    def label(self) -> str:
        if not self.label_cache:
            peer = f">{show(self.remote)}" if self.remote[1] else ""
            self.label_cache = show(self.local) + peer
        return self.label_cache
