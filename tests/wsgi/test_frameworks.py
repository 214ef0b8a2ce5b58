"""Flask, Django and Bottle: the same shop in each, in every mode."""

from __future__ import annotations

import importlib
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from http_kit import Answer, Client, Hall, get, post
from kit import Gen
from wsgi_apps import FILE, describe
from wsgi_kit import MODES, ask, each_mode, visit

import coop
from coop.http import Limits

FRAMEWORKS = ("flask", "django", "bottle")
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
ROOMY = {"limits": Limits(body_bytes=64 * 1024 * 1024)}


class Shop:
    """The shop, in one framework and one mode."""

    def __init__(self, framework: str, mode: str) -> None:
        pytest.importorskip(framework)
        self.app = importlib.import_module(f"wsgi_apps.{framework}_shop").app
        self.mode = mode

    def __call__(self, *requests: bytes) -> list[Answer]:
        """Send requests over one connection; return the answers."""
        return ask(self.app, *requests, mode=self.mode, serving=ROOMY)  # type: ignore[no-any-return]

    def cookies(self, request: bytes) -> dict[str, str]:
        """Return the cookies that the answer to a request sets."""

        def visitor(hall: Hall) -> Gen[bytes]:
            client = yield from hall.enter()
            yield from client.say(request)
            return (yield from client.conn.recv_until(b"\r\n\r\n"))

        head = visit(self.app, visitor, self.mode).decode()
        return dict(re.findall(r'^Set-Cookie:  ?(\w+)="?([^";\r]*)', head, re.MULTILINE))


@pytest.fixture(params=[(name, mode) for name in FRAMEWORKS for mode in MODES], ids="-".join)
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(*request.param)


def test_a_query_is_read(shop: Shop) -> None:
    (answer,) = shop(get("/hello?name=caf%C3%A9"))
    assert (200, "hello café") == (answer.status, answer.body.decode())


def test_several_requests_share_a_connection(shop: Shop) -> None:
    answers = shop(*[get(f"/hello?name={number}") for number in range(5)])
    assert [b"hello %d" % number for number in range(5)] == [each.body for each in answers]


def test_a_form_is_read(shop: Shop) -> None:
    (answer,) = shop(post(b"a=1+%2B+1&b=x&b=y", FORM, "/form"))
    assert {"a": "1 + 1", "b": ["x", "y"]} == json.loads(answer.body)


def test_json_is_taken_and_given(shop: Shop) -> None:
    (answer,) = shop(post(b'{"number": 21}', "Content-Type: application/json\r\n", "/json"))
    assert {"twice": 42} == json.loads(answer.body)
    assert answer.fields["content-type"].startswith("application/json")


@pytest.mark.parametrize("size", [0, 100, 300_000])
def test_a_file_is_uploaded(shop: Shop, size: int) -> None:
    data = (b"0123456789abcdef\r\n" * (size // 18 + 1))[:size]
    body = (
        b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n--frontier--\r\n"
    )
    kind = "Content-Type: multipart/form-data; boundary=frontier\r\n"
    (answer,) = shop(post(body, kind, "/upload"))
    assert describe("a.bin", data) == json.loads(answer.body)


def test_a_body_in_chunks_is_read(shop: Shop) -> None:
    head = get("/raw", "Transfer-Encoding: chunked\r\n", "POST")
    (answer,) = shop(head + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
    assert b"abcdefg" == answer.body


def test_an_answer_is_streamed(shop: Shop) -> None:
    (answer,) = shop(get("/stream"))
    assert ("chunked", b"one two three") == (answer.fields["transfer-encoding"], answer.body)


def test_a_file_is_sent(shop: Shop) -> None:
    (answer,) = shop(get("/file"))
    assert (200, FILE.read_bytes()) == (answer.status, answer.body)
    assert str(len(answer.body)) == answer.fields["content-length"]


def test_head_has_no_body(shop: Shop) -> None:
    first, second = shop(get("/hello?name=you", method="HEAD"), get("/hello?name=you"))
    assert (200, b"") == (first.status, first.body)
    assert b"hello you" == second.body


def test_a_redirect_leads_on(shop: Shop) -> None:
    (answer,) = shop(get("/old"))
    assert answer.status in (302, 303)
    assert answer.fields["location"].endswith("/hello?name=you")


def test_several_cookies_are_set(shop: Shop) -> None:
    assert {"first": "1", "second": "2"} == shop.cookies(get("/cookies"))


def test_a_cookie_comes_back(shop: Shop) -> None:
    (answer,) = shop(get("/cookie", "Cookie: other=3; first=1\r\n"))
    assert b"1" == answer.body


def test_a_session_counts(shop: Shop) -> None:
    told = "; ".join(f'{name}="{value}"' for name, value in shop.cookies(get("/count")).items())
    (answer,) = shop(get("/count", f"Cookie: {told}\r\n"))
    assert b"2" == answer.body


def test_an_unknown_page_is_the_applications_to_answer(shop: Shop) -> None:
    (answer,) = shop(get("/nowhere"))
    assert 404 == answer.status
    assert b"404 Not Found\n" != answer.body, "that is the server's own"


@pytest.mark.usefixtures("_quiet")
def test_a_view_that_fails_is_answered_500_and_the_connection_stays(shop: Shop) -> None:
    first, second = shop(get("/error"), get("/hello?name=you"))
    assert (500, b"hello you") == (first.status, second.body)


@pytest.fixture
def _quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    capsys.readouterr()


@each_mode
def test_two_answers_in_flasks_context_do_not_meet(mode: str) -> None:
    pytest.importorskip("flask")
    app = importlib.import_module("wsgi_apps.flask_shop").app

    def fetch(client: Client, name: str) -> Gen[Answer]:
        return (yield from client.ask(get(f"/context?name={name}")))

    def visitor(hall: Hall) -> Gen[Any]:
        one, other = (yield from hall.enter()), (yield from hall.enter())
        return (yield from coop.gather(fetch(one, "a"), fetch(other, "b")))

    answers = visit(app, visitor, mode)
    assert [b"a" * 20 * 65536, b"b" * 20 * 65536] == [answer.body for answer in answers]


@pytest.mark.parametrize("mode", ["executor", "greenlet"])
def test_views_of_flask_wait_at_the_same_time(mode: Any) -> None:
    flask = pytest.importorskip("flask")
    app = flask.Flask("waiting")
    arrived: list[int] = []
    gate = coop.Event()

    def arrive() -> Gen[None]:
        arrived.append(1)
        if len(arrived) == 3:
            gate.set()
        yield from gate.wait()

    @app.get("/<name>")
    def view(name: str) -> str:
        coop.wsgi.wait(arrive)
        return f"{name} {flask.request.path}"

    def fetch(hall: Hall, name: str) -> Gen[bytes]:
        client = yield from hall.enter()
        return (yield from client.ask(get(f"/{name}"))).body  # type: ignore[no-any-return]

    def visitor(hall: Hall) -> Gen[Any]:
        return (yield from coop.gather(*[fetch(hall, name) for name in "abc"]))

    assert (b"a /a", b"b /b", b"c /c") == visit(app, visitor, mode)


def test_an_error_of_flasks_stream_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    flask = pytest.importorskip("flask")
    app = flask.Flask("failing")

    @app.get("/")
    def view() -> Any:
        def pieces() -> Iterator[str]:
            yield "one"
            raise LookupError("too bad")

        return pieces()

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get())
        return (yield from client.hear_end())

    with caplog.at_level(logging.ERROR):
        assert visit(app, visitor).endswith(b"one\r\n")
    assert "too bad" in caplog.text
