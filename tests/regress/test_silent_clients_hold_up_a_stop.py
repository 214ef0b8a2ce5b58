"""A server that was told to stop waited two seconds for clients who had nothing to say.

Behind its last bytes a connection is read to its end, so that what is on its way out is not
destroyed; but a pool of idle connections does not look at them before it needs one.
"""

from __future__ import annotations

import pytest
from http_kit import Gen, Hall, get, hello, visit
from kit import now

import coop
from coop.server import ServerState


@pytest.mark.parametrize("requests", [0, 1])
def test_a_client_that_stays_silent_is_not_waited_for(requests: int) -> None:
    def visitor(hall: Hall) -> Gen[float]:
        client = yield from hall.enter()
        for _ in range(requests):
            yield from client.ask(get())
        yield from coop.sleep(1)
        hall.server.stop()
        begin = now()
        while hall.server.state is not ServerState.STOPPED:
            yield from coop.sleep(0.01)
        assert b"" == client.conn.socket.recv(1)
        return now() - begin

    assert visit(hello, visitor) < 0.3


def test_a_client_that_goes_on_sending_gets_its_answer() -> None:
    def refuse(request: coop.http.Request) -> Gen[coop.http.Response]:
        yield from coop.sleep(2)
        raise coop.http.HttpError(403)

    def visitor(hall: Hall) -> Gen[int]:
        client = yield from hall.enter()
        yield from client.say(get(method="POST", fields="Content-Length: 1000000\r\n"))
        yield from coop.sleep(1)
        hall.server.stop()
        for _ in range(12):
            yield from client.say(bytes(1000))
            yield from coop.sleep(0.2)
        return (yield from client.hear()).status

    assert 403 == visit(refuse, visitor)
