"""A thousand clients that read nothing took the system's memory for TCP, and nobody was served.

Left to itself, Linux holds up to four megabytes of an answer for each of them.  Measured with
slowhttptest: 2.2 GB, the limit of that machine, and 14 seconds for an honest client's answer; now
300 MB, and 12 ms.
"""

from __future__ import annotations

import socket

import pytest
from http_kit import Gen, Hall, get, visit

import coop
from coop.http import Limits, Request, Response

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the system cannot be told"
)
PIECE = bytes(8192)


@pytest.mark.parametrize("limit", [16_384, 131_072])
def test_little_is_made_for_a_client_that_reads_nothing(limit: int) -> None:
    made = 0

    def pieces() -> Gen[bytes]:
        nonlocal made
        while True:
            made += len(PIECE)
            yield PIECE

    def app(request: Request) -> Response:
        return Response(pieces())

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter(receive_buffer_bytes=16_384)
        yield from client.say(get())
        yield from coop.sleep(1)

    visit(app, visitor, limits=Limits(unsent_bytes=limit))
    assert made < limit + 150_000
