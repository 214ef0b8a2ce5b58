"""One connection: requests in order, handlers of every kind, bodies both ways, and bad input."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from http_kit import Answer, Client, Gen, Hall, echo, get, hello, post, visit
from kit import now, wait_until

import coop
from coop.http import HttpError, Limits, Request, Response

CHUNKED = "Transfer-Encoding: chunked\r\n"


def asking(*requests: bytes) -> Any:
    """A visitor that sends each request when the one before is answered."""

    def visitor(hall: Hall) -> Gen[list[Any]]:
        client = yield from hall.enter()
        answers: list[Answer] = []
        for request in requests:
            answers += [(yield from client.ask(request))]
        return answers

    return visitor


def sending(data: bytes, *, cut: int | None = None, finish: bool = False) -> Any:
    """A visitor that sends everything, and returns all that is answered up to the end."""

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(data, cut)
        if finish:
            client.conn.shutdown_send()
        return (yield from client.hear_end())

    return visitor


def statuses(said: bytes) -> list[int]:
    return [int(part[1:4]) for part in said.split(b"HTTP/1.1")[1:]]


# -- requests in order --------------------------------------------------------------------------


def test_a_connection_serves_request_after_request() -> None:
    first, second = visit(hello, asking(get(), get("/b")))
    assert (200, b"hello") == (first.status, first.body) == (second.status, second.body)
    assert {"server", "date", "content-length"} == set(first.fields)


@pytest.mark.parametrize("cut", [None, 1, 7])
def test_pipelined_requests_are_answered_in_order(cut: int | None) -> None:
    def app(request: Request) -> Gen[Response]:
        body = yield from request.read()
        yield from coop.sleep(len(request.path) % 3)
        return Response(request.path.encode() + b"=" + body + b";")

    data = b"".join(post(b"x" * n, target=f"/{'n' * n}") for n in range(20))
    said = visit(app, sending(data + get("/end", "Connection: close\r\n"), cut=cut))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK")[1:]]
    assert [b"/%b=%b;" % (b"n" * n, b"x" * n) for n in range(20)] + [b"/end=;"] == bodies


def test_a_flood_of_pipelined_requests_lets_others_in() -> None:
    served: list[str] = []

    def app(request: Request) -> Response:
        served.append(request.path)
        return Response(b"")

    def visitor(hall: Hall) -> Gen[int]:
        flooder = yield from hall.enter()
        other = yield from hall.enter()
        yield from flooder.say(get("/flood") * 1000)
        yield from other.say(get("/other"))
        yield from other.hear()
        return served.index("/other")

    assert visit(app, visitor) < 200


def test_answers_that_nobody_reads_stop_the_reading() -> None:
    count = 0

    def app(request: Request) -> Response:
        nonlocal count
        count += 1
        return Response(bytes(65536))

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter(receive_buffer_bytes=65536)
        flooder = coop.spawn(client.say(get() * 20_000))
        yield from coop.sleep(20)
        flooder.cancel()
        return count

    assert 1 <= visit(app, visitor) < 200


def test_an_end_behind_a_request_does_not_undo_it() -> None:
    def slow(request: Request) -> Gen[Response]:
        yield from coop.sleep(0.2)
        return Response(b"all the same")

    assert visit(slow, sending(get(), finish=True)).endswith(b"\r\n\r\nall the same")


@pytest.mark.parametrize("data", [b"", b"GET / HT", get()[:-2]])
def test_an_end_inside_a_head_is_answered_with_the_end(data: bytes) -> None:
    assert b"" == visit(hello, sending(data, finish=True))


# -- whether the connection goes on -------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "connection"),
    [
        (get(), None),
        (get(fields="Connection: keep-alive\r\n"), None),
        (get(fields="Connection: close\r\n"), "close"),
        (get(version="1.0"), "close"),
        (get(version="1.0", fields="Connection: keep-alive\r\n"), "keep-alive"),
        (get(method="HEAD"), None),
        (get("/close"), "close"),
        (get("/crash"), "close"),
        (get("/error"), None),
        (post(b"unread"), None),
        (post(bytes(65536)), None),
        (post(bytes(65537)), "close"),
        (get(fields=CHUNKED, method="POST") + b"3\r\nabc\r\n0\r\n\r\n", None),
        (post(b"unread", "Expect: 100-continue\r\n"), "close"),
    ],
)
def test_the_answer_says_whether_the_connection_goes_on(
    request_: bytes, connection: str | None
) -> None:
    def app(request: Request) -> Response:
        if request.path == "/crash":
            raise RuntimeError("as it must")
        if request.path == "/error":
            raise HttpError(404)
        headers = {"Connection": "close"} if request.path == "/close" else {}
        return Response(b"body", headers=headers)

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        answer = yield from client.ask(request_)
        yield from client.say(get())
        if connection == "close":
            rest = yield from client.conn.recv()
            return answer, rest == b""
        return answer, (yield from client.hear()).status

    answer, after = visit(app, visitor)
    assert connection == answer.fields.get("connection")
    assert (True if connection == "close" else 200) == after


def test_a_chunked_body_too_long_to_drop_ends_the_connection() -> None:
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    said = visit(hello, sending(get(fields=CHUNKED, method="POST") + chunk * 4))
    assert [200] == statuses(said)


# -- handlers -----------------------------------------------------------------------------------


class Own(Response):
    """A response of a class of its own."""


def plain(request: Request) -> Response:
    return Response(b"done")


def generator(request: Request) -> Gen[Response]:
    yield from coop.sleep(1)
    return Response(b"done")


async def coroutine(request: Request) -> Response:
    await coop.sleep(1)
    return Response(b"done")


def own(request: Request) -> Response:
    return Own(b"done")


@pytest.mark.parametrize("app", [plain, generator, coroutine, own])
def test_a_handler_is_a_function_a_generator_or_a_coroutine(app: Any) -> None:
    (answer,) = visit(app, asking(get()))
    assert (200, b"done") == (answer.status, answer.body)


def fails(request: Request) -> Response:
    raise ValueError("secret")


def fails_later(request: Request) -> Gen[Response]:
    yield from coop.sleep(1)
    raise ValueError("secret")


@pytest.mark.parametrize("app", [fails, fails_later, lambda request: "secret"])
def test_a_handlers_error_is_logged_and_answered_500_and_tells_nothing(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        said = visit(app, sending(get()))
    assert [500] == statuses(said)
    assert b"secret" not in said
    assert "the handler of <request GET /> failed" in caplog.text
    assert "secret" in caplog.text


def test_an_http_error_is_answered_with_its_status_and_headers() -> None:
    def app(request: Request) -> Response:
        raise HttpError(405, "secret", (("Allow", "GET"),))

    first, second = visit(app, asking(get(), get()))
    assert (405, "GET") == (first.status, first.fields["allow"]) == (second.status, "GET")
    assert b"405 Method Not Allowed\n" == first.body


def test_a_handler_sees_who_asks() -> None:
    def app(request: Request) -> Response:
        assert request.peer is not None
        return Response(request.peer.host)

    (answer,) = visit(app, asking(get()))
    assert b"127.0.0.1" == answer.body


def test_each_answer_is_reported_to_the_access_log() -> None:
    lines: list[str] = []
    visit(
        echo,
        asking(get("/a"), post(b"b"), get("/c", "Connection: close\r\n")),
        access_log=lambda record: lines.append(f"{record.request_line} {record.status}"),
    )
    assert ["GET /a HTTP/1.1 200", "POST / HTTP/1.1 200", "GET /c HTTP/1.1 200"] == lines


def test_the_servers_name_may_be_another_or_none() -> None:
    (answer,) = visit(hello, asking(get()), server_name="me/2")
    assert "me/2" == answer.fields["server"]
    (answer,) = visit(hello, asking(get()), server_name="")
    assert "server" not in answer.fields


# -- bodies of requests -------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [None, 1, 3])
def test_a_body_is_read_whole_in_either_framing(cut: int | None) -> None:
    chunks = b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: dropped\r\n\r\n"
    data = post(b"hello") + get(fields=CHUNKED, method="POST") + chunks
    said = visit(echo, sending(data + get(fields="Connection: close\r\n"), cut=cut))
    assert b"hello" == said.split(b"HTTP/1.1")[1].partition(b"\r\n\r\n")[2]
    assert b"abc0123456789" == said.split(b"HTTP/1.1")[2].partition(b"\r\n\r\n")[2]


def test_a_body_is_read_no_faster_than_the_handler_takes_it() -> None:
    taken = 0

    def app(request: Request) -> Gen[Response]:
        nonlocal taken
        for piece in request.stream(1 << 40):
            taken += len((yield from piece))
            yield from coop.sleep(100)
        return Response(b"")

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get(fields="Content-Length: 100000000\r\n", method="PUT"))
        sent = 0
        with coop.move_on_after(1000):
            while True:
                yield from client.conn.sendall(bytes(65536))
                sent += 65536
        return sent, taken

    sent, taken_by_then = visit(app, visitor)
    assert taken_by_then <= 12 * 65536
    assert sent < 20_000_000


def test_a_body_over_the_limit_is_answered_413() -> None:
    limits = Limits(body_bytes=10)
    assert [413] == statuses(visit(echo, sending(post(bytes(11))), limits=limits))
    chunks = b"6\r\nabcdef\r\n" * 2 + b"0\r\n\r\n"
    said = visit(echo, sending(get(fields=CHUNKED, method="POST") + chunks), limits=limits)
    assert [413] == statuses(said)


def test_a_handler_may_raise_the_limit() -> None:
    def app(request: Request) -> Gen[Response]:
        return Response((yield from request.read(max_bytes=20)))

    (answer,) = visit(app, asking(post(bytes(11))), limits=Limits(body_bytes=10))
    assert 11 == len(answer.body)


def test_a_handler_that_was_called_is_refused_at_once() -> None:
    def app(request: Request) -> Gen[Response]:
        yield
        return Response()

    with pytest.raises(TypeError, match=r"call with a request, not <.* mean app, without the call"):
        coop.http.serve(app(Request("GET", b"")))  # type: ignore[arg-type]


def test_a_forgotten_yield_from_is_no_empty_answer(caplog: pytest.LogCaptureFixture) -> None:
    (answer,) = visit(lambda request: Response(request.read()), asking(post(b"12345")))
    assert 500 == answer.status
    assert "<operation Request.read>: did you mean 'yield from' (or 'await')?" in caplog.text


def test_a_client_that_leaves_inside_the_body_is_told_400() -> None:
    said = visit(echo, sending(post(b"12345")[:-1], finish=True))
    assert [400] == statuses(said)


def test_a_client_that_is_reset_inside_the_body_fails_nobody() -> None:
    ended: list[str] = []

    def app(request: Request) -> Gen[Response]:
        try:
            return Response((yield from request.read()))
        except OSError as error:
            ended.append(type(error).__name__)
            raise

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(post(b"12345")[:-1])
        yield from coop.sleep(1)
        client.conn.socket.set_linger(0)  # type: ignore[attr-defined]
        client.conn.close()
        yield from wait_until(lambda: hall.server.active == 0)
        return hall.server.failed, hall.server.broken

    assert (0, 1) == visit(app, visitor)
    assert ["ConnectionResetError"] == ended


def test_a_body_cannot_be_read_when_its_exchange_is_over() -> None:
    kept: list[Request] = []

    def app(request: Request) -> Response:
        kept.append(request)
        return Response(b"")

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.ask(post(b"first"))
        yield from client.say(get(fields="Content-Length: 6\r\n", method="POST") + b"sec")
        yield from client.hear()
        with pytest.raises(RuntimeError, match="came on no connection"):
            yield from kept[0].read()

    visit(app, visitor)


# -- 100 (Continue) -----------------------------------------------------------------------------

EXPECTING = get(fields="Content-Length: 5\r\nExpect: 100-continue\r\n", method="POST")


def test_the_body_is_asked_for_when_the_handler_wants_it() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        first = yield from client.ask(EXPECTING)
        second = yield from client.ask(b"hello")
        third = yield from client.ask(get())
        return [(answer.status, answer.body) for answer in (first, second, third)]

    assert [(100, b""), (200, b"hello"), (200, b"")] == visit(echo, visitor)


def test_a_body_that_has_come_is_not_asked_for() -> None:
    assert [200] == [answer.status for answer in visit(echo, asking(EXPECTING + b"hello"))]


def test_a_body_that_nobody_wants_is_not_asked_for() -> None:
    assert [200] == statuses(visit(hello, sending(EXPECTING)))


def test_a_body_too_long_is_refused_before_it_is_sent() -> None:
    assert [413] == statuses(visit(echo, sending(EXPECTING), limits=Limits(body_bytes=4)))


def test_a_body_that_the_answer_is_made_of_is_asked_for_before_the_answer_begins() -> None:
    def back(request: Request) -> Gen[bytes]:
        while piece := (yield from request.read_piece()):
            yield piece  # type: ignore[misc]

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        first = yield from client.ask(EXPECTING)
        return first.status, (yield from client.ask(b"hello")).body

    assert (100, b"hello") == visit(lambda request: Response(back(request)), visitor)


# -- bad input ----------------------------------------------------------------------------------

HOST = b"Host: a\r\n"
BAD_INPUT: dict[str, tuple[bytes, int]] = {
    "no version": (b"GET /\r\n" + HOST + b"\r\n", 400),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "unknown method": (get(method="BREW"), 501),
    "method in lower case": (get(method="get"), 501),
    "CONNECT": (get("a:80", method="CONNECT"), 501),
    "garbage without an end": (b"A" * 100, 501),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "fragment": (get("/#top"), 400),
    "control character in the target": (get("/\x01"), 400),
    "asterisk for GET": (get("*"), 400),
    "long target": (get("/" + "a" * 9000), 414),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (get(fields="Host: b\r\n"), 400),
    "user in Host": (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    "space before the colon": (get(fields="X : y\r\n"), 400),
    "obs-fold": (get(fields="X: y\r\n z\r\n"), 400),
    "NUL": (get(fields="X: \x00\r\n"), 400),
    "bare CR": (get(fields="X: a\rb\r\n"), 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "long field": (get(fields=f"X: {'a' * 9000}\r\n"), 431),
    "many fields": (get(fields="X: y\r\n" * 101), 431),
    "long head": (get(fields=f"X: {'a' * 8000}\r\n" * 5), 431),
    "bad length": (get(fields="Content-Length: +5\r\n", method="POST") + b"hello", 400),
    "two lengths": (post(b"hello", "Content-Length: 5\r\n"), 400),
    "length and chunks": (post(b"0\r\n\r\n", CHUNKED), 400),
    "chunks in HTTP/1.0": (get(fields=CHUNKED, method="POST", version="1.0") + b"0\r\n\r\n", 400),
    "unknown coding": (get(fields="Transfer-Encoding: gzip\r\n", method="POST"), 501),
    "chunked twice": (get(fields=CHUNKED + CHUNKED, method="POST"), 400),
    "unknown expectation": (get(fields="Expect: cake\r\n"), 417),
    "chunk size without digits": (get(fields=CHUNKED, method="POST") + b"x\r\n", 400),
    "chunk size too long": (get(fields=CHUNKED, method="POST") + b"0" * 17 + b"\r\n", 400),
    "chunk longer than told": (get(fields=CHUNKED, method="POST") + b"1\r\nab\r\n", 400),
    "chunk with a bare LF": (get(fields=CHUNKED, method="POST") + b"1\na\r\n", 400),
    "length in a trailer": (
        get(fields=CHUNKED, method="POST") + b"0\r\nContent-Length: 1\r\n\r\n",
        400,
    ),
    "body over the limit": (post(bytes(1024 * 1024 + 1)), 413),
}
BAD_STATIC = get("/next", "Connection: close\r\n")


@pytest.mark.parametrize("cut", [None, 1, 13])
@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_answered_and_the_connection_closed(name: str, cut: int | None) -> None:
    data, status = BAD_INPUT[name]
    if cut is not None and len(data) > 5_000:
        cut = 50_000 if len(data) > 50_000 else cut * 100
    # What comes behind must never be taken for a request.
    assert [status] == statuses(visit(echo, sending(data + BAD_STATIC, cut=cut)))


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_behind_a_good_request_spoils_only_itself(name: str) -> None:
    data, status = BAD_INPUT[name]
    assert [200, status] == statuses(visit(echo, sending(get() + data + BAD_STATIC)))


def test_a_server_that_stops_lets_requests_be_answered_and_idle_ones_go() -> None:
    def slow(request: Request) -> Gen[Response]:
        yield from coop.sleep(2)
        return Response(b"done")

    def visitor(hall: Hall) -> Gen[Any]:
        idle: Client = yield from hall.enter()
        busy: Client = yield from hall.enter()
        late: Client = yield from hall.enter()
        yield from idle.ask(get())
        yield from late.ask(get())
        yield from busy.say(get())
        yield from coop.sleep(1)
        late.conn.socket.send(get())  # comes with the order to stop, which finds the server idle
        hall.server.stop()
        assert b"" == (yield from idle.hear_end())
        assert 5.0 == now()
        answer = yield from busy.hear()
        assert (6.0, "close", b"done") == (now(), answer.fields["connection"], answer.body)
        answer = yield from late.hear()
        assert (7.0, "close", b"done") == (now(), answer.fields["connection"], answer.body)

    visit(slow, visitor)
