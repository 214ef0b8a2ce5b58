"""Outcomes: the one answer that is not a value, and every error of the library.

What lives here: WOULDBLOCK, the exception family, and the judgement of an ``errno``.
What it must not know: sockets, tasks, the scheduler.  Stands on: the standard library alone.

An error class says who must act.  *You* called wrongly: BusyError, ClosedError, MisuseError.
*The peer* broke off: IncompleteError, LimitError.  *The system* is short: an ``OSError``, judged by
``judge_accept``.  *Nobody erred*: WOULDBLOCK is an answer, ``b""`` is the end of the stream, and
Cancelled is a request to leave.
"""

from __future__ import annotations

import errno
from enum import Enum
from typing import Final, Literal


class _WouldBlock(Enum):
    """The type of WOULDBLOCK; an Enum, so that type checkers can narrow it with ``is``."""

    WOULDBLOCK = "wouldblock"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "WOULDBLOCK"

    def __str__(self) -> str:
        return "wouldblock"


WouldBlock = Literal[_WouldBlock.WOULDBLOCK]
WOULDBLOCK: Final = _WouldBlock.WOULDBLOCK
"""The answer of a raw call that has nothing to give now: falsy, and never an error."""


class Cancelled(BaseException):
    """The scope around this park was cancelled: clean up and let it pass.

    Raised at every park inside the cancelled scope until the scope is left; the scope that caused
    it swallows it.  A BaseException, so that ``except Exception`` does not.
    """

    def __init__(self, reason: object = None) -> None:
        super().__init__(reason) if reason is not None else super().__init__()
        self.reason = reason


class CoopError(Exception):
    """The family of errors that coop itself raises."""


class MisuseError(CoopError, RuntimeError):
    """A call that cannot be right where it stands; the message says what to do instead."""


class BusyError(CoopError):
    """Another task is already waiting on the same direction of this socket."""


class ClosedError(CoopError, OSError):
    """The object was closed, before the call or while it waited.  ``errno`` is EBADF."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EBADF, message)

    def __str__(self) -> str:
        return str(self.strerror)


class IncompleteError(CoopError, EOFError):
    """The stream ended inside what was asked for.  ``partial`` holds what had arrived."""

    def __init__(self, message: str, partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial


class LimitError(CoopError, ValueError):
    """The peer sent more than the stated limit before the thing awaited came.

    What had arrived stays in the connection's buffer.
    """


class ResolveError(CoopError, OSError):
    """A host name has no address.  ``errno`` is the resolver's code (``socket.EAI_…``)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)

    def __str__(self) -> str:
        return str(self.strerror)


class TaskCancelled(CoopError):
    """The task that was joined had been cancelled, so it has no result."""


class Deadlock(CoopError):
    """No task can ever run again.  The message lists each with what it waits for."""


class AcceptFailure(Enum):
    """Why an accept failed, by what the accept loop must do about it."""

    #: That connection is gone (or one packet of the network's was bad): go on with the next.
    GONE = "gone"
    #: The process or the machine is out of descriptors or memory: stop accepting for a while.
    EXHAUSTED = "exhausted"
    #: The listener itself is unusable: give up.
    FATAL = "fatal"


def _codes(*names: str) -> frozenset[int]:
    """The errno values of these names that exist on this platform."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


# accept(2): Linux passes pending network errors of the new connection on as errors of accept.
_GONE: Final = _codes(
    "ECONNABORTED", "EPROTO", "EPERM", "EINTR", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN",
    "ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH", "ENOSR", "ETIMEDOUT", "ECONNRESET",
)  # fmt: skip
_EXHAUSTED: Final = _codes("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")


def judge_accept(error: OSError) -> AcceptFailure:
    """Say what an accept loop must do about this error of accept(2)."""
    if error.errno in _EXHAUSTED:
        return AcceptFailure.EXHAUSTED
    if error.errno in _GONE:
        return AcceptFailure.GONE
    return AcceptFailure.FATAL


#: A timeout of coop's own has no errno, and is not among them.
_LOST: Final = _codes(
    "ECONNRESET", "EPIPE", "ECONNABORTED", "ESHUTDOWN", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH",
    "ENETDOWN", "EHOSTDOWN", "ENOTCONN",
)  # fmt: skip


def is_connection_lost(error: OSError) -> bool:
    """Whether the error says that an open connection broke: the peer's doing, or the network's."""
    return error.errno in _LOST or (error.errno is None and isinstance(error, ConnectionError))


def errno_name(error: OSError) -> str:
    """Return the symbolic name of the error's code, such as ``ECONNREFUSED``."""
    return errno.errorcode.get(error.errno or 0, str(error.errno))
