"""Compression: what is packed unpacks to the same, and arrives when it was said."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import http_kit
import kit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coop
from coop.http import Request, RequestParser, Response, compress
from coop.http.compress import STEP_BYTES, PackedBody, is_worth_packing

TEXT = b"a line of text that comes again\n" * 100
HTML = [("Content-Type", "text/html")]


def unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    whole = unpacker.decompress(data)
    assert unpacker.eof
    assert b"" == unpacker.unused_data
    return whole


def ask(
    response: Any,
    accept: str | None = "gzip",
    method: str = "GET",
    version: str = "1.1",
    **options: Any,
) -> http_kit.Answer:
    """Return the answer over a connection to a handler that gives this response."""
    fields = "" if accept is None else f"Accept-Encoding: {accept}\r\n"

    def visitor(hall: Any) -> kit.Gen[http_kit.Answer]:
        client = yield from hall.enter()
        return (yield from client.ask(http_kit.get("/", fields, method, version)))

    return http_kit.visit(compress(lambda request: response, **options), visitor)  # type: ignore[no-any-return]


# -- whether --------------------------------------------------------------------------------------


def test_a_text_is_packed_for_who_asks() -> None:
    answer = ask(Response(TEXT, 200, [*HTML, ("ETag", '"v1"'), ("Accept-Ranges", "bytes")]))
    assert ("gzip", "Accept-Encoding", 'W/"v1"') == tuple(
        answer.fields[name] for name in ("content-encoding", "vary", "etag")
    )
    assert TEXT == unpack(answer.body)
    assert str(len(answer.body)) == answer.fields["content-length"]
    assert "accept-ranges" not in answer.fields


@pytest.mark.parametrize("accept", [None, "", "br", "gzip;q=0", "identity;q=1, gzip;q=0.5"])
def test_who_does_not_ask_gets_it_as_it_is(accept: str | None) -> None:
    answer = ask(Response(TEXT, 200, [*HTML, ("Vary", "Cookie"), ("ETag", '"v1"')]), accept)
    assert (TEXT, "Cookie, Accept-Encoding", '"v1"') == (
        answer.body, answer.fields["vary"], answer.fields["etag"],
    )  # fmt: skip
    assert "content-encoding" not in answer.fields


AS_IT_IS: dict[str, Response] = {
    "encoded": Response(TEXT, 200, [*HTML, ("Content-Encoding", "br")]),
    "range": Response(TEXT, 206, [*HTML, ("Content-Range", "bytes 0-3199/9999")]),
    "no-transform": Response(TEXT, 200, [*HTML, ("Cache-Control", "max-age=1, No-Transform")]),
    "image": Response(TEXT, 200, [("Content-Type", "image/png")]),
    "typeless": Response(TEXT),
}


@pytest.mark.parametrize("response", AS_IT_IS.values(), ids=AS_IT_IS.keys())
def test_what_must_not_be_packed_is_left_alone(response: Response) -> None:
    answer = ask(response)
    assert TEXT == answer.body
    assert "vary" not in answer.fields
    assert answer.fields.get("content-encoding") in (None, "br")


def test_small_bodies_are_not_worth_it_but_vary() -> None:
    answer = ask(Response(b"small", 200, HTML))
    assert (b"small", "Accept-Encoding") == (answer.body, answer.fields["vary"])
    assert b"small" == unpack(ask(Response(b"small", 200, HTML), min_bytes=0).body)


def test_not_modified_says_what_the_whole_answer_would() -> None:
    answer = ask(Response(b"", 304, [("ETag", '"v1"')]))
    assert (304, "Accept-Encoding") == (answer.status, answer.fields["vary"])


def test_a_response_may_be_given_to_everybody() -> None:
    shared = Response(TEXT, 200, HTML)
    for accept, coding in [("gzip", "gzip"), ("br", None), ("gzip", "gzip")]:
        assert coding == ask(shared, accept).fields.get("content-encoding")
    assert (TEXT, ["content-type"]) == (shared.body, list(shared.headers))


def test_a_vary_is_said_once() -> None:
    for vary in ("accept-encoding", "Cookie, Accept-Encoding", "*"):
        assert vary == ask(Response(TEXT, 200, [*HTML, ("Vary", vary)])).fields["vary"]


def test_a_head_says_what_get_would() -> None:
    answers = [ask(Response(TEXT, 200, HTML), method=method) for method in ("GET", "HEAD")]
    assert answers[0].fields == answers[1].fields


@pytest.mark.parametrize(
    ("kind", "is_worth"),
    [
        ("text/html; charset=utf-8", True),
        ("TEXT/EVENT-STREAM", True),
        ("application/json", True),
        ("application/ld+json", True),
        ("application/wasm", True),
        ("image/svg+xml", True),
        ("image/jpeg", False),
        ("application/zip", False),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_text_is_worth_packing(kind: str, is_worth: bool) -> None:
    assert is_worth == is_worth_packing(kind)


# -- bodies of all kinds --------------------------------------------------------------------------


def waiting() -> kit.Gen[None]:
    for at in range(0, len(TEXT), 1000):
        yield from coop.sleep(1)
        yield TEXT[at : at + 1000]


async def asynchronous() -> AsyncIterator[bytes]:
    for at in range(0, len(TEXT), 1000):
        await coop.sleep(1)
        yield TEXT[at : at + 1000]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(
    "make",
    [waiting, asynchronous, lambda: [TEXT[:1000], TEXT[1000:].decode()], lambda: iter([TEXT])],
    ids=["generator", "asynchronous", "list", "iterator"],
)
def test_a_body_of_any_kind_is_packed(make: Any, version: str) -> None:
    answer = ask(Response(make(), 200, HTML), version=version)
    assert ("gzip", TEXT) == (answer.fields["content-encoding"], unpack(answer.body))


def test_a_file_is_packed_and_closed(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)
    for method in ("GET", "HEAD"):
        file = (tmp_path / "file").open("rb")
        answer = ask(Response(file, 200, HTML), method=method)
        assert "gzip" == answer.fields["content-encoding"]
        assert method == "HEAD" or content == unpack(answer.body)
        assert file.closed


def test_a_piece_arrives_before_the_next_is_made() -> None:
    release = coop.Event()

    def pieces() -> kit.Gen[None]:
        yield b"first"
        yield from release.wait()
        yield b"second"

    def visitor(hall: Any) -> kit.Gen[None]:
        client = yield from hall.enter()
        yield from client.say(http_kit.get(fields="Accept-Encoding: gzip\r\n"))
        head = yield from client.conn.recv_until(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        seen = b""
        while b"first" not in seen:
            size = int((yield from client.conn.recv_until(b"\r\n")), 16)
            seen += unpacker.decompress((yield from client.conn.recv_exactly(size)))
            yield from client.conn.recv_exactly(2)
        assert b"first" == seen
        release.set()
        rest = yield from client._hear_chunks()
        assert b"second" == unpacker.decompress(rest)

    http_kit.visit(compress(lambda request: Response(pieces(), 200, HTML)), visitor)


def test_a_body_that_fails_is_not_taken_for_whole(caplog: pytest.LogCaptureFixture) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise KeyError("no more")

    def visitor(hall: Any) -> kit.Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(http_kit.get(fields="Accept-Encoding: gzip\r\n"))
        return (yield from client.hear_end())

    told = http_kit.visit(compress(lambda request: Response(pieces(), 200, HTML)), visitor)
    assert not told.endswith(b"0\r\n\r\n")
    assert "no more" in caplog.text


def test_a_client_that_leaves_ends_what_is_packed() -> None:
    ended = []

    def pieces() -> kit.Gen[None]:
        try:
            yield b"first"
            yield from coop.sleep(1000)
        finally:
            ended.append(True)

    def visitor(hall: Any) -> kit.Gen[None]:
        client = yield from hall.enter()
        yield from client.say(http_kit.get(fields="Accept-Encoding: gzip\r\n"))
        yield from client.conn.recv_until(b"\r\n\r\n")
        client.conn.close()
        yield from coop.sleep(5)
        assert [True] == ended

    http_kit.visit(compress(lambda request: Response(pieces(), 200, HTML)), visitor)


def test_a_file_cut_short_meanwhile_is_not_taken_for_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(TEXT)

    def app(request: Request) -> Response:
        response = Response(path.open("rb"), 200, HTML)
        path.write_bytes(b"")
        return response

    def visitor(hall: Any) -> kit.Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(http_kit.get(fields="Accept-Encoding: gzip\r\n"))
        return (yield from client.hear_end())

    assert not http_kit.visit(compress(app), visitor).endswith(b"0\r\n\r\n")
    assert "the file ended" in caplog.text


def test_a_body_never_begun_is_closed_all_the_same() -> None:
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(True)

    packed = PackedBody(Body(), zlib.compressobj())
    packed.close()
    assert [True] == closed


def test_a_large_body_lets_others_run_in_between() -> None:
    packed = list(PackedBody(b"x" * (STEP_BYTES * 4), zlib.compressobj(5, wbits=31)))
    assert 4 == packed.count(None)
    assert b"x" * (STEP_BYTES * 4) == unpack(b"".join(filter(None, packed)))


@settings(max_examples=50)
@given(st.lists(st.one_of(st.binary(max_size=3000), st.text(max_size=20))), st.booleans())
def test_whatever_is_packed_unpacks_to_the_same(pieces: list[bytes | str], waits: bool) -> None:
    def made() -> Iterator[Any]:
        yield from pieces

    response = Response(made() if waits else pieces, 200, HTML)
    request = RequestParser().next_request(http_kit.get(fields="Accept-Encoding: gzip\r\n"))
    assert isinstance(request, Request)
    answer = coop.run(coop.http.answer(compress(lambda request: response), request))
    whole = b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    assert whole == unpack(b"".join(piece for piece in answer.body if piece))
