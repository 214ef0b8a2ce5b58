"""Addresses: where a socket is, or its peer: IP version 4, IP version 6, unix.

What lives here: Address, the ways to make one, to read one from text, and to ask a network
interface for its own.  What it must not know: names that need a resolver, and sockets in use.
Stands on: the standard library alone.

The text that ``str`` prints is the text that ``parse_address`` reads::

    192.0.2.1:80    [2001:db8::1]:80    [fe80::1%2]:80    unix:/run/app.sock    unix:@abstract
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from socket import AF_INET, AF_INET6
from typing import Any, Final

try:
    import fcntl
except ImportError:  # Windows
    _KNOWS_INTERFACES = False
else:
    _KNOWS_INTERFACES = sys.platform == "linux"

AF_UNIX: Final[int | None] = getattr(socket, "AF_UNIX", None)  # not on Windows

_UNIX_PREFIX: Final = "unix:"
_UNIX_PATH_BYTES: Final = 108 if sys.platform == "linux" else 104  # sun_path in unix(7), unix(4)
_MAPPED_PREFIX: Final = "::ffff:"
_WILDCARDS: Final[dict[int, str]] = {AF_INET: "0.0.0.0", AF_INET6: "::"}
_FAMILY_NAMES: Final[dict[int, str]] = {AF_INET: "IPv4", AF_INET6: "IPv6"}
_HOST_AND_PORT: Final = re.compile(
    r"(?: \[ (?P<bracketed> [^][\s]* : [^][\s]* ) \] | (?P<host> [^][:\s]* ) )"
    r"(?: : (?P<port> [0-9]+ ) )?",
    re.VERBOSE,
)

# netdevice(7): the request, the size of an entry; and the scope that proc(5) gives to link-local.
_SIOCGIFCONF: Final = 0x8912
_IFREQ_BYTES: Final = struct.calcsize("16sLLHBBB0L")
_LINK_SCOPE: Final = 0x20


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket is, in canonical form: equal addresses are equal objects, and hash alike.

    Made by ``ipv4``, ``ipv6``, ``unix``, ``wildcard``, ``parse_address`` or ``from_sockaddr``,
    which check and normalise; never by hand.
    """

    #: socket.AF_INET, AF_INET6 or AF_UNIX.
    family: int
    #: The numeric host; "" for unix.
    host: str = ""
    #: 0 to 65,535; 0 asks bind for any free port, and is what unix has.
    port: int = 0
    #: The index of the interface that a link-local IPv6 address belongs to; 0 for none.
    scope_id: int = 0
    #: The unix path: NUL and a name if it is abstract, "" if it has none; None for IP.
    path: str | None = None

    # Cached, for a datagram server meets the same peers again: 0.1 µs where making one takes 1.
    @classmethod
    @lru_cache(maxsize=1024)
    def from_sockaddr(cls, family: int, sockaddr: Any) -> Address:
        """Make the address from what the operating system gave for it.

        Errors: ValueError for a family that is neither IPv4, IPv6 nor unix.
        """
        if family == AF_INET:
            return cls(family, sockaddr[0], sockaddr[1])
        if family == AF_INET6:
            return cls(family, sockaddr[0].partition("%")[0], sockaddr[1], sockaddr[3])
        if family == AF_UNIX:
            return cls(family, path=os.fsdecode(sockaddr or ""))
        raise ValueError(f"family {family!r} is not one of IPv4, IPv6, unix")

    @property
    def sockaddr(self) -> Any:
        """What the operating system wants: (host, port), (host, port, 0, scope), or a path."""
        if self.family == AF_INET:
            return self.host, self.port
        if self.family == AF_INET6:
            return self.host, self.port, 0, self.scope_id
        return self.path

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of the machine."""
        return self.host in _WILDCARDS.values()

    @property
    def is_loopback(self) -> bool:
        """Whether it can only be reached from this machine; true of every unix address."""
        host = self.unmapped().host
        return self.family == AF_UNIX or host == "::1" or host.startswith("127.")

    def with_port(self, port: int) -> Address:
        """Return this address with another port.  Errors: ValueError for unix, which has none."""
        if self.family == AF_UNIX:
            raise ValueError(f"{self} is a unix address: it has no port")
        return replace(self, port=_checked_port(port))

    def same_port(self, other: Address) -> bool:
        """Say whether both have a port, and the same one."""
        return self.port == other.port and AF_UNIX not in (self.family, other.family)

    def unmapped(self) -> Address:
        """Return the IPv4 address that ``::ffff:192.0.2.1`` stands for; any other as it is.

        A dual-stack listener reports its IPv4 peers in that form (RFC 4291, 2.5.5.2).
        """
        mapped = self.host.removeprefix(_MAPPED_PREFIX)
        if mapped == self.host or ":" in mapped:
            return self
        return Address(AF_INET, mapped, self.port)

    def __str__(self) -> str:
        if self.family == AF_INET:
            return f"{self.host}:{self.port}"
        if self.family == AF_INET6:
            scope = f"%{self.scope_id}" if self.scope_id else ""
            return f"[{self.host}{scope}]:{self.port}"
        return _UNIX_PREFIX + re.sub("^\0", "@", self.path or "")


def unmapped(address: Address | None) -> Address | None:
    """Return the address ``unmapped``; None for none, as sockets have that are connected no more.

    Whom a server counts, logs and believes: one client is one address on every listener.
    """
    return None if address is None else address.unmapped()


def ipv4(host: str, port: int) -> Address:
    """Make an IPv4 address from numbers, such as ``ipv4("192.0.2.1", 80)``.  Errors: ValueError."""
    return Address(AF_INET, _canonical(AF_INET, host), _checked_port(port))


def ipv6(host: str, port: int, scope_id: int = 0) -> Address:
    """Make an IPv6 address; the scope may also stand in the host: ``fe80::1%eth0``, ``fe80::1%2``.

    Errors: ValueError.
    """
    bare_host, percent, scope = host.partition("%")
    if percent:
        scope_id = _scope_id(host, scope)
    if not 0 <= scope_id < 1 << 32:
        raise ValueError(f"{scope_id} is not the index of an interface")
    return Address(AF_INET6, _canonical(AF_INET6, bare_host), _checked_port(port), scope_id)


def unix(path: str | bytes) -> Address:
    """Make a unix address from a path.  Errors: ValueError; also where there are no unix sockets.

    A leading NUL or ``@`` makes it an abstract name (Linux); the file ``@x`` is ``./@x``.
    """
    text = re.sub("^@", "\0", os.fsdecode(path))
    if AF_UNIX is None:
        raise ValueError(
            f"no unix sockets on this system, so no {path!r}: use 127.0.0.1 and a port"
        )
    if not text.strip("\0"):
        raise ValueError("a unix address cannot be empty: give the path of a socket file")
    if "\0" in text[1:]:
        raise ValueError(f"bad unix path {path!r}: only the first character may be a NUL")
    if len(os.fsencode(text)) >= _UNIX_PATH_BYTES:
        longest = _UNIX_PATH_BYTES - 1
        raise ValueError(f"unix path too long: {path!r}: use at most {longest} bytes")
    return Address(AF_UNIX, path=text)


def wildcard(port: int, family: int = AF_INET) -> Address:
    """Make the address that stands for every address of the machine.  Errors: ValueError."""
    if family not in _WILDCARDS:
        raise ValueError(f"no wildcard in family {family!r}: use AF_INET or AF_INET6")
    return Address(family, _WILDCARDS[family], _checked_port(port))


def parse_address(text: str, default_port: int | None = None) -> Address:
    """Read an address: ``192.0.2.1:80``, ``[::1%eth0]:80``, ``unix:/path``, ``:80`` or ``*:80``.

    The last two are the IPv4 wildcard.  Without ``default_port`` the port must be there.
    Errors: ValueError, also for a name that is no number: see ``split_host_port``.
    """
    if text.startswith(_UNIX_PREFIX):
        return unix(text.removeprefix(_UNIX_PREFIX))
    host, port = split_host_port(text, default_port)
    if ":" in host:
        return ipv6(host, port)
    return wildcard(port) if host in ("", "*") else ipv4(host, port)


def check_host(host: object) -> None:
    """Raise an error, with what was probably meant, for what is no name, address or host:port."""
    if not isinstance(host, str):
        raise TypeError(f"a host is a text or an Address, not {host!r}: give host, port apart")
    if "://" in host:
        raise ValueError(f"{host!r} is a URL: give its host and its port")


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port`` where the host may be a name; an IPv6 host loses its brackets.

    The host is not looked at, and may be empty.  Errors: ValueError.
    """
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"cannot read {text!r}: write host:port, or [host]:port for IPv6")
    if match["port"] is not None:
        port = int(match["port"][:9])  # enough to be out of range, whatever its length
    elif default_port is not None:
        port = default_port
    else:
        raise ValueError(f"no port in {text!r}: write host:port")
    return match["bracketed"] or match["host"], _checked_port(port)


