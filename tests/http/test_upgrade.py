"""Answers behind which another protocol begins."""

from __future__ import annotations

import http_kit
import pytest
from http_kit import Gen, get, visit

import coop
import coop.http
from coop.http import Upgrade

WISH = "Connection: Upgrade\r\nUpgrade: shouting\r\n"


def shout(conn: coop.Connection, received: bytes) -> Gen[None]:
    data = received or (yield from conn.recv())
    while data:
        yield from conn.sendall(data.upper())
        data = yield from conn.recv()


def app(request: coop.http.Request) -> coop.http.Response:
    return Upgrade("shouting", shout, [("X-Loud", "yes")])


def test_what_follows_the_answer_is_the_other_protocol() -> None:
    def visitor(hall: http_kit.Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get(fields=WISH))
        head = yield from client.conn.recv_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        for line in (b"Upgrade: shouting", b"Connection: Upgrade", b"X-Loud: yes", b"Server: coop"):
            assert line in head.split(b"\r\n")
        assert b"Content-Length" not in head
        yield from client.say(b"hello")
        heard = yield from client.conn.recv_exactly(5)
        client.conn.shutdown_send()
        return heard + (yield from client.hear_end())

    assert b"HELLO" == visit(app, visitor)


def test_bytes_in_the_segment_of_the_request_are_not_lost() -> None:
    def visitor(hall: http_kit.Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get(fields=WISH) + b"at once")
        yield from client.conn.recv_until(b"\r\n\r\n")
        return (yield from client.conn.recv_exactly(7))

    assert b"AT ONCE" == visit(app, visitor)


def test_the_deadlines_of_http_hold_no_more() -> None:
    def visitor(hall: http_kit.Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get(fields=WISH))
        yield from client.conn.recv_until(b"\r\n\r\n")
        yield from coop.sleep(1000)
        yield from client.say(b"still here")
        return (yield from client.conn.recv_exactly(10))

    assert b"STILL HERE" == visit(app, visitor)


def test_the_access_log_has_it() -> None:
    seen: list[int] = []

    def visitor(hall: http_kit.Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.say(get(fields=WISH))
        yield from client.conn.recv_until(b"\r\n\r\n")
        assert [101] == seen

    visit(app, visitor, access_log=lambda record: seen.append(record.status))


def test_it_ends_the_connection_when_a_body_was_left_unread() -> None:
    def visitor(hall: http_kit.Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get(fields=WISH + "Content-Length: 5\r\n"))
        return (yield from client.hear_end())

    assert b"" == visit(app, visitor)


def test_a_field_that_could_break_the_head_is_refused() -> None:
    with pytest.raises(ValueError, match="control character"):
        Upgrade("shouting", shout, [("X", "a\r\nb")])
