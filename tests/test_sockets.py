"""Raw sockets over the real loopback: each call tries once, and says plainly how it went."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import AF_INET, AF_INET6, SOL_SOCKET
from typing import Any

import pytest

from coop import base_socket, stream_socket
from coop.address import AF_UNIX, Address, ipv4, ipv6, unix, wildcard
from coop.blocking import wait_ready
from coop.outcomes import WOULDBLOCK, ClosedError, WouldBlock
from coop.poller import READ, WRITE
from coop.sockets import (
    Socket,
    StreamSocket,
    TcpSocket,
    UdpSocket,
    UnixSocket,
    adopt,
    create_tcp_server_socket,
    create_tcp_socket,
    create_udp_socket,
    create_unix_server_socket,
    create_unix_socket,
    socket_pair,
)
from coop.stopwatch import Countdown

pytestmark = pytest.mark.core

LOOPBACK = ipv4("127.0.0.1", 0)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_unix = pytest.mark.skipif(AF_UNIX is None, reason="no unix sockets here")
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
needs_reuse_port = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="not here")
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


@pytest.fixture
def connection(listener: TcpSocket) -> Iterator[tuple[TcpSocket, TcpSocket]]:
    """Return the two ends of a TCP connection: the client's and the server's."""
    with create_tcp_socket() as client:
        connect(client, listener.local_address)
        ready(listener, READ)
        accepted = listener.accept()
        assert accepted is not WOULDBLOCK
        with accepted:
            yield client, accepted


def ready(sock: Socket, interest: int) -> None:
    wait_ready(sock, interest, Countdown(10))


def refuse(code: int) -> Callable[..., None]:
    """Return a system call that fails with this errno."""

    def call(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


# What all kinds have in common


def test_every_socket_is_non_blocking_from_the_start(
    pair: tuple[StreamSocket, StreamSocket], listener: TcpSocket
) -> None:
    assert WOULDBLOCK is pair[0].recv(1)
    assert WOULDBLOCK is pair[0].recv_into(bytearray(1))
    assert WOULDBLOCK is listener.accept()


def test_blocking_mode_can_be_had_and_left(pair: tuple[StreamSocket, StreamSocket]) -> None:
    one, other = pair
    one.set_nonblocking(False)
    other.send(b"x")
    assert b"x" == one.recv(1)  # it would hang here if it had to wait
    one.set_nonblocking()
    assert WOULDBLOCK is one.recv(1)


def test_bytes_pending_are_counted(pair: tuple[StreamSocket, StreamSocket]) -> None:
    one, other = pair
    assert 0 == one.bytes_pending()
    other.send(b"hello")
    ready(one, READ)
    assert 5 == one.bytes_pending()


def test_bytes_pending_are_counted_without_ioctl(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_socket, "_BYTES_PENDING", None)
    test_bytes_pending_are_counted(pair)
    assert b"hello" == pair[0].recv(9)


def test_any_option_can_be_set_and_read(listener: TcpSocket) -> None:
    listener.set_option(SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert listener.get_option(SOL_SOCKET, socket.SO_KEEPALIVE)
    layout = struct.Struct("ii")
    listener.set_option(SOL_SOCKET, socket.SO_LINGER, layout.pack(1, 7))
    value = listener.get_option(SOL_SOCKET, socket.SO_LINGER, layout.size)
    assert layout.pack(1, 7) == value


def test_buffer_sizes_can_be_set(listener: TcpSocket) -> None:
    listener.set_receive_buffer_bytes(65536)
    listener.set_send_buffer_bytes(32768)
    sizes = [listener.get_option(SOL_SOCKET, n) for n in (socket.SO_RCVBUF, socket.SO_SNDBUF)]
    assert sizes in ([65536, 32768], [2 * 65536, 2 * 32768])


def test_family_is_told(listener: TcpSocket) -> None:
    assert AF_INET == listener.family


def test_address_of_another_family_is_refused_with_the_remedy(
    keep: Callable[[Any], Any],
) -> None:
    for sock in (keep(create_tcp_socket()), keep(create_udp_socket())):
        with pytest.raises(OSError, match=r"is AF_INET, but \[::1\]:80 is AF_INET6") as caught:
            sock.connect(ipv6("::1", 80))
        assert errno.EAFNOSUPPORT == caught.value.errno


def test_address_of_a_strange_family_is_refused_by_its_number() -> None:
    with create_tcp_socket() as sock, pytest.raises(OSError, match="is family 12345"):
        sock.bind(Address(12345))


def test_close_is_idempotent(listener: TcpSocket) -> None:
    fd = listener.fileno()
    assert not listener.is_closed
    listener.close()
    listener.close()
    listener.close_down()
    assert (True, False) == (listener.is_closed, listener.is_listening)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(fd)


@pytest.mark.parametrize(
    "call",
    [
        lambda sock: sock.accept(),
        lambda sock: sock.recv(1),
        lambda sock: sock.recv_into(bytearray(1)),
        lambda sock: sock.send(b"x"),
        lambda sock: sock.send_parts([b"x"]),
        lambda sock: sock.sendfile(0, 0, 1),
        lambda sock: sock.connect(LOOPBACK),
        lambda sock: sock.bind(LOOPBACK),
        lambda sock: sock.start_listening(),
        lambda sock: sock.shutdown_send(),
        lambda sock: sock.bytes_pending(),
        lambda sock: sock.pending_error(),
        lambda sock: sock.set_nodelay(),
        lambda sock: sock.set_unsent_bytes(1),
        lambda sock: sock.local_address,
        lambda sock: sock.fileno(),
        lambda sock: sock.detach(),
    ],
)
def test_every_call_on_a_closed_socket_says_so(call: Callable[[TcpSocket], object]) -> None:
    sock = create_tcp_socket()
    sock.close()
    with pytest.raises(ClosedError, match=r"TcpSocket \(it was fd \d+\) is closed") as caught:
        call(sock)
    assert errno.EBADF == caught.value.errno


def test_datagram_call_on_a_closed_socket_says_so() -> None:
    sock = create_udp_socket(LOOPBACK)
    sock.close()
    for call in (
        lambda: sock.recv_from(1),
        lambda: sock.send_to(b"", LOOPBACK),
        lambda: sock.connect(LOOPBACK),
        lambda: sock.recv(1),
        lambda: sock.send(b""),
    ):
        with pytest.raises(ClosedError):
            call()


def test_leaving_the_with_block_closes() -> None:
    with create_tcp_socket() as sock:
        assert not sock.is_closed
    assert sock.is_closed


def test_detached_socket_stays_open_and_belongs_to_the_caller() -> None:
    sock = create_tcp_socket()
    with sock.detach() as os_socket:
        assert os_socket.fileno() >= 0
        assert sock.is_closed


def test_repr_names_kind_descriptor_addresses_and_state(
    listener: TcpSocket, connection: tuple[TcpSocket, TcpSocket]
) -> None:
    client, _ = connection
    here, there = listener.local_address, client.local_address
    assert f"<TcpSocket fd {listener.fileno()} at {here}, listening>" == repr(listener)
    assert f"<TcpSocket fd {client.fileno()} at {there}, peer {here}>" == repr(client)
    client.close()
    assert "<TcpSocket closed>" == repr(client)


def test_unconnected_socket_says_so() -> None:
    with create_tcp_socket() as sock:
        assert f"<TcpSocket fd {sock.fileno()} at 0.0.0.0:0, unconnected>" == repr(sock)


def test_sockets_are_small(pair: tuple[StreamSocket, StreamSocket]) -> None:
    assert not hasattr(pair[0], "__dict__")


# Streams


def test_end_of_data_is_empty_and_is_not_wouldblock(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    one, other = pair
    other.shutdown_send()
    assert (b"", 0) == (one.recv(1), one.recv_into(bytearray(1)))


def test_half_closed_socket_still_receives(pair: tuple[StreamSocket, StreamSocket]) -> None:
    one, other = pair
    one.shutdown_send()
    other.send(b"still here")
    assert b"still here" == one.recv(99)
    with pytest.raises(BrokenPipeError):
        one.send(b"x")


def test_shutdown_ends_both_directions(pair: tuple[StreamSocket, StreamSocket]) -> None:
    pair[0].shutdown()
    assert b"" == pair[0].recv(1)
    assert b"" == pair[1].recv(1)


@needs_linux
def test_receiving_can_be_shut_down_alone(pair: tuple[StreamSocket, StreamSocket]) -> None:
    pair[0].shutdown_receive()
    assert b"" == pair[0].recv(1)
    assert 1 == pair[0].send(b"x")


def test_recv_into_fills_a_buffer(pair: tuple[StreamSocket, StreamSocket]) -> None:
    buffer = bytearray(8)
    pair[1].send(b"hello")
    ready(pair[0], READ)
    assert 5 == pair[0].recv_into(memoryview(buffer)[1:])
    assert b"\0hello\0\0" == buffer


def test_full_buffer_answers_wouldblock_after_a_partial_write(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    data, sent = bytes(1 << 22), 0
    while (count := pair[0].send(data)) is not WOULDBLOCK:
        assert 0 < count < len(data)
        sent += count
    assert 0 < sent


def test_parts_are_sent_as_one(pair: tuple[StreamSocket, StreamSocket]) -> None:
    one, other = pair
    assert 5 == one.send_parts([b"", b"he", bytearray(b"l"), memoryview(b"lo")])
    ready(other, READ)
    assert b"hello" == other.recv(99)


def test_more_parts_than_the_system_takes_are_a_partial_write(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    assert 0 < pair[0].send_parts([b"x"] * 5000) <= 5000  # type: ignore[operator]


def test_parts_are_sent_without_sendmsg(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "_HAS_SENDMSG", False)
    test_parts_are_sent_as_one(pair)


def test_parts_answer_wouldblock_when_the_buffer_is_full(
    pair: tuple[StreamSocket, StreamSocket],
) -> None:
    while pair[0].send(bytes(65536)) is not WOULDBLOCK:
        pass
    assert WOULDBLOCK is pair[0].send_parts([bytes(65536)])


FILE_WAYS = {
    "sendfile": [],
    "pread": [(os, "sendfile")],
    "read": [(os, "sendfile"), (os, "pread")],
}


@pytest.mark.parametrize("missing", FILE_WAYS.values(), ids=FILE_WAYS.keys())
def test_piece_of_a_file_is_sent(
    connection: tuple[TcpSocket, TcpSocket],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: list[tuple[Any, str]],
) -> None:
    for module, name in missing:
        monkeypatch.delattr(module, name, raising=False)
    client, accepted = connection
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        assert 4 == client.sendfile(file, 3, 4)
        assert 3 == client.sendfile(file.fileno(), 7, 99)
        assert 0 == client.sendfile(file, 10, 99)
        assert 0 == client.sendfile(file, 0, 0)
    client.shutdown_send()
    assert b"3456789" == all_of(accepted)


@needs_linux
def test_file_that_sendfile_refuses_is_read_instead(
    connection: tuple[TcpSocket, TcpSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sendfile", refuse(errno.EINVAL), raising=False)
    with open("/proc/self/stat", "rb") as file:
        assert connection[0].sendfile(file, 0, 9) == 9


def test_file_that_cannot_be_read_is_an_error(
    connection: tuple[TcpSocket, TcpSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sendfile", refuse(errno.EIO), raising=False)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        connection[0].sendfile(0, 0, 9)


def test_sendfile_answers_wouldblock_when_the_buffer_is_full(
    connection: tuple[TcpSocket, TcpSocket], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 16))
    with path.open("rb") as file:
        while connection[0].sendfile(file, 0, 1 << 16) is not WOULDBLOCK:
            pass


# Connecting


def test_connection_is_made_in_two_calls(listener: TcpSocket) -> None:
    with create_tcp_socket() as client:
        assert client.connect(listener.local_address) in (WOULDBLOCK, True)
        ready(client, WRITE)
        assert client.connect(listener.local_address) is True
        assert client.connect(listener.local_address) is True
        assert listener.local_address == client.peer_address


def test_refused_connection_raises_and_names_address_and_remedy() -> None:
    with create_tcp_server_socket(0, address=LOOPBACK) as gone:
        address = gone.local_address
    with create_tcp_socket() as client:
        with pytest.raises(ConnectionRefusedError, match=f"to {address}: .*nobody listens there"):
            connect(client, address)


def test_connecting_to_a_second_address_is_an_error(
    connection: tuple[TcpSocket, TcpSocket], keep: Callable[[Any], Any]
) -> None:
    other = keep(create_tcp_server_socket(0, address=LOOPBACK))
    with pytest.raises(OSError, match="cannot connect to") as caught:
        connection[0].connect(other.local_address)
    assert errno.EISCONN == caught.value.errno


def test_connection_under_way_answers_wouldblock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over loopback it is made at once, so the system's answers are put in."""
    answers = iter([errno.EINPROGRESS, errno.EALREADY, errno.EISCONN])
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: next(answers))
    with create_tcp_socket() as client:
        address = ipv4("192.0.2.1", 80)
        outcomes: list[bool | WouldBlock] = [client.connect(address) for _ in range(3)]
        assert [WOULDBLOCK, WOULDBLOCK, True] == outcomes


