"""What every simulated socket has: a descriptor, a name, options, and a place in its host.

What lives here: BoundEndpoint, and the errors and words that endpoints share.
What it must not know: how bytes travel.  Stands on: nothing of the simulation.
"""

from __future__ import annotations

import errno
import os
import socket
from enum import Enum
from socket import AF_INET, AF_INET6, SOL_SOCKET
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from coop.sim.host import Host

WILDCARDS: Final = ("0.0.0.0", "::")

_SO_PEERCRED: Final = getattr(socket, "SO_PEERCRED", -1)

SockName = tuple[str, int]
"""A host and a port; a unix socket's path and -1."""


class State(Enum):
    """Where a TCP socket is in its life, as far as its calls can tell."""

    CLOSED = "closed"
    LISTENING = "listening"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class BoundEndpoint:
    """What stream and datagram endpoints have in common: a descriptor, a name, options."""

    __slots__ = (
        "error", "family", "fd", "host", "interest", "is_closed", "is_forgotten", "local",
        "options", "world",
    )  # fmt: skip

    kind = "tcp"

    def __init__(self, host: Host, family: int, fd: int) -> None:
        self.host = host
        self.world = host.world
        self.family = family
        #: The descriptor; -1 without one: closed, or not accepted yet.
        self.fd = fd
        #: SO_ERROR: an errno, or 0.
        self.error = 0
        #: What the poller watches.
        self.interest = 0
        #: Whether the program has closed it; what was sent may still be on its way.
        self.is_closed = False
        #: Whether its host lost power: it answers nothing, and later with a reset.
        self.is_forgotten = False
        self.local: SockName = ("", 0)
        self.options: dict[tuple[int, int], int | bytes] = {}

    def fileno(self) -> int:
        """Return the descriptor, -1 without one."""
        return self.fd

    def setblocking(self, flag: bool) -> None:
        """Accept non-blocking only."""
        if flag:
            raise ValueError("a simulated socket cannot block: there is nobody else to move time")

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """As setsockopt(2): kept, and mostly without effect."""
        self.options[level, name] = value

    def getsockopt(self, level: int, name: int, size: int = 0) -> int | bytes:
        """As getsockopt(2)."""
        if (level, name) == (SOL_SOCKET, socket.SO_ERROR):
            return self.take_error()
        if (level, name) == (SOL_SOCKET, _SO_PEERCRED):
            return bytes(size)
        return self.options.get((level, name), bytes(size) if size else 0)

    def take_error(self) -> int:
        """Return SO_ERROR and clear it."""
        code, self.error = self.error, 0
        return code

    @property
    def unread_error(self) -> str:
        """Say of which error it is that nobody has looked at it."""
        return (
            f"{self.host.name}: {errno.errorcode[self.error]} of {self.label} was never looked at"
        )

    def bind(self, sockaddr: Any) -> None:
        """As bind(2)."""
        if self.local[1]:
            raise error(errno.EINVAL)
        self.host.ports.bind(self, self._name_of(sockaddr))

    def getsockname(self) -> Any:
        """As getsockname(2)."""
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
        return f"{self.kind} {show(self.local)}"

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
        if self.error:
            self.world.unread.append(self.unread_error)
        self.host.ports.release(self)
        self.host.close_descriptor(self.fd)
        self.fd = -1


def error(code: int) -> OSError:
    """Make the OSError of a code, of the class that Python gives it."""
    return OSError(code, os.strerror(code))


def preview(data: bytes, most: int = 24) -> str:
    """Show the start of some bytes."""
    return repr(data[:most])[1:] + ("…" if len(data) > most else "")


def show(name: SockName) -> str:
    """Write a name."""
    return name[0] if name[1] == -1 else f"{name[0]}:{name[1]}"
