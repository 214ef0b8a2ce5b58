"""A client that leaves while its request is handled: the handler is cancelled, and cleans up."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from http_kit import Client, Gen, Hall, get, hello, post, visit
from kit import now, wait_until

import coop
from coop.http import AccessRecord, Deadlines, Request, Response

#: Seconds that a half-close gets.
GRACE = Deadlines().half_close


def leave_at(seconds: float, how: str, data: bytes = get()) -> Any:
    """A visitor that sends a request, leaves, and waits until all is over."""

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.say(data)
        yield from coop.sleep(seconds)
        leave(client, how)
        yield from coop.sleep(50)
        assert 0 == hall.server.active
        assert 0 == hall.server.failed

    return visitor


def leave(client: Client, how: str) -> None:
    if how == "half":
        client.conn.shutdown_send()
        return
    if how == "reset":
        client.conn.socket.set_linger(0)
    client.conn.close()


class Witness:
    """What a handler notes of its end."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.cancelled: list[BaseException] = []

    def sleeper(self, request: Request) -> Gen[Response]:
        try:
            yield from coop.sleep(40)
        except coop.Cancelled as error:
            self.cancelled.append(error)
            raise
        finally:
            self.ends.append(now())
        return Response(b"late")

    def stream(self, request: Request) -> Response:
        return Response(self.pieces())

    def pieces(self) -> Gen[None]:
        try:
            yield b"first"
            yield from coop.sleep(40)
            yield b"second"
        finally:
            self.ends.append(now())

    def async_stream(self, request: Request) -> Response:
        return Response(self.async_pieces())

    async def async_pieces(self) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await coop.sleep(40)
        finally:
            self.ends.append(now())


@pytest.mark.parametrize("first", [b"", get() * 2])
@pytest.mark.parametrize("app", ["sleeper", "stream", "async_stream"])
@pytest.mark.parametrize("how", ["reset", "close", "half"])
def test_the_handler_of_a_client_that_left_is_cancelled(app: str, how: str, first: bytes) -> None:
    witness = Witness()
    # To close without having read what was answered is a reset too.
    is_reset = how == "reset" or (how == "close" and (first or app != "sleeper"))

    def route(request: Request) -> Any:
        return getattr(witness, app)(request) if request.path == "/last" else Response(b"")

    visit(route, leave_at(3, how, first + get("/last")))
    assert [3.0 if is_reset else 3.0 + GRACE] == witness.ends


def test_the_wait_of_a_coroutine_is_cancelled_too() -> None:
    witness = Witness()

    async def app(request: Request) -> Response:
        try:
            await coop.sleep(40)
        finally:
            witness.ends.append(now())
        return Response(b"")

    visit(app, leave_at(3, "close"))
    assert [3.0 + GRACE] == witness.ends


def test_a_body_that_was_read_before_changes_nothing() -> None:
    witness = Witness()

    def app(request: Request) -> Gen[Response]:
        yield from request.read()
        return (yield from witness.sleeper(request))

    visit(app, leave_at(3, "close", post(b"x" * 70_000)))
    assert [3.0 + GRACE] == witness.ends
    assert 1 == len(witness.cancelled)


def test_a_shielded_handler_goes_on_to_its_end() -> None:
    witness = Witness()

    def app(request: Request) -> Gen[Response]:
        with coop.shield():
            return (yield from witness.sleeper(request))

    visit(app, leave_at(3, "reset"))
    assert [40.0] == witness.ends


def test_cleanup_may_wait_under_a_shield() -> None:
    cleaned: list[float] = []

    def app(request: Request) -> Gen[Response]:
        try:
            yield from coop.sleep(40)
        finally:
            with coop.shield(2.0):
                yield from coop.sleep(1)
                cleaned.append(now())
        return Response(b"")

    visit(app, leave_at(3, "reset"))
    assert [4.0] == cleaned


def test_a_half_close_is_answered_within_its_grace() -> None:
    def app(request: Request) -> Gen[Response]:
        yield from coop.sleep(GRACE * 0.9)
        return Response(b"in time")

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get())
        client.conn.shutdown_send()
        return (yield from client.hear_end())

    assert visit(app, visitor).endswith(b"in time")


def test_a_half_close_may_have_all_the_time_it_takes() -> None:
    witness = Witness()
    deadlines = Deadlines(half_close=float("inf"))

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get())
        client.conn.shutdown_send()
        return (yield from client.hear_end())

    assert visit(witness.sleeper, visitor, deadlines=deadlines).endswith(b"late")


