"""The client's end, against our own server and against servers by hand."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from typing import Any

import kit
import pytest
import ws_kit
from http_kit import Gen, Hall
from ws_kit import CLOSE, TEXT, frame, visit

import coop
import coop.http
import coop.ws
from coop.ws import HandshakeError, Rules, WebSocket


def connect(hall: Hall, path: str = "/ws", **options: Any) -> Any:
    return coop.ws.connect(f"ws://127.0.0.1:{hall.server.port}{path}", **options)


@pytest.mark.parametrize("compression", [True, False])
def test_both_ends_understand_each_other(compression: bool) -> None:
    messages = ["hi", b"\0\xff", "", b"", "é" * 1000, bytes(200_000)]

    def visitor(hall: Hall) -> Gen[list[Any]]:
        heard = []
        with (yield from connect(hall, compression=compression)) as ws:
            for message in messages:
                yield from ws.send(message)
                heard.append((yield from ws.recv()))
            yield from ws.send(["one ", "message"])
            heard.append((yield from ws.recv()))
            assert 0 <= (yield from ws.ping())
            yield from ws.close(3000, "enough")
            assert (3000, True) == (ws.close_code, ws.is_closed)
        return heard

    assert [*messages, "one message"] == visit(ws_kit.echo, visitor)


def test_a_client_hears_the_end() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        yield from ws.send("bye")
        yield from ws.close(3001, "done")

    def visitor(hall: Hall) -> Gen[list[Any]]:
        with (yield from connect(hall)) as ws:
            heard = []
            while (message := (yield from ws.recv())) is not coop.CLOSED:
                heard.append(message)
            return [*heard, ws.close_code, ws.close_reason]

    assert ["bye", 3001, "done"] == visit(handler, visitor)


def test_leaving_the_block_is_an_end_at_once() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        told.append((yield from ws.recv()))
        told.append(ws.close_code)

    def visitor(hall: Hall) -> Gen[None]:
        with (yield from connect(hall)):
            pass
        with pytest.raises(KeyError):
            with (yield from connect(hall)):
                raise KeyError
        yield from kit.wait_until(lambda: len(told) == 4)

    visit(handler, visitor)
    assert [coop.CLOSED, 1000, coop.CLOSED, 1011] == told


def test_a_client_pings_a_silent_server_and_gives_up() -> None:
    def visitor(hall: Hall) -> Gen[tuple[Any, int | None]]:
        rules = Rules(ping_interval=1, ping_timeout=1)
        with (yield from connect(hall, rules=rules)) as ws:
            return (yield from ws.recv()), ws.close_code

    def deaf(connection: coop.Connection, received: bytes) -> Gen[None]:
        yield from coop.sleep(10)

    def app(request: coop.http.Request) -> coop.http.Response:
        answer = coop.ws.upgrade(request, ws_kit.echo)
        assert isinstance(answer, coop.http.Upgrade)
        answer.take_over = deaf
        return answer

    ws_kit_visit = ws_kit.http_kit.visit
    assert (coop.CLOSED, 1011) == ws_kit_visit(app, visitor)


def test_subprotocol_origin_and_headers_are_sent() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        assert ws.request
        fields = ws.request.headers
        yield from ws.send(f"{ws.subprotocol} {fields['origin']} {fields['x-name']}")

    def visitor(hall: Hall) -> Gen[Any]:
        ws = yield from connect(
            hall, subprotocols=["b", "a"], origin="http://x", headers=[("X-Name", "ann")]
        )
        with ws:
            assert "a" == ws.subprotocol
            return (yield from ws.recv())

    options = {"subprotocols": ["a"], "origins": ["http://x"]}
    assert "a http://x ann" == visit(handler, visitor, options)


def test_a_refusal_is_an_error_with_its_status() -> None:
    def visitor(hall: Hall) -> Gen[int]:
        with pytest.raises(HandshakeError, match="answered 403") as caught:
            yield from connect(hall, origin="http://evil.example")
        return caught.value.status

    assert 403 == visit(ws_kit.echo, visitor)


def accept_line(head: bytes) -> bytes:
    key = next(line for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    digest = hashlib.sha1(key.partition(b": ")[2] + guid).digest()
    return b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n"


GOOD_HEAD = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ANSWERS = {
    "nothing": lambda head: b"",
    "no HTTP": lambda head: b"hello\r\n\r\n",
    "no end of the head": lambda head: b"HTTP/1.1 101 x\r\n" + b"a: b\r\n" * 6000,
    "another status": lambda head: b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n",
    "no key": lambda head: GOOD_HEAD + b"\r\n",
    "a wrong key": lambda head: GOOD_HEAD + b"Sec-WebSocket-Accept: AAAA\r\n\r\n",
    "no Upgrade": lambda head: (
        b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n" + accept_line(head) + b"\r\n"
    ),
    "an extension nobody asked for": lambda head: (
        GOOD_HEAD + accept_line(head) + b"Sec-WebSocket-Extensions: other\r\n\r\n"
    ),
    "a subprotocol nobody asked for": lambda head: (
        GOOD_HEAD + accept_line(head) + b"Sec-WebSocket-Protocol: other\r\n\r\n"
    ),
}


def against(answer: Any, visitor: Any) -> Any:
    """Run ``visitor(uri)`` against a server that answers a request's head with these bytes."""

    def serve_one(listener: coop.Listener) -> Gen[None]:
        with (yield from listener.accept()) as conn:
            head = yield from conn.recv_until(b"\r\n\r\n")
            yield from conn.sendall(answer(head))
            yield from conn.aclose()

    def body(members: coop.Group) -> Gen[Any]:
        with coop.listen("127.0.0.1", 0) as listener:
            members.spawn(serve_one(listener))
            return (yield from visitor(f"ws://127.0.0.1:{listener.port}/"))

    return kit.play(coop.group(body))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_no_handshake_is_an_error(name: str) -> None:
    def visitor(uri: str) -> Gen[None]:
        with pytest.raises(HandshakeError):
            yield from coop.ws.connect(uri)

    against(ANSWERS[name], visitor)


