"""Remedies: an error of the system, told with the step that failed and what to do about it.

What lives here: ``fail`` and its table.  What it must not know: sockets.  Stands on: address,
outcomes.
"""

from __future__ import annotations

import errno
from typing import Final, NoReturn

from coop.address import Address
from coop.outcomes import CoopError

_REMEDIES: Final = {
    errno.EADDRINUSE: "port in use: end the program that has it, or take another (0 is any)",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
    errno.EAFNOSUPPORT: "this machine is set up without that kind of network",
    errno.ECONNREFUSED: "nobody listens there: is the server up, are address and port right?",
    errno.EHOSTUNREACH: "that host does not answer: is it up, is the address right?",
    errno.EMFILE: "this process is out of descriptors: close some, or raise its limit (ulimit -n)",
    errno.ENETUNREACH: "no route leads there: is the network up, is the address right?",
    errno.ENFILE: "the machine is out of descriptors: close some elsewhere",
    errno.ETIMEDOUT: "no answer: is the host up, does a firewall drop the packets?",
}
_UNIX_REMEDIES: Final = {
    errno.EACCES: "look at the rights of the file and of the directories above it",
    errno.EADDRINUSE: "somebody listens there, or it is no socket: remove it, or take another path",
    errno.EAGAIN: "the listener's backlog is full: try again a little later",
    errno.ECONNREFUSED: "nobody listens there: start the server",
    errno.ENOENT: "there is no such socket or directory: start the server, or make the directory",
}
_PRIVILEGED: Final = "privileged port: take one from 1024 up, or grant CAP_NET_BIND_SERVICE"
_FORBIDDEN: Final = "a firewall or a policy of this machine forbids it"


def fail(step: str, error: OSError, address: Address | None = None) -> NoReturn:
    """Raise this error again: same class and errno, with a message of step, cause and remedy."""
    if isinstance(error, CoopError):  # such as ClosedError: it speaks for itself
        raise error
    code = error.errno or 0
    parts = [f"cannot {step}", error.strerror or "unknown error", _remedy(code, address)]
    raise OSError(code, ": ".join(filter(None, parts))) from None


def _remedy(code: int, address: Address | None) -> str:
    if address is not None and address.path is not None:
        return _UNIX_REMEDIES.get(code, "")
    if address is not None and code == errno.EACCES:
        return _PRIVILEGED if address.port < 1024 else _FORBIDDEN
    return _REMEDIES.get(code, "")
