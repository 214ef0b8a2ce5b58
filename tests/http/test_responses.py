"""Whatever a handler answers: no octet of it ends up where it changes the message.

Hypothesis draws what an app may put into a Response.  Either the Response refuses it when it is
made, or h11, a strict client, reads back that status, those fields and that body, for every kind of
request; and behind it the next answer, or the end of the connection, and never anything else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from http_kit import Gen, Hall, visit
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from promises import EFFORT

import coop
from coop.http import HttpError, Request, Response

h11 = pytest.importorskip("h11", reason="the client's parser is missing")


class Given(NamedTuple):
    """What an app gives to Response."""

    kind: str
    pieces: list[bytes]
    status: int
    headers: list[tuple[str, str]]
    reason: str | None

    def make(self) -> Response:
        return Response(self.body(), self.status, self.headers, reason=self.reason)

    def body(self) -> Any:
        if self.kind == "bytes":
            return b"".join(self.pieces)
        if self.kind == "text":
            return b"".join(self.pieces).decode("latin-1")
        return {"list": list, "generator": _generate, "asynchronous": _generate_async}[self.kind](
            self.pieces
        )

    @property
    def octets(self) -> bytes:
        whole = b"".join(self.pieces)
        return whole.decode("latin-1").encode() if self.kind == "text" else whole


def _generate(pieces: list[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from coop.sleep(1)  # type: ignore[misc]
        yield piece


async def _generate_async(pieces: list[bytes]) -> Any:
    for piece in pieces:
        yield piece


EVIL = ["\r\n", "\n", "\r", "\0", "\r\n\r\n", "\x0b", "\x7f", "\x85", "\u2028", "\u010d\u010a", ":"]
pieces_of_text = st.one_of(
    st.sampled_from([*EVIL, "a", "X-Evil: yes", " ", "\t", "é", "HTTP/1.1 200 OK", "0"]),
    st.text(max_size=3),
)
texts = st.lists(pieces_of_text, max_size=4).map("".join)
good_names = st.sampled_from(["X-A", "x-b", "Set-Cookie", "Vary", "ETag", "Content-Type"])
managed = st.sampled_from([
    ("Content-Length", "0"), ("Content-Length", "5"), ("content-length", "+5"),
    ("Connection", "close"), ("Connection", "keep-alive"), ("Transfer-Encoding", "chunked"),
    ("Transfer-Encoding", "identity"), ("Connection", "close\r\nX: y"), ("Date", "now"),
    ("Server", "mine"), ("Trailer", "X"), ("Upgrade", "h2c"),
])  # fmt: skip
headers = st.lists(
    st.one_of(
        st.tuples(good_names, st.sampled_from(["a", "", "a, b", "é", "a\tb"])),
        st.tuples(good_names, texts),
        st.tuples(texts, st.just("a")),
        st.tuples(st.just("Content-Length"), st.sampled_from(["0", "3", "5"])),
        managed,
    ),
    max_size=3,
)
answers = st.builds(
    Given,
    st.sampled_from(["bytes", "text", "list", "generator", "asynchronous"]),
    st.lists(st.binary(max_size=6), max_size=3),
    st.one_of(
        st.sampled_from([200, 204, 205, 206, 304, 404, 500, 599, 418, 299]),
        st.integers(-1, 1000),
    ),
    headers,
    st.one_of(st.none(), st.none(), st.just(""), st.just("Fine"), texts),
)

#: Method, minor version, and what the request says of the connection.
WAYS = [
    (method, minor, fields)
    for method in ("GET", "HEAD", "POST")
    for minor, fields in [
        (1, ""), (1, "Connection: close\r\n"), (0, ""), (0, "Connection: keep-alive\r\n"),
    ]
]  # fmt: skip
SERVERS_OWN = {b"date", b"server", b"content-length", b"transfer-encoding", b"connection"}


def exchange(given: Given, method: str, minor: int, fields: str) -> bytes:
    """Ask for the answer, and behind it for another; return all that came."""

    def app(request: Request) -> Response:
        return Response(b"again") if request.path == "/again" else given.make()

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        length = "Content-Length: 3\r\n" if method == "POST" else ""
        yield from client.say(
            f"{method} / HTTP/1.{minor}\r\nHost: a\r\n{length}{fields}\r\n".encode()
            + (b"abc" if length else b"")
            + b"GET /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        return (yield from client.hear_end())

    return visit(app, visitor)


def read_back(said: bytes, method: str) -> tuple[Any, bytes, bytes]:
    """Return the first answer, its body, and all that came behind it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(said)
    client.receive_data(b"")
    head = client.next_event()
    body = b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data), event
        body += bytes(event.data)
    assert [] == list(event.headers)
    return head, body, client.trailing_data[0]