def interface_addresses(name: str, port: int = 0) -> list[Address]:
    """Ask the system for the addresses of one network interface, such as ``eth0``; IPv4 first.

    Errors: OSError if there is no such interface, or no way to ask (only on Linux so far).
    """
    if not _KNOWS_INTERFACES:
        raise OSError(f"cannot ask for the addresses of {name!r} on this system: give one instead")
    known = [known_name for _, known_name in socket.if_nameindex()]
    if name not in known:
        raise OSError(errno.ENODEV, f"no network interface {name!r}: there are {', '.join(known)}")
    return [ipv4(host, port) for host in _ipv4_hosts(name)] + [
        ipv6(host, port, scope_id) for host, scope_id in _ipv6_hosts(name)
    ]


def _canonical(family: int, host: str) -> str:
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host))
    except (OSError, ValueError):
        name = _FAMILY_NAMES[family]
        message = f"{host!r} is not an {name} address: give numbers; a name must be resolved first"
        raise ValueError(message) from None


def _checked_port(port: int) -> int:
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is not a port: use 0 (any) to 65535")
    return port


def _scope_id(host: str, scope: str) -> int:
    if scope.isdecimal():
        return int(scope)
    try:
        return socket.if_nametoindex(scope)
    except (OSError, ValueError):
        message = f"no network interface {scope!r} on this machine, as in {host!r}"
        raise ValueError(message) from None