def test_pending_error_is_taken_once(
    connection: tuple[TcpSocket, TcpSocket],
) -> None:
    client, accepted = connection
    accepted.set_linger(0)
    accepted.close()
    ready(client, READ)
    assert isinstance(client.pending_error(), ConnectionResetError)
    assert client.pending_error() is None


# Listening


def test_accepted_socket_is_of_the_same_kind_and_knows_its_peer(
    connection: tuple[TcpSocket, TcpSocket], listener: TcpSocket
) -> None:
    client, accepted = connection
    assert type(listener) is type(accepted)
    assert not accepted.is_listening
    assert client.local_address == accepted.peer_address
    assert listener.local_address == accepted.local_address


def test_accepted_socket_of_a_subclass_is_of_the_subclass(keep: Callable[[Any], Any]) -> None:
    class Special(TcpSocket):
        __slots__ = ()

    listener = keep(Special(socket.create_server(("127.0.0.1", 0)), is_listening=True))
    client = keep(create_tcp_socket())
    client.connect(listener.local_address)
    ready(listener, READ)
    assert Special is type(keep(listener.accept()))


def test_accept_error_is_raised_as_it_is(
    listener: TcpSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "accept", refuse(errno.EMFILE))
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)) as caught:
        listener.accept()
    assert errno.EMFILE == caught.value.errno