def test_a_frame_in_the_segment_of_the_answer_is_not_lost() -> None:
    def answer(head: bytes) -> bytes:
        return GOOD_HEAD + accept_line(head) + b"\r\n" + frame(TEXT, b"early", mask=None)

    def visitor(uri: str) -> Gen[Any]:
        with (yield from coop.ws.connect(uri)) as ws:
            return (yield from ws.recv())

    assert "early" == against(answer, visitor)


def test_a_masked_frame_of_a_server_ends_it() -> None:
    def answer(head: bytes) -> bytes:
        return GOOD_HEAD + accept_line(head) + b"\r\n" + frame(TEXT, b"masked")

    def visitor(uri: str) -> Gen[Any]:
        with (yield from coop.ws.connect(uri)) as ws:
            return (yield from ws.recv()), ws.close_code

    assert (coop.CLOSED, 1002) == against(answer, visitor)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    def visitor(hall: Hall) -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            with pytest.raises(TimeoutError):
                yield from coop.ws.connect(f"ws://127.0.0.1:{listener.port}/", timeout=3)

    visit(ws_kit.echo, visitor)


@pytest.mark.parametrize("uri", ["http://a/", "ws:/a", "", "ws://a/#part"])
def test_what_is_no_uri_of_a_websocket_is_refused(uri: str) -> None:
    def body() -> Gen[None]:
        with pytest.raises(ValueError, match="URI"):
            yield from coop.ws.connect(uri)

    kit.play(body())


def test_it_works_over_tls() -> None:
    server_context = coop.tls_server_context
    context, trusting = kit.tls_contexts()
    assert server_context

    def visitor(hall: Hall) -> Gen[list[Any]]:
        ws = yield from coop.ws.connect(
            "wss://localhost/ws", tls=trusting, address=hall.server.address
        )
        with ws:
            heard = []
            for message in ("hi", bytes(500_000)):
                yield from ws.send(message)
                heard.append((yield from ws.recv()))
            yield from ws.close()
        return heard

    assert ["hi", bytes(500_000)] == visit(ws_kit.echo, visitor, tls=context)


PROGRAM = """
import sys
from websockets.sync.client import connect
messages = ["hi", b"\\0\\1", "x" * 100_000, "", "\\u00e9" * 700]
with connect(sys.argv[1]) as ws:
    for message in messages:
        ws.send(message)
        assert ws.recv() == message
    ws.send(["a", "b", "c"])
    assert ws.recv() == "abc"
    assert ws.ping().wait(5)
assert ws.protocol.close_code == 1000
"""


def test_the_client_of_websockets_understands_us() -> None:
    def visitor(hall: Hall) -> Gen[int]:
        uri = f"ws://127.0.0.1:{hall.server.port}/"
        program = subprocess.Popen([sys.executable, "-c", PROGRAM, uri])
        try:
            with coop.timeout(3000):
                while program.poll() is None:
                    yield None
        finally:
            program.kill()
            program.wait()
        return program.returncode

    assert 0 == visit(ws_kit.echo, visitor)
    assert CLOSE == 8
