"""Ports: which socket of a simulated host has which name.

What lives here: Ports, bind(2)'s rules and the ways to find who a packet is for.
What it must not know: what is in the packet.  Stands on: endpoints.
"""

from __future__ import annotations

import errno
import socket
from socket import SOL_SOCKET
from typing import TYPE_CHECKING, Final

from coop.sim.bound import WILDCARDS, BoundEndpoint, SockName, State, error
from coop.sim.datagrams import DatagramEndpoint
from coop.sim.endpoints import Endpoint

if TYPE_CHECKING:
    from coop.sim.host import Host

#: The ports given out for port 0: Linux's ip_local_port_range.
FIRST_FREE: Final = 32768
LAST_FREE: Final = 60999

_REUSE_ADDRESS: Final = (SOL_SOCKET, socket.SO_REUSEADDR)
_REUSE_PORT: Final = (SOL_SOCKET, getattr(socket, "SO_REUSEPORT", -1))


class Ports:
    """The names that a host's sockets have."""

    __slots__ = ("_host", "_next_free", "_taken", "_turn")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._next_free = FIRST_FREE
        self._turn = 0
        #: Sockets by kind and port; a unix socket's port is its path.
        self._taken: dict[tuple[str, int | str], list[BoundEndpoint]] = {}

    def bind(self, endpoint: BoundEndpoint, name: SockName) -> None:
        """Give the socket a name.  Errors: OSError as bind(2)."""
        host, port = name
        if port != -1 and not self._is_own(host):
            raise error(errno.EADDRNOTAVAIL)
        if port == 0:
            port = self._find_free(endpoint)
        others = self._taken.setdefault(_key(endpoint, (host, port)), [])
        if any(_conflict(endpoint, host, other) for other in others):
            raise error(errno.EADDRINUSE)
        others.append(endpoint)
        endpoint.local = host, port

    def listen(self, endpoint: Endpoint) -> None:
        """Check that nobody else listens there.  Errors: OSError EADDRINUSE."""
        for other in self._taken.get(_key(endpoint, endpoint.local), ()):
            is_shared = endpoint.options.get(_REUSE_PORT) and other.options.get(_REUSE_PORT)
            if other is not endpoint and _is_listening(other) and not is_shared:
                raise error(errno.EADDRINUSE)

    def release(self, endpoint: BoundEndpoint) -> None:
        """Take the name back."""
        key = _key(endpoint, endpoint.local)
        others = self._taken.get(key)
        if others is not None and endpoint in others:
            others.remove(endpoint)
            if not others:
                del self._taken[key]

    def listener(self, name: SockName) -> Endpoint | None:
        """Return who listens at this name; of several in turn."""
        candidates = [
            other
            for other in self._taken.get(("tcp", name[0] if name[1] == -1 else name[1]), ())
            if isinstance(other, Endpoint)
            and _is_listening(other)
            and (name[1] == -1 or _matches(other.local[0], name[0]))
        ]
        if not candidates:
            return None
        self._turn += 1
        return candidates[self._turn % len(candidates)]

    def datagram_endpoint(self, name: SockName, source: SockName) -> DatagramEndpoint | None:
        """Return who gets a datagram for this name: a socket connected to its sender first."""
        found = None
        for other in self._taken.get(("udp", name[1]), ()):
            if isinstance(other, DatagramEndpoint) and _matches(other.local[0], name[0]):
                if other.remote == source:
                    return other
                if other.remote is None:
                    found = other
        return found

    def _is_own(self, host: str) -> bool:
        known = self._host.address, "::1", *WILDCARDS
        return host in known or host.startswith("127.")

    def _find_free(self, endpoint: BoundEndpoint) -> int:
        for _ in range(FIRST_FREE, LAST_FREE + 1):
            port = self._next_free
            self._next_free = FIRST_FREE if port == LAST_FREE else port + 1
            if (endpoint.kind, port) not in self._taken:
                return port
        raise error(errno.EADDRINUSE)


def _key(endpoint: BoundEndpoint, name: SockName) -> tuple[str, int | str]:
    return endpoint.kind, (name[0] if name[1] == -1 else name[1])


def _conflict(endpoint: BoundEndpoint, host: str, other: BoundEndpoint) -> bool:
    if not (_matches(host, other.local[0]) or _matches(other.local[0], host)):
        return False
    if endpoint.options.get(_REUSE_PORT) and other.options.get(_REUSE_PORT):
        return False
    both_reuse = endpoint.options.get(_REUSE_ADDRESS) and other.options.get(_REUSE_ADDRESS)
    return not (both_reuse and not _is_listening(other))


def _matches(bound: str, host: str) -> bool:
    return bound == host or bound in WILDCARDS


def _is_listening(endpoint: BoundEndpoint) -> bool:
    return isinstance(endpoint, Endpoint) and endpoint.state is State.LISTENING
