"""Every phase of an exchange ends in time, by a clock that leaps."""

from __future__ import annotations

from typing import Any

import pytest
from http_kit import Client, Gen, Hall, echo, get, hello, visit
from kit import now

import coop
from coop.http import Deadlines, Request, Response
from coop.http.exchange import EXCHANGE_LIFE, Exchange, ExchangeState, phase_seconds

ENDS = {ExchangeState.LINGERING, ExchangeState.BROKEN}


def end_of(client: Client) -> Gen[tuple[float, bytes]]:
    """Return when the server ended the connection, and what it said before."""
    data = yield from client.hear_end()
    return now(), data


def drip(client: Client, data: bytes, pause: float) -> Gen[None]:
    """Send a byte now and then, until the connection breaks."""
    try:
        for octet in data:
            yield from client.conn.sendall(bytes([octet]))
            yield from coop.sleep(pause)
    except OSError:
        pass


def test_the_table_leads_from_idle_to_an_end() -> None:
    reached = {ExchangeState.IDLE}
    for _ in ExchangeState:
        reached |= {there for here in reached for there in EXCHANGE_LIFE[here].values()}
    assert set(ExchangeState) == reached == set(EXCHANGE_LIFE)
    for state in set(ExchangeState) - ENDS:
        assert ExchangeState.BROKEN is EXCHANGE_LIFE[state]["break"]
    assert {} == EXCHANGE_LIFE[ExchangeState.LINGERING]


@pytest.mark.parametrize("state", ExchangeState)
def test_a_step_that_is_not_in_the_table_is_refused(state: ExchangeState) -> None:
    events = {event for steps in EXCHANGE_LIFE.values() for event in steps}
    for event in sorted(events):
        exchange = Exchange(None, phase_seconds(Deadlines()))  # type: ignore[arg-type]
        exchange.state = state
        if event in EXCHANGE_LIFE[state]:
            exchange.advance(event)
            assert EXCHANGE_LIFE[state][event] is exchange.state
        else:
            with pytest.raises(KeyError):
                exchange.advance(event)


@pytest.mark.parametrize("name", ["idle", "head", "body", "stall", "half_close", "body_rate"])
def test_a_deadline_is_a_positive_number(name: str) -> None:
    with pytest.raises(ValueError, match=f"deadline {name}=0"):
        Deadlines(**{name: 0})


def test_a_client_that_says_nothing_is_cut_off_silently() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        return (yield from end_of(client))

    assert (5.0, b"") == visit(hello, visitor)


def test_a_client_that_idles_after_an_answer_is_cut_off_silently() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        for moment in (0, 4, 8):
            assert moment == now()
            assert 200 == (yield from client.ask(get())).status
            yield from coop.sleep(4)
        return (yield from end_of(client))

    assert (13.0, b"") == visit(hello, visitor)


def test_a_head_has_ten_seconds_in_all_and_is_told_408() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from coop.sleep(3)
        dripper = coop.spawn(drip(client, get(fields="X: y\r\n" * 9), 2))
        answer = yield from end_of(client)
        dripper.cancel()
        return answer

    when, said = visit(hello, visitor)
    assert 13.0 == when
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"Connection: close\r\n" in said


def test_the_head_behind_a_pipelined_request_has_its_deadline_too() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get() + b"GET /")
        assert 200 == (yield from client.hear()).status
        return (yield from end_of(client))

    when, said = visit(hello, visitor)
    assert (10.0, b"408") == (when, said[9:12])


@pytest.mark.parametrize(
    ("pause", "rate", "end"),
    [(2.0, 500, 10.0), (100.0, 500, 10.0), (2.0, 1, 18.0)],
    ids=["a byte every two seconds", "silence", "slowly, where that is half enough"],
)
def test_a_body_that_comes_too_slowly_is_told_408(pause: float, rate: int, end: float) -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get(fields="Content-Length: 1000\r\n", method="POST"))
        dripper = coop.spawn(drip(client, bytes(1000), pause))
        answer = yield from end_of(client)
        dripper.cancel()
        return answer

    when, said = visit(echo, visitor, deadlines=Deadlines(body_rate=rate))
    assert end == pytest.approx(when, abs=1)
    assert b"408" == said[9:12]


def test_a_body_that_comes_fast_enough_may_take_its_time() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get(fields="Content-Length: 60000\r\n", method="POST"))
        for _ in range(60):
            yield from coop.sleep(1.5)
            yield from client.say(bytes(1000))
        return len((yield from client.hear()).body), now()

    assert (60000, 90.0) == visit(echo, visitor)


def test_the_time_a_handler_takes_is_not_the_clients() -> None:
    def slow(request: Request) -> Gen[Response]:
        yield from coop.sleep(100)
        while (yield from request.read_piece()):
            yield from coop.sleep(100)
        return Response(b"done")

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get(fields="Content-Length: 3\r\n", method="POST"))
        for octet in (b"a", b"b", b"c"):
            yield from client.say(octet)
            yield from coop.sleep(100)
        return (yield from client.hear()).status

    assert 200 == visit(slow, visitor)


class Zeros:
    """A body without an end, which notes when it is closed."""

    def __init__(self) -> None:
        self.closed_at: float | None = None

    def __iter__(self) -> Zeros:
        return self

    def __next__(self) -> bytes:
        return bytes(65536)

    def close(self) -> None:
        self.closed_at = now()


@pytest.mark.parametrize("kind", ["pieces", "bytes"])
def test_a_reader_that_reads_nothing_is_reset_after_thirty_seconds(kind: str) -> None:
    zeros = Zeros()

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from client.say(get())
        while hall.server.active == 0:
            yield None
        while hall.server.active:
            yield from coop.sleep(1)
        when = now()
        with pytest.raises(ConnectionResetError):
            yield from end_of(client)
        return when

    def app(request: Request) -> Response:
        return Response(zeros if kind == "pieces" else bytes(50_000_000))

    assert visit(app, visitor) == pytest.approx(30, abs=2)
    if kind == "pieces":
        assert zeros.closed_at == pytest.approx(30, abs=1)


def test_a_slow_reader_that_goes_on_reading_lives() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter(receive_buffer_bytes=500_000)
        yield from client.say(get())
        while now() < 200:
            yield from coop.sleep(12)
            yield from client.conn.recv_exactly(200_000)
        return hall.server.active

    assert 1 == visit(lambda request: Response(bytes(50_000_000)), visitor)


def test_a_handler_may_take_its_time_and_a_stream_too() -> None:
    def ticks() -> Gen[Any]:
        for _ in range(3):
            yield from coop.sleep(100)
            yield b"tick"  # type: ignore[misc]

    def app(request: Request) -> Gen[Response]:
        yield from coop.sleep(100)
        return Response(ticks())

    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        return (yield from client.ask(get())).body, now()

    assert (b"tick" * 3, 400.0) == visit(app, visitor)


def test_a_request_that_comes_with_its_deadline_is_answered() -> None:
    def visitor(hall: Hall) -> Gen[Any]:
        client = yield from hall.enter()
        yield from coop.sleep(4.999)
        answer = yield from client.ask(get())
        return answer.status

    def app(request: Request) -> Gen[Response]:
        yield from coop.sleep(10)
        return Response(b"")

    assert 200 == visit(app, visitor)
