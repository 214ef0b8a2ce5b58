"""Sockets, raw: the constructors of TCP, UDP and unix sockets, and the one place to import from.

What lives here: ``create_*``, ``adopt``, ``socket_pair``; the kinds themselves are at home in
base_socket, stream_socket and udp_socket, on which this stands.  What it must not know: who waits,
how long, or what for.

Each call of a socket tries once: it returns a value or WOULDBLOCK, or raises OSError, with an errno
and a message that names the step, the address and the remedy.  On a closed socket every call raises
ClosedError.  A simulated network offers other classes with these very methods.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import AF_INET, AF_INET6, IPPROTO_IPV6, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET
from typing import Final, TypeVar, cast

from coop.address import AF_UNIX, Address, unix, wildcard
from coop.base_socket import Socket, family_name, needed
from coop.remedies import fail
from coop.stream_socket import Credentials, StreamSocket, TcpSocket, UnixSocket
from coop.udp_socket import UdpSocket

__all__ = [
    "Credentials", "Socket", "StreamSocket", "TcpSocket", "UdpSocket", "UnixSocket", "adopt",
    "create_tcp_server_socket", "create_tcp_socket", "create_udp_socket",
    "create_unix_server_socket", "create_unix_socket", "socket_pair",
]  # fmt: skip

S = TypeVar("S", bound=Socket)


def create_tcp_socket(family: int = AF_INET) -> TcpSocket:
    """Return an unconnected TCP socket, ready to connect."""
    return _create(TcpSocket, family, SOCK_STREAM)


def create_tcp_server_socket(
    port: int,
    backlog: int = 5,
    *,
    address: Address | None = None,
    family: int = AF_INET,
    reuse_address: bool = True,
    reuse_port: bool = False,
    dual_stack: bool = False,
) -> TcpSocket:
    """Return a TCP listener: create, set_reuse_address, bind, start_listening, in this order.

    It listens at one ``address``, or else at every address of ``family``; with ``dual_stack``, at
    every address of both families.  Errors: OSError that names the step that failed.
    """
    local = _address_to_bind(port, address, family, dual_stack)
    with _closed_on_failure(create_tcp_socket(local.family)) as listener:
        listener.set_reuse_address(reuse_address)
        if reuse_port:
            listener.set_reuse_port()
        if local.family == AF_INET6:
            listener.set_option(IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
        listener.bind(local)
        listener.start_listening(backlog)
        return listener


def create_udp_socket(
    address: Address | None = None,
    *,
    family: int = AF_INET,
    reuse_address: bool = False,
    reuse_port: bool = False,
) -> UdpSocket:
    """Return a UDP socket, bound to ``address`` if there is one; port 0 takes any.

    ``reuse_address`` is for several members of a multicast group; else it would share the port.
    """
    with _closed_on_failure(
        _create(UdpSocket, address.family if address else family, SOCK_DGRAM)
    ) as udp:
        udp.set_reuse_address(reuse_address)
        if reuse_port:
            udp.set_reuse_port()
        if address:
            udp.bind(address)
        return udp


def create_unix_socket() -> UnixSocket:
    """Return an unconnected unix socket, ready to connect."""
    return _create(UnixSocket, needed(AF_UNIX, "AF_UNIX"), SOCK_STREAM)


def create_unix_server_socket(
    path: str | bytes, backlog: int = 5, *, mode: int | None = None
) -> UnixSocket:
    """Return a unix listener; ``mode`` is the socket file's, set before anyone can connect.

    A socket file that nobody listens at is replaced; ``close`` removes it, if it is still ours.
    Errors: OSError, also for a file that is no socket, or at which somebody listens; ValueError
    for a path that cannot be one.
    """
    address = unix(path)
    with _closed_on_failure(create_unix_socket()) as listener:
        try:
            listener.bind(address)
        except OSError as err:
            if err.errno != errno.EADDRINUSE or not _is_left_over(address):
                raise
            os.unlink(address.sockaddr)
            listener.bind(address)
        listener.own_file()
        if mode is not None:
            os.chmod(address.sockaddr, mode)
        listener.start_listening(backlog)
        return listener


def adopt(fd: int) -> Socket:
    """Return the right kind of socket for an inherited descriptor, which it owns from now on.

    Errors: OSError if it is no socket, ValueError for a kind not known here; it stays yours then.
    """
    return _wrap(socket.socket(fileno=fd))


def socket_pair() -> tuple[StreamSocket, StreamSocket]:
    """Return two sockets that are connected with each other."""
    one, other = socket.socketpair()
    return cast(StreamSocket, _wrap(one)), cast(StreamSocket, _wrap(other))


_KINDS: Final[dict[tuple[int | None, int], type[Socket]]] = {
    (AF_INET, SOCK_STREAM): TcpSocket,
    (AF_INET6, SOCK_STREAM): TcpSocket,
    (AF_UNIX, SOCK_STREAM): UnixSocket,
    (AF_INET, SOCK_DGRAM): UdpSocket,
    (AF_INET6, SOCK_DGRAM): UdpSocket,
}


def _create(kind: type[S], family: int, os_type: int) -> S:
    try:
        return kind(socket.socket(family, os_type))
    except OSError as err:
        fail(f"create a socket of {family_name(family)}", err)


def _wrap(os_socket: socket.socket) -> Socket:
    """Find out what this socket is."""
    kind = _KINDS.get((os_socket.family, os_socket.type))
    if kind is None:
        family, os_type, fd = os_socket.family, os_socket.type, os_socket.detach()
        raise ValueError(f"fd {fd} is {family!r} and {os_type!r}: not TCP, UDP or a unix stream")
    os_socket.set_inheritable(False)
    wrapped = kind(os_socket)
    with suppress(OSError):  # ENOTCONN
        wrapped.peer = os_socket.getpeername()
    with suppress(OSError):  # ENOPROTOOPT: not every system tells
        wrapped.is_listening = bool(wrapped.get_option(SOL_SOCKET, socket.SO_ACCEPTCONN))
    return wrapped


@contextmanager
def _closed_on_failure(opened: S) -> Iterator[S]:
    try:
        yield opened
    except BaseException:
        opened.close()
        raise


def _address_to_bind(port: int, address: Address | None, family: int, dual_stack: bool) -> Address:
    if dual_stack and (address is None or address.is_wildcard):
        return wildcard(port, AF_INET6)
    if dual_stack:
        raise ValueError(f"{address} is one address: dual_stack goes with all of them, [::]:{port}")
    return address.with_port(port) if address else wildcard(port, family)


def _is_left_over(address: Address) -> bool:
    """Whether a socket file was left behind: it is one, and nobody listens there.

    Whoever else is between its bind and its listen looks the same: one program, one path.
    """
    if address.sockaddr.startswith("\0") or not stat.S_ISSOCK(os.lstat(address.sockaddr).st_mode):
        return False
    with create_unix_socket() as probe:
        try:
            probe.connect(address)
        except OSError as err:
            return err.errno == errno.ECONNREFUSED
    return False