def test_server_socket_listens_at_every_address_unless_told_otherwise() -> None:
    with create_tcp_server_socket(0) as listener:
        assert listener.local_address.is_wildcard
        assert listener.is_listening


@needs_ipv6
def test_server_socket_of_ipv6_leaves_the_port_of_ipv4_free(keep: Callable[[Any], Any]) -> None:
    six = keep(create_tcp_server_socket(0, family=AF_INET6))
    four = keep(create_tcp_server_socket(six.local_address.port))
    assert wildcard(six.local_address.port) == four.local_address


@needs_ipv6
def test_dual_stack_listener_takes_both_families(keep: Callable[[Any], Any]) -> None:
    listener = keep(create_tcp_server_socket(0, dual_stack=True))
    port = listener.local_address.port
    for address in (ipv4("127.0.0.1", port), ipv6("::1", port)):
        client = keep(create_tcp_socket(address.family))
        client.connect(address)
        ready(listener, READ)
        accepted = keep(listener.accept())
        assert client.local_address == accepted.peer_address.unmapped()


def test_dual_stack_goes_with_every_address_only() -> None:
    with pytest.raises(ValueError, match="dual_stack goes with all of them"):
        create_tcp_server_socket(0, address=LOOPBACK, dual_stack=True)


@needs_reuse_port
def test_two_listeners_share_a_port_on_purpose(keep: Callable[[Any], Any]) -> None:
    first = keep(create_tcp_server_socket(0, address=LOOPBACK, reuse_port=True))
    port = first.local_address.port
    assert keep(create_tcp_server_socket(port, address=LOOPBACK, reuse_port=True)).is_listening


