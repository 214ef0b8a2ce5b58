"""The simulated sockets hold what Linux does: each test runs over both, and must say the same.

What a simulator believes about sockets is only worth what this file says.  Everything is asked of
coop's raw sockets: values, errno, the bits of poll(2), SO_ERROR, and what is still to be read.
"""

from __future__ import annotations

import errno
import resource
import select
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coop.address import Address, ipv4, unix
from coop.network import SystemNetwork
from coop.outcomes import WOULDBLOCK, ClosedError
from coop.poller import ERROR, HANGUP, READ, WRITE
from coop.sim import Simulation
from coop.sockets import StreamSocket, TcpSocket, UdpSocket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that is simulated")

ANY = ipv4("127.0.0.1", 0)


class Ground:
    """Where sockets come from, and how their readiness is asked."""

    network: Any

    def __init__(self) -> None:
        self.opened: list[Any] = []

    def keep(self, opened: Any) -> Any:
        self.opened.append(opened)
        return opened

    def stream(self, address: Address = ANY) -> TcpSocket:
        return self.keep(self.network.open_stream(address))

    def listener(self, address: Address = ANY, backlog: int = 5, **kwargs: Any) -> TcpSocket:
        return self.keep(self.network.listen(address, address.port, backlog=backlog, **kwargs))

    def udp(self) -> UdpSocket:
        return self.keep(self.network.open_datagram(ANY))

    def start_connecting(self, address: Address) -> TcpSocket:
        client = self.stream(address)
        assert client.connect(address) in (True, WOULDBLOCK)
        return client

    def accept(self, listener: StreamSocket) -> TcpSocket:
        self.wait(listener, READ)
        return self.keep(listener.accept())

    def pair(self, listener: StreamSocket | None = None) -> tuple[TcpSocket, TcpSocket]:
        listener = listener or self.listener()
        client = self.start_connecting(listener.local_address)
        server = self.accept(listener)
        self.wait(client, WRITE)
        assert client.connect(listener.local_address) is True
        return client, server

    def wait(self, opened: Any, bits: int) -> None:
        raise NotImplementedError

    def bits(self, opened: Any) -> int:
        raise NotImplementedError

    def with_descriptors(self, call: Callable[[], Any], left: int) -> Any:
        raise NotImplementedError


class Real(Ground):
    network = SystemNetwork()

    def _poll(self, opened: Any, milliseconds: int, bits: int = READ | WRITE) -> int:
        poll = select.poll()
        poll.register(opened.fileno(), bits)
        return sum(found for _, found in poll.poll(milliseconds))

    def wait(self, opened: Any, bits: int) -> None:
        assert self._poll(opened, 5000, bits) & bits

    def bits(self, opened: Any) -> int:
        return self._poll(opened, 0)

    def with_descriptors(self, call: Callable[[], Any], left: int) -> Any:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as probe:
            lowest = probe.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + left, hard))
        try:
            return call()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Simulated(Ground):
    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation()
        self.host = self.simulation.host("one")
        self.network = self.host.network

    def wait(self, opened: Any, bits: int) -> None:
        assert self.bits(opened) & bits

    def bits(self, opened: Any) -> int:
        return opened.os_socket.bits()

    def with_descriptors(self, call: Callable[[], Any], left: int) -> Any:
        self.host.most_descriptors = len(self.host.poller.endpoints) + left
        try:
            return call()
        finally:
            self.host.most_descriptors = 1024


