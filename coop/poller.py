"""Pollers: ask the operating system which descriptors are ready.

What lives here: the readiness contract, and four backends that keep it, side by side, with the same
verbs in the same order; one suite tests them all; HasFileno, the type of what has a descriptor.
What it must not know: sockets, tasks, the scheduler, whose descriptor is whose.  Stands on: the
standard library alone.

Level-triggered everywhere: what is ready and not yet dealt with is reported again.  The bits are
those of poll(2).  A reader wakes on any bit but WRITE, a writer on any bit but READ, so ERROR and
HANGUP wake both.  Forget a descriptor before you close it.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

READ: Final = 1
WRITE: Final = 4
ERROR: Final = 8
HANGUP: Final = 16

Events = list[tuple[int, int]]
"""What a poll answers: descriptors, each once, with their bits."""

_A_DAY: Final = 86400.0
_IS_WINDOWS: Final = os.name == "nt"
_FD_SETSIZE: Final = 512 if _IS_WINDOWS else 1024

# Looked up at call time, so that a backend may be taken away; Any, for each platform lacks some.
_system: Final[Any] = select


class HasFileno(Protocol):
    """A socket, a file, a pipe: anything with a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor's number."""
        raise NotImplementedError


class Poller(Protocol):
    """The readiness contract."""

    name: str

    def watch(self, fd: int, interest: int) -> None:
        """Report this descriptor when it is ready for ``interest``: READ, WRITE, or READ | WRITE.

        Replaces the interest it had.  Raises ValueError for a number that cannot be watched.  A
        descriptor that is closed either raises OSError here, or comes out of the next poll as
        ERROR | HANGUP.
        """

    def forget(self, fd: int) -> None:
        """Report this descriptor no more.  Unknown, closed or forgotten already: no error."""

    def poll(self, timeout: float | None) -> Events:
        """Wait until something is ready, for at most ``timeout`` seconds; return what is.

        0 or less only looks, None waits for ever.  Nothing is returned before its time, but for
        one case: a wait ends after a day, as no system call takes more.
        """

    def fileno(self) -> int | None:
        """Return the descriptor of the poller itself, or None if it needs none."""

    def close(self) -> None:
        """Give back what the poller holds, and forget all it watched.  Twice is no error."""


class Select(Poller):
    """select(2): on every platform; slow beyond some dozens of descriptors, refused beyond 1,024.

    On Windows it takes sockets only, and counts them (512) where others look at their numbers.
    """

    name = "select"

    def __init__(self) -> None:
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def watch(self, fd: int, interest: int) -> None:
        self._check_room(fd)
        (self._readers.add if interest & READ else self._readers.discard)(fd)
        (self._writers.add if interest & WRITE else self._writers.discard)(fd)

    def forget(self, fd: int) -> None:
        self._readers.discard(fd)
        self._writers.discard(fd)

    def poll(self, timeout: float | None) -> Events:
        timeout = _capped(timeout)
        if not self._readers and not self._writers:  # Windows refuses three empty sets
            time.sleep(_A_DAY if timeout is None else timeout)
            return []
        # Windows tells of a failed connect here; elsewhere it would be out-of-band data.
        failing = self._writers if _IS_WINDOWS else ()
        try:
            ready = _system.select(self._readers, self._writers, failing, timeout)
        except OSError:
            if not (dead := self._bury_dead()):
                raise
            return dead
        events: dict[int, int] = {}
        for fds, bit in zip(ready, (READ, WRITE, ERROR), strict=True):
            for fd in fds:
                events[fd] = events.get(fd, 0) | bit
        return list(events.items())

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        self._readers.clear()
        self._writers.clear()

    def _check_room(self, fd: int) -> None:
        """Refuse a descriptor that select(2) cannot take, before it spoils every poll."""
        if fd < 0:
            raise ValueError(f"cannot watch descriptor {fd}: it is closed, or never was open")
        taken = len((self._readers | self._writers) - {fd}) if _IS_WINDOWS else fd
        if taken >= _FD_SETSIZE:
            raise ValueError(
                f"cannot watch descriptor {fd}: select(2) takes {_FD_SETSIZE} at most (FD_SETSIZE);"
                " use another of coop.poller.available_pollers(), or fewer connections"
            )

    def _bury_dead(self) -> Events:
        """Forget and report what was closed behind our back, or select(2) would fail for ever."""
        dead = [fd for fd in self._readers | self._writers if _is_dead(fd)]
        for fd in dead:
            self.forget(fd)
        return [(fd, ERROR | HANGUP) for fd in dead]