def test_reuse_port_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_socket, "_SO_REUSEPORT", None)
    with pytest.raises(OSError, match="this system has no SO_REUSEPORT") as caught:
        create_tcp_server_socket(0, reuse_port=True)
    assert errno.ENOPROTOOPT == caught.value.errno


@pytest.mark.parametrize(
    ("call", "code", "port", "expected"),
    [
        ("bind", errno.EADDRINUSE, 8007, r"cannot bind to 127.0.0.1:8007: .*port in use"),
        ("bind", errno.EACCES, 80, r"cannot bind to 127.0.0.1:80: .*privileged port"),
        ("bind", errno.EACCES, 8007, r"cannot bind to 127.0.0.1:8007: .*a firewall or a policy"),
        ("bind", errno.EADDRNOTAVAIL, 8007, r"no interface of this machine has that address"),
        ("listen", errno.EADDRINUSE, 0, r"cannot listen at 127.0.0.1:\d+: .*port in use"),
        ("__init__", errno.EMFILE, 8007, r"cannot create a socket of AF_INET: .*ulimit -n"),
        ("__init__", errno.EAFNOSUPPORT, 8007, r"without that kind of network"),
        ("bind", errno.EIO, 8007, f"cannot bind to 127.0.0.1:8007: {os.strerror(errno.EIO)}$"),
    ],
)
def test_failed_step_names_itself_the_address_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, call: str, code: int, port: int, expected: str
) -> None:
    monkeypatch.setattr(socket.socket, call, refuse(code))
    with pytest.raises(OSError, match=expected) as caught:
        create_tcp_server_socket(port, address=LOOPBACK)
    assert code == caught.value.errno


