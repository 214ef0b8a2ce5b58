"""A request was lost when a server stopped, or when a connection had been idle too long.

Told to part, a conversation looked whether a request had come meanwhile, found none, and ended;
the connection was closed by its group, a turn later.  With thousands of connections a turn is a
second long, and whoever asked in it had the request dropped and the connection closed without a
word: of 5,000 kept connections 1,500.  Now it says that it is done in the step in which it looks.
"""

from __future__ import annotations

import pytest
from http_kit import Gen, Hall, get, hello, visit
from kit import passes

import coop
from coop.outcomes import WOULDBLOCK


@pytest.mark.parametrize("reason", ["stop", "idle"])
@pytest.mark.parametrize("turns", range(8))
def test_who_asks_before_the_end_has_come_is_answered(reason: str, turns: int) -> None:
    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.ask(get())
        if reason == "stop":
            hall.server.stop()
        else:
            yield from coop.sleep(5)
        yield from passes(turns)
        if client.conn.socket.recv(1) is WOULDBLOCK:
            assert 200 == (yield from client.ask(get())).status

    visit(hello, visitor)