def _ipv4_hosts(name: str) -> Iterator[str]:
    """Yield the IPv4 hosts of an interface and of its aliases, by netdevice(7)."""
    table = array("B", bytes(1024 * _IFREQ_BYTES))
    room = struct.pack("iP", len(table), table.buffer_info()[0])
    with socket.socket(AF_INET, socket.SOCK_DGRAM) as asker:
        used_bytes, _ = struct.unpack("iP", fcntl.ioctl(asker, _SIOCGIFCONF, room))
    for start in range(0, used_bytes, _IFREQ_BYTES):
        label, host = struct.unpack_from("16s4x4s", table, start)
        if label.rstrip(b"\0").partition(b":")[0] == os.fsencode(name):
            yield socket.inet_ntoa(host)


def _ipv6_hosts(name: str) -> Iterator[tuple[str, int]]:
    """Yield the IPv6 hosts of an interface, each with its scope id, by proc(5)."""
    with suppress(FileNotFoundError), open("/proc/net/if_inet6") as table:  # no IPv6: no table
        for line in table:
            digits, index, _, scope, _, owner = line.split()
            if owner == name:
                host = socket.inet_ntop(AF_INET6, bytes.fromhex(digits))
                yield host, int(index, 16) if int(scope, 16) == _LINK_SCOPE else 0
