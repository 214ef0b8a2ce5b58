"""Server-sent events: a response that goes on telling.

What lives here: Event and its framing, and the response that sends events as they come.
What it must not know: connections.  Stands on: messages, pieces, channels, scopes.
Source: WHATWG HTML, section 9.2 (Server-sent events).

The events are made in a task of their own, so that a comment can be sent when they stay away for
long: it keeps proxies from closing the connection, and shows when the client has gone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, NamedTuple

from coop.channel import CLOSED, Channel
from coop.http.fields import HeaderPairs
from coop.http.messages import Request, Response
from coop.http.pieces import END, as_pieces, next_piece
from coop.scopes import convenient, move_on_after
from coop.traps import Coop
from coop.waits import spawn

#: Seconds of silence after which a comment is sent.
KEEP_ALIVE_SECONDS: Final = 15.0
_COMMENT: Final = b":\n\n"
_HEADERS: Final = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
)
_split_lines: Final = re.compile(r"\r\n|\r|\n").split


class Event(NamedTuple):
    """An event; its data may have any number of lines."""

    data: str = ""
    #: What listeners it is for; "message" when empty.
    event: str = ""
    #: What the client sends as Last-Event-ID when it comes back; None leaves the former.
    id: str | None = None
    #: Milliseconds after which the client comes back when the connection breaks.
    retry: int | None = None

    def encode(self) -> bytes:
        """Return the event as it is sent.

        Errors: ValueError for a line end in its name or id, or NUL in the id.
        """
        lines = []
        if self.event:
            lines.append(f"event: {_check_line('event', self.event)}")
        if self.id is not None:
            lines.append(f"id: {_check_line('id', self.id)}")
        if self.retry is not None:
            lines.append(f"retry: {int(self.retry):d}")
        # Without data a client takes note of id and retry, and tells nobody.
        if self.data or not lines or self.event:
            lines += [f"data: {line}" for line in _split_lines(self.data)]
        return ("\n".join(lines) + "\n\n").encode()


def _check_line(what: str, text: str) -> str:
    if any(character in text for character in "\r\n\0"):
        raise ValueError(f"the {what} of an event is one line, not {text!r}")
    return text


def event_stream(
    events: Iterable[Any] | AsyncIterator[Any],
    *,
    keep_alive: float = KEEP_ALIVE_SECONDS,
    headers: HeaderPairs = (),
) -> Response:
    """Answer with server-sent events, as a generator makes them; it may wait in between.

    It yields Event, or str, which is an event's data.  It runs in a task of its own, from when the
    answer's body is asked for; it is cancelled when the client has gone, and when the server is
    told to stop.  A comment is sent after each ``keep_alive`` seconds of silence.
    """
    response = Response(_publish(events, keep_alive), 200, headers)
    for name, value in _HEADERS:
        if name.lower() not in response.headers:
            response.add_header(name, value)
    return response


def last_event_id(request: Request) -> str:
    """Return the id of the last event that a client has seen which comes back; empty at first."""
    octets = request.headers.get("last-event-id", "").encode("latin-1")
    return octets.decode("utf-8", "replace")


def _publish(events: Any, keep_alive: float) -> Coop[bytes]:
    """Give the events as bytes, and comments where they stay away."""
    channel: Channel[bytes | Exception] = Channel(0, name="events")
    producer = spawn(_produce(events, channel), name="events")
    try:
        while True:
            item: Any = CLOSED
            with convenient(), move_on_after(keep_alive) as silence:
                item = yield from channel.recv()
            if silence.has_expired and silence.caught:
                yield _COMMENT  # type: ignore[misc]  # a piece, for whoever sends them
            elif item is CLOSED:
                return b""
            elif isinstance(item, Exception):
                raise item
            else:
                yield item
    finally:
        producer.cancel("nobody listens any more")


def _produce(events: Any, channel: Channel[bytes | Exception]) -> Coop[None]:
    """Send the events into the channel, and what goes wrong with them."""
    pieces = as_pieces(events)
    with channel:
        try:
            while (event := (yield from _next_event(pieces))) is not END:
                yield from channel.send(_encode(event))
        except Exception as error:
            yield from channel.send(error)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()


def _next_event(pieces: Any) -> Coop[Any]:
    if hasattr(pieces, "throw"):
        return (yield from next_piece(pieces))
    return next(pieces, END)


def _encode(event: Any) -> bytes:
    if isinstance(event, str):
        event = Event(event)
    if not isinstance(event, Event):
        raise TypeError(f"an event is a coop.http.Event or a str, not {event!r}")
    return event.encode()
