"""Health: ready while it serves, and not from the moment that it is told to stop."""

from __future__ import annotations

import kit
from http_kit import Gen, Hall, get, hello, visit

import coop
import coop.http
from coop.http import Health, Response
from coop.server import ServerState


def test_health_fails_first_and_the_listener_closes_later() -> None:
    health = Health()

    def app(request: coop.http.Request) -> Response:
        return health(request) if request.path == "/healthz" else hello(request)

    def visitor(hall: Hall) -> Gen[None]:
        health.watch(hall.server)
        client = yield from hall.enter()
        assert 200 == (yield from client.ask(get("/healthz"))).status
        hall.server.stop()
        begin = kit.now()
        assert ServerState.LEAVING is hall.server.state
        late = yield from hall.enter()
        answer = yield from late.ask(get("/healthz"))
        assert (503, "no-store") == (answer.status, answer.fields["cache-control"])
        answer = yield from late.ask(get("/"))
        assert (200, b"hello") == (answer.status, answer.body), "all else goes on"
        assert b"" == (yield from late.hear_end()), "closed while idle"
        assert b"" == (yield from client.hear_end())
        assert 3 == kit.now() - begin
        yield from kit.wait_until(lambda: hall.server.state is ServerState.STOPPED)

    visit(app, visitor, lame_duck=3, drain=60)


def test_a_second_stop_does_not_shorten_it_but_an_abort_does() -> None:
    def visitor(hall: Hall) -> Gen[None]:
        hall.server.stop()
        hall.server.stop()
        assert ServerState.LEAVING is hall.server.state
        client = yield from hall.enter()
        assert 200 == (yield from client.ask(get("/"))).status
        hall.server.abort()
        assert b"" == (yield from client.hear_end())

    visit(hello, visitor, lame_duck=3)


def test_health_may_fail_by_hand() -> None:
    health = Health()

    def visitor(hall: Hall) -> Gen[list[int]]:
        client = yield from hall.enter()
        statuses = []
        for is_well in (True, False, True):
            health.is_well = is_well
            statuses.append((yield from client.ask(get("/"))).status)
            health.watch(hall.server)
        return statuses

    assert [503, 503, 200] == visit(health, visitor)
