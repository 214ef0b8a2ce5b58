"""The codec beside h11, another strict parser: wherever they disagree, the difference is listed.

Each is asked for the first request of a stream.  To agree is to refuse it both (or to wait both for
more), or to read the same request, the same body, and to leave the same bytes behind.  Whatever
else they do has an entry in DIFFERENCES, with the rule and the one who keeps it; the rest fails.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from http_attack_table import ATTACKS
from http_streams import messages, spoilt, words
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import EFFORT

from coop.http.codec import NEED_DATA, RequestParser
from coop.http.errors import HttpError

h11 = pytest.importorskip("h11", reason="the other parser is missing")


class Read(NamedTuple):
    """What a parser made of a stream's first request."""

    #: "accepted", "unfinished", or why it was refused.
    verdict: str
    method: str = ""
    target: str = ""
    minor: int = 1
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    #: What it leaves for the next request.
    rest: bytes = b""


class Difference(NamedTuple):
    """A kind of input on which the two disagree, and by which rule who is right."""

    #: What coop says, h11 says, and what the input has, each as a pattern.
    ours: str
    theirs: str
    data: bytes
    #: "coop", "h11", or "both" where the RFC lets a recipient choose.
    right: str
    rule: str


ACCEPTED = "accepted"
DIFFERENCES = {
    # -- coop is the stricter one ---------------------------------------------------------------
    "a method nobody knows": Difference(
        "501 method not implemented", ACCEPTED, b"", "both",
        "RFC 9110 section 9.1: 501 is a server's answer; h11 leaves it to its user",
    ),
    "the form of the target": Difference(
        "400 request target", ACCEPTED, b"", "coop",
        "RFC 9112 section 3.2: four forms, and no fragment; h11 takes any visible octets",
    ),
    "another major version": Difference(
        "505 ", ACCEPTED, b"", "coop", "RFC 9110 section 15.6.6; h11 takes any two digits",
    ),
    "no Host in HTTP/1.2 to 1.9": Difference(
        "400 Host is missing", ACCEPTED, rb"HTTP/1\.[2-9]", "coop",
        "RFC 9110 section 2.5: a higher minor is processed as 1.1; h11 asks 1.1 alone for a Host",
    ),
    "a Host that is none": Difference(
        "400 Host is not a host", ACCEPTED, b"", "coop",
        "RFC 9112 section 3.2: an invalid Host is answered 400; h11 only counts them",
    ),
    "a bare LF": Difference(
        "400 octet 0x0a", ACCEPTED, rb"(?<!\r)\n", "both",
        "RFC 9112 section 2.2: a recipient MAY take it for a line end; not in chunks (section 7.1)",
    ),
    "control characters": Difference(
        "400 octet 0x(?!0a)", ACCEPTED, rb"[\x01-\x08\x0b-\x1f\x7f]", "coop",
        "RFC 9110 section 5.5: only CR, LF and NUL must be refused; the others are invalid too",
    ),
    "obs-fold": Difference(
        r"400 field line .*obs-fold", ACCEPTED, rb"\n[ \t]", "both",
        "RFC 9112 section 5.2: refuse, or replace by spaces",
    ),
    "the same length again": Difference(
        "400 more than one Content-Length", ACCEPTED, b"", "both",
        "RFC 9112 section 6.3: a recipient may refuse, or take the one value",
    ),
    "a list of the same length": Difference(
        "400 Content-Length is not", ACCEPTED, rb"(?i)content-length:[^\r]*,", "both",
        "RFC 9112 section 6.3, as above",
    ),
    "a length of 19 or 20 digits": Difference(
        "400 Content-Length is not", "accepted|unfinished", rb"\d{19}", "both",
        "RFC 9110 section 8.6: a recipient must anticipate large numbers; both have a limit",
    ),
    "length and coding": Difference(
        "400 both Transfer-Encoding and", ACCEPTED, b"", "both",
        "RFC 9112 section 6.1: a server MAY reject; h11 lets the coding overrule",
    ),
    "a coding in HTTP/1.0": Difference(
        "400 Transfer-Encoding in HTTP/1.0", ACCEPTED, b"", "coop",
        "RFC 9112 section 6.1: MUST treat the framing as faulty",
    ),
    "an expectation that cannot be met": Difference(
        "417 ", ACCEPTED, b"", "both", "RFC 9110 section 10.1.1: a server MAY answer 417",
    ),
    "the grammar of a chunk's line": Difference(
        "400 chunk size is not", ACCEPTED, rb"[0-9A-Fa-f]+(?:;|[ \t])[^\n]*\r\n", "coop",
        "RFC 9112 section 7.1.1: h11 skips any octets behind a semicolon, and space before CRLF",
    ),
    "a chunk's size of 17 to 20 digits": Difference(
        "400 chunk size is not", ACCEPTED, rb"[0-9A-Fa-f]{17}", "both",
        "RFC 9112 section 7.1: a recipient must anticipate large numbers; both have a limit",
    ),
    "a framing field among the trailers": Difference(
        "400 a framing field", ACCEPTED, b"", "both",
        "RFC 9110 section 6.5.1: never merged; both keep it from the fields, coop refuses",
    ),
    "more than a limit": Difference(
        "413 |414 |431 ", ACCEPTED, b"", "both",
        "RFC 9110 sections 15.5.14 and 15.5.15, RFC 6585 section 5: h11 has one limit, over all",
    ),
    # -- h11 is the stricter one ----------------------------------------------------------------
    "an empty line before the request": Difference(
        "accepted|unfinished|501|505|417|413", "no request line", rb"\A\r\n", "coop",
        "RFC 9112 section 2.2: SHOULD ignore at least one",
    ),
    "white space before an extension": Difference(
        ACCEPTED, "illegal chunk header", rb"[0-9A-Fa-f]+[ \t]+;", "coop",
        "RFC 9112 section 7.1.1: bad white space MUST be parsed and removed",
    ),
}  # fmt: skip


