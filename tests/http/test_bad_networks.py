"""Events and forms on networks that fail on purpose: each event once, each form whole or not."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any

import kit

import coop
import coop.http
from coop.http import Event, Request, Response
from coop.sim import Simulation
from coop.sim.explore import check

PORT, EVENTS, SEEDS = 7000, 5, 25


def ticks(open_streams: set[object], number: int) -> kit.Gen[Any]:
    mark = object()
    open_streams.add(mark)
    try:
        while number < EVENTS:
            number += 1
            yield Event(f"event {number}", id=str(number))
            yield from coop.sleep(0.3)
    finally:
        open_streams.discard(mark)


def each_event_once(sim: Simulation) -> coop.Coop[None]:
    """A listener that comes back, and says what it has seen, misses nothing."""
    open_streams: set[object] = set()

    def app(request: Request) -> Response:
        start = int(coop.http.last_event_id(request) or 0)
        return coop.http.event_stream(ticks(open_streams, start), keep_alive=1)

    sim.host("server", lambda: coop.http.serve(coop.http.compress(app), port=PORT))
    seen: list[int] = []
    while len(seen) < EVENTS:
        try:
            with coop.timeout(60), (yield from coop.connect("server", PORT)) as conn:
                yield from listen(conn, seen)
        except (OSError, EOFError):
            yield from coop.sleep(0.5)
    assert list(range(1, EVENTS + 1)) == seen
    yield from coop.sleep(100)
    assert not open_streams, "an event generator was left behind"


def listen(conn: coop.Connection, seen: list[int]) -> kit.Gen[None]:
    head = "GET / HTTP/1.1\r\nHost: server\r\nAccept-Encoding: gzip\r\nLast-Event-ID: %d\r\n\r\n"
    yield from conn.sendall((head % len(seen)).encode())
    told = yield from conn.recv_until(b"\r\n\r\n")
    if not told.startswith(b"HTTP/1.1 200 "):
        raise EOFError("told to try again")
    unpacker, text = zlib.decompressobj(31), b""
    while size := int((yield from conn.recv_until(b"\r\n")), 16):
        text += unpacker.decompress((yield from conn.recv_exactly(size)))
        yield from conn.recv_exactly(2)
        *events, text = text.split(b"\n\n")
        for event in events:
            found = re.fullmatch(rb"id: (\d+)\ndata: event \1", event)
            if found:
                seen.append(int(found[1]))
            else:
                assert b":" == event


def test_each_event_is_heard_once_on_any_network() -> None:
    check(each_event_once, seeds=SEEDS)


FILE = bytes(range(256)) * 40
FORM = (
    b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + FILE + b"\r\n"
    b"--XX--\r\n"
)
HEAD = (
    b"POST / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n"
    b"Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: %d\r\n\r\n" % len(FORM)
)


def each_form_whole(sim: Simulation) -> coop.Coop[None]:
    """A form that is answered has come whole; what is not is sent again."""

    def app(request: Request) -> kit.Gen[Response]:
        limits = coop.http.FormLimits(spool_bytes=1000)
        with (yield from request.form(limits=limits)) as form:
            digest = hashlib.sha256(form.files["f"].read()).hexdigest()
            return coop.http.json([form["a"], digest])

    sim.host("server", lambda: coop.http.serve(app, port=PORT))
    whole = coop.http.json(["1", hashlib.sha256(FILE).hexdigest()]).body
    while True:
        try:
            with coop.timeout(60), (yield from coop.connect("server", PORT)) as conn:
                yield from conn.sendall(HEAD + FORM)
                told = yield from conn.recv_until(b"\r\n\r\n")
                if told.startswith(b"HTTP/1.1 200 "):
                    assert whole == (yield from conn.recv_exactly(len(whole)))
                    return
                assert re.match(rb"HTTP/1.1 (400|408|503) ", told), told
        except (OSError, EOFError):
            pass
        yield from coop.sleep(0.5)


def test_a_form_comes_whole_or_not_at_all_on_any_network() -> None:
    check(each_form_whole, seeds=SEEDS)
