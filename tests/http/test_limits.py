"""What a client may ask of the server: each limit, and the answer to who goes beyond it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from http_kit import Gen, Hall, echo, get, hello, post, visit
from kit import wait_until

import coop
from coop.address import ipv4, ipv6, unix
from coop.http import AccessRecord, Limits, Request, Response
from coop.http.quota import Quota


def statuses(said: bytes) -> list[int]:
    return [int(part[1:4]) for part in said.split(b"HTTP/1.1")[1:]]


# -- requests per connection --------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize("app", [hello, echo])
def test_the_last_request_of_a_connection_is_told_so(app: Any, most: int) -> None:
    def visitor(hall: Hall) -> Gen[list[bool]]:
        client = yield from hall.enter()
        ends = []
        for _ in range(most):
            answer = yield from client.ask(get())
            ends.append("close" == answer.fields.get("connection"))
        assert b"" == (yield from client.hear_end())
        return ends

    ends = visit(app, visitor, limits=Limits(requests_per_connection=most))
    assert [False] * (most - 1) + [True] == ends


def test_what_was_pipelined_behind_the_last_request_is_not_answered() -> None:
    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get() * 5)
        return (yield from client.hear_end())

    assert [200] * 3 == statuses(visit(hello, visitor, limits=Limits(requests_per_connection=3)))


# -- connections per address ----------------------------------------------------------------------


def test_one_connection_too_many_of_an_address_is_answered_503() -> None:
    records: list[AccessRecord] = []

    def visitor(hall: Hall) -> Gen[tuple[int, str, int, int]]:
        first = yield from hall.enter()
        yield from first.ask(get())
        second = yield from hall.enter()
        yield from second.ask(get())
        third = yield from hall.enter()
        refusal = yield from third.hear()
        assert b"" == (yield from third.hear_end())
        second.conn.close()
        yield from wait_until(lambda: 1 == hall.server.active)
        fourth = yield from hall.enter()
        return (
            refusal.status,
            refusal.fields["connection"],
            (yield from first.ask(get())).status,
            (yield from fourth.ask(get())).status,
        )

    limits = Limits(connections_per_address=2)
    assert (503, "close", 200, 200) == visit(
        hello, visitor, limits=limits, access_log=records.append
    )
    assert [200, 200, 503, 200, 200] == [record.status for record in records]


def test_a_quota_counts_by_address() -> None:
    quota = Quota(1)
    assert quota.enter(ipv4("192.0.2.1", 1))
    assert not quota.enter(ipv4("192.0.2.1", 2))
    assert quota.enter(ipv4("192.0.2.2", 1))
    quota.leave(ipv4("192.0.2.1", 1))
    quota.leave(ipv4("192.0.2.2", 1))
    assert {} == quota.present


def test_a_quota_counts_ipv6_by_network() -> None:
    quota = Quota(1)
    assert quota.enter(ipv6("2001:db8::1", 1))
    assert not quota.enter(ipv6("2001:db8::ffff:2", 1))
    assert quota.enter(ipv6("2001:db8:0:1::1", 1))


def test_a_quota_does_not_count_those_without_an_address() -> None:
    quota = Quota(1)
    for nobody in (None, unix("/run/x")):
        assert quota.enter(nobody)
        assert quota.enter(nobody)
        quota.leave(nobody)
    assert {} == quota.present


# -- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extension", "status"), [(b";" + b"a" * 39, 200), (b";" + b"a" * 41, 400)]
)
def test_the_extensions_of_all_chunks_are_limited_together(extension: bytes, status: int) -> None:
    body = b"".join(b"1" + extension + b"\r\nx\r\n" for _ in range(100)) + b"0\r\n\r\n"
    data = get("/", "Transfer-Encoding: chunked\r\n", "POST") + body

    def visitor(hall: Hall) -> Gen[int]:
        client = yield from hall.enter()
        return (yield from client.ask(data)).status

    assert status == visit(echo, visitor, limits=Limits(chunk_extension_bytes=4000))


# -- memory ---------------------------------------------------------------------------------------


def test_a_client_that_pipelines_and_reads_nothing_is_not_read_any_more() -> None:
    request = post(b"x" * 65536)
    served: list[int] = []

    def app(request: Request) -> Gen[Response]:
        body = yield from request.read()
        served.append(len(body))
        return Response(body)

    def visitor(hall: Hall) -> Gen[int]:
        client = yield from hall.enter(receive_buffer_bytes=65536)
        sent = 0
        tracemalloc.start()
        try:
            with coop.move_on_after(5):  # of the clock that leaps when nothing goes on any more
                while True:
                    yield from client.conn.sendall(request)
                    sent += len(request)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert visit(app, visitor) < 2_000_000
    assert len(served) < 500


def test_a_limit_may_be_none_only_where_that_is_its_default() -> None:
    assert Limits().requests_per_connection is None
    with pytest.raises(ValueError, match="limit requests_per_connection=0"):
        Limits(requests_per_connection=0)