def test_a_pipelined_request_does_not_pass_for_an_end() -> None:
    def app(request: Request) -> Gen[Response]:
        yield from coop.sleep(2)
        return Response(request.path)

    def visitor(hall: Hall) -> Gen[list[bytes]]:
        client = yield from hall.enter()
        yield from client.say(get("/1"))
        yield from coop.sleep(1)
        yield from client.say(get("/2"))
        return [(yield from client.hear()).body, (yield from client.hear()).body]

    assert [b"/1", b"/2"] == visit(app, visitor)


def test_a_half_closed_client_gets_a_large_answer_whole() -> None:
    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter(receive_buffer_bytes=4096)
        yield from client.say(get())
        client.conn.shutdown_send()
        yield from coop.sleep(2)
        return (yield from client.hear_end())

    said = visit(lambda request: Response(b"x" * 9_000_000), visitor)
    assert said.endswith(b"x" * 9_000_000)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_request_whose_client_left_is_recorded_as_499(how: str) -> None:
    records: list[AccessRecord] = []
    visit(Witness().sleeper, leave_at(3, how), access_log=records.append)
    (record,) = records
    assert (499, 0, False) == (record.status, record.body_bytes, record.is_whole)
    assert "GET / HTTP/1.1" == record.request_line


def test_an_answer_whose_client_left_is_recorded_as_not_whole() -> None:
    records: list[AccessRecord] = []
    visit(Witness().stream, leave_at(3, "close"), access_log=records.append)
    (record,) = records
    assert (200, 5, False) == (record.status, record.body_bytes, record.is_whole)


def test_nothing_is_watched_for_a_handler_that_does_not_wait() -> None:
    watched: list[bool] = []

    def app(request: Request) -> Response:
        table = coop.current_scheduler().descriptors.table
        source: Any = request.source
        watched.append(table[source._connection.fileno()].reader.is_watched)
        return Response(b"")

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.ask(get())

    visit(app, visitor)
    visit(hello, visitor)
    assert [False] == watched


def test_a_client_that_leaves_between_requests_is_no_error() -> None:
    records: list[AccessRecord] = []

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.ask(get())
        leave(client, "reset")
        yield from wait_until(lambda: 0 == hall.server.active)

    visit(hello, visitor, access_log=records.append)
    assert [200] == [record.status for record in records]


# -- TLS ----------------------------------------------------------------------------------------


class SecureHall:
    """What a visitor of a server that speaks TLS needs."""

    def __init__(self, hall: Hall, issuer: trustme.CA) -> None:
        self.hall = hall
        self.context = coop.tls_client_context()
        issuer.configure_trust(self.context)

    def enter(self) -> Gen[Client]:
        plain = yield from self.hall.enter()
        secure = yield from coop.start_tls(
            plain.conn, self.context, server_hostname="a.example", timeout=None
        )
        self.hall.clients[-1] = client = Client(secure)
        return client


def visit_secure(app: Any, visitor: Any) -> Any:
    issuer = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issuer.issue_cert("a.example").configure_cert(context)
    return visit(app, lambda hall: visitor(SecureHall(hall, issuer)), tls=context)


@pytest.mark.parametrize(("how", "end"), [("half", 3.0 + GRACE), ("close", 3.0), ("reset", 3.0)])
def test_a_client_that_leaves_tls_is_noticed_too(how: str, end: float) -> None:
    witness = Witness()

    def visitor(hall: SecureHall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.say(get())
        yield from coop.sleep(3)
        leave(client, how)
        yield from coop.sleep(20)

    visit_secure(witness.sleeper, visitor)
    assert [end] == [round(time, 6) for time in witness.ends]


def test_what_is_pipelined_over_tls_waits_its_turn() -> None:
    def app(request: Request) -> Gen[Response]:
        yield from coop.sleep(2)
        return Response(request.path.encode() + (yield from request.read()))

    def visitor(hall: SecureHall) -> Gen[list[bytes]]:
        client = yield from hall.enter()
        yield from client.say(get("/1"))
        yield from coop.sleep(1)
        yield from client.say(post(b"x" * 40_000, target="/2") + get("/3"))
        return [
            (yield from client.hear()).body,
            (yield from client.hear()).body,
            (yield from client.hear()).body,
        ]

    assert [b"/1", b"/2" + b"x" * 40_000, b"/3"] == visit_secure(app, visitor)