@pytest.fixture(params=[Real, Simulated], ids=["real", "simulated"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    made = request.param()
    yield made
    for opened in made.opened:
        opened.close()


def code_of(call: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(OSError) as caught:
        call(*args)
    return errno.errorcode[caught.value.errno]


def fill(sender: StreamSocket) -> int:
    """Send until nothing more is taken; return how much was."""
    total = 0
    while (sent := sender.send(b"x" * 65536)) is not WOULDBLOCK:
        total += sent
    return total


# -- connecting ---------------------------------------------------------------------------------


def test_a_fresh_socket_hangs_up(ground):
    assert WRITE | HANGUP == ground.bits(ground.stream())


def test_connect_starts_and_then_tells(ground):
    listener = ground.listener()
    client = ground.stream()
    assert WOULDBLOCK is client.connect(listener.local_address)
    ground.wait(client, WRITE)
    assert True is client.connect(listener.local_address)
    assert True is client.connect(listener.local_address)
    assert WRITE == ground.bits(client)


def test_connect_is_refused(ground):
    with ground.network.listen(ANY, 0, backlog=1) as gone:
        address = gone.local_address
    client = ground.start_connecting(address)
    ground.wait(client, WRITE)
    assert READ | WRITE | ERROR | HANGUP == ground.bits(client)
    assert "ECONNREFUSED" == code_of(client.connect, address)
    assert READ | WRITE | HANGUP == ground.bits(client)
    assert None is client.pending_error()


def test_a_refused_socket_sends_and_receives_nothing(ground):
    with ground.network.listen(ANY, 0, backlog=1) as gone:
        address = gone.local_address
    client = ground.start_connecting(address)
    ground.wait(client, WRITE)
    assert "ECONNREFUSED" == code_of(client.recv, 10)
    assert b"" == client.recv(10)
    assert "EPIPE" == code_of(client.send, b"x")


def test_an_unconnected_socket_is_told_so(ground):
    client = ground.stream()
    assert "ENOTCONN" == code_of(client.recv, 10)
    assert "EPIPE" == code_of(client.send, b"x")
    assert "ENOTCONN" == code_of(client.shutdown_send)
    assert "EINVAL" == code_of(client.accept)
    assert "ENOTCONN" == code_of(client.os_socket.getpeername)


def test_both_ends_know_each_other(ground):
    client, server = ground.pair()
    assert client.local_address == server.peer_address
    assert server.local_address == client.peer_address
    assert client.os_socket.getpeername() == server.os_socket.getsockname()


def test_connecting_from_a_bound_port(ground):
    listener = ground.listener()
    client = ground.stream()
    client.bind(ANY)
    local = client.local_address
    client.connect(listener.local_address)
    assert local == ground.accept(listener).peer_address


# -- listening ----------------------------------------------------------------------------------


def test_a_listener_is_readable_when_somebody_has_come(ground):
    listener = ground.listener()
    assert 0 == ground.bits(listener)
    assert WOULDBLOCK is listener.accept()
    ground.start_connecting(listener.local_address)
    ground.wait(listener, READ)
    assert READ == ground.bits(listener)
    ground.accept(listener)
    assert 0 == ground.bits(listener)


def test_a_listener_neither_sends_nor_receives(ground):
    listener = ground.listener()
    assert "ENOTCONN" == code_of(listener.recv, 1)
    assert "EPIPE" == code_of(listener.send, b"x")
    assert "EISCONN" == code_of(listener.os_socket.connect, listener.local_address.sockaddr)


def test_the_end_of_a_listener_resets_who_waits(ground):
    listener = ground.listener()
    client = ground.start_connecting(listener.local_address)
    ground.wait(listener, READ)
    listener.close()
    ground.wait(client, READ)
    assert "ECONNRESET" == code_of(client.recv, 1)


def test_a_connection_that_ended_before_its_accept_is_accepted(ground):
    listener = ground.listener()
    client = ground.start_connecting(listener.local_address)
    ground.wait(client, WRITE)
    client.send(b"last words")
    client.close()
    server = ground.accept(listener)
    ground.wait(server, READ)
    assert b"last words" == server.recv(100)
    assert b"" == server.recv(100)


def test_a_connection_that_was_reset_before_its_accept_is_accepted(ground):
    listener = ground.listener()
    client = ground.start_connecting(listener.local_address)
    ground.wait(client, WRITE)
    client.send(b"words")
    client.set_linger(0)
    client.close()
    server = ground.accept(listener)
    ground.wait(server, ERROR)
    assert b"words" == server.recv(100)
    assert "ECONNRESET" == code_of(server.recv, 100)


def test_without_descriptors_a_connection_stays_in_the_queue(ground):
    listener = ground.listener()
    ground.start_connecting(listener.local_address)
    ground.wait(listener, READ)
    assert "EMFILE" == ground.with_descriptors(lambda: code_of(listener.accept), 0)
    assert READ == ground.bits(listener)
    assert ground.accept(listener).peer_address


def test_without_descriptors_there_is_no_socket(ground):
    assert "EMFILE" == ground.with_descriptors(lambda: code_of(ground.stream), 0)


def test_a_port_in_use_is_refused(ground):
    listener = ground.listener()
    assert "EADDRINUSE" == code_of(ground.listener, listener.local_address)
    assert "EADDRINUSE" == code_of(ground.stream().bind, listener.local_address)


def test_a_port_may_be_shared_by_those_who_both_ask(ground):
    one = ground.listener(reuse_port=True)
    other = ground.listener(one.local_address, reuse_port=True)
    assert one.local_address == other.local_address


def test_a_closed_port_is_free_again(ground):
    listener = ground.listener()
    address = listener.local_address
    listener.close()
    assert address == ground.listener(address).local_address


def test_a_port_whose_connections_live_on_is_free_for_a_listener(ground):
    listener = ground.listener()
    address = listener.local_address
    ground.pair(listener)
    listener.close()
    assert address == ground.listener(address).local_address


def test_an_address_of_somebody_else_cannot_be_bound(ground):
    assert "EADDRNOTAVAIL" == code_of(ground.stream().bind, ipv4("192.0.2.1", 0))


def test_a_socket_is_bound_once(ground):
    client = ground.stream()
    client.bind(ANY)
    assert "EINVAL" == code_of(client.bind, ANY)


# -- data ---------------------------------------------------------------------------------------


def test_data_arrives_in_order_and_in_any_pieces(ground):
    client, server = ground.pair()
    assert 5 == client.send(b"hello")
    assert 6 == client.send_parts([b" ", b"world"])
    ground.wait(server, READ)
    assert READ | WRITE == ground.bits(server)
    assert 11 == server.bytes_pending()
    assert b"hello" == server.peek(5)
    assert 11 == server.bytes_pending()
    assert b"hel" == server.recv(3)
    assert b"lo world" == server.recv(100)
    assert WOULDBLOCK is server.recv(100)
    assert WOULDBLOCK is server.peek(100)
    assert WRITE == ground.bits(server)


def test_receiving_into_a_buffer(ground):
    client, server = ground.pair()
    client.send(b"hello")
    ground.wait(server, READ)
    buffer = bytearray(3)
    assert 3 == server.recv_into(buffer)
    assert b"hel" == buffer


def test_nothing_can_be_sent_and_asked_for(ground):
    client, server = ground.pair()
    assert 0 == client.send(b"")
    client.send(b"x")
    ground.wait(server, READ)
    assert b"" == server.recv(0)
    assert b"x" == server.recv(1)


def test_a_full_buffer_blocks_until_the_peer_reads(ground):
    client, server = ground.pair()
    total = fill(client)
    assert 0 == ground.bits(client)
    received = 0
    while received < total:
        ground.wait(server, READ)
        received += len(server.recv(1 << 20))
    ground.wait(client, WRITE)
    assert WRITE == ground.bits(client)


# -- the end of the stream ----------------------------------------------------------------------


def test_the_end_comes_after_the_data_and_stays(ground):
    client, server = ground.pair()
    client.send(b"bye")
    client.close()
    ground.wait(server, READ)
    assert b"bye" == server.recv(100)
    ground.wait(server, READ)
    assert b"" == server.recv(100)
    assert b"" == server.recv(100)
    assert READ | WRITE == ground.bits(server)


def test_half_a_close_leaves_the_other_half(ground):
    client, server = ground.pair()
    client.shutdown_send()
    ground.wait(server, READ)
    assert b"" == server.recv(100)
    assert 6 == server.send(b"answer")
    ground.wait(client, READ)
    assert b"answer" == client.recv(100)
    assert WRITE == ground.bits(client)
    assert "EPIPE" == code_of(client.send, b"x")


def test_both_halves_closed_is_a_hangup(ground):
    client, server = ground.pair()
    client.shutdown_send()
    server.shutdown_send()
    ground.wait(client, HANGUP)
    ground.wait(server, HANGUP)
    assert READ | WRITE | HANGUP == ground.bits(client)
    assert READ | WRITE | HANGUP == ground.bits(server)
    assert b"" == client.recv(1)
    assert "ENOTCONN" == code_of(client.os_socket.getpeername)
    assert "ENOTCONN" == code_of(client.shutdown_send)


def test_closing_a_half_twice_is_allowed(ground):
    client, _ = ground.pair()
    client.shutdown_send()
    client.shutdown_send()
    assert WRITE == ground.bits(client)


def test_no_more_receiving(ground):
    client, server = ground.pair()
    client.send(b"before")
    ground.wait(server, READ)
    server.shutdown_receive()
    assert b"before" == server.recv(100)
    assert b"" == server.recv(100)
    assert READ | WRITE == ground.bits(server)
    assert 5 == client.send(b"after")


def test_shutting_both_ways_at_once(ground):
    client, server = ground.pair()
    client.shutdown()
    assert b"" == client.recv(1)
    assert "EPIPE" == code_of(client.send, b"x")
    assert READ | WRITE | HANGUP == ground.bits(client)
    ground.wait(server, READ)
    assert b"" == server.recv(1)


def test_data_that_waits_for_room_is_delivered_after_the_close(ground):
    client, server = ground.pair()
    total = fill(client)
    client.close()
    received = 0
    while True:
        ground.wait(server, READ)
        if not (data := server.recv(1 << 20)):
            break
        received += len(data)
    assert total == received


# -- resets -------------------------------------------------------------------------------------


def test_closing_with_unread_data_resets_the_peer(ground):
    client, server = ground.pair()
    client.send(b"never read")
    ground.wait(server, READ)
    server.close()
    ground.wait(client, ERROR)
    assert READ | WRITE | ERROR | HANGUP == ground.bits(client)
    assert "ECONNRESET" == code_of(client.recv, 100)
    assert b"" == client.recv(100)
    assert "EPIPE" == code_of(client.send, b"x")
    assert READ | WRITE | HANGUP == ground.bits(client)


def test_a_reset_is_told_once_by_send_too(ground):
    client, server = ground.pair()
    client.send(b"never read")
    ground.wait(server, READ)
    server.close()
    ground.wait(client, ERROR)
    assert "ECONNRESET" == code_of(client.send, b"x")
    assert "EPIPE" == code_of(client.send, b"x")
    assert b"" == client.recv(1)


def test_the_pending_error_is_told_once(ground):
    client, server = ground.pair()
    client.send(b"never read")
    ground.wait(server, READ)
    server.close()
    ground.wait(client, ERROR)
    assert errno.ECONNRESET == client.pending_error().errno
    assert None is client.pending_error()
    assert b"" == client.recv(1)


def test_what_arrived_before_a_reset_can_be_read(ground):
    client, server = ground.pair()
    client.send(b"never read")
    server.send(b"answer")
    ground.wait(server, READ)
    ground.wait(client, READ)
    server.close()
    ground.wait(client, ERROR)
    assert b"answer" == client.recv(100)
    assert "ECONNRESET" == code_of(client.recv, 100)


def test_a_reset_loses_what_the_peer_had_no_room_for(ground):
    client, server = ground.pair()
    total = fill(server)
    client.send(b"never read")
    ground.wait(server, READ)
    server.close()
    ground.wait(client, ERROR)
    received = 0
    with pytest.raises(ConnectionResetError):
        while data := client.recv(1 << 20):
            received += len(data)
    assert 0 < received < total


def test_lingering_for_no_time_is_a_reset(ground):
    client, server = ground.pair()
    client.set_linger(0)
    client.close()
    ground.wait(server, ERROR)
    assert "ECONNRESET" == code_of(server.recv, 1)


def test_a_reset_connection_has_no_peer_and_cannot_be_shut(ground):
    client, server = ground.pair()
    client.set_linger(0)
    client.close()
    ground.wait(server, ERROR)
    assert "ENOTCONN" == code_of(server.shutdown_send)
    assert "ENOTCONN" == code_of(server.os_socket.getpeername)


def test_sending_to_a_closed_peer_works_once(ground):
    client, server = ground.pair()
    server.close()
    ground.wait(client, READ)
    assert 1 == client.send(b"x")
    ground.wait(client, ERROR)
    assert READ | WRITE | ERROR | HANGUP == ground.bits(client)
    assert "EPIPE" == code_of(client.send, b"x")
    assert b"" == client.recv(1)


def test_after_the_end_a_reset_is_a_broken_pipe(ground):
    client, server = ground.pair()
    server.close()
    ground.wait(client, READ)
    client.send(b"x")
    ground.wait(client, ERROR)
    assert b"" == client.recv(1)
    assert errno.EPIPE == client.pending_error().errno


def test_sending_after_a_half_close_to_one_who_closed_is_answered_by_a_reset(ground):
    client, server = ground.pair()
    client.shutdown_send()
    ground.wait(server, READ)
    server.send(b"never read")
    ground.wait(client, READ)
    client.close()
    ground.wait(server, ERROR)
    assert "EPIPE" == code_of(server.send, b"x")


# -- closed sockets -----------------------------------------------------------------------------


def test_a_closed_socket_says_so(ground):
    client, _ = ground.pair()
    client.close()
    client.close()
    assert client.is_closed
    for call, *args in ((client.recv, 1), (client.send, b"x"), (client.shutdown_send,)):
        with pytest.raises(ClosedError):
            call(*args)


def test_a_number_comes_back(ground):
    client = ground.stream()
    number = client.fileno()
    client.close()
    assert number == ground.stream().fileno()


# -- options ------------------------------------------------------------------------------------


def test_buffers_are_doubled(ground):
    client = ground.stream()
    client.set_send_buffer_bytes(10_000)
    client.set_receive_buffer_bytes(10_000)
    assert 20_000 == client.get_option(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert 20_000 == client.get_option(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_options_are_kept(ground):
    client = ground.stream()
    client.set_nodelay()
    client.set_keepalive(idle=7)
    assert client.get_option(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert 7 == client.get_option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)


# -- unix sockets -------------------------------------------------------------------------------


def test_unix_sockets_connect_at_once(ground):
    address = unix("@coop-conformance")
    listener = ground.listener(address)
    client = ground.stream(address)
    assert True is client.connect(address)
    server = ground.accept(listener)
    client.send(b"hello")
    ground.wait(server, READ)
    assert b"hello" == server.recv(100)
    client.close()
    ground.wait(server, READ)
    assert b"" == server.recv(100)


def test_nobody_listens_at_a_unix_name(ground):
    address = unix("@coop-nobody")
    assert "ECONNREFUSED" == code_of(ground.stream(address).connect, address)


# -- datagrams ----------------------------------------------------------------------------------


def test_datagrams_come_whole_and_one_by_one(ground):
    one, other = ground.udp(), ground.udp()
    assert WOULDBLOCK is other.recv_from(100)
    assert WRITE == ground.bits(other)
    assert 3 == one.send_to(b"abc", other.local_address)
    assert 0 == one.send_to(b"", other.local_address)
    ground.wait(other, READ)
    assert READ | WRITE == ground.bits(other)
    assert 3 == other.bytes_pending()
    assert (b"abc", one.local_address) == other.recv_from(100)
    assert (b"", one.local_address) == other.recv_from(100)
    assert WOULDBLOCK is other.recv_from(100)


def test_what_exceeds_the_buffer_is_lost(ground):
    one, other = ground.udp(), ground.udp()
    one.send_to(b"abcdef", other.local_address)
    ground.wait(other, READ)
    assert b"abc" == other.recv_from(3)[0]
    assert WOULDBLOCK is other.recv_from(3)


def test_a_datagram_has_a_largest_size(ground):
    one, other = ground.udp(), ground.udp()
    assert "EMSGSIZE" == code_of(one.send_to, b"x" * 65508, other.local_address)


def test_an_unconnected_datagram_socket_needs_an_address(ground):
    assert "EDESTADDRREQ" == code_of(ground.udp().send, b"x")


def test_nobody_at_the_port_is_told_to_a_connected_sender(ground):
    one, gone = ground.udp(), ground.udp()
    one.connect(gone.local_address)
    gone.close()
    assert 1 == one.send(b"x")
    ground.wait(one, ERROR)
    assert ERROR & ground.bits(one)
    assert "ECONNREFUSED" == code_of(one.recv, 1)
    assert WOULDBLOCK is one.recv(1)


def test_a_connected_datagram_socket_hears_its_peer_alone(ground):
    one, peer, stranger = ground.udp(), ground.udp(), ground.udp()
    one.connect(peer.local_address)
    stranger.send_to(b"psst", one.local_address)
    peer.send_to(b"hello", one.local_address)
    ground.wait(one, READ)
    assert b"hello" == one.recv(100)
    assert WOULDBLOCK is one.recv(100)
