"""The handshake at the server's end: who is let in, and what the others are told."""

from __future__ import annotations

import re
from typing import Any

import http_kit
import pytest
import ws_kit
from http_kit import Answer, Gen, Hall
from ws_kit import DEFLATE, WISH, enter, visit

import coop
import coop.http
import coop.ws
from coop.http.codec import RequestParser

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def ask(data: bytes, **options: Any) -> coop.http.Response:
    request = RequestParser().next_request(data + b"\r\n")
    assert request
    return coop.ws.upgrade(request, ws_kit.echo, **options)


REFUSALS: dict[str, tuple[bytes, bytes, int]] = {
    "another method": (b"GET ", b"POST ", 405),
    "HTTP/1.0": (b"HTTP/1.1", b"HTTP/1.0", 400),
    "a body": (KEY, KEY + b"Content-Length: 3\r\n", 400),
    "no Upgrade": (b"Upgrade: websocket\r\n", b"", 426),
    "another Upgrade": (b"Upgrade: websocket", b"Upgrade: h2c", 426),
    "no Connection": (b"Connection: Upgrade\r\n", b"", 426),
    "another Connection": (b"Connection: Upgrade", b"Connection: keep-alive", 426),
    "no version": (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
    "version 8": (b"Version: 13", b"Version: 8", 426),
    "two versions": (KEY, KEY + b"Sec-WebSocket-Version: 13\r\n", 426),
    "no key": (KEY, b"", 400),
    "two keys": (KEY, KEY + KEY, 400),
    "an empty key": (KEY, b"Sec-WebSocket-Key:\r\n", 400),
    "a key of 15 bytes": (KEY, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n", 400),
    "a key that is not base64": (KEY, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n", 400),
    "extensions that are none": (KEY, KEY + b"Sec-WebSocket-Extensions: ,;=\r\n", 400),
    "a page of elsewhere": (KEY, KEY + b"Origin: http://evil.example\r\n", 403),
    "two origins": (KEY, KEY + b"Origin: http://a\r\nOrigin: http://a\r\n", 403),
    "a page without an origin": (KEY, KEY + b"Origin: null\r\n", 403),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses(name: str) -> None:
    old, new, status = REFUSALS[name]
    assert WISH.count(old) == 1
    answer = ask(WISH.replace(old, new))
    assert status == answer.status
    assert answer.should_close


def test_a_refusal_says_what_would_do() -> None:
    assert "GET" == ask(WISH.replace(b"GET ", b"POST ")).headers["allow"]
    old = ask(WISH.replace(b": 13", b": 8")).headers
    assert ("websocket", "13") == (old["upgrade"], old["sec-websocket-version"])


@pytest.mark.parametrize(
    ("origin", "origins", "status"),
    [
        ("http://a", "same", 101),
        ("https://A", "same", 101),
        ("http://a:81", "same", 403),
        (None, "same", 101),
        ("http://evil.example", "any", 101),
        ("https://b.example", ["https://b.example"], 101),
        ("https://c.example", ["https://b.example"], 403),
        ("https://c.example", [re.compile(r"https://\w\.example")], 101),
        ("https://c.example.evil", [re.compile(r"https://\w\.example")], 403),
        (None, ["https://b.example"], 403),
        (None, ["https://b.example", None], 101),
        (None, [re.compile(".*")], 403),
    ],
)
def test_pages_are_judged_by_where_they_are_from(
    origin: str | None, origins: Any, status: int
) -> None:
    fields = b"" if origin is None else b"Origin: " + origin.encode() + b"\r\n"
    assert status == ask(WISH + fields, origins=origins).status


def test_the_answer_is_that_of_the_key() -> None:
    fields = ask(WISH).headers
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" == fields["sec-websocket-accept"]
    assert "sec-websocket-protocol" not in fields
    assert "sec-websocket-extensions" not in fields


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("a", "a"), ("b, a", "a"), ("c, b", "b"), ("c", None), (None, None)],
)
def test_the_best_subprotocol_that_both_know_is_chosen(
    offered: str | None, chosen: str | None
) -> None:
    field = b"" if offered is None else b"Sec-WebSocket-Protocol: " + offered.encode() + b"\r\n"
    answer = ask(WISH + field, subprotocols=["a", "b"])
    assert 101 == answer.status
    assert chosen == answer.headers.get("sec-websocket-protocol")


def test_compression_is_agreed_on_when_it_is_offered() -> None:
    agreed = ask(WISH + DEFLATE).headers["sec-websocket-extensions"]
    assert agreed.startswith("permessage-deflate")
    assert "sec-websocket-extensions" not in ask(WISH + DEFLATE, compression=False).headers
    other = b"Sec-WebSocket-Extensions: x-other; a=1\r\n"
    assert "sec-websocket-extensions" not in ask(WISH + other).headers


def test_more_headers_may_be_given() -> None:
    assert "1" == ask(WISH, headers=[("X-Room", "1")]).headers["x-room"]


def test_the_handler_knows_the_request() -> None:
    def tell(ws: coop.ws.WebSocket) -> Gen[None]:
        assert ws.request
        assert ws.peer_address
        yield from ws.send(
            f"{ws.path} {ws.request.query['room']} {ws.subprotocol} {ws.peer_address.host}"
        )

    def visitor(hall: Hall) -> Gen[bytes]:
        peer = yield from enter(hall, b"Sec-WebSocket-Protocol: chat\r\n")
        return (yield from peer.hear()).data

    assert b"/ws 1 chat 127.0.0.1" == visit(tell, visitor, {"subprotocols": ["chat"]})


def test_the_peer_is_the_client_of_a_trusted_proxy() -> None:
    def tell(ws: coop.ws.WebSocket) -> Gen[None]:
        assert ws.peer_address
        yield from ws.send(ws.peer_address.host)

    def visitor(hall: Hall) -> Gen[bytes]:
        peer = yield from enter(hall, b"X-Forwarded-For: 192.0.2.7\r\n")
        return (yield from peer.hear()).data

    assert b"192.0.2.7" == visit(tell, visitor, forwarded_by=["127.0.0.1"])


def test_a_refused_client_reads_why() -> None:
    def visitor(hall: Hall) -> Gen[Answer]:
        client = yield from hall.enter()
        return (yield from client.ask(http_kit.get()))

    answer = visit(ws_kit.echo, visitor)
    assert (426, "websocket", b"this is the address of a WebSocket\n") == (
        answer.status,
        answer.fields["upgrade"],
        answer.body,
    )


def test_frames_in_the_segment_of_the_request_are_not_lost() -> None:
    def visitor(hall: Hall) -> Gen[bytes]:
        peer = yield from enter(hall, more=ws_kit.frame(ws_kit.TEXT, b"early"))
        return (yield from peer.hear()).data

    assert b"early" == visit(ws_kit.echo, visitor)


def test_an_async_handler_is_served_too() -> None:
    async def shout(ws: coop.ws.WebSocket) -> None:
        async for message in ws:
            await ws.send(str(message).upper())

    def visitor(hall: Hall) -> Gen[list[Any]]:
        peer = yield from enter(hall)
        yield from peer.say(ws_kit.frame(ws_kit.TEXT, b"hey"), ws_kit.close(1000))
        return (yield from peer.hear_end())

    heard = visit(shout, visitor)
    assert (b"HEY", 1000) == (heard[0].data, heard[1].code)
