"""What the kernel's tests share: a world whose clock leaps, pairs of connections, and patience.

In a World nothing sleeps.  When the scheduler would block, the clock leaps to the next alarm, so
timing tests are exact; a program that would wait for ever fails at once instead of hanging.
"""

from __future__ import annotations

import gc
import ssl
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

import coop
from coop.network import Network, SystemNetwork
from coop.poller import Events, Poller, best_poller
from coop.runtime import run_in
from coop.scheduler import Scheduler
from coop.sockets import socket_pair
from coop.stopwatch import Clock

T = TypeVar("T")
Gen = Generator[Any, Any, T]

#: Seconds that the real network gets to show what is under way, before the world calls it stuck.
PATIENCE = 5.0


class LeapingClock(Clock):
    """A clock that stands still until the poller moves it."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


class LeapingPoller:
    """A real poller that never blocks while there is an alarm to leap to."""

    name = "leaping"

    def __init__(self, clock: LeapingClock, inner: Poller) -> None:
        self.clock = clock
        self.inner = inner
        #: The timeouts that the scheduler asked for, in order.
        self.timeouts: list[float | None] = []
        self.watched: dict[int, int] = {}
        #: What the outside world does while the scheduler blocks; called once.
        self.before_poll: Callable[[], object] | None = None

    def watch(self, fd: int, interest: int) -> None:
        self.inner.watch(fd, interest)
        self.watched[fd] = interest

    def forget(self, fd: int) -> None:
        self.inner.forget(fd)
        self.watched.pop(fd, None)

    def poll(self, timeout: float | None) -> Events:
        self.timeouts.append(timeout)
        if timeout != 0 and self.before_poll is not None:
            act, self.before_poll = self.before_poll, None
            act()
        if timeout is None:
            events = self.inner.poll(PATIENCE)
            assert events, "the program waits for ever"
            return events
        events = self.inner.poll(0)
        if not events and timeout > 0:
            self.clock.time += timeout
        return events

    def fileno(self) -> int | None:
        return self.inner.fileno()

    def close(self) -> None:
        self.inner.close()


class World:
    """A scheduler of its own, on a leaping clock, over the real network."""

    def __init__(self, poller: Poller | None = None, network: Network | None = None) -> None:
        self.clock = LeapingClock()
        self.poller = LeapingPoller(self.clock, poller or best_poller())
        self.scheduler = Scheduler(self.clock, self.poller, network=network or SystemNetwork())

    @property
    def now(self) -> float:
        return self.clock.time

    def run(self, main: Gen[T]) -> T:
        """Run it to its end, and see to it that it leaves nothing in the scheduler."""
        try:
            value = run_in(self.scheduler, main)
        finally:
            self.poller.close()
        self.check_empty()
        return value

    def check_empty(self) -> None:
        assert {} == self.scheduler.tasks
        assert [] == list(self.scheduler.ready)
        self.check_empty_network()

    def check_empty_network(self) -> None:
        assert {} == self.scheduler.descriptors.table, "a descriptor was not forgotten"
        assert {} == self.poller.watched, "a descriptor is still watched"


def play(main: Gen[T]) -> T:
    """Run it in a world of its own."""
    return World().run(main)


def now() -> float:
    """The time of the world that is running."""
    return coop.current_scheduler().clock.now()


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for localhost, and one of clients who trust it."""
    authority = pytest.importorskip("trustme").CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    return server_side, client_side


def pair() -> tuple[coop.Connection, coop.Connection]:
    """Two connections with each other, in the running scheduler."""
    ours, theirs = socket_pair()
    return coop.Connection(ours), coop.Connection(theirs)


def tcp_pair() -> Gen[tuple[coop.Connection, coop.Connection]]:
    """Two connections with each other over the loopback: the one that called, the one that came."""
    with coop.listen("127.0.0.1", 0) as listener:
        called = yield from coop.connect(listener.address)
        came = yield from listener.accept()
    return called, came


def fill(conn: coop.Connection) -> int:
    """Send until the system takes no more; return how many bytes it took."""
    total = 0
    while sent := conn.socket.send(bytes(65536)):
        total += sent
    return total


def passes(count: int) -> Gen[None]:
    """Pass for so many turns."""
    for _ in range(count):
        yield None


def wait_until(condition: Callable[[], object]) -> Gen[None]:
    """Pass until it is so; fail when it is not soon."""
    for _ in range(1000):
        if condition():
            return
        yield None
    raise AssertionError("it never came to be")


class Thing:
    """Something to hold a weak reference to."""


@contextmanager
def no_collector() -> Iterator[None]:
    """Switch the cycle collector off, so that only reference counts free anything."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def watch_death(things: list[weakref.ref[Any]], thing: T) -> T:
    """Note a weak reference to it, and return it."""
    things.append(weakref.ref(thing))
    return thing
