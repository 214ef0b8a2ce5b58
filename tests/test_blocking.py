"""The blocking calls: they wait, by the system's own waiting, and no longer than they were told."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coop import blocking
from coop.address import ipv4
from coop.blocking import accept, close_down, connect, recv, recv_from, send_all, wait_ready
from coop.outcomes import WOULDBLOCK, WouldBlock
from coop.poller import READ, WRITE
from coop.sockets import (
    StreamSocket,
    TcpSocket,
    create_tcp_server_socket,
    create_tcp_socket,
    create_udp_socket,
    socket_pair,
)
from coop.stopwatch import Countdown, ManualClock

pytestmark = pytest.mark.core

LOOPBACK = ipv4("127.0.0.1", 0)
SOON = 0.02


@pytest.fixture
def listener() -> Iterator[TcpSocket]:
    with create_tcp_server_socket(0, address=LOOPBACK) as listener:
        yield listener


@pytest.fixture
def pair() -> Iterator[tuple[StreamSocket, StreamSocket]]:
    one, other = socket_pair()
    with one, other:
        yield one, other


class StubbornPoller:
    """A poller on which something becomes ready only after some looks; it moves the clock."""

    def __init__(self, clock: ManualClock, looks: int) -> None:
        self.clock = clock
        self.looks = looks
        self.timeouts: list[float | None] = []

    def watch(self, fd: int, interest: int) -> None:
        pass

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        self.timeouts.append(timeout)
        self.clock.advance(1.0)
        self.looks -= 1
        return [(0, READ)] if self.looks <= 0 else []

    def close(self) -> None:
        pass


def after(times: int, outcome: object) -> Callable[..., Any]:
    """Return a call that answers WOULDBLOCK this many times before its outcome."""
    answers = iter([WOULDBLOCK] * times)
    return lambda *_: next(answers, outcome)


# Waiting


def test_wait_ends_when_the_socket_is_ready(pair: tuple[StreamSocket, StreamSocket]) -> None:
    pair[1].send(b"x")
    wait_ready(pair[0], READ, Countdown(None))
    wait_ready(pair[0], WRITE, Countdown(None))


def test_wait_ends_with_the_countdown_and_names_the_socket(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    with pytest.raises(TimeoutError, match=r"<(Unix|Tcp)Socket .* was not ready within 0.02 s"):
        wait_ready(pair[0], READ, Countdown(SOON))


def test_wait_goes_on_after_a_poll_that_came_back_early(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    poller = StubbornPoller(clock, looks=3)
    monkeypatch.setattr(blocking, "_new_poller", lambda: poller)
    wait_ready(pair[0], READ, Countdown(10.0, clock))
    assert [10.0, 9.0, 8.0] == poller.timeouts


def test_wait_without_an_end_is_left_to_the_system(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    poller = StubbornPoller(ManualClock(), looks=2)
    monkeypatch.setattr(blocking, "_new_poller", lambda: poller)
    wait_ready(pair[0], READ, Countdown(None, poller.clock))
    assert [None, None] == poller.timeouts


def test_nothing_is_waited_for_once_the_time_is_up(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    poller = StubbornPoller(ManualClock(), looks=1)
    monkeypatch.setattr(blocking, "_new_poller", lambda: poller)
    with pytest.raises(TimeoutError):
        wait_ready(pair[0], READ, Countdown(0, poller.clock))
    assert [] == poller.timeouts


def test_wait_works_on_select_alone(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(select, "poll", raising=False)
    pair[1].send(b"x")
    wait_ready(pair[0], READ, Countdown(None))
    with pytest.raises(TimeoutError):
        wait_ready(pair[1], READ, Countdown(SOON))


def test_waiting_costs_no_cpu(pair: tuple[StreamSocket, StreamSocket]) -> None:
    cpu_before = time.process_time()
    with pytest.raises(TimeoutError):
        recv(pair[0], 1, timeout=0.2)
    assert time.process_time() - cpu_before < 0.05


# The calls


def test_connection_is_made_accepted_and_used(listener: TcpSocket) -> None:
    with create_tcp_socket() as client:
        connect(client, listener.local_address, timeout=10)
        with accept(listener, timeout=10) as accepted:
            send_all(accepted, b"hello", timeout=10)
            assert b"hello" == recv(client, 99, timeout=10)
            client.shutdown_send()
            assert b"" == recv(accepted, 99, timeout=10)


def test_datagram_is_received() -> None:
    with create_udp_socket(LOOPBACK) as one, create_udp_socket(LOOPBACK) as other:
        one.send_to(b"hello", other.local_address)
        assert (b"hello", one.local_address) == recv_from(other, 99, timeout=10)


def test_call_tries_again_as_long_as_it_would_block(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "wait_ready", lambda *_: None)
    monkeypatch.setattr(StreamSocket, "recv", after(3, b"data"))
    assert b"data" == recv(pair[0], 99)


@pytest.mark.parametrize(
    "call",
    [
        lambda sock: accept(sock, timeout=0),
        lambda sock: connect(sock, LOOPBACK, timeout=0),
        lambda sock: recv(sock, 99, timeout=0),
        lambda sock: send_all(sock, b"x", timeout=0),
    ],
    ids=["accept", "connect", "recv", "send_all"],
)
def test_call_with_no_time_tries_once(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[StreamSocket], object]
) -> None:
    for name in ("accept", "connect", "recv", "send"):
        monkeypatch.setattr(TcpSocket, name, after(1, None), raising=False)
    with create_tcp_socket() as sock:
        with pytest.raises(TimeoutError) as caught:
            call(sock)
    assert caught.value.errno is None  # the network's own would be ETIMEDOUT


def test_recv_from_with_no_time_tries_once() -> None:
    with create_udp_socket(LOOPBACK) as sock, pytest.raises(TimeoutError):
        recv_from(sock, 99, timeout=0)


def test_time_is_for_the_whole_call_and_not_for_each_try(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wait here ends well and takes a second; the fourth is beyond the end."""
    clock = ManualClock()
    poller = StubbornPoller(clock, looks=0)
    monkeypatch.setattr(blocking, "_new_poller", lambda: poller)
    monkeypatch.setattr(blocking, "Countdown", lambda seconds: Countdown(seconds, clock))
    monkeypatch.setattr(StreamSocket, "recv", after(1000, b""))
    with pytest.raises(TimeoutError):
        recv(pair[0], 1, timeout=3.0)
    assert [3.0, 2.0, 1.0] == poller.timeouts


