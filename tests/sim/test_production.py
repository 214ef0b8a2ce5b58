"""coop's own server, streams, groups and HTTP under every network there is.

A few seeds each day, ten thousand in a campaign.  What is found here gets a file in tests/regress.
"""

from __future__ import annotations

import pytest
from sim.scenarios import PORT, patient_echo

import coop
from coop.server import ServerState
from coop.sim import Simulation
from coop.sim.explore import attempt, check

http = pytest.importorskip("coop.http", reason="needs httptools")

EVERYDAY, CAMPAIGN = 60, 10_000
BROKEN = (OSError, EOFError)


# -- HTTP ---------------------------------------------------------------------------------------


def app(request):
    body = yield from request.read()
    if request.path == "/slow":
        yield from coop.sleep(0.5)
    return http.Response(request.method.encode() + b" " + request.path.encode() + b" " + body)


def keep_alive(sim: Simulation) -> coop.Coop[None]:
    """Three clients, each with requests in a row on one connection, until all are answered."""
    sim.host("server", lambda: http.serve(app, port=PORT))
    yield from coop.gather(*(_visit(number) for number in range(3)))


def _visit(number: int) -> coop.Coop[None]:
    paths = [b"/a", b"/slow", b"/b", b"/c%d" % number]
    while paths:
        try:
            with coop.timeout(60), (yield from coop.connect("server", PORT)) as conn:
                yield from conn.sendall(b"".join(_request(path) for path in paths))
                while paths:
                    assert b"POST %s body of %s" % (paths[0], paths[0]) == (yield from _read(conn))
                    paths.pop(0)
        except BROKEN:
            yield from coop.sleep(1)


def _request(path: bytes) -> bytes:
    body = b"body of " + path
    head = b"POST %s HTTP/1.1\r\nHost: server\r\nContent-Length: %d\r\n\r\n" % (path, len(body))
    return head + body


def _read(conn: coop.Connection) -> coop.Coop[bytes]:
    head = yield from conn.recv_until(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    if status.split()[1] in (b"400", b"408", b"503"):
        raise EOFError("told to try again")
    assert status == b"HTTP/1.1 200 OK", head
    lengths = [
        int(line.partition(b":")[2])
        for line in fields.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    return (yield from conn.recv_exactly(lengths[0]))


def mad_clients(sim: Simulation) -> coop.Coop[None]:
    """Clients that say rubbish, or nothing, and leave; a good one is served all the same."""
    sim.host("server", lambda: http.serve(app, port=PORT))
    words = [b"", b"\r\n\r\n", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 9000, _request(b"/")[:-3]]
    yield from coop.gather(*(_annoy(each) for each in words), _visit(0))


def _annoy(words: bytes) -> coop.Coop[None]:
    try:
        with coop.timeout(300), (yield from coop.connect("server", PORT)) as conn:
            yield from conn.sendall(words)
            while (yield from conn.recv()):
                pass
    except BROKEN:
        pass


# -- streams, groups, server --------------------------------------------------------------------


def orderly_stop(sim: Simulation) -> coop.Coop[None]:
    """A server is stopped in the middle of its work: what it took on, it finishes."""
    servers: list[coop.Server] = []
    done: list[int] = []

    def handler(conn: coop.Connection) -> coop.Coop[None]:
        yield from coop.sleep(2)
        yield from conn.sendall(b"done\n")
        done.append(1)

    def program() -> coop.Coop[None]:
        yield from coop.serve(handler, port=PORT, on_listening=servers.append, drain=None)

    sim.host("server", program)
    visits = coop.gather(*(_annoy(b"please") for _ in range(4)), _stop(servers))
    yield from visits
    server = servers[0]
    while server.state is not ServerState.STOPPED:
        yield from coop.sleep(1)
    assert 0 == server.active
    assert server.accepted == len(done) + server.broken


def _stop(servers: list[coop.Server]) -> coop.Coop[None]:
    yield from coop.sleep(1)
    while not servers:
        yield from coop.sleep(1)
    servers[0].stop()


SCENARIOS = [keep_alive, mad_clients, orderly_stop, patient_echo]
each = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)


@each
def test_it_stands_every_network(scenario):
    check(scenario, EVERYDAY)


@each
def test_it_runs_the_same_twice(scenario):
    for seed in range(10):
        assert attempt(scenario, seed).unseed == attempt(scenario, seed).unseed


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@each
def test_it_stands_a_campaign(scenario):
    check(scenario, CAMPAIGN)