class Poll(Poller):
    """poll(2): Unix; any descriptor, but each call costs as much as is watched."""

    name = "poll"

    def __init__(self) -> None:
        self._poll = _system.poll()

    def watch(self, fd: int, interest: int) -> None:
        self._poll.register(fd, interest)

    def forget(self, fd: int) -> None:
        with suppress(KeyError, ValueError):
            self._poll.unregister(fd)

    def poll(self, timeout: float | None) -> Events:
        timeout = _capped(timeout)
        events: Events = self._poll.poll(None if timeout is None else timeout * 1000)
        for index, (fd, bits) in enumerate(events):
            if bits & _system.POLLNVAL:  # closed behind our back: say so once, not for ever
                self.forget(fd)
                events[index] = fd, ERROR | HANGUP
        return events

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        self._poll = _system.poll()


class Epoll(Poller):
    """epoll(7): Linux; a call costs as much as is ready, however much is watched."""

    name = "epoll"

    def __init__(self) -> None:
        self._epoll = _system.epoll()
        self._interests: dict[int, int] = {}
        self._wait: Callable[[float | None], Events] = self._epoll.poll

    def watch(self, fd: int, interest: int) -> None:
        try:
            if fd in self._interests:
                self._epoll.modify(fd, interest)
            else:
                self._epoll.register(fd, interest)
        except FileNotFoundError:
            self._wait = self._poll_afresh
        self._interests[fd] = interest

    def forget(self, fd: int) -> None:
        if self._interests.pop(fd, None) is not None:
            try:
                self._epoll.unregister(fd)
            except OSError:
                self._wait = self._poll_afresh

    def poll(self, timeout: float | None) -> Events:
        if timeout is None or 0 <= timeout <= _A_DAY:  # every turn comes here: no call to _capped
            return self._wait(timeout)
        return self._wait(_capped(timeout))

    def fileno(self) -> int:
        return int(self._epoll.fileno())

    def close(self) -> None:
        self._interests.clear()
        self._epoll.close()

    def _poll_afresh(self, timeout: float | None) -> Events:
        """Start a new epoll set and poll it: a descriptor was closed behind our back.

        The set holds open files, not numbers.  If a duplicate (dup, fork) keeps that file open, the
        old set goes on reporting it under a number that is gone or another's, and cannot be told
        to stop.
        """
        self._epoll.close()
        self._epoll = _system.epoll()
        self._wait = self._epoll.poll
        for fd, interest in list(self._interests.items()):
            try:
                self._epoll.register(fd, interest)
            except OSError:
                del self._interests[fd]
        return self._wait(timeout)


class Kqueue(Poller):
    """kqueue(2): macOS and the BSDs; a call costs as much as is ready.

    A descriptor has a filter for each direction.  The end of the peer's data is READ alone, as it
    is with poll(2); that it takes no more from us is HANGUP.
    """

    name = "kqueue"

    def __init__(self) -> None:
        self._kqueue = _system.kqueue()
        self._filters = {READ: _system.KQ_FILTER_READ, WRITE: _system.KQ_FILTER_WRITE}

    def watch(self, fd: int, interest: int) -> None:
        for bit in self._filters:
            if interest & bit:
                with suppress(BrokenPipeError):  # a pipe without a reader: reported all the same
                    self._change(fd, bit, _system.KQ_EV_ADD)
            else:
                self._drop(fd, bit)

    def forget(self, fd: int) -> None:
        for bit in self._filters:
            self._drop(fd, bit)

    def poll(self, timeout: float | None) -> Events:
        events: dict[int, int] = {}
        for event in self._kqueue.control(None, 1024, _capped(timeout)):
            events[event.ident] = events.get(event.ident, 0) | self._bits(event)
        return list(events.items())

    def fileno(self) -> int:
        return int(self._kqueue.fileno())

    def close(self) -> None:
        self._kqueue.close()

    def _change(self, fd: int, bit: int, action: int) -> None:
        self._kqueue.control([_system.kevent(fd, self._filters[bit], action)], 0, 0)

    def _drop(self, fd: int, bit: int) -> None:
        """Delete a filter.  It may be unknown, its descriptor closed, the poller closed."""
        with suppress(OSError, ValueError):
            self._change(fd, bit, _system.KQ_EV_DELETE)

    def _bits(self, event: Any) -> int:
        bits = READ if event.filter == _system.KQ_FILTER_READ else WRITE
        if event.flags & _system.KQ_EV_EOF:
            bits |= HANGUP if bits == WRITE else 0
            bits |= ERROR if event.fflags else 0  # the pending error of the socket
        return bits


def available_pollers() -> list[type[Poller]]:
    """Return the backends of this platform, the best one first."""
    return [backend for backend in (Epoll, Kqueue, Poll, Select) if hasattr(_system, backend.name)]


def best_poller() -> Poller:
    """Return a new poller of the best backend of this platform."""
    return available_pollers()[0]()


def _capped(timeout: float | None) -> float | None:
    """Bring a timeout within what every system call takes: from 0 to a day.  None stays None."""
    if timeout is None or 0 <= timeout <= _A_DAY:
        return timeout
    return _A_DAY if timeout > 0 else 0


def _is_dead(fd: int) -> bool:
    try:
        _system.select((fd,), (), (), 0)
    except OSError:
        return True
    return False