def test_timed_out_socket_can_still_be_used(pair: tuple[StreamSocket, StreamSocket]) -> None:
    with pytest.raises(TimeoutError):
        recv(pair[0], 1, timeout=0)
    pair[1].send(b"late")
    assert b"late" == recv(pair[0], 99, timeout=10)


def test_send_all_goes_on_at_the_right_offset(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bytes] = []

    def send_a_little(_: StreamSocket, data: memoryview) -> int | WouldBlock:
        if len(taken) % 2:
            taken.append(b"")
            return WOULDBLOCK
        taken.append(bytes(data[:3]))
        return len(taken[-1])

    monkeypatch.setattr(blocking, "wait_ready", lambda *_: None)
    monkeypatch.setattr(StreamSocket, "send", send_a_little)
    send_all(pair[0], b"0123456789")
    assert [b"012", b"", b"345", b"", b"678", b"", b"9"] == taken


def test_send_all_of_nothing_sends_nothing(pair: tuple[StreamSocket, StreamSocket]) -> None:
    send_all(pair[0], b"")
    assert WOULDBLOCK is pair[1].recv(1)


def test_send_all_gives_up_on_a_peer_that_does_not_read(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    with pytest.raises(TimeoutError):
        send_all(pair[0], bytes(1 << 23), timeout=SOON)


def test_connection_that_broke_off_is_passed_over(
    listener: TcpSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([errno.ECONNABORTED, errno.EPROTO])
    real_accept = TcpSocket.accept

    def accept_at_last(sock: TcpSocket) -> TcpSocket | WouldBlock:
        for code in failures:
            raise OSError(code, os.strerror(code))
        return real_accept(sock)

    monkeypatch.setattr(TcpSocket, "accept", accept_at_last)
    with create_tcp_socket() as client:
        connect(client, listener.local_address, timeout=10)
        accept(listener, timeout=10).close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EINVAL])
def test_exhaustion_and_misuse_are_the_callers_to_see(
    listener: TcpSocket, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket.socket, "accept", fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        accept(listener, timeout=10)


def test_refused_connection_is_not_a_timeout() -> None:
    with create_tcp_server_socket(0, address=LOOPBACK) as gone:
        address = gone.local_address
    with create_tcp_socket() as client, pytest.raises(ConnectionRefusedError):
        connect(client, address, timeout=10)


# Closing down


def test_close_down_waits_for_the_end_of_the_peer(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    pair[1].send(b"unread")
    pair[1].shutdown_send()
    close_down(pair[0], timeout=10)
    assert pair[0].is_closed
    assert b"" == recv(pair[1], 1, timeout=10)


def test_close_down_waits_no_longer_than_told(pair: tuple[StreamSocket, StreamSocket]) -> None:
    close_down(pair[0], timeout=SOON)
    assert pair[0].is_closed


def test_close_down_reads_no_more_than_told(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    def flood(_: StreamSocket, max_bytes: int) -> bytes:
        reads.append(max_bytes)
        return bytes(max_bytes)

    monkeypatch.setattr(StreamSocket, "recv", flood)
    close_down(pair[0], timeout=10, max_bytes=100_000)
    assert [65536, 65536] == reads
    assert pair[0].is_closed


def test_close_down_under_a_flood_ends_in_time(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()

    def flood(_: StreamSocket, max_bytes: int) -> bytes:
        clock.advance(1.0)
        return b"x"

    monkeypatch.setattr(StreamSocket, "recv", flood)
    monkeypatch.setattr(blocking, "Countdown", lambda seconds: Countdown(seconds, clock))
    close_down(pair[0], timeout=5.0)
    assert (True, 5.0) == (pair[0].is_closed, clock.now())


def test_close_down_closes_what_was_never_connected() -> None:
    sock = create_tcp_socket()
    close_down(sock)
    assert sock.is_closed


def test_close_down_of_a_closed_socket_is_no_error() -> None:
    sock = create_tcp_socket()
    sock.close()
    close_down(sock)


def test_interrupted_close_down_closes_all_the_same(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StreamSocket, "recv", interrupt)
    with pytest.raises(KeyboardInterrupt):
        close_down(pair[0])
    assert pair[0].is_closed
