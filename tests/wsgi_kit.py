"""What the tests of WSGI share: a server of an application in each mode, and a client by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import http_kit
import kit
import pytest

import coop
import coop.http
import coop.wsgi
from coop.http import Deadlines

Gen = kit.Gen
MODES = ("inline", "executor", "greenlet")

each_mode = pytest.mark.parametrize("mode", MODES)
each_waiting_mode = pytest.mark.parametrize("mode", MODES[1:])

#: Nobody here is slow on purpose, but the machine may be.
PATIENT = Deadlines(idle=30, head=30, body=30)


def visit(
    application: Any,
    visitor: Callable[[http_kit.Hall], Gen[Any]],
    mode: Any = "inline",
    serving: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Run ``visitor(hall)`` against a server of the application; return what it returns."""
    adapter = coop.wsgi.adapt(application, mode=mode, **options)
    hall = http_kit.Hall()

    def body(members: coop.Group) -> Gen[Any]:
        members.spawn(
            coop.http.serve(
                adapter,
                "127.0.0.1",
                0,
                heed_signals=False,
                on_listening=lambda server: setattr(hall, "server", server),
                **({"deadlines": PATIENT} | (serving or {})),
            )
        )
        yield from kit.wait_until(lambda: hall.server)
        try:
            with coop.timeout(20):
                return (yield from visitor(hall))
        finally:
            for client in hall.clients:
                client.conn.close()
            hall.server.stop()

    try:
        return coop.run(coop.group(body))
    finally:
        adapter.close()


def ask(application: Any, *requests: bytes, mode: Any = "inline", **options: Any) -> Any:
    """Send these requests over one connection, one after the other; return the answers."""

    def visitor(hall: http_kit.Hall) -> Gen[list[http_kit.Answer]]:
        client = yield from hall.enter()
        answers: list[Any] = [None] * len(requests)
        for index, request in enumerate(requests):
            answers[index] = yield from client.ask(request)
        return answers

    return visit(application, visitor, mode, **options)


def text(body: bytes = b"hello", *headers: tuple[str, str]) -> Any:
    """Return an application that answers with this body."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), *headers])
        return [body]

    return application
