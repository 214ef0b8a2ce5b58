"""Servers, clients and rooms of WebSockets in every network there is."""

from __future__ import annotations

import pytest

import coop
import coop.http
import coop.ws
from coop.sim import Simulation
from coop.sim.explore import check
from coop.ws import Rules, WebSocket

PORT = 7000
EVERYDAY, CAMPAIGN = 12, 3000
RULES = Rules(ping_interval=5.0, ping_timeout=5.0, close_timeout=5.0)
BROKEN = (OSError, EOFError, coop.ws.HandshakeError)


def app(request: coop.http.Request) -> coop.http.Response:
    return coop.ws.upgrade(request, _count, rules=RULES)


def _count(ws: WebSocket) -> coop.Coop[None]:
    """Send each message back with its number on this connection."""
    number = 0
    while (message := (yield from ws.recv())) is not coop.CLOSED:
        number += 1
        yield from ws.send(f"{number} {message}")


def counting(sim: Simulation) -> coop.Coop[None]:
    """Three clients, each until it has been answered twenty times in order."""
    sim.host("server", lambda: coop.http.serve(app, port=PORT))
    yield from coop.gather(*(_talk(number) for number in range(3)))


def _talk(name: int) -> coop.Coop[None]:
    left = 20
    while left:
        try:
            with (yield from coop.ws.connect(f"ws://server:{PORT}/", rules=RULES)) as ws:
                number = 0
                while left:
                    number += 1
                    yield from ws.send(f"{name} {'x' * left * 50}")
                    answer = yield from ws.recv()
                    if answer is coop.CLOSED:
                        break
                    assert f"{number} {name} {'x' * left * 50}" == answer
                    left -= 1
                else:
                    yield from ws.close()
        except BROKEN:
            pass
        yield from coop.sleep(0.5)


def stopping(sim: Simulation) -> coop.Coop[None]:
    """A server that stops says goodbye to those who wait, and ends."""
    servers: list[coop.Server] = []

    def program() -> coop.Coop[None]:
        yield from coop.http.serve(app, port=PORT, on_listening=servers.append, drain=60)

    sim.host("server", program)
    visits = [_wait_for_the_end() for _ in range(3)]
    yield from coop.gather(*visits, _stop(servers))
    assert 0 == servers[0].failed


def _wait_for_the_end() -> coop.Coop[None]:
    try:
        with (yield from coop.ws.connect(f"ws://server:{PORT}/", rules=RULES)) as ws:
            assert (yield from ws.recv()) is coop.CLOSED
            assert ws.close_code in (1001, 1006, 1011)
    except BROKEN:
        pass


def _stop(servers: list[coop.Server]) -> coop.Coop[None]:
    yield from coop.sleep(30)
    while not servers:
        yield from coop.sleep(1)
    servers[0].stop()


SCENARIOS = [counting, stopping]
each = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)


@each
def test_it_stands_every_network(scenario) -> None:
    check(scenario, EVERYDAY, allow=["random"])


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@each
def test_it_stands_a_campaign(scenario) -> None:
    check(scenario, CAMPAIGN, allow=["random"])