def check(given: Given, way: tuple[str, int, str]) -> str:
    """See what becomes of an answer, and say it."""
    try:
        made = given.make()
    except ValueError:
        return "refused"
    made.close()
    method, minor, fields = way
    said = exchange(given, method, minor, fields)
    declared = made.content_length
    if method != "HEAD" and declared not in (None, len(given.octets)):
        _see_it_break_off(said, method, declared)
        return "broken off"
    may_have_body = method != "HEAD" and given.status not in (204, 304)
    head, body, behind = read_back(said, method)
    assert (given.status, given.octets if may_have_body else b"") == (head.status_code, body)
    if given.reason is not None:
        assert given.reason.encode("latin-1") == head.reason
    _see_fields(given, made, head)
    _see_the_end(head, behind, keeps=minor == 1 or bool(fields), asked_close="close" in fields)
    return "read back"


def _see_it_break_off(said: bytes, method: str, declared: int) -> None:
    """The body is not what was told: it ends early, or where told, and so does the connection."""
    if not said:
        return
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: %d\r\n" % declared in head + b"\r\n" or not declared
    assert len(body) <= declared
    if len(body) < declared:
        with pytest.raises(h11.RemoteProtocolError):
            read_back(said, method)


def _see_fields(given: Given, made: Response, head: Any) -> None:
    """The app's fields are there as given and in order, the server's once, and no other."""
    names = [name.lower() for name, _ in given.headers]
    ours = [name for name, _ in head.headers if name in SERVERS_OWN and name.decode() not in names]
    assert len(ours) == len(set(ours))
    theirs = [
        (name.lower().encode(), value.encode("latin-1"))
        for name, value in given.headers
        if name.lower() not in ("content-length", "connection")
    ]
    if given.kind == "text" and "content-type" not in names:
        theirs.append((b"content-type", b"text/plain; charset=utf-8"))
    seen = [
        (name, value)
        for name, value in head.headers
        if name not in SERVERS_OWN or (name.decode() in names and (name, value) in theirs)
    ]
    assert theirs == seen
    framing = [
        name for name, _ in head.headers if name in (b"content-length", b"transfer-encoding")
    ]
    assert len(framing) <= 1
    assert not (framing and given.status == 204)


def _see_the_end(head: Any, behind: bytes, *, keeps: bool, asked_close: bool) -> None:
    """What comes behind is the next answer or nothing, as the head has told."""
    connection = dict(head.headers).get(b"connection")
    if connection == b"close" or not keeps or asked_close:
        assert b"" == behind
        return
    following, body, rest = read_back(behind, "GET")
    assert (200, b"again", b"") == (following.status_code, body, rest)


@pytest.mark.timeout(60 * EFFORT)
@settings(max_examples=200 * EFFORT)
@given(answers, st.sampled_from(WAYS))
@example(Given("bytes", [], 200, [("X", "a\r\nX-Evil: yes")], None), WAYS[0])
@example(Given("bytes", [], 200, [("X\r\nX-Evil", "yes")], None), WAYS[0])
@example(Given("bytes", [], 200, [], "OK\r\nX-Evil: yes"), WAYS[0])
@example(Given("list", [b"hello"], 304, [("Content-Length", "5")], None), WAYS[0])
def test_an_answer_is_refused_or_read_back(given: Given, way: tuple[str, int, str]) -> None:
    event(check(given, way))


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", ["bytes", "text", "list", "generator", "asynchronous"])
@pytest.mark.parametrize(
    ("status", "body"), [(200, [b"he", b"llo"]), (200, []), (204, []), (304, [])]
)
def test_each_kind_of_answer_to_each_kind_of_request(
    way: tuple[str, int, str], kind: str, status: int, body: list[bytes]
) -> None:
    check(Given(kind, body, status, [("X-A", "1"), ("X-A", "2")], None), way)


@pytest.mark.parametrize("evil", EVIL[:7])
@pytest.mark.parametrize("place", ["name", "value"])
def test_an_http_error_cannot_break_its_answer_either(
    evil: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    header = (f"X{evil}", "a") if place == "name" else ("X", f"a{evil}X-Evil: yes")

    def app(request: Request) -> Response:
        raise HttpError(404, "nothing", (header,))

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return (yield from client.hear_end())

    with caplog.at_level(logging.CRITICAL):
        head, _, behind = read_back(visit(app, visitor), "GET")
    assert (500, b"") == (head.status_code, behind)
    assert b"x-evil" not in dict(head.headers)
