"""Who may have more unsent than others, and for how long."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from http_kit import Gen, Hall, get, visit

import coop
from coop.http import AccessRecord, Directory, FileRegion, Limits, Request, Response
from coop.http.headroom import FACTOR, Headroom
from coop.sockets import TcpSocket, socket_pair
from coop.tls_socket import TlsSocket

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the system cannot be told"
)
UNSENT_BYTES = 16_384
LONG = 10 * UNSENT_BYTES
LIMITS = Limits(unsent_bytes=UNSENT_BYTES)
#: More than the system holds for a client that reads nothing, less than with headroom.
SIZE = 100_000


class Pairs:
    """Connections, each with a client that reads nothing."""

    def __init__(self) -> None:
        self.exits = ExitStack()
        self.listener = self.exits.enter_context(socket.create_server(("127.0.0.1", 0)))

    def open(self) -> TcpSocket:
        address = self.listener.getsockname()
        self.exits.enter_context(socket.create_connection(address))
        server = self.exits.enter_context(TcpSocket(self.listener.accept()[0]))
        server.set_unsent_bytes(UNSENT_BYTES)
        return server


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    pairs = Pairs()
    with pairs.exits:
        yield pairs


def allowed(sock: TcpSocket) -> int:
    value = sock.get_option(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
    assert isinstance(value, int)
    return value


def fill(sock: TcpSocket) -> None:
    while sock.send(bytes(65536)):
        pass


def test_a_connection_with_headroom_may_have_more_unsent(pairs: Pairs) -> None:
    one = pairs.open()
    assert UNSENT_BYTES == allowed(one)
    assert Headroom(UNSENT_BYTES).give(one, LONG)
    assert FACTOR * UNSENT_BYTES == allowed(one)


def test_what_goes_out_in_one_step_anyhow_needs_no_headroom(pairs: Pairs) -> None:
    one = pairs.open()
    assert not Headroom(UNSENT_BYTES).give(one, UNSENT_BYTES)
    assert UNSENT_BYTES == allowed(one)


def test_a_slow_reader_keeps_its_place_and_the_next_one_gets_none(pairs: Pairs) -> None:
    headroom = Headroom(UNSENT_BYTES, places=1)
    slow, late = pairs.open(), pairs.open()
    assert headroom.give(slow, LONG)
    fill(slow)
    assert [False, True] == [headroom.give(late, LONG), headroom.give(slow, LONG)]
    assert [FACTOR * UNSENT_BYTES, UNSENT_BYTES] == [allowed(slow), allowed(late)]


def test_who_has_caught_up_gives_its_place_to_the_next(pairs: Pairs) -> None:
    headroom = Headroom(UNSENT_BYTES, places=1)
    idle, late = pairs.open(), pairs.open()
    assert [True, True] == [headroom.give(idle, LONG), headroom.give(late, LONG)]
    assert [UNSENT_BYTES, FACTOR * UNSENT_BYTES] == [allowed(idle), allowed(late)]


def test_another_place_is_looked_at_each_time(pairs: Pairs) -> None:
    headroom = Headroom(UNSENT_BYTES, places=2)
    slow, idle, late = pairs.open(), pairs.open(), pairs.open()
    assert headroom.give(slow, LONG)
    assert headroom.give(idle, LONG)
    fill(slow)
    assert [False, True] == [headroom.give(late, LONG), headroom.give(late, LONG)]
    assert [FACTOR * UNSENT_BYTES, UNSENT_BYTES] == [allowed(slow), allowed(idle)]


def test_the_place_of_a_closed_connection_is_free(pairs: Pairs) -> None:
    headroom = Headroom(UNSENT_BYTES, places=1)
    gone, late = pairs.open(), pairs.open()
    assert headroom.give(gone, LONG)
    fill(gone)
    gone.close()
    assert headroom.give(late, LONG)


def test_only_tcp_as_it_is_gets_headroom(pairs: Pairs) -> None:
    raw = pairs.open()
    context = ssl.create_default_context()
    over_tls = TlsSocket(raw, context, server_side=False, server_hostname="a")
    left, right = socket_pair()
    with left, right:
        answers = [Headroom(UNSENT_BYTES).give(each, LONG) for each in (over_tls, left)]
    assert [False, False] == answers
    assert UNSENT_BYTES == allowed(raw)


# -- at work ------------------------------------------------------------------------------------


def test_of_a_file_the_system_takes_more_than_of_what_is_made(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.touch()
    os.truncate(path, SIZE)
    files = Directory(tmp_path)
    done: list[str] = []

    def note(record: AccessRecord) -> None:
        if record.is_whole and record.request is not None:
            done.append(record.request.path)

    def app(request: Request) -> Response:
        if request.path == "/long":
            return files(request)
        return Response(bytes(SIZE // 100) for _ in range(100))

    def visitor(hall: Hall) -> Gen[list[str]]:
        for target in ("/made", "/long"):
            client = yield from hall.enter(receive_buffer_bytes=16_384)
            yield from client.say(get(target))
        yield from coop.sleep(1)  # nobody reads
        return list(done)

    assert ["/long"] == visit(app, visitor, limits=LIMITS, access_log=note)


def test_a_region_that_a_handler_gives_has_headroom_too(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.touch()
    os.truncate(path, SIZE)
    done: list[int] = []

    def app(request: Request) -> Response:
        return Response(FileRegion(path.open("rb")))

    def visitor(hall: Hall) -> Gen[list[int]]:
        client = yield from hall.enter(receive_buffer_bytes=16_384)
        yield from client.say(get())
        yield from coop.sleep(1)
        return list(done)

    def note(record: AccessRecord) -> None:
        done.append(record.body_bytes)

    assert [SIZE] == visit(app, visitor, limits=LIMITS, access_log=note)
