"""A connection that had been accepted was dropped when the accept was cancelled just then.

asyncio: gh-153761, sock_accept.  Here the accept happens in the step that returns it: a task that
was woken to accept accepts, and one that is cancelled before leaves the connection in the backlog.
"""

from __future__ import annotations

import pytest
from kit import Gen, passes, play

import coop


@pytest.mark.parametrize("turns", range(6))
def test_no_connection_is_lost_whenever_the_accept_is_cancelled(turns: int) -> None:
    def main() -> Gen[int]:
        accepted: list[coop.Connection] = []
        with coop.listen("127.0.0.1", 0) as listener:

            def accept() -> Gen[None]:
                accepted.append((yield from listener.accept()))

            task = coop.spawn(accept())
            yield None
            client = yield from coop.connect(listener.address)
            yield from passes(turns)
            task.cancel()
            yield from passes(2)
            if not accepted:
                yield from accept()
        for conn in [client, *accepted]:
            conn.close()
        return len(accepted)

    assert 1 == play(main())
