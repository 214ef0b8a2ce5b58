"""Inherited sockets: listeners that somebody else has opened before this program began.

What lives here: ``listen_inherited`` for a descriptor of any number, and
``listeners_from_environment`` for those of systemd's socket activation.  What it must not know:
what is served there.  Stands on: listener, sockets.  Source: sd_listen_fds(3), systemd.socket(5).
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import MutableMapping
from typing import Final, NamedTuple, NoReturn

from coop.listener import Listener
from coop.sockets import StreamSocket, adopt
from coop.tls import check_server_context

#: The first descriptor that systemd hands over.
FIRST_FD: Final = 3
#: More than these are a mistake.
MOST_FDS: Final = 1024

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_REMEDY: Final = "hand over one that listens, as systemd does with ListenStream= and Accept=no"


class InheritedDescriptor(NamedTuple):
    """A descriptor that was handed over, and its name (FileDescriptorName=), or ``unknown``."""

    fd: int
    name: str


def listen_inherited(fd: int, *, tls: ssl.SSLContext | None = None) -> Listener:
    """Listen on a socket that was open, and listening, when this program began.

    It is the listener's from now on, and children of this process do not inherit it.
    Waits: never.  Errors: OSError when the descriptor is no open socket, or one that does not
    listen; ValueError for a kind of socket that yields no streams.  It stays open then.
    """
    if tls is not None:
        check_server_context(tls)
    try:
        socket = adopt(fd)
    except OSError as error:
        _refuse(fd, error.strerror or str(error), error.errno or errno.EBADF)
    except ValueError as error:
        raise ValueError(f"cannot listen on fd {fd}: {error}: {_REMEDY}") from None
    if not isinstance(socket, StreamSocket) or not socket.is_listening:
        socket.detach().detach()
        _refuse(fd, "it is a socket that does not listen", errno.EINVAL)
    return Listener(socket, tls=tls)


def inherited_descriptors(
    environment: MutableMapping[str, str] = os.environ,
) -> list[InheritedDescriptor]:
    """Return what systemd has handed over to this very process: usually nothing.

    The variables that say so (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES) are taken away, so that
    nobody else takes the descriptors for theirs.  Errors: ValueError when they make no sense.
    """
    process, count, names = (environment.get(name, "") for name in _VARIABLES)
    if process != str(os.getpid()):
        return []
    for name in _VARIABLES:
        environment.pop(name, None)
    if not (count.isascii() and count.isdecimal() and int(count) <= MOST_FDS):
        raise ValueError(f"LISTEN_FDS is {count!r}: it must be a number up to {MOST_FDS}")
    called = dict(enumerate(names.split(":"))) if names else {}
    if len(called) not in (0, int(count)):
        raise ValueError(f"LISTEN_FDNAMES is {names!r}: there must be {count} names, one for each")
    return [
        InheritedDescriptor(FIRST_FD + number, called.get(number, "unknown"))
        for number in range(int(count))
    ]


def listeners_from_environment(
    name: str | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    environment: MutableMapping[str, str] = os.environ,
) -> list[Listener]:
    """Return the listeners that systemd has handed over, in its order: ``listener=`` for a server.

    ``name``: only those that are called so (FileDescriptorName=).  The list is empty when the
    program was not started that way.
    Waits: never.  Errors: as ``listen_inherited``; ValueError for variables that make no sense.
    """
    found = inherited_descriptors(environment)
    listeners: list[Listener] = []
    try:
        listeners.extend(
            listen_inherited(each.fd, tls=tls) for each in found if name in (None, each.name)
        )
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _refuse(fd: int, reason: str, code: int) -> NoReturn:
    raise OSError(code, f"cannot listen on fd {fd}: {reason}: {_REMEDY}") from None