# TCP


def test_nodelay_can_be_set(connection: tuple[TcpSocket, TcpSocket]) -> None:
    client, _ = connection
    values = []
    for on in (True, False):
        client.set_nodelay(on)
        values.append(bool(client.get_option(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    assert [True, False] == values


@needs_linux
def test_keepalive_has_its_times(connection: tuple[TcpSocket, TcpSocket]) -> None:
    client, _ = connection
    client.set_keepalive(idle=7, interval=3, count=2)
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    assert [7, 3, 2] == [client.get_option(socket.IPPROTO_TCP, name) for name in names]
    client.set_keepalive(False)
    assert 0 == client.get_option(SOL_SOCKET, socket.SO_KEEPALIVE)


def test_keepalive_does_without_the_times_that_a_system_lacks(
    connection: tuple[TcpSocket, TcpSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_TCP_KEEPIDLE", "_TCP_KEEPINTVL", "_TCP_KEEPCNT"):
        monkeypatch.setattr(stream_socket, name, None)
    connection[0].set_keepalive()
    assert connection[0].get_option(SOL_SOCKET, socket.SO_KEEPALIVE)


def test_linger_is_set_and_taken_back(connection: tuple[TcpSocket, TcpSocket]) -> None:
    client, _ = connection
    layout = struct.Struct("ii")
    values = []
    for seconds in (7, None):
        client.set_linger(seconds)
        value = client.get_option(SOL_SOCKET, socket.SO_LINGER, layout.size)
        values.append(layout.unpack(value) if isinstance(value, bytes) else ())
    assert (1, 7) == values[0]
    assert 0 == values[1][0]


# Closing down


def test_close_down_sends_the_end_and_closes(pair: tuple[StreamSocket, StreamSocket]) -> None:
    one, other = pair
    one.send(b"last words")
    one.close_down()
    assert one.is_closed
    assert b"last words" == all_of(other)


def test_close_down_does_not_stay_with_a_peer_that_never_stops(
    pair: tuple[StreamSocket, StreamSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StreamSocket, "recv", lambda self, max_bytes: bytes(max_bytes))
    pair[0].close_down()
    assert pair[0].is_closed


# Unix


@needs_unix
def test_unix_peers_meet_at_a_path(tmp_path: Path, keep: Callable[[Any], Any]) -> None:
    path = str(tmp_path / "s")
    listener = keep(create_unix_server_socket(path))
    client = keep(create_unix_socket())
    assert client.connect(unix(path)) is True
    accepted = keep(listener.accept())
    assert UnixSocket is type(accepted)
    assert unix(path) == client.peer_address == listener.local_address
    accepted.send(b"hello")
    assert b"hello" == client.recv(9)


@needs_linux
@needs_unix
def test_unix_peers_meet_at_an_abstract_name(keep: Callable[[Any], Any]) -> None:
    name = f"@coop-test-{os.getpid()}"
    listener = keep(create_unix_server_socket(name))
    assert f"unix:{name}" == str(listener.local_address)
    assert keep(create_unix_socket()).connect(unix(name)) is True
    with pytest.raises(OSError, match="somebody listens there"):
        create_unix_server_socket(name)


@needs_linux
@needs_unix
def test_unix_peer_shows_its_credentials(tmp_path: Path, keep: Callable[[Any], Any]) -> None:
    listener = keep(create_unix_server_socket(str(tmp_path / "s")))
    client = keep(create_unix_socket())
    client.connect(listener.local_address)
    assert (os.getpid(), os.getuid(), os.getgid()) == client.peer_credentials()


@needs_unix
def test_credentials_are_refused_where_the_system_has_none(
    keep: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "_SO_PEERCRED", None)
    with pytest.raises(OSError, match="no SO_PEERCRED"):
        keep(create_unix_socket()).peer_credentials()


@needs_unix
def test_stale_socket_file_is_replaced(tmp_path: Path, keep: Callable[[Any], Any]) -> None:
    path = str(tmp_path / "s")
    create_unix_server_socket(path).detach().close()  # as a process that dies does
    assert os.path.exists(path)
    assert keep(create_unix_server_socket(path)).is_listening


@needs_unix
def test_live_socket_file_is_left_alone(tmp_path: Path, keep: Callable[[Any], Any]) -> None:
    path = str(tmp_path / "s")
    listener = keep(create_unix_server_socket(path))
    with pytest.raises(OSError, match="somebody listens there") as caught:
        create_unix_server_socket(path)
    assert errno.EADDRINUSE == caught.value.errno
    keep(listener.accept())  # the question whether somebody is there
    assert keep(create_unix_socket()).connect(unix(path)) is True


@needs_unix
def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="or it is no socket") as caught:
        create_unix_server_socket(str(path))
    assert errno.EADDRINUSE == caught.value.errno
    assert "precious" == path.read_text()


@needs_unix
def test_symbolic_link_to_a_stale_socket_is_left_alone(tmp_path: Path) -> None:
    create_unix_server_socket(str(tmp_path / "s")).detach().close()
    (tmp_path / "link").symlink_to(tmp_path / "s")
    with pytest.raises(OSError, match="or it is no socket"):
        create_unix_server_socket(str(tmp_path / "link"))


@needs_unix
@pytest.mark.parametrize("how", ["close", "close_down"])
def test_a_listener_removes_its_socket_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    listener = create_unix_server_socket("s")
    monkeypatch.chdir("/")
    assert ["s"] == os.listdir(tmp_path)
    getattr(listener, how)()
    assert [] == os.listdir(tmp_path)
    listener.close()


@needs_unix
def test_a_listener_that_failed_leaves_no_socket_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        create_unix_server_socket(str(tmp_path / "s"), mode="no mode")  # type: ignore[arg-type]
    assert [] == os.listdir(tmp_path)


@needs_unix
@pytest.mark.parametrize("is_socket", [True, False])
def test_what_took_the_place_of_the_socket_file_stays(tmp_path: Path, is_socket: bool) -> None:
    path = tmp_path / "s"
    with create_unix_server_socket(str(path)):
        path.unlink()
        if is_socket:
            create_unix_server_socket(str(path)).detach().close()
        else:
            path.write_text("precious")
    assert path.exists()


@needs_unix
def test_a_socket_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    with create_unix_server_socket(str(tmp_path / "s")):
        (tmp_path / "s").unlink()


@needs_unix
def test_an_inherited_listener_leaves_the_file_to_whoever_made_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with create_unix_server_socket(str(path)) as made:
        adopt(os.dup(made.fileno())).close()
        assert path.exists()
    assert not path.exists()


@needs_unix
def test_a_forked_process_leaves_the_socket_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = create_unix_server_socket(str(tmp_path / "s"))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    listener.close()
    assert (tmp_path / "s").exists()


@needs_unix
def test_socket_file_has_its_mode(tmp_path: Path, keep: Callable[[Any], Any]) -> None:
    path = str(tmp_path / "s")
    keep(create_unix_server_socket(path, mode=0o600))
    assert 0o600 == os.stat(path).st_mode & 0o777


@needs_unix
def test_missing_directory_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make the directory"):
        create_unix_server_socket(str(tmp_path / "none" / "s"))


@needs_linux
@needs_unix
def test_full_backlog_of_a_unix_listener_refuses_at_once(
    tmp_path: Path, keep: Callable[[Any], Any]
) -> None:
    """connect(2) says EAGAIN, which means "not begun", so there would be nothing to wait for."""
    listener = keep(create_unix_server_socket(str(tmp_path / "s"), backlog=0))
    assert keep(create_unix_socket()).connect(listener.local_address) is True
    with pytest.raises(BlockingIOError, match="backlog is full"):
        keep(create_unix_socket()).connect(listener.local_address)


def test_unix_sockets_are_refused_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coop.sockets.AF_UNIX", None)
    with pytest.raises(OSError, match="this system has no AF_UNIX"):
        create_unix_socket()


# UDP


@pytest.fixture
def udp_pair() -> Iterator[tuple[UdpSocket, UdpSocket]]:
    with create_udp_socket(LOOPBACK) as one, create_udp_socket(LOOPBACK) as other:
        yield one, other


def test_datagram_comes_with_its_sender(udp_pair: tuple[UdpSocket, UdpSocket]) -> None:
    one, other = udp_pair
    assert WOULDBLOCK is other.recv_from(99)
    assert 5 == one.send_to(b"hello", other.local_address)
    ready(other, READ)
    assert (b"hello", one.local_address) == other.recv_from(99)


def test_each_datagram_comes_whole_or_is_cut(udp_pair: tuple[UdpSocket, UdpSocket]) -> None:
    one, other = udp_pair
    for data in (b"first", b"", b"third"):
        one.send_to(data, other.local_address)
    ready(other, READ)
    received = [other.recv_from(size) for size in (99, 99, 3)]
    assert [b"first", b"", b"thi"] == [outcome[0] for outcome in received if outcome]


def test_connected_datagram_socket_has_one_peer(udp_pair: tuple[UdpSocket, UdpSocket]) -> None:
    one, other = udp_pair
    one.connect(other.local_address)
    other.connect(one.local_address)
    assert other.local_address == one.peer_address
    assert WOULDBLOCK is other.recv(99)
    assert 5 == one.send(b"hello")
    ready(other, READ)
    assert b"hello" == other.recv(99)


@needs_linux
def test_datagram_to_nobody_comes_back_as_refused(keep: Callable[[Any], Any]) -> None:
    with create_udp_socket(LOOPBACK) as gone:
        address = gone.local_address
    one = keep(create_udp_socket())
    one.connect(address)
    one.send(b"anybody there?")
    ready(one, READ)
    with pytest.raises(ConnectionRefusedError):
        one.recv(99)
    assert WOULDBLOCK is one.recv(99)


def test_datagram_that_finds_no_room_would_block(
    udp_pair: tuple[UdpSocket, UdpSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over loopback there is always room, so the system's answer is put in."""
    one, other = udp_pair
    for name in ("send", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse(errno.EAGAIN))
    assert WOULDBLOCK is one.send_to(b"x", other.local_address)
    assert WOULDBLOCK is one.send(b"x")


def test_datagram_too_long_is_an_error(udp_pair: tuple[UdpSocket, UdpSocket]) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EMSGSIZE)):
        udp_pair[0].send_to(bytes(70000), udp_pair[1].local_address)


def test_datagram_socket_takes_a_port_at_every_address(keep: Callable[[Any], Any]) -> None:
    sock = keep(create_udp_socket())
    sock.bind_to_port(0)
    assert sock.local_address.is_wildcard
    with pytest.raises(OSError, match="port in use"):
        keep(create_udp_socket()).bind_to_port(sock.local_address.port)


def test_broadcast_is_asked_for(udp_pair: tuple[UdpSocket, UdpSocket]) -> None:
    udp_pair[0].set_broadcast()
    assert udp_pair[0].get_option(SOL_SOCKET, socket.SO_BROADCAST)


@needs_reuse_port
def test_datagram_port_can_be_shared_on_purpose(keep: Callable[[Any], Any]) -> None:
    first = keep(create_udp_socket(LOOPBACK, reuse_port=True))
    again = keep(create_udp_socket(first.local_address, reuse_port=True))
    assert first.local_address == again.local_address


GROUPS = [
    pytest.param(ipv4("239.1.2.3", 0), id="ipv4"),
    pytest.param(ipv6("ff01::1:2", 0), id="ipv6", marks=needs_ipv6),
]


@needs_linux
@pytest.mark.parametrize("interface", ["", "lo"])
@pytest.mark.parametrize("group", GROUPS)
def test_group_is_joined_once_and_left(
    keep: Callable[[Any], Any], group: Address, interface: str
) -> None:
    sock = keep(create_udp_socket(family=group.family))
    sock.set_multicast_ttl(1)
    sock.set_multicast_loop()
    try:
        sock.join_group(group, interface)
    except OSError as err:
        if err.errno == errno.ENODEV and not interface:
            pytest.skip("no interface of this machine does multicast")
        raise
    with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
        sock.join_group(group, interface)
    sock.leave_group(group, interface)
    with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
        sock.leave_group(group, interface)


# Adopting


def test_inherited_listener_is_adopted(keep: Callable[[Any], Any]) -> None:
    os_socket = socket.create_server(("127.0.0.1", 0))
    listener = keep(adopt(os_socket.detach()))
    assert (TcpSocket, True, None) == (type(listener), listener.is_listening, listener.peer_address)
    assert not os.get_inheritable(listener.fileno())
    assert WOULDBLOCK is listener.accept()


def test_inherited_connection_is_adopted_with_its_peer(
    connection: tuple[TcpSocket, TcpSocket], keep: Callable[[Any], Any], listener: TcpSocket
) -> None:
    adopted = keep(adopt(connection[0].detach().detach()))
    assert (False, listener.local_address) == (adopted.is_listening, adopted.peer_address)


def test_inherited_datagram_socket_is_adopted(keep: Callable[[Any], Any]) -> None:
    fd = create_udp_socket(LOOPBACK).detach().detach()
    assert UdpSocket is type(keep(adopt(fd)))


@needs_unix
def test_strange_socket_is_not_adopted_and_stays_open() -> None:
    with socket.socket(AF_UNIX or 0, socket.SOCK_DGRAM) as strange:
        with pytest.raises(ValueError, match="not TCP, UDP or a unix stream"):
            adopt(strange.fileno())
        os.fstat(strange.fileno())


def test_what_is_no_socket_is_not_adopted(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        with pytest.raises(OSError, match=os.strerror(errno.ENOTSOCK)):
            adopt(file.fileno())


def connect(sock: StreamSocket, address: Address) -> None:
    """Connect, and wait until it is done."""
    while sock.connect(address) is WOULDBLOCK:
        ready(sock, WRITE)


def all_of(sock: StreamSocket) -> bytes:
    """Receive until the end."""
    pieces = []
    while (piece := sock.recv(65536)) != b"":
        if piece is WOULDBLOCK:
            ready(sock, READ)
        else:
            pieces.append(piece)
    return b"".join(pieces)
