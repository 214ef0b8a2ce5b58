"""The doorbell: how a signal or another thread wakes a scheduler that sleeps in its poller.

What lives here: a socket pair, rung by one byte.  What it must not know: who rings, or why.
Stands on: outcomes.  A pair of sockets, not a pipe: ``signal.set_wakeup_fd`` and
``select`` on Windows know sockets only.
"""

from __future__ import annotations

import socket
import threading

from coop.outcomes import ClosedError


class Doorbell:
    """A descriptor that becomes readable when ``ring`` is called, from any thread or a signal."""

    __slots__ = ("_inside", "_outside")

    def __init__(self) -> None:
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._inside.fileno()

    @property
    def button(self) -> int:
        """The descriptor that rings the bell when a byte is written to it."""
        return self._outside.fileno()

    def ring(self) -> None:
        """Wake the scheduler.  Never waits; ringing twice is ringing once.

        Errors: ClosedError when the bell was taken down.
        """
        try:
            self._outside.send(b"\0")
        except BlockingIOError:
            pass  # full of rings already
        except OSError as error:
            raise ClosedError("nobody answers this door: the run is over") from error

    def may_be_rung(self) -> bool:
        """Whether another thread is alive, which could ring."""
        return threading.active_count() > 1

    def silence(self) -> None:
        """Take in every ring so far."""
        try:
            while len(self._inside.recv(4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Take the bell down."""
        self._inside.close()
        self._outside.close()
