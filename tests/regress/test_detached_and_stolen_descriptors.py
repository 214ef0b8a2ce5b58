"""A connection went on using a descriptor that was no longer its own.

After ``detach`` a parked reader was woken, tried again, and took bytes from the socket that had
been given away; so did every later call, and a second ``detach`` gave the socket away twice.
When a descriptor was closed behind the connection's back and its number came back, a parked reader
took the new connection's bytes, and closing the old connection closed the new one.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import kit
import pytest
from kit import Gen, play

import coop
from coop.sockets import adopt, socket_pair

pytestmark = pytest.mark.core


@pytest.mark.parametrize("way", ["recv", "recv_into", "readline"])
def test_detaching_wakes_a_reader_and_leaves_the_bytes_to_the_new_owner(way: str) -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with b:
            call = {"recv": a.recv, "recv_into": lambda: a.recv_into(bytearray(9))}
            reader = coop.spawn(call.get(way, a.readline)())
            yield from kit.passes(3)
            b.socket.send(b"theirs")
            raw = a.detach()
            with raw:
                with pytest.raises(coop.ClosedError):
                    yield from reader.join()
                data = raw.recv(100)
        assert isinstance(data, bytes)
        return data

    assert b"theirs" == play(main())


def test_a_detached_connection_is_closed_for_every_use() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with b, a.detach():
            for call in (a.recv, a.readline, lambda: a.sendall(b"x"), lambda: a.recv_exactly(1)):
                with pytest.raises(coop.ClosedError, match="detached"):
                    yield from call()
            with pytest.raises(coop.ClosedError, match="no socket to give away"):
                a.detach()
            with pytest.raises(coop.ClosedError, match="detached"):
                a.fileno()
            assert "<connection detached closed>" == repr(a)
            a.close()

    play(main())


def test_a_connection_with_bytes_in_its_buffer_is_not_detached() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            a.unread(b"12345")
            with pytest.raises(coop.MisuseError, match="still holds 5 bytes: receive them first"):
                a.detach()
        yield

    play(main())


def test_a_number_that_comes_back_is_the_new_connections_alone() -> None:
    def main() -> Gen[bytes]:
        old, peer = kit.pair()
        reader = coop.spawn(old.recv())
        yield from kit.passes(3)
        number = old.fileno()
        os.close(number)  # behind everybody's back
        ours, theirs = socket_pair()
        with theirs:
            assert number == ours.fileno(), "the lowest free number is taken first"
            with coop.Connection(ours) as new:
                theirs.send(b"for the new one")
                with pytest.raises(coop.ClosedError):
                    yield from reader.join()
                old.close()
                peer.close()
                return (yield from new.recv())

    assert b"for the new one" == play(main())


@pytest.mark.parametrize("kind", ["listener", "datagrams"])
def test_a_port_whose_number_is_anothers_by_now_closes_nothing(kind: str) -> None:
    def main() -> Gen[bytes]:
        old: Any = coop.open_datagram() if kind == "datagrams" else coop.listen("127.0.0.1", 0)
        number = old.fileno()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            os.dup2(ours.fileno(), number)  # behind everybody's back
            with coop.Connection(adopt(number)) as new:
                old.close()
                old.close()
                theirs.send(b"for the new one")
                return (yield from new.recv())

    assert b"for the new one" == play(main())
