"""Access logs: a line per request in the forms that tools read, and no way to forge one."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import http_kit
import kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop.address import ipv4
from coop.http import AccessRecord, HttpError, Request, Response, access

#: 2000-10-10 20:55:36.25 UTC
WALL = 971211336.25
#: What a reader of the combined format looks for.
COMBINED = re.compile(
    r'(\S+) - - \[([^]]+)\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"'
).fullmatch


class Source:
    """A connection, as far as a record asks."""

    peer_address = ipv4("192.0.2.7", 4711)
    forwarding = None


def record(line: str, fields: str = "", *, is_refused: bool = False) -> AccessRecord:
    octets = line.encode("latin-1")
    request = Request("GET", octets + b"\r\n" + fields.encode("latin-1") + b"\r\n")
    source: Any = Source()
    return AccessRecord(
        None if is_refused else request,
        Response(b"x", 404),
        source,
        refused_line=octets,
        body_bytes=17,
        seconds=0.0123456,
    )


def written(form: Any, entry: AccessRecord) -> str:
    file = io.StringIO()
    form(file, lambda: WALL)(entry)
    return file.getvalue()


GET = "GET /a?b HTTP/1.1"
FIELDS = "Host: example.org\r\nReferer: http://r/\r\nUser-Agent: curl/8\r\n"


def test_the_common_format() -> None:
    assert ('192.0.2.7 - - [10/Oct/2000:20:55:36 +0000] "GET /a?b HTTP/1.1" 404 17\n') == written(
        access.common, record(GET, FIELDS)
    )


def test_the_combined_format() -> None:
    line = written(access.combined, record(GET, FIELDS))
    assert line.endswith(' 404 17 "http://r/" "curl/8"\n')
    assert written(access.combined, record(GET)).endswith(' 404 17 "-" "-"\n')


def test_a_line_of_json() -> None:
    assert {
        "time": "2000-10-10T20:55:36.250Z",
        "peer": "192.0.2.7",
        "request": GET,
        "status": 404,
        "bytes": 17,
        "seconds": 0.012346,
        "whole": True,
        "host": "example.org",
        "referer": "http://r/",
        "agent": "curl/8",
    } == json.loads(written(access.json_lines, record(GET, FIELDS)))


def test_a_refused_request_shows_what_was_received() -> None:
    entry = record('\x16\x03\x01"\\\r\n', is_refused=True)
    assert '"\\x16\\x03\\x01\\x22\\x5c\\x0d\\x0a" 404' in written(access.common, entry)
    assert '"-" 404' in written(access.common, record("", is_refused=True))
    assert '\x16\x03\x01"\\\r\n' == json.loads(written(access.json_lines, entry))["request"]


OCTETS = st.text(st.characters(max_codepoint=255))


@given(OCTETS, OCTETS)
def test_nothing_a_client_sends_can_pass_for_another_field(line: str, agent: str) -> None:
    agent = re.sub(r"[\r\n]", "", agent)
    entry = record("GET / HTTP/1.1", f"User-Agent: {agent}\r\n")
    refused = record(line, is_refused=True)
    for each in (entry, refused):
        text = written(access.combined, each)
        assert text.isascii()
        assert 1 == text.count("\n")
        parts = COMBINED(text.removesuffix("\n"))
        assert parts is not None
        assert ("404", "17") == (parts[4], parts[5])
        assert 1 == written(access.json_lines, each).count("\n")


def test_a_long_line_is_cut() -> None:
    entry = record("x" * 10_000, is_refused=True)
    for form in (access.common, access.json_lines):
        assert len(written(form, entry)) < 2300


def test_a_logger_gets_the_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "coop.access")
    access.common(logging.getLogger("coop.access"))(record("GET /%s%d HTTP/1.1"))
    assert ["INFO"] == [each.levelname for each in caplog.records]
    assert '"GET /%s%d HTTP/1.1" 404 17' in caplog.text


def test_a_server_logs_what_it_answers_and_what_it_refuses() -> None:
    file = io.StringIO()

    def app(request: Request) -> Response:
        if request.path == "/missing":
            raise HttpError(404)
        return Response(b"hello")

    def visitor(hall: Any) -> kit.Gen[None]:
        client = yield from hall.enter()
        yield from client.ask(http_kit.get("/"))
        yield from client.ask(http_kit.get("/missing"))
        yield from client.ask(b'GET / "HTTP"\r\n\r\n')
        yield from client.hear_end()

    http_kit.visit(app, visitor, access_log=access.common(file))
    lines = file.getvalue().splitlines()
    assert ['"GET / HTTP/1.1" 200 5', '"GET /missing HTTP/1.1" 404 14'] == [
        line.partition("] ")[2] for line in lines[:2]
    ]
    assert re.search(r'"GET / \\x22HTTP\\x22" 400 \d+$', lines[2])
