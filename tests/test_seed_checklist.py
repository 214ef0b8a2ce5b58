"""The checklist of the seed, the article "NetNet": one test or more for each row.

The rows: its contracts and idioms (C), the methods of its socket object, its constructors and
conveniences (D), and the defects of its listing that must not come back (E).
"""

# ruff: noqa: N802  (a row is named as the seed names it)

from __future__ import annotations

import contextlib
import errno
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from socket import AF_INET, AF_INET6, SOL_SOCKET
from typing import Any

import pytest

from coop import base_socket, blocking
from coop.address import Address, interface_addresses, ipv4, ipv6, parse_address, wildcard
from coop.outcomes import WOULDBLOCK, AcceptFailure, errno_name, judge_accept
from coop.poller import READ, WRITE, best_poller
from coop.sockets import (
    StreamSocket,
    TcpSocket,
    create_tcp_server_socket,
    create_tcp_socket,
    socket_pair,
)
from coop.stopwatch import Countdown, Stopwatch

pytestmark = pytest.mark.core

LOOPBACK = ipv4("127.0.0.1", 0)
SOON = 0.02


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux has it")


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    """Return a function that keeps a socket until the end of the test, and closes it then."""
    with ExitStack() as kept:
        yield kept.enter_context


@pytest.fixture
def listener() -> Iterator[TcpSocket]:
    with create_tcp_server_socket(0, address=LOOPBACK) as listener:
        yield listener


@pytest.fixture
def pair() -> Iterator[tuple[StreamSocket, StreamSocket]]:
    one, other = socket_pair()
    with one, other:
        yield one, other


def ready(sock: StreamSocket, interest: int) -> None:
    blocking.wait_ready(sock, interest, Countdown(10))


def connected(keep: Callable[[Any], Any], address: Address) -> TcpSocket:
    client: TcpSocket = keep(create_tcp_socket(address.family))
    blocking.connect(client, address, timeout=10)
    return client


def refuse(code: int) -> Callable[..., None]:
    """Return a system call that fails with this errno."""

    def call(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


def lowest_free_fd() -> int:
    """Return the number that the next descriptor will have."""
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)
    return fd


# C: contracts and idioms


