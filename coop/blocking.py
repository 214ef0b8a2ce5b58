"""Blocking: the calls of a raw socket, made to wait: no scheduler, one conversation at a time.

What lives here: ``wait_ready``, and accept, connect, recv and the like over one loop: try; on
WOULDBLOCK wait until the socket is ready; try again.  What it must not know: tasks.
Stands on: outcomes, poller, sockets, stopwatch.

``timeout`` is in seconds, for the whole call and not for each try; None is for ever, 0 tries once.
When it ends, TimeoutError is raised, which has no errno: the network's own (ETIMEDOUT) has one.
A wait is the system's, so it costs no CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from math import inf
from typing import TypeVar

from coop.address import Address
from coop.outcomes import WOULDBLOCK, AcceptFailure, WouldBlock, judge_accept
from coop.poller import READ, WRITE, Poll, Poller, Select, available_pollers
from coop.sockets import Socket, StreamSocket, UdpSocket
from coop.stopwatch import Countdown

T = TypeVar("T")
S = TypeVar("S", bound=StreamSocket)


def wait_ready(sock: Socket, interest: int, countdown: Countdown) -> None:
    """Wait until the socket is ready for READ or WRITE, or has failed, which a try will tell.

    Errors: TimeoutError when the countdown ends; the socket stays as it is.
    """
    with closing(_new_poller()) as poller:
        poller.watch(sock.fileno(), interest)
        while not countdown.expired:
            remaining = countdown.remaining
            if poller.poll(None if remaining == inf else remaining):
                return
    raise TimeoutError(f"{sock!r} was not ready within {countdown.seconds} s")


def accept(listener: S, *, timeout: float | None = None) -> S:
    """Wait for the next connection and return it.

    One that breaks off while it is accepted is passed over.  Errors: TimeoutError; OSError, also
    when descriptors have run out: close some and try again.
    """
    return _retry(listener, READ, Countdown(timeout), lambda: _accept_sound(listener))


def connect(sock: StreamSocket, address: Address, *, timeout: float | None = None) -> None:
    """Connect, and wait until it is done.  Errors: TimeoutError, OSError; then close the socket."""
    _retry(sock, WRITE, Countdown(timeout), sock.connect, address)


def recv(sock: StreamSocket, max_bytes: int, *, timeout: float | None = None) -> bytes:
    """Wait for data and return it, at most ``max_bytes``; b"" is the end of the peer's data.

    Errors: TimeoutError, OSError.
    """
    return _retry(sock, READ, Countdown(timeout), sock.recv, max_bytes)


def recv_from(
    sock: UdpSocket, max_bytes: int, *, timeout: float | None = None
) -> tuple[bytes, Address]:
    """Wait for a datagram; return it with its sender.  Errors: TimeoutError, OSError."""
    return _retry(sock, READ, Countdown(timeout), sock.recv_from, max_bytes)


def send_all(sock: StreamSocket, data: bytes, *, timeout: float | None = None) -> None:
    """Send all of it, and wait until the system has taken it.

    Errors: TimeoutError, OSError; a part has been sent then, so close the socket.
    """
    countdown = Countdown(timeout)
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[_retry(sock, WRITE, countdown, sock.send, rest) :]


def close_down(sock: StreamSocket, *, timeout: float = 5.0, max_bytes: int = 1 << 24) -> None:
    """Send the end, wait for the peer's, and close: so the peer gets all that was sent to it.

    What the peer still sends is thrown away, for at most this long and this much.  Never raises an
    OSError: the socket is closed in any case.
    """
    countdown = Countdown(timeout)
    with sock, suppress(OSError):  # TimeoutError is one; ENOTCONN is usual after a reset
        sock.shutdown_send()
        while max_bytes > 0 and not countdown.expired:
            data = _retry(sock, READ, countdown, sock.recv, 65536)
            if not data:
                break
            max_bytes -= len(data)


def _retry(
    sock: Socket,
    interest: int,
    countdown: Countdown,
    attempt: Callable[..., T | WouldBlock],
    *args: object,
) -> T:
    while (outcome := attempt(*args)) is WOULDBLOCK:
        wait_ready(sock, interest, countdown)
    return outcome


def _accept_sound(listener: S) -> S | WouldBlock:
    """Try to accept; a connection that is gone already is as good as none."""
    try:
        return listener.accept()
    except OSError as err:
        if judge_accept(err) is not AcceptFailure.GONE:
            raise
        return WOULDBLOCK


def _new_poller() -> Poller:
    """Return a poller that holds no descriptor of its own: it is for one wait on one socket."""
    return next(backend for backend in (Poll, Select) if backend in available_pollers())()
