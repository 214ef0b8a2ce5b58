"""The access log: one record of each request, refused ones too, and of what became of it."""

from __future__ import annotations

from typing import Any

import pytest
from http_kit import Gen, Hall, echo, get, hello, post, visit
from kit import wait_until

import coop
from coop.http import AccessRecord, Deadlines, Request, Response


def records_of(app: Any, data: bytes, **options: Any) -> list[AccessRecord]:
    """What is recorded when a client sends this, and hears all that is answered."""
    records: list[AccessRecord] = []

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.say(data)
        yield from client.hear_end()
        yield from wait_until(lambda: records)

    visit(app, visitor, access_log=records.append, **options)
    return records


LAST = "Connection: close\r\n"


@pytest.mark.parametrize(
    ("data", "status", "line"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "GET / HTTP/1.1"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000, 431, "GET /a HTTP/1.1"),
        (b"GET /a HTTP/2.0\r\n", 505, "GET /a HTTP/2.0"),
        (b"\x16\x03\x01\x02\r\n", 400, "\x16\x03\x01\x02"),
        (b"GET /" + b"x" * 9000, 414, "GET /" + "x" * 8185),
        (b"\r\nGET /b HTTP/1.1\r\nHost: a", 408, "GET /b HTTP/1.1"),
    ],
)
def test_a_refused_request_is_recorded(data: bytes, status: int, line: str) -> None:
    (record,) = records_of(hello, data)
    assert (status, line) == (record.status, record.request_line)
    assert record.request is None
    assert record.is_whole
    assert record.peer is not None
    assert "127.0.0.1" == record.peer.host
    assert len(record.response.body) == record.body_bytes


def test_a_body_that_is_too_large_is_recorded_with_its_request() -> None:
    data = get("/up", "Content-Length: 9999999\r\n" + LAST, "POST")
    (record,) = records_of(echo, data)
    assert (413, "POST /up HTTP/1.1") == (record.status, record.request_line)
    assert isinstance(record.request, Request)


def pieces(request: Request) -> Response:
    return Response(iter([b"abc", "dé", b""]))


@pytest.mark.parametrize(
    ("app", "data", "size"),
    [
        (hello, get("/", LAST), 5),
        (hello, get("/", LAST, "HEAD"), 0),
        (pieces, get("/", LAST), 6),
        (echo, post(b"x" * 100_000, LAST), 100_000),
    ],
)
def test_the_octets_of_the_body_are_counted_without_its_framing(
    app: Any, data: bytes, size: int
) -> None:
    (record,) = records_of(app, data)
    assert (200, size, True) == (record.status, record.body_bytes, record.is_whole)


def test_the_seconds_count_from_the_first_byte_to_the_last() -> None:
    records: list[AccessRecord] = []

    def app(request: Request) -> Gen[Response]:
        yield from coop.sleep(3)
        return Response(b"")

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from coop.sleep(1)
        yield from client.say(get()[:9])
        yield from coop.sleep(2)
        yield from client.say(get()[9:])
        yield from client.hear()
        yield from coop.sleep(1)
        yield from client.ask(get())

    visit(app, visitor, access_log=records.append)
    assert [5.0, 3.0] == [record.seconds for record in records]


def test_an_answer_that_is_not_taken_is_recorded_as_not_whole() -> None:
    records: list[AccessRecord] = []

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter(receive_buffer_bytes=4096)
        yield from client.say(get())
        yield from coop.sleep(9)

    visit(
        lambda request: Response(b"x" * 20_000_000),
        visitor,
        access_log=records.append,
        deadlines=Deadlines(stall=2.0),
    )
    (record,) = records
    assert (200, False) == (record.status, record.is_whole)