def test_C1_accept_has_three_outcomes_and_a_fourth_class(
    listener: TcpSocket, keep: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1: a socket, wouldblock, or an error; and of errors, those to go on after or to back off."""
    assert WOULDBLOCK is listener.accept()
    connected(keep, listener.local_address)
    ready(listener, READ)
    assert isinstance(keep(listener.accept()), TcpSocket)
    classes = {
        errno.ECONNABORTED: AcceptFailure.GONE,
        errno.EINTR: AcceptFailure.GONE,
        errno.EMFILE: AcceptFailure.EXHAUSTED,
        errno.ENFILE: AcceptFailure.EXHAUSTED,
        errno.ENOBUFS: AcceptFailure.EXHAUSTED,
        errno.ENOMEM: AcceptFailure.EXHAUSTED,
        errno.EINVAL: AcceptFailure.FATAL,
    }
    for code, expected in classes.items():
        monkeypatch.setattr(socket.socket, "accept", refuse(code))
        with pytest.raises(OSError, match=os.strerror(code)) as caught:
            listener.accept()
        assert expected is judge_accept(caught.value)


def test_C2_what_is_available_comes_at_once_else_the_reason(
    pair: tuple[StreamSocket, StreamSocket], listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """C2: accept, receive, send, connect and bytes-pending answer; none raises for wouldblock."""
    one, other = pair
    assert WOULDBLOCK is listener.accept()
    assert WOULDBLOCK is one.recv(1)
    assert 0 == one.bytes_pending()
    while one.send(bytes(65536)) is not WOULDBLOCK:
        pass
    assert other.recv(1)
    assert keep(create_tcp_socket()).connect(listener.local_address) in (True, WOULDBLOCK)


def test_C3_main_loop_is_written_as_in_the_seed(
    listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """C3: try accept, work on the accepted, work on the existing: no scheduler, and no spinning."""
    client = connected(keep, listener.local_address)
    client.send(b"hello")
    existing: list[TcpSocket] = []
    echoed = b""
    poller = keep(contextlib.closing(best_poller()))
    for sock in (listener, client):
        poller.watch(sock.fileno(), READ)
    while echoed != b"hello":
        assert poller.poll(10), "nothing happens any more"
        accepted = listener.accept()
        if accepted:
            existing.append(keep(accepted))
            poller.watch(accepted.fileno(), READ)
        for sock in existing:
            data = sock.recv(99)
            if data:
                sock.send(data)
        echoed += client.recv(99) or b""


def test_C4_blocking_idiom_waits_for_a_connection(
    listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """C4: repeat until accepted; any error but wouldblock is returned at once."""
    client = connected(keep, listener.local_address)
    accepted = keep(blocking.accept(listener))
    assert client.local_address == accepted.peer_address
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        blocking.accept(client)


@pytest.mark.parametrize("name", ["accept", "recv", "send_all", "connect"])
def test_C5_timeout_is_neither_wouldblock_nor_an_error_of_the_network(
    listener: TcpSocket, keep: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """C5: the same loop with a stopwatch, for accept, receive, send and connect."""
    client = connected(keep, listener.local_address)
    keep(blocking.accept(listener, timeout=10))
    calls: dict[str, Callable[[], object]] = {
        "accept": lambda: blocking.accept(listener, timeout=SOON),
        "recv": lambda: blocking.recv(client, 1, timeout=SOON),
        "send_all": lambda: blocking.send_all(client, bytes(1 << 24), timeout=SOON),
        "connect": lambda: blocking.connect(client, LOOPBACK, timeout=SOON),
    }
    if name == "connect":  # which loopback never lets wait
        monkeypatch.setattr(TcpSocket, "connect", lambda *_: WOULDBLOCK)
    watch = Stopwatch()
    with pytest.raises(TimeoutError) as caught:
        calls[name]()
    assert caught.value.errno is None
    assert watch.elapsed >= SOON


def test_C5_stopwatch_counts_seconds_and_milliseconds_and_starts_again() -> None:
    """C5: monotonic; start, reset, seconds, millis."""
    watch = Stopwatch()
    assert 0 <= watch.elapsed
    assert watch.milliseconds >= watch.elapsed
    watch.reset()
    assert watch.elapsed < 10


def test_C6_end_of_data_is_an_outcome_of_its_own(pair: tuple[StreamSocket, StreamSocket]) -> None:
    """C6: bytes, wouldblock, the end and an error are four things."""
    one, other = pair
    assert WOULDBLOCK is one.recv(9)
    other.send(b"data")
    other.shutdown_send()
    ready(one, READ)
    assert [b"data", b""] == [one.recv(9), one.recv(9)]
    one.shutdown_send()
    with pytest.raises(OSError, match=os.strerror(errno.EPIPE)):
        one.send(b"x")


def test_C7_partial_write_is_visible_and_send_all_resumes(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C7: one send is one send; send_all goes on after wouldblock at the right offset."""
    one, other = pair
    data = bytes(range(256)) * 16384
    received = bytearray()

    def read_instead_of_waiting(*_: object) -> None:
        received.extend(other.recv(1 << 20) or b"")

    monkeypatch.setattr(blocking, "wait_ready", read_instead_of_waiting)
    sent = one.send(data)
    assert sent is not WOULDBLOCK
    assert 0 < sent < len(data)
    blocking.send_all(one, data[sent:])
    one.shutdown_send()
    while piece := other.recv(1 << 20):
        received += piece
    assert data == received


def test_C8_errno_is_kept_with_its_name_and_wouldblock_is_one_word() -> None:
    """C8: codes are kept on the error, names are symbolic, wouldblock is the same everywhere."""
    with create_tcp_server_socket(0, address=LOOPBACK) as gone:
        address = gone.local_address
    with create_tcp_socket() as client:
        with pytest.raises(OSError, match="cannot connect to") as caught:
            blocking.connect(client, address, timeout=10)
    assert errno.ECONNREFUSED == caught.value.errno
    assert "ECONNREFUSED" == errno_name(caught.value)
    assert "wouldblock" == str(WOULDBLOCK)


# The methods of the socket object


def test_SetOption_takes_any_number_or_bytes(listener: TcpSocket) -> None:
    """SetOption: any option; an unknown one is an error with its errno."""
    listener.set_option(SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.set_option(SOL_SOCKET, socket.SO_KEEPALIVE, (1).to_bytes(4, sys.byteorder))
    assert listener.get_option(SOL_SOCKET, socket.SO_KEEPALIVE)
    with pytest.raises(OSError, match=os.strerror(errno.ENOPROTOOPT)):
        listener.set_option(SOL_SOCKET, 9999, 1)


@needs_linux
def test_SetReuseAddress_lets_a_server_restart_at_once(keep: Callable[[Any], Any]) -> None:
    """SetReuseAddress: a connection in TIME_WAIT keeps the port from others, but not from us."""
    with create_tcp_server_socket(0, address=LOOPBACK) as first:
        port = first.local_address.port
        client = connected(keep, first.local_address)
        blocking.accept(first, timeout=10).close()  # whoever closes first waits
        assert b"" == blocking.recv(client, 1, timeout=10)
        client.close()
    with pytest.raises(OSError, match="port in use"):
        create_tcp_server_socket(port, address=LOOPBACK, reuse_address=False)
    assert keep(create_tcp_server_socket(port, address=LOOPBACK)).is_listening


def test_SetReuseAddress_forbids_hijacking_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """SetReuseAddress: where there is SO_EXCLUSIVEADDRUSE, it is taken instead."""
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    assert -5 == runpy.run_path(base_socket.__file__)["_SO_REUSEADDR"]


def test_SetNonBlocking_is_on_by_default(pair: tuple[StreamSocket, StreamSocket]) -> None:
    """SetNonBlocking: False is blocking, no argument is non-blocking."""
    one, other = pair
    other.send(b"x")
    one.set_nonblocking(False)
    assert b"x" == one.recv(1)
    one.set_nonblocking()
    assert WOULDBLOCK is one.recv(1)


def test_GetBytesPendingReceive_is_exact(pair: tuple[StreamSocket, StreamSocket]) -> None:
    """GetBytesPendingReceive: 0 when empty, n when n bytes are queued."""
    one, other = pair
    counts = [one.bytes_pending()]
    other.send(b"hello")
    ready(one, READ)
    counts.append(one.bytes_pending())
    assert [0, 5] == counts


def test_Accept_gives_a_new_non_blocking_socket_that_knows_its_peer(
    listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """Accept: not listening, a descriptor of its own, non-blocking, the peer filled in."""
    client = connected(keep, listener.local_address)
    accepted = keep(blocking.accept(listener))
    assert (False, client.local_address) == (accepted.is_listening, accepted.peer_address)
    assert accepted.fileno() != listener.fileno()
    assert WOULDBLOCK is accepted.recv(1)


@pytest.mark.parametrize("family", [AF_INET, pytest.param(AF_INET6, marks=needs_ipv6)])
def test_BindToPort_takes_the_wildcard_of_its_family(
    keep: Callable[[Any], Any], family: int
) -> None:
    """BindToPort: port 0 is any, which can be read back; both families (and E5)."""
    sock = keep(create_tcp_socket(family))
    sock.bind_to_port(0)
    assert sock.local_address.port > 0
    assert wildcard(sock.local_address.port, family) == sock.local_address


def test_BindToPort_refuses_another_family_than_its_own(keep: Callable[[Any], Any]) -> None:
    """BindToPort: a family argument is heard, not ignored (E5)."""
    with pytest.raises(OSError, match="is AF_INET, but"):
        keep(create_tcp_socket()).bind_to_port(0, AF_INET6)


def test_StartListening_honours_its_backlog(
    keep: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """StartListening: 5 by default, any other when asked for."""
    backlogs: list[int] = []
    real_listen = socket.socket.listen

    def listen(sock: socket.socket, backlog: int) -> None:
        backlogs.append(backlog)
        real_listen(sock, backlog)

    monkeypatch.setattr(socket.socket, "listen", listen)
    keep(create_tcp_server_socket(0))
    keep(create_tcp_server_socket(0, 150))
    sock = keep(create_tcp_socket())
    sock.start_listening()
    assert [5, 150, 5] == backlogs


def test_StartListening_fails_loudly(keep: Callable[[Any], Any], listener: TcpSocket) -> None:
    """StartListening: an error is raised, and the socket is not said to listen."""
    client = connected(keep, listener.local_address)
    with pytest.raises(OSError, match=r"cannot listen at 127\.0\.0\.1"):
        client.start_listening()
    assert not client.is_listening


def test_Connect_is_non_blocking_and_refused_is_not_timeout(
    listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """Connect: start, wait until writable, and learn how it went."""
    client = keep(create_tcp_socket())
    client.connect(listener.local_address)
    ready(client, WRITE)
    assert client.connect(listener.local_address) is True
    nobody = listener.local_address
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        blocking.connect(keep(create_tcp_socket()), nobody, timeout=10)


def test_Receive_and_Send_take_bytes_and_views(pair: tuple[StreamSocket, StreamSocket]) -> None:
    """Receive, Send: bytes and memoryviews, recv_into, and each says how many."""
    one, other = pair
    assert [3, 3, 3] == [one.send(data) for data in (b"abc", bytearray(b"def"), memoryview(b"ghi"))]
    ready(other, READ)
    buffer = bytearray(4)
    assert (4, b"abcd") == (other.recv_into(buffer), bytes(buffer))
    assert b"efghi" == other.recv(99)


def test_Close_is_immediate_and_idempotent(pair: tuple[StreamSocket, StreamSocket]) -> None:
    """Close: the moral equivalent of kill; twice is no error."""
    pair[0].close()
    pair[0].close()
    assert pair[0].is_closed
    assert b"" == blocking.recv(pair[1], 1, timeout=10)


def test_CloseDown_lets_both_ends_say_all_they_have_to_say(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    """CloseDown: our data and our end arrive; the peer's are read; then the socket is closed."""
    one, other = pair
    one.send(b"goodbye")
    other.send(b"unread")
    other.shutdown_send()
    blocking.close_down(one, timeout=10)
    assert one.is_closed
    assert [b"goodbye", b""] == [blocking.recv(other, 99, timeout=10) for _ in range(2)]


# D: constructors and conveniences


def test_D1_tcp_socket_is_ready_to_connect(listener: TcpSocket, keep: Callable[[Any], Any]) -> None:
    """D1: CreateTcpSocket gives an active, unconnected socket."""
    sock = keep(create_tcp_socket())
    assert (None, False) == (sock.peer_address, sock.is_listening)
    blocking.connect(sock, listener.local_address, timeout=10)


def test_D2_server_socket_is_made_in_the_seeds_order(
    keep: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D2: create, SetReuseAddress(true), BindToPort, StartListening; non-blocking at return."""
    steps: list[str] = []

    def record(name: str) -> None:
        real = getattr(TcpSocket, name)

        def step(*args: object) -> None:
            steps.append(name)
            real(*args)

        monkeypatch.setattr(TcpSocket, name, step)

    for name in ("__init__", "set_reuse_address", "bind", "start_listening"):
        record(name)
    assert WOULDBLOCK is keep(create_tcp_server_socket(0)).accept()
    assert ["__init__", "set_reuse_address", "bind", "start_listening"] == steps


@pytest.mark.parametrize("step", ["setsockopt", "bind", "listen"])
def test_D2_failed_step_is_reported_and_the_descriptor_closed(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """D2: each step's failure is raised with its errno, and leaves nothing open (E2)."""
    fd = lowest_free_fd()
    monkeypatch.setattr(socket.socket, step, refuse(errno.EACCES))
    with pytest.raises(PermissionError):
        create_tcp_server_socket(0)
    assert fd == lowest_free_fd()


def test_D2_port_in_use_is_told_with_address_and_remedy(listener: TcpSocket) -> None:
    """D2: the errno, the address, and what to do."""
    address = listener.local_address
    with pytest.raises(OSError, match=f"cannot bind to {address}: .*port in use.*0 is any") as err:
        create_tcp_server_socket(address.port, address=address)
    assert errno.EADDRINUSE == err.value.errno


def test_D2_privileged_port_is_told_with_address_and_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D2: the privileged user gets any port, so the refusal is put in."""
    monkeypatch.setattr(socket.socket, "bind", refuse(errno.EACCES))
    with pytest.raises(PermissionError, match=r"0\.0\.0\.0:80: .*privileged port: take one"):
        create_tcp_server_socket(80)


def test_D2_address_of_another_machine_is_told_with_the_remedy() -> None:
    """D2: 192.0.2.77 is for documentation, so no interface has it."""
    with pytest.raises(OSError, match="no interface of this machine") as caught:
        create_tcp_server_socket(0, address=ipv4("192.0.2.77", 0))
    assert errno.EADDRNOTAVAIL == caught.value.errno


@pytest.mark.parametrize(
    "text", ["192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%1]:80", "0.0.0.0:80", "[::]:80"]
)
def test_D3_address_is_made_read_printed_compared_and_changed(text: str) -> None:
    """D3: v4, v6, scope ids, wildcard; equality, clone, family, port get and set."""
    address = parse_address(text)
    assert text == str(address)
    assert address == Address.from_sockaddr(address.family, address.sockaddr)
    assert address != address.with_port(81)
    assert (80, 81) == (address.port, address.with_port(81).port)
    assert (AF_INET6 if "[" in text else AF_INET) == address.family


def test_D3_answers_of_the_resolver_become_addresses() -> None:
    """D3: a host name leads to a list of addresses."""
    answers = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    addresses = [Address.from_sockaddr(answer[0], answer[4]) for answer in answers]
    assert addresses
    assert {True} == {address.is_loopback for address in addresses}


@needs_linux
def test_D4_server_at_one_address_refuses_at_others(
    listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """D4: bound to 127.0.0.1, it is not there at 127.0.0.2."""
    connected(keep, listener.local_address)
    with pytest.raises(ConnectionRefusedError):
        connected(keep, ipv4("127.0.0.2", listener.local_address.port))


@needs_linux
def test_D4_server_listens_at_an_interface_by_its_name(keep: Callable[[Any], Any]) -> None:
    """D4: the name leads to its addresses, and each can be listened at."""
    pytest.importorskip("fcntl")
    for address in interface_addresses("lo"):
        listener = keep(create_tcp_server_socket(0, address=address))
        assert address.host == listener.local_address.host
        connected(keep, listener.local_address)


@needs_linux
def test_D5_several_listeners_have_one_port_at_different_addresses(
    listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """D5: the connection goes to the one whose address was asked for."""
    port = listener.local_address.port
    other = keep(create_tcp_server_socket(port, address=ipv4("127.0.0.2", 0)))
    connected(keep, other.local_address)
    assert ipv4("127.0.0.2", port) == keep(blocking.accept(other)).local_address
    assert WOULDBLOCK is listener.accept()


def test_D6_socket_does_not_care_what_moves_its_bytes() -> None:
    """D6: the seam for a completion backend: whatever has the methods of a socket will do."""

    class Completed:
        family = AF_INET

        def setblocking(self, _: bool) -> None: ...

        def recv(self, max_bytes: int) -> bytes:
            return b"completed"[:max_bytes]

        def send(self, data: bytes) -> int:
            raise BlockingIOError

    moved: Any = Completed()
    sock = StreamSocket(moved)
    assert (b"complete", WOULDBLOCK) == (sock.recv(8), sock.send(b"x"))


# E: defects of the listing


def test_E1_accept_gives_its_reason_under_one_name(listener: TcpSocket) -> None:
    """E1: the listing's Accept returned a bare nil, so its own loop never saw 'wouldblock'."""
    outcome = listener.accept()
    assert outcome is not None
    assert "wouldblock" == str(outcome)


def test_E2_server_socket_is_non_blocking_and_ignores_no_error(listener: TcpSocket) -> None:
    """E2: the listing never made it non-blocking; for its errors see D2."""
    assert not os.get_blocking(listener.fileno())


def test_E2_accepted_socket_is_non_blocking_too(
    listener: TcpSocket, keep: Callable[[Any], Any]
) -> None:
    """E2: Python's accept gives a blocking one, even from a listener that is not."""
    connected(keep, listener.local_address)
    assert not os.get_blocking(keep(blocking.accept(listener)).fileno())


@pytest.mark.parametrize("close_down", [StreamSocket.close_down, blocking.close_down])
def test_E3_close_down_closes_even_if_shutdown_fails(
    close_down: Callable[[StreamSocket], None],
) -> None:
    """E3: ENOTCONN is usual after the peer's reset; the listing leaked the descriptor then."""
    fd = lowest_free_fd()
    sock = create_tcp_socket()
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        sock.shutdown_send()
    close_down(sock)
    assert sock.is_closed
    assert fd == lowest_free_fd()


CLIENT = """
import socket, sys
with socket.socket() as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", int(sys.argv[1])))
    sock.sendall(bytes(60))
    sys.stdin.readline()
    count = 0
    try:
        while data := sock.recv(65536):
            count += len(data)
    except ConnectionResetError:
        pass
    print(count)
"""


def bytes_lost(
    listener: TcpSocket, close: Callable[[StreamSocket], None], *, reads_first: bool = False
) -> int:
    """Return how many of the bytes queued for a slow client are lost when we close with 60 unread.

    The client begins to read when we have closed, or just before.
    """
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(listener.local_address.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdin
        with blocking.accept(listener, timeout=30) as accepted:
            ready(accepted, READ)
            queued = 0
            while (count := accepted.send(bytes(65536))) is not WOULDBLOCK:
                queued += count
            if reads_first:
                client.stdin.write(b"go\n")
                client.stdin.flush()
            close(accepted)
        output, _ = client.communicate(b"" if reads_first else b"go\n", timeout=30)
    return queued - int(output)


def shut_down_both_ways_and_close(sock: StreamSocket) -> None:
    sock.shutdown()
    sock.close()


@needs_linux
@pytest.mark.parametrize("close", [StreamSocket.close, shut_down_both_ways_and_close])
def test_E4_unread_input_destroys_sent_data_as_the_listing_closes(
    listener: TcpSocket, close: Callable[[StreamSocket], None]
) -> None:
    """E4: the measurement: so the tests below can fail."""
    assert 100_000 < bytes_lost(listener, close)


def test_E4_close_down_delivers_every_byte_queued(listener: TcpSocket) -> None:
    """E4: SHUT_WR, drain to the end, close."""
    assert 0 == bytes_lost(
        listener, lambda sock: blocking.close_down(sock, timeout=30), reads_first=True
    )


def test_E4_close_down_that_cannot_wait_delivers_it_too(listener: TcpSocket) -> None:
    """E4: as long as all that the peer sent has come."""
    assert 0 == bytes_lost(listener, StreamSocket.close_down)


@needs_ipv6
def test_E5_address_is_given_and_of_any_family(keep: Callable[[Any], Any]) -> None:
    """E5: Connect used an address that no constructor set; BindToPort knew one family only."""
    listener = keep(create_tcp_server_socket(0, address=ipv6("::1", 0)))
    client = connected(keep, listener.local_address)
    assert ipv6("::1", listener.local_address.port) == client.peer_address


def test_E6_waiting_burns_no_cpu(listener: TcpSocket) -> None:
    """E6: the loops of C3 and C4 as the seed writes them use a whole core."""
    cpu_before = time.process_time()
    with pytest.raises(TimeoutError):
        blocking.accept(listener, timeout=0.2)
    assert time.process_time() - cpu_before < 0.05
