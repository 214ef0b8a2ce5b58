"""Listeners: where they listen, what accept answers, and how they end."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from typing import Any

import kit
import pytest
from kit import Gen, World, play

import coop
from coop.address import ipv4, ipv6
from coop.listener import ListenerState
from coop.network import SystemNetwork
from coop.outcomes import WOULDBLOCK

pytestmark = pytest.mark.core

HAS_IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
HAS_UNIX = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


def talk(listener: coop.Listener, address: Any) -> Gen[bytes]:
    """Connect to the address, accept at the listener, and send a word each way."""
    client, server = yield from coop.gather(coop.connect(address), listener.accept())
    with client, server:
        yield from client.sendall(b"ping")
        word = yield from server.recv()
        yield from server.sendall(word[::-1])
        return (yield from client.recv())


def talk_where(*args: Any, at: Any = None, **kwargs: Any) -> bytes:
    """Listen there, and talk to it at that address, or its own."""

    def main() -> Gen[bytes]:
        with coop.listen(*args, **kwargs) as listener:
            there = listener.address if at is None else at(listener.port)
            return (yield from talk(listener, there))

    return play(main())


# -- where ----------------------------------------------------------------------------------------


def test_on_one_address_any_free_port() -> None:
    assert b"gnip" == talk_where("127.0.0.1", 0)


def test_without_a_port_any_free_one_is_taken() -> None:
    assert b"gnip" == talk_where("127.0.0.1")


def test_on_every_address_of_the_machine() -> None:
    assert b"gnip" == talk_where(at=lambda port: ipv4("127.0.0.1", port))


@HAS_IPV6
def test_on_every_address_of_both_families() -> None:
    assert b"gnip" == talk_where(None, 0, at=lambda port: ipv6("::1", port))
    assert b"gnip" == talk_where(at=lambda port: ipv4("127.0.0.1", port))


@HAS_IPV6
def test_on_an_ipv6_address() -> None:
    assert b"gnip" == talk_where("::1", 0)
    assert b"gnip" == talk_where("[::1]:0")


def test_by_name() -> None:
    assert b"gnip" == talk_where("localhost", 0)


@pytest.mark.parametrize("text", ["127.0.0.1:0", "localhost:0", ":0", "*:0"])
def test_by_address_and_port_in_one(text: str) -> None:
    assert b"gnip" == talk_where(text, at=lambda port: ipv4("127.0.0.1", port))


def test_by_an_address_object_with_or_without_another_port() -> None:
    assert b"gnip" == talk_where(ipv4("127.0.0.1", 0))
    assert b"gnip" == talk_where(ipv4("127.0.0.1", 1), 0)


@HAS_UNIX
def test_on_a_unix_path() -> None:
    with tempfile.TemporaryDirectory() as where:
        for _ in range(2):
            assert b"gnip" == talk_where(f"unix:{where}/socket")
            assert [] == os.listdir(where)


@LINUX
def test_on_one_network_interface() -> None:
    pytest.importorskip("fcntl")
    assert b"gnip" == talk_where(interface="lo")


@LINUX
def test_an_interface_that_does_not_exist_is_named() -> None:
    def main() -> Gen[None]:
        coop.listen(interface="no-such-0")
        yield

    with pytest.raises((OSError, ValueError), match="no-such-0"):
        play(main())


def test_an_address_and_an_interface_at_once_are_refused() -> None:
    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0, interface="lo"):
            yield

    with pytest.raises(ValueError, match="either a host or an interface"):
        play(main())


def test_several_listeners_may_share_a_port() -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("no SO_REUSEPORT here")

    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0, reuse_port=True) as one:
            with coop.listen("127.0.0.1", one.port, reuse_port=True) as other:
                assert one.port == other.port
        yield

    play(main())


def test_a_port_just_used_can_be_used_again() -> None:
    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            port = listener.port
            assert b"gnip" == (yield from talk(listener, listener.address))
        with coop.listen("127.0.0.1", port) as listener:
            assert b"gnip" == (yield from talk(listener, listener.address))

    play(main())


# -- accepting ------------------------------------------------------------------------------------


def test_accept_waits_for_a_connection_and_knows_its_peer() -> None:
    def main() -> Gen[bool]:
        with coop.listen("127.0.0.1", 0) as listener:
            accepting = coop.spawn(listener.accept())
            yield from kit.passes(3)
            with (yield from coop.connect(listener.address)) as client:
                with (yield from accepting.join()) as server:
                    return bool(client.local_address == server.peer_address)

    assert play(main())


def test_a_second_task_that_accepts_gets_busy() -> None:
    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            first = coop.spawn(listener.accept())
            yield from kit.passes(3)
            with pytest.raises(coop.BusyError):
                yield from listener.accept()
            first.cancel()

    play(main())


def test_a_cancelled_accept_loses_no_connection() -> None:
    world = World()

    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            with coop.move_on_after(1):
                yield from listener.accept()
            assert b"gnip" == (yield from talk(listener, listener.address))

    world.run(main())


def test_close_wakes_who_accepts_with_closed_error() -> None:
    def main() -> Gen[None]:
        listener = coop.listen("127.0.0.1", 0)
        accepting = coop.spawn(listener.accept())
        yield from kit.passes(3)
        listener.close()
        listener.close()
        with pytest.raises(coop.ClosedError):
            yield from accepting.join()
        with pytest.raises(coop.ClosedError):
            yield from listener.accept()
        assert ListenerState.CLOSED is listener.state

    play(main())


class Troubled:
    """A listening socket whose accept fails as it was told to, and then works."""

    def __init__(self, inner: Any, *codes: int) -> None:
        self.inner = inner
        self.codes = list(codes)
        self.calls = 0

    def accept(self) -> Any:
        self.calls += 1
        if self.codes:
            code = self.codes.pop(0)
            raise OSError(code, os.strerror(code))
        return self.inner.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class TroubledNetwork(SystemNetwork):
    """A network whose listeners have trouble."""

    def __init__(self, *codes: int) -> None:
        self.codes = codes
        self.troubled: Troubled | None = None

    def listen(self, *args: Any, **kwargs: Any) -> Any:
        self.troubled = Troubled(super().listen(*args, **kwargs), *self.codes)
        return self.troubled


@pytest.mark.parametrize("name", ["ECONNABORTED", "EPROTO", "ENETUNREACH", "EPERM", "ECONNRESET"])
def test_a_connection_that_was_gone_is_passed_over(name: str) -> None:
    network = TroubledNetwork(*[getattr(errno, name)] * 3)

    def main() -> Gen[bytes]:
        with coop.listen("127.0.0.1", 0) as listener:
            return (yield from talk(listener, listener.address))

    assert b"gnip" == World(network=network).run(main())
    assert network.troubled is not None
    assert 4 <= network.troubled.calls <= 6


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_a_system_that_is_short_is_told_and_the_listener_stays_usable(name: str) -> None:
    network = TroubledNetwork(getattr(errno, name))

    def main() -> Gen[bytes]:
        with coop.listen("127.0.0.1", 0) as listener:
            with pytest.raises(OSError, match=r".+") as caught:
                yield from listener.accept()
            assert name == errno.errorcode[caught.value.errno or 0]
            return (yield from talk(listener, listener.address))

    assert b"gnip" == World(network=network).run(main())


def test_while_the_system_is_short_nothing_spins() -> None:
    network = TroubledNetwork(errno.EMFILE)
    world = World(network=network)

    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            with coop.move_on_after(1):
                network.troubled.codes.clear()  # type: ignore[union-attr]
                yield from listener.accept()  # watched from now on
            network.troubled.codes.append(errno.EMFILE)  # type: ignore[union-attr]
            with (yield from coop.connect(listener.address)):
                with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
                    yield from listener.accept()
                before = len(world.poller.timeouts)
                yield from coop.sleep(60)
                assert len(world.poller.timeouts) - before <= 2

    world.run(main())


def test_a_listener_tells_what_it_is() -> None:
    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            assert f"<listener 127.0.0.1:{listener.port} listening>" == repr(listener)
            assert listener.socket.fileno() == listener.fileno()
            assert WOULDBLOCK is listener.socket.accept()
        assert repr(listener).endswith("closed>")
        yield

    play(main())


def test_a_pair_of_host_and_port_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match="give host, port apart"):
        talk_where(("127.0.0.1", 0))
