"""Server-sent events: what is said arrives as it was said, and silence is filled."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import http_kit
import kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coop
from coop.http import Event, Request, Response, compress, event_stream, last_event_id

TEXT = st.text(st.characters(codec="utf-8"))
LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))


class Listener:
    """Read events as the standard tells browsers to."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self.seen: list[tuple[str, str, str]] = []

    def hear(self, stream: bytes) -> list[tuple[str, str, str]]:
        """Return (type, data, last id) of each event."""
        text = stream.decode("utf-8-sig")
        kind, data = "", ""
        for line in re.split(r"\r\n|\r|\n", text):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    self.seen.append((kind or "message", data[:-1], self.last_id))
                kind, data = "", ""
            elif name == "event":
                kind = value
            elif name == "data":
                data += value + "\n"
            elif name == "id" and "\0" not in value:
                self.last_id = value
            elif name == "retry" and value.isdigit():
                self.retry = int(value)
        return self.seen


# -- framing --------------------------------------------------------------------------------------


@given(st.lists(st.builds(Event, TEXT, LINES, st.none() | LINES, st.none() | st.integers(0, 9**9))))
def test_what_is_said_is_heard(events: list[Event]) -> None:
    listener = Listener()
    heard = listener.hear(b"".join(event.encode() for event in events))
    said, last_id = [], ""
    for event in events:
        last_id = last_id if event.id is None else event.id
        is_silent = not event.data and not event.event and (event.id, event.retry) != (None, None)
        if not is_silent:
            data = event.data.replace("\r\n", "\n").replace("\r", "\n")
            said.append((event.event or "message", data, last_id))
    assert said == heard
    retries = [event.retry for event in events if event.retry is not None]
    assert (retries[-1] if retries else None) == listener.retry


@pytest.mark.parametrize(
    "event",
    [Event("x", event="a\nb"), Event("x", event="a\r"), Event(id="1\n2"), Event(id="1\0")],
)
def test_a_name_or_id_of_two_lines_is_refused(event: Event) -> None:
    with pytest.raises(ValueError, match="is one line"):
        event.encode()


def test_an_event_is_framed_as_the_standard_says() -> None:
    event = Event("two\nlines", "tick", "7", 3000)
    assert b"event: tick\nid: 7\nretry: 3000\ndata: two\ndata: lines\n\n" == event.encode()
    assert b"id: 7\n\n" == Event(id="7").encode()
    assert b"data: \n\n" == Event().encode()


# -- over a connection ----------------------------------------------------------------------------


def ask(app: Any, fields: str = "") -> http_kit.Answer:
    def visitor(hall: Any) -> kit.Gen[http_kit.Answer]:
        client = yield from hall.enter()
        return (yield from client.ask(http_kit.get(fields=fields)))

    return http_kit.visit(app, visitor)  # type: ignore[no-any-return]


def ticking() -> kit.Gen[Any]:
    for number in range(3):
        yield Event(str(number), id=str(number))
        yield from coop.sleep(1)
    yield "done"


async def ticking_coroutine() -> AsyncIterator[Any]:
    for number in range(3):
        yield Event(str(number), id=str(number))
        await coop.sleep(1)
    yield "done"


TICKS = [*(("message", str(number), str(number)) for number in range(3)), ("message", "done", "2")]


@pytest.mark.parametrize("make", [ticking, ticking_coroutine, lambda: [*TICKS]])
def test_a_generator_of_any_kind_is_told(make: Any) -> None:
    def events() -> Any:
        made = make()
        return [Event(data, id=mark) for _, data, mark in made] if type(made) is list else made

    answer = ask(lambda request: event_stream(events(), headers={"Cache-Control": "no-store"}))
    assert ("text/event-stream; charset=utf-8", "no-store") == (
        answer.fields["content-type"], answer.fields["cache-control"],
    )  # fmt: skip
    assert TICKS == Listener().hear(answer.body)


def test_silence_is_filled_with_comments() -> None:
    def rare() -> kit.Gen[Any]:
        yield "first"
        yield from coop.sleep(50)
        yield "second"

    answer = ask(lambda request: event_stream(rare(), keep_alive=20))
    assert b"data: first\n\n:\n\n:\n\ndata: second\n\n" == answer.body


def test_events_are_packed_one_by_one() -> None:
    answer = ask(compress(lambda request: event_stream(ticking())), "Accept-Encoding: gzip\r\n")
    assert "gzip" == answer.fields["content-encoding"]


def test_what_is_no_event_breaks_the_answer_off(caplog: pytest.LogCaptureFixture) -> None:
    def visitor(hall: Any) -> kit.Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(http_kit.get())
        return (yield from client.hear_end())

    told = http_kit.visit(lambda request: event_stream(["good", 7]), visitor)
    assert b"data: good\n\n" in told
    assert not told.endswith(b"0\r\n\r\n")
    assert "an event is a coop.http.Event or a str, not 7" in caplog.text


def endless(ended: list[str]) -> kit.Gen[Any]:
    try:
        while True:
            yield "again"
            yield from coop.sleep(1)
    finally:
        ended.append("ended")


def test_the_generator_is_cancelled_when_the_client_has_gone() -> None:
    ended: list[str] = []

    def visitor(hall: Any) -> kit.Gen[None]:
        client = yield from hall.enter()
        yield from client.say(http_kit.get())
        yield from client.conn.recv_until(b"again")
        client.conn.close()
        yield from coop.sleep(5)

    http_kit.visit(lambda request: event_stream(endless(ended)), visitor)
    assert ["ended"] == ended


def test_a_server_that_stops_ends_the_stream_in_order() -> None:
    ended: list[str] = []

    def visitor(hall: Any) -> kit.Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(http_kit.get())
        yield from client.conn.recv_until(b"again")
        hall.server.stop()
        return (yield from client.hear_end())

    told = http_kit.visit(lambda request: event_stream(endless(ended)), visitor)
    assert told.endswith(b"0\r\n\r\n")
    assert ["ended"] == ended


def test_a_head_request_begins_nothing() -> None:
    def visitor(hall: Any) -> kit.Gen[http_kit.Answer]:
        client = yield from hall.enter()
        return (yield from client.ask(http_kit.get(method="HEAD")))

    begun: list[str] = []

    def events() -> kit.Gen[Any]:
        begun.append("begun")
        yield "x"

    assert 200 == http_kit.visit(lambda request: event_stream(events()), visitor).status
    assert [] == begun


def test_a_client_that_comes_back_tells_what_it_has_seen() -> None:
    def app(request: Request) -> Response:
        return Response(repr(last_event_id(request)))

    assert b"''" == ask(app).body
    assert "'é7'" == ask(app, "Last-Event-ID: \xc3\xa97\r\n").body.decode()