def ours(data: bytes) -> Read:
    """Ask coop."""
    parser = RequestParser()
    body = b""
    try:
        request = parser.next_request(data)
        if request is NEED_DATA:
            return Read("unfinished")
        while not parser.is_body_read:
            piece = parser.next_body()
            if piece is NEED_DATA:
                return Read("unfinished")
            body += piece
    except HttpError as error:
        return Read(str(error))
    pairs = _comparable(request.headers.pairs)
    return Read(
        ACCEPTED, request.method, request.target, request.minor, pairs, body, parser.hand_over()
    )


def theirs(data: bytes) -> Read:
    """Ask h11."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    parser.receive_data(data or b"\r")
    body = b""
    try:
        request = parser.next_event()
        if request is h11.NEED_DATA:
            return Read("unfinished")
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return Read("unfinished")
            body += bytes(event.data)
    except h11.RemoteProtocolError as error:
        return Read(str(error))
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    return Read(
        ACCEPTED,
        request.method.decode(),
        request.target.decode(),
        int(request.http_version[2:]),
        _comparable(pairs),
        body,
        parser.trailing_data[0],
    )


def _comparable(pairs: object) -> tuple[tuple[str, str], ...]:
    """Names, and names of codings, have no case."""
    return tuple(
        (name.lower(), value.lower() if name.lower() == "transfer-encoding" else value)
        for name, value in pairs  # type: ignore[attr-defined]
    )


def differences(data: bytes) -> list[str]:
    """Return the entries that explain how the two disagree; fail when they do, and none does."""
    mine, other = ours(data), theirs(data)
    if mine == other or ACCEPTED not in (mine.verdict, other.verdict):
        return []
    found = [
        name
        for name, entry in DIFFERENCES.items()
        if re.match(entry.ours, mine.verdict)
        and re.match(entry.theirs, other.verdict)
        and re.search(entry.data, data)
    ]
    assert found, f"not listed: {data!r}\n coop: {mine}\n h11:  {other}"
    return found


SHORT = [attack.data for attack in ATTACKS if len(attack.data) < 5000]


def test_on_each_attack_they_agree_or_as_listed_and_the_list_has_no_more() -> None:
    seen = {name for data in SHORT for name in differences(data)}
    assert set() == DIFFERENCES.keys() - seen


@pytest.mark.timeout(60 * EFFORT)
@settings(max_examples=250 * EFFORT)
@given(st.one_of(messages(), spoilt(), words))
def test_on_any_stream_they_agree_or_the_difference_is_listed(data: bytes) -> None:
    differences(data)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_difference_is_judged_by_a_rule(name: str) -> None:
    entry = DIFFERENCES[name]
    assert entry.right in ("coop", "h11", "both")
    assert entry.rule.startswith("RFC 91")
