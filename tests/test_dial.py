"""Dialling: names, addresses, refusals, time-outs."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys
import tempfile
import types
from typing import Any

import kit
import pytest
from kit import Gen, World, play

import coop
from coop.address import Address, ipv4, ipv6
from coop.network import SystemNetwork
from coop.traps import Coop

pytestmark = pytest.mark.core

HAS_IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


class Names(SystemNetwork):
    """A network that knows a few names, by heart."""

    def __init__(self, **names: list[Address]) -> None:
        self.names = names

    def resolve(self, host: str, port: int) -> Coop[list[Address]]:
        yield from coop.sleep(2)
        return [address.with_port(port) for address in self.names[host]]


def free_address() -> Address:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ipv4("127.0.0.1", probe.getsockname()[1])


def greet(listener: coop.Listener) -> Gen[None]:
    with (yield from listener.accept()) as conn:
        yield from conn.sendall(b"hello")


@pytest.mark.parametrize(
    "target",
    [
        lambda port: (ipv4("127.0.0.1", port),),
        lambda port: ("127.0.0.1", port),
        lambda port: (f"127.0.0.1:{port}",),
        lambda port: ("localhost", port),
        lambda port: (f"localhost:{port}",),
        lambda port: (ipv4("127.0.0.1", 1), port),
    ],
)
def test_every_way_to_name_the_other_end(target: Any) -> None:
    def main() -> Gen[bytes]:
        with coop.listen("127.0.0.1", 0) as listener:
            coop.spawn(greet(listener))
            with (yield from coop.connect(*target(listener.port))) as conn:
                return (yield from conn.recv())

    assert b"hello" == play(main())


@HAS_IPV6
def test_over_ipv6() -> None:
    def main() -> Gen[list[bytes]]:
        heard = []
        with coop.listen("::1", 0) as listener:
            for target in (("::1", listener.port), (f"[::1]:{listener.port}",)):
                coop.spawn(greet(listener))
                with (yield from coop.connect(*target)) as conn:
                    heard.append((yield from conn.recv()))
        return heard

    assert [b"hello", b"hello"] == play(main())


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
def test_over_a_unix_path() -> None:
    def main(path: str) -> Gen[bytes]:
        with coop.listen(path) as listener:
            coop.spawn(greet(listener))
            with (yield from coop.connect(path)) as conn:
                return (yield from conn.recv())

    with tempfile.TemporaryDirectory() as where:
        assert b"hello" == play(main(f"unix:{where}/s"))


def test_a_refusal_names_the_address_and_the_cause() -> None:
    address = free_address()
    with pytest.raises(ConnectionRefusedError) as caught:
        play(coop.connect(address))
    assert errno.ECONNREFUSED == caught.value.errno
    assert str(address) in str(caught.value)
    assert "nobody listens there" in str(caught.value)


def test_the_addresses_of_a_name_are_tried_in_turn() -> None:
    def main() -> Gen[bytes]:
        with coop.listen("127.0.0.1", 0) as listener:
            coop.spawn(greet(listener))
            with (yield from coop.connect("somewhere", listener.port)) as conn:
                return (yield from conn.recv())

    refusing = ipv4("127.0.0.77", 0)
    network = Names(somewhere=[refusing, ipv4("127.0.0.1", 0)])
    assert b"hello" == World(network=network).run(main())


def test_when_every_address_fails_each_is_named() -> None:
    port = free_address().port
    network = Names(somewhere=[ipv4("127.0.0.77", 0), ipv4("127.0.0.1", 0)])
    with pytest.raises(ConnectionRefusedError) as caught:
        World(network=network).run(coop.connect("somewhere", port))
    assert "cannot connect to 'somewhere'" in str(caught.value)
    assert f"127.0.0.77:{port}: " in str(caught.value)
    assert f"127.0.0.1:{port}: " in str(caught.value)


def test_the_look_up_counts_towards_the_timeout() -> None:
    network = Names(somewhere=[])
    world = World(network=network)

    def main() -> Gen[float]:
        with pytest.raises(TimeoutError, match=r"timed out after 1 s"):
            yield from coop.connect("somewhere", 80, timeout=1)
        return kit.now()

    assert 1.0 == world.run(main())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
@LINUX
def test_a_connection_comes_from_where_it_was_told(address: str) -> None:
    def main() -> Gen[str]:
        with coop.listen("127.0.0.1", 0) as listener:
            there = listener.address
            client = yield from coop.connect(there, local=ipv4(address, 0))
            with client, (yield from listener.accept()) as server:
                assert server.peer_address is not None
                return server.peer_address.host

    assert address == play(main())


def test_a_local_address_that_is_not_ours_fails_with_a_remedy() -> None:
    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            yield from coop.connect(listener.address, local=ipv4("192.0.2.1", 0))

    with pytest.raises(OSError, match="no interface of this machine has that address"):
        play(main())


def test_the_families_of_the_two_ends_must_agree() -> None:
    def main() -> Gen[None]:
        yield from coop.connect(ipv4("127.0.0.1", 1), local=ipv6("::1", 0))

    with pytest.raises(OSError, match=r"this socket is AF_INET, but .* is AF_INET6"):
        play(main())


def hanging() -> Gen[tuple[coop.Listener, list[coop.Connection]]]:
    """A listener whose backlog is full, so that the next connect(2) hangs."""
    listener = coop.listen("127.0.0.1", 0, backlog=0)
    clients: list[coop.Connection] = []
    while True:
        with coop.move_on_after(0.2) as scope:
            clients.append((yield from coop.connect(listener.address)))
        if scope.caught:
            return listener, clients
        assert len(clients) < 100


@LINUX
def test_a_connect_that_hangs_can_be_cancelled_and_leaves_nothing() -> None:
    world = World()

    def main() -> Gen[None]:
        before = len(os.listdir("/proc/self/fd"))
        listener, clients = yield from hanging()
        open_now = len(os.listdir("/proc/self/fd"))
        with pytest.raises(TimeoutError):
            yield from coop.connect(listener.address, timeout=5)
        with coop.move_on_after(5) as scope:
            yield from coop.connect(listener.address)
        assert scope.caught
        assert open_now == len(os.listdir("/proc/self/fd"))
        for client in clients:
            client.close()
        listener.close()
        assert before == len(os.listdir("/proc/self/fd"))

    world.run(main())


def test_a_refused_connect_leaves_no_traceback_to_the_collector() -> None:
    """A client that tries again and again must not pile them up."""
    address = free_address()

    def count() -> int:
        return sum(isinstance(thing, types.TracebackType) for thing in gc.get_objects())

    def main() -> Gen[int]:
        before = count()
        for _ in range(10):
            try:
                yield from coop.connect(address)
            except ConnectionRefusedError:
                pass
        return count() - before

    with kit.no_collector():
        assert 0 == play(main())


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=str(port)):
        play(coop.connect("127.0.0.1", port))


def test_a_host_without_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match="port"):
        play(coop.connect("localhost"))


def test_a_pair_of_host_and_port_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match="give host, port apart"):
        play(coop.connect(("127.0.0.1", 80)))  # type: ignore[arg-type]


def test_a_url_is_no_host() -> None:
    with pytest.raises(ValueError, match="'http://localhost/' is a URL"):
        play(coop.connect("http://localhost/", 80))
