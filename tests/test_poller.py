"""One contract, every backend: the suite runs over all that this machine has.

Kqueue runs over an imitation where the system has none.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop import poller as poller_module
from coop.poller import (
    ERROR,
    HANGUP,
    READ,
    WRITE,
    Epoll,
    Kqueue,
    Poll,
    Poller,
    Select,
    available_pollers,
    best_poller,
)

pytestmark = pytest.mark.core

HAS_KQUEUE = hasattr(select, "kqueue")
POLL = getattr(select, "poll", None)
END = getattr(select, "POLLRDHUP", 0)
BACKENDS = available_pollers() + ([Kqueue] if POLL and not HAS_KQUEUE else [])
UNLIMITED = [backend for backend in BACKENDS if backend is not Select]

KQUEUE_CONSTANTS = {
    "KQ_FILTER_READ": -1,
    "KQ_FILTER_WRITE": -2,
    "KQ_EV_ADD": 1,
    "KQ_EV_DELETE": 2,
    "KQ_EV_EOF": 0x8000,
}

Pair = tuple[socket.socket, socket.socket]


class ImitatedKqueue:
    """kqueue(2) as its manual has it, on top of poll(2).

    A filter belongs to an open descriptor, and goes when that is closed.
    """

    def __init__(self) -> None:
        self.filters: dict[tuple[int, int], object] = {}
        self.own = socket.socket()
        self.close = self.own.close

    def fileno(self) -> int:
        if self.own.fileno() < 0:
            raise ValueError("I/O operation on closed kqueue object")
        return self.own.fileno()

    @staticmethod
    def kevent(ident: int, kind: int, flags: int, fflags: int = 0) -> SimpleNamespace:
        if ident < 0:
            raise ValueError("file descriptor cannot be a negative integer")
        return SimpleNamespace(ident=ident, filter=kind, flags=flags, fflags=fflags)

    @staticmethod
    def file_of(fd: int) -> object:
        return os.fstat(fd).st_dev, os.fstat(fd).st_ino

    def control(
        self, changes: list[Any] | None, max_events: int, timeout: float | None
    ) -> list[Any]:
        self.fileno()  # raises ValueError when closed
        for change in changes or ():
            key, file = (change.ident, change.filter), self.file_of(change.ident)
            if change.flags == KQUEUE_CONSTANTS["KQ_EV_ADD"]:
                self.filters[key] = file
            elif self.filters.get(key) != file:
                raise FileNotFoundError(errno.ENOENT, "no such filter")
            else:
                del self.filters[key]
        events = self.events(timeout)[:max_events] if max_events else []
        for key in [(event.ident, event.filter) for event in events]:
            self.filters[key] = self.filters.pop(key)  # the others come first next time
        return events

    def events(self, timeout: float | None) -> list[Any]:
        poll = POLL()
        interests: dict[int, int] = {}
        for (fd, kind), file in list(self.filters.items()):
            try:
                alive = self.file_of(fd) == file
            except OSError:
                alive = False
            if alive:
                interests[fd] = interests.get(fd, 0) | (READ | END if kind == -1 else WRITE)
                poll.register(fd, interests[fd])
            else:
                del self.filters[fd, kind]
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be positive or None")
        ready = poll.poll(None if timeout is None else math.ceil(timeout * 1000))
        return [
            self.kevent(fd, kind, 0x8000 if bits & (end | HANGUP) else 0, bits & ERROR)
            for fd, bits in ready
            for kind, bit, end in ((-1, READ, END), (-2, WRITE, 0))
            if interests[fd] & bit and bits & (bit | ERROR | HANGUP)
        ]


@pytest.fixture(autouse=True)
def kqueue_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    if not HAS_KQUEUE:
        imitate_kqueue(monkeypatch)


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def poller(request: pytest.FixtureRequest, kqueue_is_there: None) -> Iterator[Poller]:
    poller = request.param()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def dups(pair: Pair) -> Iterator[Callable[[int], list[int]]]:
    """Return a function that makes many descriptors of one writable socket."""
    made: list[int] = []

    def make(count: int) -> list[int]:
        resource = pytest.importorskip("resource")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count + 200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 200, hard), hard))
        made.extend(os.dup(pair[0].fileno()) for _ in range(count))
        return made

    yield make
    for fd in made:
        os.close(fd)


def imitate_kqueue(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KQUEUE_CONSTANTS.items():
        monkeypatch.setattr(select, name, value, raising=False)
    monkeypatch.setattr(select, "kqueue", ImitatedKqueue, raising=False)
    monkeypatch.setattr(select, "kevent", ImitatedKqueue.kevent, raising=False)


def tcp_pair() -> Pair:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


def reset(sock: socket.socket) -> None:
    """Close so that the other side gets ECONNRESET."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fill(sock: socket.socket) -> None:
    """Send until nothing more can be."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while sock.send(bytes(65536)):
            pass


def woken(bits: int) -> int:
    """Return the directions whose waiters these bits wake."""
    return (READ if bits & ~WRITE else 0) | (WRITE if bits & ~READ else 0)


def close_behind_its_back(sock: socket.socket) -> int:
    fd = sock.fileno()
    sock.close()
    return fd


# -- readiness ----------------------------------------------------------------------------------


def test_nothing_watched_is_nothing_ready(poller: Poller) -> None:
    assert [] == poller.poll(0)


def test_a_descriptor_is_readable_once_data_came(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    poller.watch(ours.fileno(), READ)
    assert [] == poller.poll(0)
    theirs.send(b"x")
    assert [(ours.fileno(), READ)] == poller.poll(None)


def test_a_descriptor_is_writable_while_there_is_room(poller: Poller, pair: Pair) -> None:
    ours, _ = pair
    poller.watch(ours.fileno(), WRITE)
    assert [(ours.fileno(), WRITE)] == poller.poll(None)
    fill(ours)
    assert [] == poller.poll(0)


def test_both_directions_come_as_one_event(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    poller.watch(ours.fileno(), READ | WRITE)
    assert [(ours.fileno(), READ | WRITE)] == poller.poll(None)


def test_all_that_are_ready_are_reported(poller: Poller, pair: Pair) -> None:
    for sock in pair:
        poller.watch(sock.fileno(), WRITE)
    assert {(sock.fileno(), WRITE) for sock in pair} == set(poller.poll(None))


def test_readiness_is_reported_until_it_is_dealt_with(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    poller.watch(ours.fileno(), READ)
    theirs.send(b"xy")
    for _ in range(2):
        assert [(ours.fileno(), READ)] == poller.poll(0)
        ours.recv(1)
    assert [] == poller.poll(0)


@pytest.mark.parametrize("before", [READ, WRITE, READ | WRITE])
@pytest.mark.parametrize("after", [READ, WRITE, READ | WRITE])
def test_a_new_interest_replaces_the_old(
    poller: Poller, pair: Pair, before: int, after: int
) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    poller.watch(ours.fileno(), before)
    assert [(ours.fileno(), before)] == poller.poll(0)
    poller.watch(ours.fileno(), after)
    assert [(ours.fileno(), after)] == poller.poll(0)


# -- the end of a conversation ------------------------------------------------------------------


@pytest.mark.parametrize("interest", [READ, WRITE, READ | WRITE])
def test_a_reset_wakes_whoever_waits(poller: Poller, interest: int) -> None:
    ours, theirs = tcp_pair()
    with ours:
        fill(ours)  # so that it is the reset that wakes the writer
        poller.watch(ours.fileno(), interest)
        reset(theirs)
        [(fd, bits)] = poller.poll(None)
        assert (ours.fileno(), interest) == (fd, woken(bits) & interest)


@pytest.mark.parametrize("interest", [READ, WRITE, READ | WRITE])
def test_a_refused_connect_wakes_whoever_waits(poller: Poller, interest: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()
    with socket.socket() as ours:
        ours.setblocking(False)
        ours.connect_ex(nobody)
        poller.watch(ours.fileno(), interest)
        [(fd, bits)] = poller.poll(None)
        assert (ours.fileno(), interest) == (fd, woken(bits) & interest)


def test_a_half_close_wakes_the_reader_alone(poller: Poller) -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        fill(ours)
        poller.watch(ours.fileno(), READ | WRITE)
        theirs.shutdown(socket.SHUT_WR)
        assert [(ours.fileno(), READ)] == poller.poll(None)


@pytest.mark.skipif(os.name == "nt", reason="select on Windows takes sockets only")
def test_a_broken_pipe_wakes_its_end(poller: Poller) -> None:
    for gone, left, interest in ((1, 0, READ), (0, 1, WRITE)):
        ends = os.pipe()
        os.close(ends[gone])
        poller.watch(ends[left], interest)
        [(fd, bits)] = poller.poll(None)
        assert (ends[left], interest) == (fd, woken(bits) & interest)
        poller.forget(ends[left])
        os.close(ends[left])


def test_urgent_data_is_no_error(poller: Poller) -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        fill(ours)
        poller.watch(ours.fileno(), READ | WRITE)
        theirs.send(b"!", socket.MSG_OOB)
        theirs.send(b"x")
        assert [(ours.fileno(), READ)] == poller.poll(None)


@pytest.mark.parametrize(
    ("kind", "flags", "fflags", "bits"),
    [
        ("READ", 0, 0, READ),
        ("READ", 0x8000, 0, READ),
        ("READ", 0x8000, errno.ECONNRESET, READ | ERROR),
        ("WRITE", 0, 0, WRITE),
        ("WRITE", 0x8000, 0, WRITE | HANGUP),
        ("WRITE", 0x8000, errno.EPIPE, WRITE | HANGUP | ERROR),
    ],
)
def test_kqueue_tells_the_bits_of_poll(
    monkeypatch: pytest.MonkeyPatch, kind: str, flags: int, fflags: int, bits: int
) -> None:
    imitate_kqueue(monkeypatch)
    event = ImitatedKqueue.kevent(7, KQUEUE_CONSTANTS[f"KQ_FILTER_{kind}"], flags, fflags)
    monkeypatch.setattr(
        select, "kqueue", lambda: SimpleNamespace(control=lambda *_: [event]), raising=False
    )
    assert [(7, bits)] == Kqueue().poll(0)


# -- forgetting ---------------------------------------------------------------------------------


def test_a_forgotten_descriptor_is_silent(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    poller.watch(ours.fileno(), READ | WRITE)
    poller.forget(ours.fileno())
    assert [] == poller.poll(0)
    poller.forget(ours.fileno())
    assert [] == poller.poll(0)


@pytest.mark.parametrize("fd", [-1, 0, 999, 10**6])
def test_forgetting_an_unknown_descriptor_is_harmless(poller: Poller, fd: int) -> None:
    poller.forget(fd)


def test_a_forgotten_descriptor_may_be_watched_again(poller: Poller, pair: Pair) -> None:
    ours, _ = pair
    poller.watch(ours.fileno(), READ)
    poller.forget(ours.fileno())
    poller.watch(ours.fileno(), WRITE)
    assert [(ours.fileno(), WRITE)] == poller.poll(0)


def test_a_reused_number_brings_no_event_of_its_former_owner(poller: Poller) -> None:
    first, peer = socket.socketpair()
    peer.send(b"x")
    poller.watch(first.fileno(), READ | WRITE)
    poller.forget(first.fileno())
    number = close_behind_its_back(first)
    second, other = socket.socketpair()
    with second, other, peer:
        assert number in (second.fileno(), other.fileno())
        assert [] == poller.poll(0)
        poller.watch(number, READ)
        assert [] == poller.poll(0)


# -- descriptors closed behind our back ---------------------------------------------------------


def test_a_closed_descriptor_does_not_spoil_the_others(poller: Poller, pair: Pair) -> None:
    lost, peer = socket.socketpair()
    poller.watch(lost.fileno(), READ | WRITE)
    poller.watch(pair[0].fileno(), WRITE)
    number = close_behind_its_back(lost)
    peer.close()
    assert set(poller.poll(0)) <= {(number, ERROR | HANGUP), (pair[0].fileno(), WRITE)}
    assert [(pair[0].fileno(), WRITE)] == poller.poll(0)
    poller.forget(number)
    assert [(pair[0].fileno(), WRITE)] == poller.poll(0)


def test_watching_a_closed_descriptor_is_told_at_once_or_by_the_next_poll(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    number = close_behind_its_back(ours)
    told: list[tuple[int, int]] = []
    try:
        poller.watch(number, READ)
    except OSError:
        told = [(number, ERROR | HANGUP)]
    assert [(number, ERROR | HANGUP)] == told + poller.poll(0)
    assert [] == poller.poll(0)


@pytest.mark.parametrize("before", [READ, WRITE, READ | WRITE])
@pytest.mark.parametrize("has_duplicate", [False, True])
def test_a_number_reopened_behind_our_back_is_its_new_owners(
    poller: Poller, pair: Pair, before: int, has_duplicate: bool
) -> None:
    lost, peer = socket.socketpair()
    peer.send(b"x")
    poller.watch(lost.fileno(), before)
    duplicate = lost.dup() if has_duplicate else peer
    number = close_behind_its_back(lost)
    os.dup2(pair[0].fileno(), number)
    with socket.socket(fileno=number), duplicate, peer:
        poller.watch(number, READ)
        assert [] == poller.poll(0)
        pair[1].send(b"y")
        assert [(number, READ)] == poller.poll(0)


def test_a_duplicate_does_not_keep_a_forgotten_descriptor_reporting(
    poller: Poller, pair: Pair
) -> None:
    lost, peer = socket.socketpair()
    poller.watch(pair[0].fileno(), WRITE)
    poller.watch(lost.fileno(), WRITE)
    with lost.dup(), peer:
        poller.forget(close_behind_its_back(lost))
        assert [(pair[0].fileno(), WRITE)] == poller.poll(0)


# -- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, -1, -0.001, -math.inf])
def test_a_timeout_of_nothing_only_looks(poller: Poller, pair: Pair, timeout: float) -> None:
    poller.watch(pair[0].fileno(), READ)
    assert [] == poller.poll(timeout)
    poller.watch(pair[0].fileno(), WRITE)
    assert [(pair[0].fileno(), WRITE)] == poller.poll(timeout)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300, 1e-300])
def test_any_timeout_will_do_for_what_is_ready(
    poller: Poller, pair: Pair, timeout: float | None
) -> None:
    poller.watch(pair[0].fileno(), WRITE)
    assert [(pair[0].fileno(), WRITE)] == poller.poll(timeout)


@pytest.mark.parametrize("timeout", [1e-9, 0.0004, 0.0107])
@pytest.mark.parametrize("is_watching", [False, True])
def test_a_wait_is_never_too_short(
    poller: Poller, pair: Pair, timeout: float, is_watching: bool
) -> None:
    if is_watching:
        poller.watch(pair[0].fileno(), READ)
    started = time.monotonic()
    assert [] == poller.poll(timeout)
    assert time.monotonic() - started >= timeout


def test_no_timeout_waits_until_something_comes(poller: Poller) -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        poller.watch(ours.fileno(), READ)
        speak = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).send(b'x')"
        command = [sys.executable, "-c", speak, str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()]):
            assert [(ours.fileno(), READ)] == poller.poll(None)


@pytest.mark.parametrize("timeout", [None, math.inf, 86401, 3.0, -1])
def test_select_with_nothing_to_watch_sleeps(
    monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert [] == Select().poll(timeout)
    assert [{3.0: 3.0, -1: 0}.get(timeout or 0, 86400)] == slept


# -- many descriptors ---------------------------------------------------------------------------


@pytest.mark.parametrize("backend", UNLIMITED, ids=lambda backend: backend.name)
def test_more_than_1024_descriptors_are_watched(
    backend: type[Poller], dups: Callable[[int], list[int]]
) -> None:
    poller, fds = backend(), dups(1500)
    for fd in fds:
        poller.watch(fd, WRITE)
    ready = [event for _ in range(2) for event in poller.poll(0)]  # a poll may answer a part
    assert {(fd, WRITE) for fd in fds} == set(ready)
    poller.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows counts, instead of looking at numbers")
def test_select_refuses_a_number_it_cannot_hold(
    pair: Pair, dups: Callable[[int], list[int]]
) -> None:
    poller, fd = Select(), max(dups(1100))
    with pytest.raises(ValueError, match=rf"descriptor {fd}: .* 1024 .*available_pollers"):
        poller.watch(fd, READ)
    poller.watch(pair[0].fileno(), WRITE)
    assert [(pair[0].fileno(), WRITE)] == poller.poll(0)


def test_select_on_windows_counts_its_descriptors(
    monkeypatch: pytest.MonkeyPatch, pair: Pair
) -> None:
    monkeypatch.setattr(poller_module, "_IS_WINDOWS", True)
    monkeypatch.setattr(poller_module, "_FD_SETSIZE", 1)
    poller = Select()
    poller.watch(pair[0].fileno(), READ)
    poller.watch(pair[0].fileno(), WRITE)
    with pytest.raises(ValueError, match="takes 1 at most"):
        poller.watch(pair[1].fileno(), READ)


def test_select_on_windows_hears_of_a_failed_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller_module, "_IS_WINDOWS", True)
    poller = Select()
    ours, theirs = tcp_pair()
    with ours, theirs:
        poller.watch(ours.fileno(), WRITE)
        theirs.send(b"!", socket.MSG_OOB)  # what fills the third set of select(2) elsewhere
        while [(ours.fileno(), WRITE | ERROR)] != poller.poll(None):
            pass


# -- the poller itself --------------------------------------------------------------------------


def test_watching_a_negative_number_is_an_error(poller: Poller) -> None:
    with pytest.raises(ValueError, match=r"negative|descriptor -1"):
        poller.watch(-1, READ)
    assert [] == poller.poll(0)


def test_closing_twice_is_closing_once(poller: Poller, pair: Pair) -> None:
    poller.watch(pair[0].fileno(), WRITE)
    poller.close()
    poller.close()
    poller.forget(pair[0].fileno())


def test_a_poller_tells_its_own_descriptor(poller: Poller) -> None:
    fd = poller.fileno()
    assert (poller.name in ("epoll", "kqueue")) == (fd is not None)
    assert fd is None or fd > 2


def test_the_best_poller_is_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    order = [backend for backend in (Epoll, Kqueue, Poll, Select) if hasattr(select, backend.name)]
    for best in order:
        assert order[order.index(best) :] == available_pollers()
        poller = best_poller()
        assert best is type(poller)
        poller.close()
        monkeypatch.delattr(select, best.name)


def test_kqueue_watches_a_pipe_without_a_reader(
    monkeypatch: pytest.MonkeyPatch, pair: Pair
) -> None:
    def break_pipe(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "as macOS says, and yet adds the filter")

    imitate_kqueue(monkeypatch)
    monkeypatch.setattr(
        select, "kqueue", lambda: SimpleNamespace(control=break_pipe), raising=False
    )
    Kqueue().watch(pair[0].fileno(), WRITE)


# -- all backends alike -------------------------------------------------------------------------

VERBS = ("watch", "watch", "forget", "send", "receive", "reset", "close", "reopen")
STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 2), st.sampled_from([1, 4, 5])))


class Story:
    """Three descriptors, what is watched of them, and every backend watching alike."""

    def __init__(self) -> None:
        self.pollers = [backend() for backend in BACKENDS]
        self.pairs = [tcp_pair() for _ in range(3)]
        self.watched: dict[int, int] = {}

    def tell(self, verb: str, index: int, interest: int) -> None:
        ours, theirs = self.pairs[index]
        is_open = ours.fileno() >= 0
        if verb == "watch" and is_open:
            self.watched[index] = interest
            self.each("watch", ours.fileno(), interest)
        elif verb in ("forget", "close") and is_open:
            self.watched.pop(index, None)
            self.each("forget", ours.fileno())
            if verb == "close":
                ours.close()
        elif verb == "send" and theirs.fileno() >= 0 and is_open:
            theirs.send(b"x")
        elif verb == "receive" and is_open:
            ours.setblocking(False)
            with contextlib.suppress(OSError):
                ours.recv(1)
        elif verb == "reset" and theirs.fileno() >= 0:
            reset(theirs)
        elif verb == "reopen" and not is_open:
            theirs.close()
            self.pairs[index] = tcp_pair()

    def each(self, verb: str, *args: int) -> None:
        for poller in self.pollers:
            getattr(poller, verb)(*args)

    def wakes(self, poller: Poller) -> set[tuple[int, int]]:
        """Return the waiters that a look at the poller wakes, as (index, direction)."""
        index_of = {self.pairs[index][0].fileno(): index for index in self.watched}
        return {
            (index_of[fd], direction)
            for fd, bits in poller.poll(0)
            for direction in (READ, WRITE)
            if self.watched[index_of[fd]] & direction & woken(bits)
        }

    def end(self) -> None:
        for sock in (sock for pair in self.pairs for sock in pair):
            sock.close()
        for poller in self.pollers:
            poller.close()


@given(STEPS)
def test_all_backends_wake_the_same_waiters(steps: list[tuple[str, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        if not HAS_KQUEUE:
            imitate_kqueue(monkeypatch)
        story = Story()
        try:
            for step in steps:
                story.tell(*step)
                first, *others = map(story.wakes, story.pollers)
                assert [first] * len(others) == others, step
        finally:
            story.end()
