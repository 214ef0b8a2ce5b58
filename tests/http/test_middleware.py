"""Middleware: around a handler of any kind, and pages of errors that tell nothing."""

from __future__ import annotations

import logging
from typing import Any

import http_kit
import kit
import pytest

import coop
from coop.http import HttpError, Request, Response, Router, Upgrade, answer, compress, error_pages

Handler = Any


def plain(request: Request) -> Response:
    return Response(b"plain")


def generator(request: Request) -> kit.Gen[Response]:
    yield from coop.sleep(1)
    return Response(b"generator")


async def coroutine(request: Request) -> Response:
    await coop.sleep(1)
    return Response(b"coroutine")


class Callable:
    def __call__(self, request: Request) -> Response:
        return Response(b"callable")


def ask(app: Handler, data: bytes = http_kit.get()) -> http_kit.Answer:
    def visitor(hall: Any) -> kit.Gen[http_kit.Answer]:
        client = yield from hall.enter()
        return (yield from client.ask(data))

    return http_kit.visit(app, visitor)  # type: ignore[no-any-return]


def tagging(handler: Handler) -> Handler:
    def wrapped(request: Request) -> kit.Gen[Response]:
        response = yield from answer(handler, request)
        response.set_header("X-Tag", "yes")
        return response

    return wrapped


def tagging_coroutine(handler: Handler) -> Handler:
    async def wrapped(request: Request) -> Response:
        response = await answer(handler, request)
        response.set_header("X-Tag", "yes")
        return response

    return wrapped


@pytest.mark.parametrize("middleware", [tagging, tagging_coroutine])
@pytest.mark.parametrize("handler", [plain, generator, coroutine, Callable()])
def test_a_middleware_wraps_handlers_of_every_kind(middleware: Any, handler: Any) -> None:
    told = ask(middleware(handler))
    assert (200, "yes") == (told.status, told.fields["x-tag"])


def test_a_handler_that_answers_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert 500 == ask(tagging(lambda request: "text")).status
    assert "return a coop.http.Response" in caplog.text


# -- error pages ----------------------------------------------------------------------------------


def page(request: Request, error: HttpError) -> Response:
    return Response(f"sorry: {error.status}", error.status)


def waiting_page(request: Request, error: HttpError) -> kit.Gen[Response]:
    yield from coop.sleep(1)
    return page(request, error)


def failing(request: Request) -> Response:
    raise {"/key": KeyError("secret"), "/io": OSError(5, "secret")}.get(
        request.path, HttpError(405, "secret", (("Allow", "GET"),))
    )


@pytest.mark.parametrize("pages", [page, waiting_page])
def test_errors_get_pages_of_your_own(pages: Any, caplog: pytest.LogCaptureFixture) -> None:
    told = ask(error_pages(failing, pages))
    assert (405, b"sorry: 405", "GET") == (told.status, told.body, told.fields["allow"])
    assert "" == caplog.text
    for target, error in (("/key", "KeyError: 'secret'"), ("/io", "OSError: [Errno 5] secret")):
        told = ask(error_pages(failing, pages), http_kit.get(target))
        assert (500, b"sorry: 500") == (told.status, told.body)
        assert error in caplog.text


def test_a_client_that_leaves_is_no_error_of_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    def visitor(hall: Any) -> kit.Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(http_kit.post(b"half")[:-2])
        client.conn.shutdown_send()
        return (yield from client.hear_end())

    told = http_kit.visit(error_pages(http_kit.echo, page), visitor)
    assert told.startswith(b"HTTP/1.1 400 ")
    assert "" == caplog.text


def test_a_page_that_fails_leaves_the_servers_own(caplog: pytest.LogCaptureFixture) -> None:
    def broken(request: Request, error: HttpError) -> Response:
        raise KeyError("secret")

    told = ask(error_pages(failing, broken))
    assert (500, b"500 Internal Server Error\n") == (told.status, told.body)


def test_a_page_keeps_its_own_fields() -> None:
    def own(request: Request, error: HttpError) -> Response:
        return Response(b"", error.status, {"allow": "PUT"})

    assert "PUT" == ask(error_pages(failing, own)).fields["allow"]


def test_the_default_pages_leak_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "coop.http")
    for target in ("/", "/key", "/io"):
        told = ask(failing, http_kit.get(target))
        assert b"secret" not in told.body
        assert {"allow", "connection", "content-length", "content-type", "date", "server"} >= set(
            told.fields
        )


# -- all of it together ---------------------------------------------------------------------------


def test_an_upgrade_passes_through_router_and_middleware() -> None:
    def shout(conn: coop.Connection, received: bytes) -> kit.Gen[None]:
        data = received or (yield from conn.recv())
        yield from conn.sendall(data.upper())

    router = Router()
    router.get("/shout")(lambda request: Upgrade("shouting", shout))
    app = tagging(compress(error_pages(router, page), min_bytes=0))

    def visitor(hall: Any) -> kit.Gen[bytes]:
        client = yield from hall.enter()
        fields = "Connection: Upgrade\r\nUpgrade: shouting\r\nAccept-Encoding: gzip\r\n"
        yield from client.say(http_kit.get("/shout", fields))
        head = yield from client.conn.recv_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"X-Tag: yes" in head
        yield from client.say(b"hello")
        return (yield from client.hear_end())

    assert b"HELLO" == http_kit.visit(app, visitor)
