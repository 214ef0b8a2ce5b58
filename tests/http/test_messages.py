"""Messages: what a handler reads of a request, and what it may answer."""

from __future__ import annotations

import io
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import coop
from coop.http.codec import NEED_DATA, RequestParser
from coop.http.errors import HttpError
from coop.http.fields import Headers
from coop.http.messages import DateLine, FileRegion, Request, Response


def request(target: str = "/", fields: str = "") -> Request:
    head = f"GET {target} HTTP/1.1\r\nHost: example.org\r\n{fields}\r\n".encode("latin-1")
    parsed = RequestParser().next_request(head)
    assert parsed is not NEED_DATA
    return parsed


def sent(response: Response) -> bytes:
    return response.head(b"Date: now\r\n", b"Content-Length: 0\r\n")


# -- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a%20b%C3%A9?c=d", "/a bé", "c=d"),
        ("//a/%2e%2e/%00", "//a/../\x00", ""),
        ("/%zz%ff", "/%zz\ufffd", ""),
        ("/a?b?c", "/a", "b?c"),
        ("http://other:80/a?b", "/a", "b"),
        ("HTTP://other?b", "/", "b"),
        ("http://other", "/", ""),
    ],
)
def test_a_target_is_taken_apart(target: str, path: str, query: str) -> None:
    parsed = request(target)
    assert (target, path, query) == (parsed.target, parsed.path, parsed.query_string)


def test_the_absolute_target_overrules_host() -> None:
    assert "example.org" == request("/").host
    assert "other:80" == request("http://other:80/").host


def test_the_query_is_decoded_with_its_repeats() -> None:
    query = request("/?a=1&b=x%20y+z&a=2&c&%C3%A9=%E2%82%AC").query
    assert ("1", ["1", "2"], "x y z", "", "€") == (
        query["a"], query.get_all("a"), query["b"], query["c"], query["é"],
    )  # fmt: skip


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(HttpError, match="400"):
        _ = request("/?" + "&" * 1000).query


def test_headers_version_and_length_are_there() -> None:
    parsed = request("/", "X: y\r\nContent-Length: 3\r\n")
    assert ("y", "1.1", 3, True) == (
        parsed.headers["x"], parsed.version, parsed.content_length, parsed.has_body,
    )  # fmt: skip
    assert not request().has_body


def test_a_request_without_a_connection_has_no_body_to_read() -> None:
    with pytest.raises(RuntimeError, match="no connection"):
        request().read()
    assert request().peer is None


# -- responses ----------------------------------------------------------------------------------


def test_a_plain_head_is_in_order() -> None:
    response = Response(b"hi", headers={"X-A": "b"})
    assert b"HTTP/1.1 200 OK\r\nDate: now\r\nX-A: b\r\nContent-Length: 0\r\n\r\n" == sent(response)


def test_text_is_utf_8_and_says_so() -> None:
    response = Response("é")
    assert ("é".encode(), 2) == (response.body, response.content_length)
    assert "text/plain; charset=utf-8" == response.headers["content-type"]
    html = Response("é", headers=[("Content-Type", "text/html; charset=utf-8")])
    assert ["text/html; charset=utf-8"] == html.headers.get_all("content-type")


def test_a_field_may_come_twice() -> None:
    response = Response(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert 2 == sent(response).count(b"Set-Cookie: ")


def test_a_date_of_ones_own_replaces_the_servers() -> None:
    assert 1 == sent(Response(headers={"Date": "then"})).count(b"Date:")


def test_an_unusual_status_is_sent_with_or_without_a_reason() -> None:
    assert sent(Response(status=299)).startswith(b"HTTP/1.1 299 \r\n")
    assert sent(Response(status=200, reason="Fine")).startswith(b"HTTP/1.1 200 Fine\r\n")
    assert sent(Response(status=404)).startswith(b"HTTP/1.1 404 Not Found\r\n")


BAD: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "status 99": ({"status": 99}, ValueError),
    "status 101": ({"status": 101}, ValueError),
    "status 600": ({"status": 600}, ValueError),
    "a body with 204": ({"status": 204, "body": b"x"}, ValueError),
    "a body with 205": ({"status": 205, "body": "x"}, ValueError),
    "a stream with 304": ({"status": 304, "body": iter(())}, ValueError),
    "CR LF in a value": ({"headers": {"X": "a\r\nSet-Cookie: b"}}, ValueError),
    "CR LF in a name": ({"headers": {"X\r\nY": "a"}}, ValueError),
    "NUL in a value": ({"headers": {"X": "\x00"}}, ValueError),
    "CR LF in a redirect": ({"status": 302, "headers": {"Location": "/\r\nX: y"}}, ValueError),
    "CR LF in the reason": ({"reason": "OK\r\nX: y"}, ValueError),
    "a reason outside latin-1": ({"reason": "\u0100"}, ValueError),
    "a coding of its own": ({"headers": {"Transfer-Encoding": "chunked"}}, ValueError),
    "keep-alive": ({"headers": {"Connection": "keep-alive"}}, ValueError),
    "a length that is none": ({"body": iter(()), "headers": {"Content-Length": "+1"}}, ValueError),
    "two lengths": (
        {"body": iter(()), "headers": [("Content-Length", "1"), ("content-length", "1")]},
        ValueError,
    ),
    "a length that is not the body's": (
        {"body": b"abc", "headers": {"Content-Length": "1"}}, ValueError,
    ),
    "a number as body": ({"body": 7}, TypeError),
    "None as body": ({"body": None}, TypeError),
}  # fmt: skip


