"""The socket itself: what TCP, UDP and unix sockets have in common.

What lives here: Socket: its descriptor, its addresses, its options, and how it is closed.
What it must not know: how bytes are moved, who waits.  Stands on: address, outcomes, remedies.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from errno import EAFNOSUPPORT, ENOPROTOOPT
from socket import SOL_SOCKET
from typing import Any, Final, NoReturn, Self, cast

from coop.address import Address
from coop.outcomes import ClosedError
from coop.remedies import fail

try:
    import fcntl
    import termios
except ImportError:  # Windows
    _BYTES_PENDING = _BYTES_UNSENT = None
else:
    _BYTES_PENDING = termios.FIONREAD
    _BYTES_UNSENT = termios.TIOCOUTQ  # which is SIOCOUTQ on Linux, tcp(7)

_SO_REUSEPORT: Final[int | None] = getattr(socket, "SO_REUSEPORT", None)  # not on Windows
# Windows lets SO_REUSEADDR hijack a port in use, and has another name for what is wanted here.
_SO_REUSEADDR: Final[int] = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)

Buffer = bytes | bytearray | memoryview


class Socket:
    """What all kinds have in common: an operating-system socket, its addresses, its options."""

    __slots__ = ("family", "is_listening", "os_socket", "peer")

    def __init__(
        self,
        os_socket: socket.socket,
        *,
        peer_address: Address | None = None,
        is_listening: bool = False,
    ) -> None:
        #: For the kinds alone: the operating system's socket; once closed, a _Closed instead.
        self.os_socket = os_socket
        #: For the kinds alone: the other end, as an Address or as the system gave it; None if none.
        self.peer: Any = peer_address
        #: socket.AF_INET, AF_INET6 or AF_UNIX.
        self.family: int = os_socket.family
        #: Whether ``start_listening`` has been called.
        self.is_listening = is_listening
        os_socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.os_socket.fileno()

    @property
    def local_address(self) -> Address:
        """This end's address, asked of the system."""
        return Address.from_sockaddr(self.family, self.os_socket.getsockname())

    @property
    def peer_address(self) -> Address | None:
        """The other end's address as accept or connect knew it; None without a peer."""
        if self.peer is None or isinstance(self.peer, Address):
            return self.peer
        return Address.from_sockaddr(self.family, self.peer)

    @property
    def is_closed(self) -> bool:
        """Whether the descriptor is gone: by ``close``, ``close_down`` or ``detach``."""
        return isinstance(self.os_socket, _Closed)

    def set_option(self, level: int, name: int, value: int | bytes) -> None:
        """Set any option of setsockopt(2)."""
        self.os_socket.setsockopt(level, name, value)

    def get_option(self, level: int, name: int, buffer_bytes: int = 0) -> int | bytes:
        """Return any option of getsockopt(2): a number, or at most ``buffer_bytes`` of a struct."""
        if buffer_bytes:
            return self.os_socket.getsockopt(level, name, buffer_bytes)
        return self.os_socket.getsockopt(level, name)

    def set_reuse_address(self, on: bool = True) -> None:
        """Allow to bind at once where a former connection lingers in TIME_WAIT.  Before bind.

        Several sockets may then have the same port, each with another local address.
        """
        self.set_option(SOL_SOCKET, _SO_REUSEADDR, on)

    def set_reuse_port(self, on: bool = True) -> None:
        """Allow several listeners on one address, which share its connections.  Before bind."""
        self.set_option(SOL_SOCKET, needed(_SO_REUSEPORT, "SO_REUSEPORT"), on)

    def set_nonblocking(self, on: bool = True) -> None:
        """Have calls answer WOULDBLOCK, as they do from the start; or, if off, wait."""
        self.os_socket.setblocking(not on)

    def set_receive_buffer_bytes(self, size_bytes: int) -> None:
        """Set the size of the system's receive buffer; Linux doubles it (socket(7))."""
        self.set_option(SOL_SOCKET, socket.SO_RCVBUF, size_bytes)

    def set_send_buffer_bytes(self, size_bytes: int) -> None:
        """Set the size of the system's send buffer; Linux doubles it (socket(7))."""
        self.set_option(SOL_SOCKET, socket.SO_SNDBUF, size_bytes)

    def bytes_pending(self) -> int:
        """Return how many bytes can be received at once; of datagrams, how many the next one has.

        Where there is no FIONREAD (Windows), it looks at 65,536 at most.
        """
        if _BYTES_PENDING is None:
            try:
                return len(self.os_socket.recv(65536, socket.MSG_PEEK))
            except BlockingIOError:
                return 0
        (count,) = struct.unpack("i", fcntl.ioctl(self.fileno(), _BYTES_PENDING, bytes(4)))
        return int(count)

    def bytes_unsent(self) -> int | None:
        """Return how much of what was sent the peer has not taken yet; None where nobody tells."""
        if _BYTES_UNSENT is None:
            return None
        try:
            answer = fcntl.ioctl(self.fileno(), _BYTES_UNSENT, bytes(4))
        except OSError:
            return None
        return int(struct.unpack("i", answer)[0])

    def pending_error(self) -> OSError | None:
        """Take the error that the system keeps for this socket (SO_ERROR), or None."""
        code = self.os_socket.getsockopt(SOL_SOCKET, socket.SO_ERROR)
        return OSError(code, os.strerror(code)) if code else None

    def bind(self, address: Address) -> None:
        """Take the local address; port 0 takes any free one, which ``local_address`` then tells."""
        sockaddr = self.sockaddr_of(address)
        try:
            self.os_socket.bind(sockaddr)
        except OSError as err:
            fail(f"bind to {address}", err, address)

    def close(self) -> None:
        """Give the descriptor back at once; twice is no error.

        Never waits, and is the moral equivalent of kill: what was received but not read makes the
        system throw away what was sent but not delivered.  ``close_down`` is the polite way.
        """
        if not self.is_closed:
            self.detach().close()

    def detach(self) -> socket.socket:
        """Give the operating-system socket away, still open; this one is closed."""
        os_socket, name = self.os_socket, f"{type(self).__name__} (it was fd {self.fileno()})"
        self.os_socket = cast(socket.socket, _Closed(name))
        self.is_listening = False
        return os_socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = type(self).__name__
        if self.is_closed:
            return f"<{kind} closed>"
        local = peer = None
        with suppress(OSError, ValueError):
            local = self.local_address
            peer = self.peer_address
        state = "listening" if self.is_listening else f"peer {peer}" if peer else "unconnected"
        return f"<{kind} fd {self.fileno()} at {local}, {state}>"

    def sockaddr_of(self, address: Address) -> Any:
        """Return what the system wants, of an address of this socket's own family."""
        if address.family != self.family:
            ours, theirs = map(family_name, (self.family, address.family))
            message = f"this socket is {ours}, but {address} is {theirs}: create it as {theirs}"
            raise OSError(EAFNOSUPPORT, message)
        return address.sockaddr


class _Closed:
    """What stands where the operating-system socket stood: every call raises ClosedError."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, call: str) -> NoReturn:
        raise ClosedError(f"{self._name} is closed: open another")


def needed(value: int | None, name: str) -> int:
    """Return the number of an option or a family, if this platform has it."""
    if value is None:
        raise OSError(ENOPROTOOPT, f"this system has no {name}")
    return value


def family_name(family: int) -> str:
    """Return what the socket module calls this family, such as AF_INET6."""
    try:
        return socket.AddressFamily(family).name
    except ValueError:
        return f"family {family}"
