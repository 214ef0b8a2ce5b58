"""Binding: where the command line, or the service manager, wants a server to listen.

What lives here: the reading of ``--bind`` and of what is inherited, and the way back: URLs.
What it must not know: what is served there.  Stands on: listener, inherited, address.
"""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Iterable
from typing import NamedTuple

from coop.address import Address, parse_address, split_host_port
from coop.commands.refusal import Refusal
from coop.inherited import listen_inherited, listeners_from_environment
from coop.listener import Listener, listen
from coop.outcomes import ResolveError

#: Where a server listens that was told nothing.
HOST, PORT = "127.0.0.1", 8000


class Binding(NamedTuple):
    """One place to listen: a unix address, an inherited descriptor, or a host and a port."""

    host: str | None = None
    port: int = PORT
    address: Address | None = None
    fd: int | None = None


def read_binding(text: str) -> Binding:
    """Read ``HOST:PORT``, ``HOST``, ``:PORT``, ``[::1]:80``, ``unix:/path`` or ``fd://3``.

    An empty host, or ``*``, is every address.  Errors: argparse's own, for the command line.
    """
    try:
        if text.startswith("fd:"):
            number = text.removeprefix("fd:").removeprefix("//")
            if not (number.isascii() and number.isdecimal()):
                raise ValueError(f"cannot read {text!r}: write fd://3, say")
            return Binding(fd=int(number))
        if text.startswith("unix:"):
            return Binding(address=parse_address("unix:" + _path(text)))
        host, port = split_host_port(text, PORT)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Binding(host=host, port=port)


def _path(text: str) -> str:
    path = text.removeprefix("unix:")
    return path.removeprefix("//") if path.startswith("///") else path


def open_listeners(
    bindings: Iterable[Binding] | None,
    *,
    backlog: int,
    reuse_port: bool = False,
    tls: ssl.SSLContext | None = None,
) -> list[Listener]:
    """Listen at each of these; None is where systemd says, and else at 127.0.0.1:8000.

    Errors: Refusal.
    """
    listeners: list[Listener] = []
    try:
        if bindings is None:
            listeners = listeners_from_environment(tls=tls)
            bindings = [] if listeners else [Binding(HOST)]
        for each in bindings:
            listeners.append(_open(each, backlog, reuse_port, tls))
    except (OSError, ValueError) as error:
        for listener in listeners:
            listener.close()
        raise Refusal(_say(error)) from None
    return listeners


def _open(each: Binding, backlog: int, reuse_port: bool, tls: ssl.SSLContext | None) -> Listener:
    if each.fd is not None:
        return listen_inherited(each.fd, tls=tls)
    if each.address is not None:
        return listen(each.address, backlog=backlog, tls=tls)
    host = None if each.host in ("", "*") else each.host
    return listen(host, each.port, backlog=backlog, reuse_port=reuse_port, tls=tls)


def _say(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and not isinstance(error, ResolveError):
        return error.strerror or str(error)
    return str(error)


def url_of(listener: Listener) -> str:
    """Return what to open in a browser; for a unix socket, its address."""
    address = listener.address
    if address.path is not None:
        return str(address)
    scheme = "http" if listener.tls is None else "https"
    standard = 80 if listener.tls is None else 443
    port = "" if address.port == standard else f":{address.port}"
    host = "localhost" if address.is_wildcard else str(address).rpartition(":")[0]
    return f"{scheme}://{host}{port}/" + (" (and all other addresses)" * address.is_wildcard)