@pytest.mark.parametrize(("given", "error"), BAD.values(), ids=BAD)
def test_a_response_that_could_break_the_message_is_refused(
    given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Response(**given)


def operation() -> Any:
    """An operation as it is outside debug mode."""

    @types.coroutine
    def read() -> Any:
        yield

    return read()


async def answer() -> bytes:
    return b""


NO_BODIES: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "a dictionary": (lambda: {"a": 1}, ["not {'a': 1}", "did you mean coop.http.json(...)?"]),
    "a mapping": (lambda: Headers([("a", "1")]), ["not Headers(", "coop.http.json("]),
    "a set": (lambda: {1}, ["not {1}", "did you mean coop.http.json(list(...))?"]),
    "a frozen set": (lambda: frozenset([1]), ["coop.http.json(list(...))?"]),
    "an operation": (operation, ["operation.<locals>.read at", "did you mean 'yield from' "]),
    "a guarded one": (lambda: coop.sleep(1), ["<operation sleep>", "did you mean 'yield from' "]),
    "a coroutine": (answer, ["<coroutine object answer", "did you mean 'await'?"]),
    "a number": (lambda: 7, ["is bytes, str, an open file or an iterable of bytes, not 7"]),
}


@pytest.mark.parametrize(("make", "says"), NO_BODIES.values(), ids=NO_BODIES)
def test_what_is_no_body_is_told_with_what_was_meant(
    make: Callable[[], Any], says: list[str]
) -> None:
    """The keys of a dictionary were sent; and nothing at all, when a 'yield from' was forgotten."""
    with pytest.raises(TypeError) as caught:
        Response(make())
    message = str(caught.value)
    assert [] == [part for part in says if part not in message], message


NO_HEADERS: dict[str, tuple[Any, str]] = {
    "a number": ({"X-Age": 5}, r"header 'X-Age': name and value are str, not int: 5"),
    "None": ([("A", "b"), ("X-Age", None)], r"header 'X-Age': .* not NoneType: None"),
    "a list": ({"Vary": ["a", "b"]}, r"header 'Vary': .* not list: \['a', 'b'\]"),
    "octets": ({b"A": b"b"}, r"header b'A': .* not bytes: b'A'"),
    "one by one": (iter([("X-Age", 5)]), r"header 'X-Age': .* not int: 5"),
    "names alone": (["abc"], r"mapping, or pairs \(name, value\), and 'abc' is no pair"),
    "a pair by itself": (("Content-Type", "text/html"), r"and 'Content-Type' is no pair"),
    "three of them": ([("A", "b", "c")], r"and \('A', 'b', 'c'\) is no pair"),
    "numbers": ([1], r"and 1 is no pair"),
    "a text": ("A: b", r"mapping, or pairs \(name, value\), not 'A: b'"),
    "nothing to go through": (5, r"mapping, or pairs \(name, value\), not 5"),
}


@pytest.mark.parametrize(("headers", "says"), NO_HEADERS.values(), ids=NO_HEADERS)
def test_what_are_no_headers_is_told(headers: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Response(headers=headers)


def test_a_header_added_is_a_text() -> None:
    for wrong in (5, ["a"], None):
        for add in (Response().add_header, Response().set_header):
            with pytest.raises(TypeError, match="header 'A': name and value are str, not "):
                add("A", wrong)  # type: ignore[arg-type]


def test_a_right_length_is_taken_and_sent_once() -> None:
    response = Response(b"abc", headers={"Content-Length": "3"})
    assert (3, 0) == (response.content_length, sent(response).count(b"Content-Length: 3"))
    assert 5 == Response(iter([b"hello"]), headers={"Content-Length": "5"}).content_length


def test_a_response_may_ask_for_the_end_of_the_connection() -> None:
    assert Response(headers={"Connection": "Close"}).should_close
    assert not Response().should_close


def test_an_open_file_is_a_region_from_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.read(4)
        response = Response(file)
        assert isinstance(response.body, FileRegion)
        assert (4, 6, 6) == (response.body.offset, response.body.count, response.content_length)
        response.close()
        assert file.closed


def test_a_file_in_memory_is_read() -> None:
    assert b"abc" == Response(io.BytesIO(b"abc")).body


def test_closing_a_response_closes_its_generator() -> None:
    ended = []

    def pieces() -> Any:
        try:
            yield b"a"
            yield b"b"
        finally:
            ended.append(True)

    response = Response(pieces())
    assert response.content_length is None
    next(response.body)
    response.close()
    assert [True] == ended


def test_the_date_is_made_once_a_second() -> None:
    wall = 784111777.25
    date = DateLine(lambda: wall, server="me")
    assert b"Server: me\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n" == date.renew(5.0)
    assert 5.75 == date.fresh_until
    wall += 0.75
    assert b":38 GMT" in date.renew(5.75)
    assert b":38 GMT" in date.lines


def test_an_http_error_has_a_status_of_an_error() -> None:
    assert "404 Not Found" == str(HttpError(404))
    with pytest.raises(ValueError, match="400 to 599"):
        HttpError(200)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 1023, 1024, 1025, 65_536])
def test_a_message_tells_the_length_of_its_body(size: int) -> None:
    message = Response(bytes(size), headers=[("X", "y")]).message(b"Date: now\r\n")
    head = f"HTTP/1.1 200 OK\r\nDate: now\r\nX: y\r\nContent-Length: {size}\r\n\r\n"
    assert head.encode() + bytes(size) == message
