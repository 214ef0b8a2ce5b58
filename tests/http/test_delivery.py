"""Answers of every kind arrive as they were given, or visibly not whole."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from http_kit import Gen, Hall, get, post, visit
from kit import now

import coop
from coop.http import FileRegion, HttpError, Request, Response
from coop.stream_socket import StreamSocket

BIG = bytes(range(256)) * 4096


def generator() -> Gen[Any]:
    yield b"one,"  # type: ignore[misc]
    yield b""  # type: ignore[misc]
    yield None
    yield "two,"  # type: ignore[misc]
    yield from coop.sleep(1)
    yield bytearray(b"three,")  # type: ignore[misc]
    yield memoryview(b"four")  # type: ignore[misc]


async def asynchronous() -> AsyncIterator[bytes]:
    yield b"one,two,"
    await coop.sleep(1)
    yield b"three,four"


PIECES: dict[str, Any] = {
    "generator": generator,
    "asynchronous": asynchronous,
    "list": lambda: [b"one,", "", "two,", b"three,", b"four"],
    "iterator": lambda: iter([b"one,two,", b"three,four"]),
}


def hearing(request: bytes = get(), method: str = "GET") -> Any:
    """A visitor that asks once, and returns the answer and whether the connection goes on."""

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(request)
        answer = yield from client.hear(method=method)
        if client.conn.is_closed:
            return answer, False
        yield from client.say(get())
        return answer, bool((yield from client.conn.recv()))

    return visitor


@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize(
    ("headers", "version", "framing", "goes_on"),
    [
        ({}, "1.1", ("transfer-encoding", "chunked"), True),
        ({"Content-Length": "18"}, "1.1", ("content-length", "18"), True),
        ({"Content-Length": "18"}, "1.0", ("content-length", "18"), False),
        ({}, "1.0", ("connection", "close"), False),
    ],
    ids=["chunks", "length", "length in 1.0", "to the end"],
)
def test_a_body_in_pieces_arrives_in_every_framing(
    kind: str, headers: dict[str, str], version: str, framing: tuple[str, str], goes_on: bool
) -> None:
    def app(request: Request) -> Response:
        return Response(PIECES[kind](), headers=headers)

    answer, went_on = visit(app, hearing(get(version=version)))
    assert b"one,two,three,four" == answer.body
    assert framing[1] == answer.fields[framing[0]]
    assert goes_on == went_on
    assert not {"content-length", "transfer-encoding"} <= set(answer.fields)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_kept_connection_of_the_old_version_has_no_chunks(version: str) -> None:
    request = get(version=version, fields="Connection: keep-alive\r\n")
    answer, goes_on = visit(lambda _: Response(generator()), hearing(request))
    assert (version == "1.1") == goes_on == ("transfer-encoding" in answer.fields)


def test_pieces_are_sent_as_they_come_and_small_ones_that_cannot_wait_together() -> None:
    def ticks() -> Gen[Any]:
        for number in range(3):
            yield b"%d" % number  # type: ignore[misc]
            yield from coop.sleep(10)

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get())
        yield from client.conn.recv_until(b"\r\n\r\n")
        heard: list[tuple[bytes, float]] = []
        for _ in range(3):
            heard += [((yield from client.conn.recv()), now())]
        return heard

    assert [(b"1\r\n0\r\n", 0.0), (b"1\r\n1\r\n", 10.0), (b"1\r\n2\r\n", 20.0)] == visit(
        lambda request: Response(ticks()), visitor
    )

    def whole(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get())
        return (yield from client.conn.recv()).partition(b"\r\n\r\n")[2]

    assert b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n" == visit(lambda request: Response([b"a", "b"]), whole)


@pytest.mark.parametrize("most", [10, 10**6])
def test_the_head_goes_with_the_first_piece_unless_that_has_to_be_waited_for(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    send = StreamSocket.send

    def send_little(self: StreamSocket, data: Any) -> Any:
        if not bytes(data).startswith(b"HTTP/1.1 200"):
            return send(self, data)
        sent.append(bytes(data))
        return send(self, data[:most])

    def pieces(wait: float) -> Gen[Any]:
        if wait:
            yield from coop.sleep(wait)
        yield b"one"  # type: ignore[misc]
        yield b"two"  # type: ignore[misc]

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        assert b"onetwo" == (yield from client.ask(get("/"))).body
        assert 0 == now()
        yield from client.say(get("/?10"))
        if most > 10:
            yield from client.conn.recv_until(b"\r\n\r\n")
            assert 0 == now()
        assert (yield from client.conn.recv_until(b"0\r\n\r\n")).endswith(b"3\r\ntwo\r\n0\r\n\r\n")
        assert 10 == now()

    monkeypatch.setattr(StreamSocket, "send", send_little)
    visit(lambda request: Response(pieces(float(request.query_string or 0))), visitor)
    at_once, waited = sent
    assert at_once.endswith(b"\r\n\r\n3\r\none\r\n")
    assert waited.endswith(b"Transfer-Encoding: chunked\r\n\r\n")


def test_a_big_body_arrives() -> None:
    answer, goes_on = visit(lambda request: Response(BIG), hearing())
    assert BIG == answer.body
    assert goes_on


@pytest.mark.parametrize(("offset", "count"), [(0, None), (10, 5), (10, 0), (1, len(BIG) - 1)])
def test_a_file_arrives_and_is_closed(tmp_path: Path, offset: int, count: int | None) -> None:
    (tmp_path / "file").write_bytes(BIG)
    file = open(tmp_path / "file", "rb")  # noqa: SIM115
    answer, goes_on = visit(lambda request: Response(FileRegion(file, offset, count)), hearing())
    assert BIG[offset : None if count is None else offset + count] == answer.body
    assert str(len(answer.body)) == answer.fields["content-length"]
    assert goes_on
    assert file.closed


def test_pieces_may_be_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        body = [b"<", FileRegion(file, 2, 3), b"|", FileRegion(file, 0, 1), b">"]
        answer, _ = visit(lambda request: Response(body), hearing())
    assert b"<234|0>" == answer.body


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_answer_without_content_has_none(status: int) -> None:
    answer, goes_on = visit(lambda request: Response(b"", status), hearing())
    assert status == answer.status
    assert ("0" if status == 205 else None) == answer.fields.get("content-length")
    assert goes_on


@pytest.mark.parametrize("body", [b"bytes", "text", [b"pieces"], "generator", "file"])
def test_head_has_the_same_head_and_no_body(body: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"file")
    closed: list[bool] = []

    def watched() -> Iterator[bytes]:
        try:
            yield b"never"
        finally:
            closed.append(True)

    def app(request: Request) -> Response:
        if body == "file":
            return Response(open(tmp_path / "file", "rb"))
        return Response(watched() if body == "generator" else body)

    whole, _ = visit(app, hearing())
    headless, goes_on = visit(app, hearing(get(method="HEAD"), "HEAD"))
    assert (b"", True) == (headless.body, goes_on)
    for fields in (whole.fields, headless.fields):
        del fields["date"]
    assert whole.fields == headless.fields
    assert [True] * len(closed) == closed


def too_long() -> Iterator[bytes]:
    yield b"12345"
    yield b"6"


def too_short() -> Iterator[bytes]:
    yield b"1234"


def failing() -> Iterator[bytes]:
    yield b"1234"
    raise ValueError("as it must")


def refusing() -> Iterator[bytes]:
    yield b"1234"
    raise HttpError(400)


@pytest.mark.parametrize("body", [too_long, too_short, failing, refusing])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("headers", [{"Content-Length": "5"}, {}])
def test_a_body_that_breaks_off_is_seen_not_to_be_whole(
    body: Any, version: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    if not headers and body in (too_long, too_short):
        pytest.skip("no length to miss")

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get(version=version))
        try:
            return (yield from client.hear_end())
        except ConnectionResetError:
            return "reset"

    with caplog.at_level(logging.ERROR):
        said = visit(lambda request: Response(body(), headers=headers), visitor)
    if version == "1.0" and not headers:
        assert said == "reset"
    else:
        sent = said.partition(b"\r\n\r\n")[2]
        assert (b"12345" if body is too_long else b"1234") in sent
        assert not sent.endswith(b"0\r\n\r\n")
    assert ("an answer was broken off" in caplog.text) == (body is not refusing)


def test_a_file_that_shrinks_ends_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)

    def app(request: Request) -> Response:
        response = Response(open(path, "rb"))  # noqa: SIM115
        path.write_bytes(b"short")
        return response

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get())
        return (yield from client.hear_end()).partition(b"\r\n\r\n")[2]

    assert b"short" == visit(app, visitor)


@pytest.mark.parametrize("kind", ["generator", "asynchronous"])
def test_a_client_that_leaves_ends_the_body(kind: str) -> None:
    ended: list[float] = []

    def endless() -> Gen[Any]:
        try:
            while True:
                yield b"tick"  # type: ignore[misc]
                yield from coop.sleep(1)
        finally:
            ended.append(now())

    async def endless_too() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick"
                await coop.sleep(1)
        finally:
            ended.append(now())

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get())
        yield from coop.sleep(10)
        client.conn.close()
        while hall.server.active:
            yield from coop.sleep(1)
        return hall.server.failed

    body = endless if kind == "generator" else endless_too
    assert 0 == visit(lambda request: Response(body()), visitor)
    assert ended[0] <= 13


def test_a_body_may_bound_its_own_waits() -> None:
    def patient() -> Gen[Any]:
        with coop.move_on_after(3) as wait:
            yield from coop.sleep(100)
        yield b"waited" if wait.caught else b"no"  # type: ignore[misc]
        with pytest.raises(TimeoutError), coop.timeout(3):
            yield from coop.sleep(100)
        yield b" twice"  # type: ignore[misc]
        with coop.move_on_after(3):
            yield from coop.sleep(100)

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        return (yield from client.ask(get())).body, now()

    assert (b"waited twice", 9.0) == visit(lambda request: Response(patient()), visitor)


def test_a_stopping_server_asks_a_stream_to_end() -> None:
    def ticks() -> Gen[Any]:
        while True:
            yield b"tick"  # type: ignore[misc]
            with coop.convenient() as pause:
                yield from coop.sleep(10)
            if pause.caught:
                yield b"end"  # type: ignore[misc]
                return

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get())
        yield from coop.sleep(15)
        hall.server.stop()
        return (yield from client.hear()).body, now()

    assert (b"ticktickend", 15.0) == visit(lambda request: Response(ticks()), visitor)


def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("no unix sockets here")
    path = f"unix:{tmp_path}/socket"

    def main() -> Gen[bytes]:
        server: list[coop.Server] = []
        task = coop.spawn(
            coop.http.serve(
                lambda request: Response(iter((b"one,", b"two,"))),
                path,
                heed_signals=False,
                on_listening=server.append,
            )
        )
        yield from coop.sleep(0)
        with (yield from coop.connect(path)) as conn:
            yield from conn.sendall(get(version="1.0"))
            data = b""
            while piece := (yield from conn.recv()):
                data += piece
        server[0].stop()
        yield from task.join()
        return data

    assert coop.run(main()).endswith(b"one,two,")


def test_a_streamed_echo_of_a_large_upload_keeps_the_connection() -> None:
    def pieces(request: Request) -> Gen[Any]:
        while piece := (yield from request.read_piece(1 << 30)):
            yield piece

    def app(request: Request) -> Response:
        return Response(pieces(request))

    body = b"x" * 500_000

    def visitor(hall: Hall) -> Gen[list[Any]]:
        client = yield from hall.enter()
        answers = []
        for _ in range(2):
            sender = coop.spawn(client.say(post(body)))
            answers.append((yield from client.hear()))
            yield from sender.join()
        return answers

    for answer in visit(app, visitor):
        assert body == answer.body
        assert "connection" not in answer.fields


def test_a_stream_that_leaves_much_of_an_upload_unread_closes_behind_itself() -> None:
    def pieces(request: Request) -> Gen[Any]:
        yield (yield from request.read_piece(1 << 30))[:1]

    def visitor(hall: Hall) -> Gen[tuple[bytes, bytes]]:
        client = yield from hall.enter()
        coop.spawn(client.say(post(b"x" * 500_000)))
        return (yield from client.hear()).body, (yield from client.hear_end())

    assert (b"x", b"") == visit(lambda request: Response(pieces(request)), visitor)
