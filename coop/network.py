"""The network: where sockets and the addresses of names come from.

What lives here: Network, the seam between the streams and whatever hands out sockets, and
SystemNetwork, the operating system's.  A simulation hands the scheduler another one, and everything
above runs unchanged.  What it must not know: streams, servers.  Stands on: address, executors,
sockets.
"""

from __future__ import annotations

import logging
import socket as system
from pathlib import Path
from typing import Final, Protocol

from coop.address import Address, ipv4, ipv6, wildcard
from coop.executors import Executor, run_in_executor
from coop.outcomes import ResolveError
from coop.sockets import (
    StreamSocket,
    TcpSocket,
    UdpSocket,
    create_tcp_server_socket,
    create_tcp_socket,
    create_udp_socket,
    create_unix_server_socket,
    create_unix_socket,
)
from coop.traps import Coop, operation

logger = logging.getLogger("coop.network")

_HOSTS_FILE: Final = Path("/etc/hosts")


class Network(Protocol):
    """Whatever hands out sockets: each non-blocking, each call of theirs tries once."""

    def open_stream(self, address: Address) -> StreamSocket:
        """Return a fresh socket that can connect to this address."""
        raise NotImplementedError

    def listen(
        self, address: Address | None, port: int, *, backlog: int, reuse_port: bool = False
    ) -> StreamSocket:
        """Return a listening socket bound to this address; None is every address, any family."""
        raise NotImplementedError

    def open_datagram(self, address: Address) -> UdpSocket:
        """Return a datagram socket bound to this address; port 0 is any."""
        raise NotImplementedError

    def resolve(self, host: str, port: int) -> Coop[list[Address]]:
        """Wait for the addresses of a host name, best first; never an empty list."""
        raise NotImplementedError

    def own_address(self, host: str, port: int) -> Address:
        """Return the address of this machine that the host spells or names, without waiting."""
        raise NotImplementedError


class SystemNetwork:
    """The operating system's network.

    ``coop.run(main(), network=coop.SystemNetwork(ThreadPoolExecutor(8)))`` looks up host names in
    these threads; without an executor a name that is not in the hosts file blocks every task.
    """

    _executor: Executor | None = None

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = executor

    def open_stream(self, address: Address) -> StreamSocket:
        """Return a fresh socket that can connect to this address."""
        if address.path:
            return create_unix_socket()
        return _undelayed(create_tcp_socket(address.family))

    def listen(
        self, address: Address | None, port: int, *, backlog: int, reuse_port: bool = False
    ) -> StreamSocket:
        """Return a listening socket bound to this address; None is every address, any family.

        Errors: OSError that names the step, the address and the remedy.
        """
        if address is None:
            both = system.has_dualstack_ipv6()
            return _undelayed(
                create_tcp_server_socket(
                    port,
                    backlog,
                    family=system.AF_INET6 if both else system.AF_INET,
                    reuse_port=reuse_port,
                    dual_stack=both,
                )
            )
        if address.path:
            return create_unix_server_socket(address.path, backlog)
        return _undelayed(
            create_tcp_server_socket(
                port, backlog, address=address, family=address.family, reuse_port=reuse_port
            )
        )

    def open_datagram(self, address: Address) -> UdpSocket:
        """Return a datagram socket bound to this address; port 0 is any."""
        return create_udp_socket(address)

    def own_address(self, host: str, port: int) -> Address:
        """Return the address of this machine that the host spells or names, without waiting.

        Errors: ResolveError for a name that is not in the hosts file.
        """
        known = literal(host, port) or in_hosts_file(host, port)
        if not known:
            raise ResolveError(
                system.EAI_NONAME,
                f"cannot listen on {host!r}: give an address of this machine, a name in its hosts "
                "file, or None for every address",
            )
        return known[0]

    @operation
    def resolve(self, host: str, port: int) -> Coop[list[Address]]:
        """Wait for the addresses of a host name, best first.

        Literals, and names in the hosts file, are answered at once and without blocking.  Any
        other name is asked of the system's resolver, in the executor.  Without one that BLOCKS this
        thread, and with it every task, until it answers; a warning in the log says so.
        Errors: ResolveError, naming the host, when it has no address.
        """
        known = literal(host, port) or in_hosts_file(host, port)
        if known:
            return known
        if self._executor is not None:
            return (yield from run_in_executor(self._executor, _ask_the_system, host, port))
        logger.warning(
            "looking up %r blocks every task: use an address, the hosts file, or "
            "coop.run(..., network=coop.SystemNetwork(executor))",
            host,
        )
        return _ask_the_system(host, port)


def _undelayed(socket: TcpSocket) -> TcpSocket:
    """Send small writes at once; what a listener accepts inherits it.

    Nagle's algorithm and delayed acknowledgements wait for each other, 40 ms a time (RFC 9293
    §3.7.4), and whoever wants few large segments can say ``sendall_parts``.
    """
    socket.set_nodelay()
    return socket


def literal(host: str, port: int) -> list[Address]:
    """Return the address that ``host`` spells out, as a list of one; empty for a name.

    Errors: ValueError for a port that is none.
    """
    wildcard(port)
    try:
        return [ipv6(host.strip("[]"), port) if ":" in host else ipv4(host, port)]
    except ValueError:
        return []


def in_hosts_file(host: str, port: int, path: Path = _HOSTS_FILE) -> list[Address]:
    """Return the addresses that the hosts file gives this name; empty when it gives none.

    ``localhost`` needs no file (RFC 6761 §6.3).  Source: hosts(5).
    """
    name = host.rstrip(".").lower()
    found: list[Address] = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        words = line.partition("#")[0].split()
        if name in (word.rstrip(".").lower() for word in words[1:]):
            found += literal(words[0], port)
    if name == "localhost" and not found:
        found = [ipv4("127.0.0.1", port)]
    # IPv4 first: what listens on localhost most often listens there.
    return sorted(dict.fromkeys(found), key=lambda address: address.family != system.AF_INET)


def _ask_the_system(host: str, port: int) -> list[Address]:
    try:
        answers = system.getaddrinfo(host, port, type=system.SOCK_STREAM)
    except (system.gaierror, UnicodeError) as error:
        code = error.errno if isinstance(error, system.gaierror) and error.errno else -1
        raise ResolveError(
            code, f"{host!r} has no address: check the spelling, or give the address itself"
        ) from error
    return [Address.from_sockaddr(family, sockaddr) for family, _, _, _, sockaddr in answers]
