"""An application over every network there is: simulated, in the modes that need no thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import http_kit
import pytest
from kit import Gen

import coop
import coop.http
import coop.wsgi
from coop.http import Deadlines
from coop.sim import Simulation
from coop.sim.explore import check

BODY = bytes(range(256)) * 400
PATIENT = Deadlines(idle=3600, head=3600, body=3600, stall=3600)


class Echo:
    """An application that gives its body back piece by piece, and notes what it has opened."""

    def __init__(self) -> None:
        self.open = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        self.open += 1
        try:
            start_response("200 OK", [])
            while piece := environ["wsgi.input"].read(10_000):
                yield piece
                yield b""
        finally:
            self.open -= 1


def fetch(fields: str) -> Gen[bytes]:
    """Ask until there is a whole answer."""
    while True:
        try:
            with (yield from coop.connect("server", 80)) as conn:
                client = http_kit.Client(conn)
                coop.spawn(client.say(http_kit.post(BODY, fields)))  # it ends with the connection
                answer = yield from client.hear()
                assert (200, BODY) == (answer.status, answer.body)
                return answer.body  # type: ignore[no-any-return]
        except (OSError, EOFError):
            yield from coop.sleep(1)


@pytest.mark.parametrize("mode", ["inline", "greenlet"])
def test_whoever_asks_long_enough_is_answered_and_nothing_is_left_open(
    mode: Any,
) -> None:
    def scenario(sim: Simulation) -> Gen[None]:
        echo = Echo()
        handler = coop.wsgi.adapt(echo, mode=mode)
        server = sim.host("server", lambda: coop.http.serve(handler, port=80, deadlines=PATIENT))
        yield from coop.gather(fetch(""), fetch("Connection: close\r\n"))
        server.crash()
        yield from coop.sleep(1)
        assert 0 == echo.open, "close was not called"

    check(scenario, seeds=40)
