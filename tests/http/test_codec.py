"""The codec: what is let in, what is refused and how, and that cutting changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coop.http.codec import NEED_DATA, PARSER_LIFE, ParserState, RequestParser
from coop.http.errors import HttpError
from coop.http.limits import DEFAULT_LIMITS, Limits
from coop.http.messages import Request
from coop.outcomes import MisuseError

HOST = b"Host: example.org\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def get(fields: bytes = b"", target: bytes = b"/", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\n" % (method, target) + HOST + fields + b"\r\n"


def events(parser: RequestParser, segments: Iterable[bytes]) -> list[object]:
    """Feed the segments; return heads, whole bodies and the error, as plain values."""
    seen: list[object] = []
    try:
        for segment in segments:
            seen.extend(step(parser, segment))
    except HttpError as error:
        seen.append(error.status)
    return [*joined(seen), parser.state]


def octets(data: bytes) -> Iterator[bytes]:
    """Cut byte by byte; of what is long only the end, where most limits are, and the rest by 16."""
    last = len(data) - 1300 if len(data) > 5000 else 0
    yield from (data[at : min(at + 16, last)] for at in range(0, last, 16))
    yield from (data[at : at + 1] for at in range(last, len(data)))


def step(parser: RequestParser, data: bytes) -> Iterator[object]:
    while True:
        if parser.is_body_read:
            request = parser.next_request(data)
            if request is NEED_DATA:
                return
            yield (request.method, request.target, request.minor, request.framing)
            yield from request.headers.pairs
        else:
            piece = parser.next_body(data)
            if piece is NEED_DATA:
                return
            yield piece
        data = b""


def joined(seen: list[object]) -> list[object]:
    """Join the pieces of a body that follow each other."""
    whole: list[object] = []
    for each in seen:
        if isinstance(each, bytes) and whole and isinstance(whole[-1], bytes):
            whole[-1] += each
        else:
            whole.append(each)
    return [each for each in whole if each != b""]


def parse(data: bytes, limits: Limits = DEFAULT_LIMITS) -> list[object]:
    return events(RequestParser(limits), [data])


def one(data: bytes) -> Request:
    request = RequestParser().next_request(data)
    assert request is not NEED_DATA
    return request


# -- what is refused ------------------------------------------------------------------------------

REFUSED = {
    # the request line: RFC 9112 section 3
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab for a space": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space behind the version": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "a space before the method": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "no target": (b"GET HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space in the target": (get(target=b"/a b"), 400),
    "lower-case protocol": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "another protocol": (b"GET / FTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a long version": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "a version without its minor": (b"GET / HTTP/1\r\n" + HOST + b"\r\n", 400),
    "HTTP/0.9 by name": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "an unknown method": (get(method=b"BREW"), 501),
    "a method in lower case": (get(method=b"get"), 501),
    "a method that is too long": (b"A" * 12, 501),
    "a method that is no token": (get(method=b"G:T"), 400),
    "a method with a high octet": (get(method=b"GET\xff"), 400),
    "NUL in the method": (get(method=b"GE\x00T"), 400),
    "two empty lines before": (b"\r\n\r\n" + get(), 400),
    "a bare LF before": (b"\n" + get(), 400),
    "a bare CR before": (b"\r" + get(), 400),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    # the target: RFC 9112 section 3.2
    "a relative target": (get(target=b"a/b"), 400),
    "an empty scheme": (get(target=b"://a/"), 400),
    "another scheme": (get(target=b"ftp://a/"), 400),
    "a fragment": (get(target=b"/a#b"), 400),
    "a fragment in absolute form": (get(target=b"http://a/#b"), 400),
    "a high octet in the target": (get(target=b"/\xc3\xa9"), 400),
    "DEL in the target": (get(target=b"/\x7f"), 400),
    "an asterisk for GET": (get(target=b"*"), 400),
    "an authority for GET": (get(target=b"example.org:80"), 400),
    "absolute form without a host": (get(target=b"http:///a"), 400),
    "absolute form with a user": (get(target=b"http://u:p@a/"), 400),
    "CONNECT with a path": (get(target=b"/", method=b"CONNECT"), 400),
    "CONNECT without a port": (get(target=b"a", method=b"CONNECT"), 400),
    "CONNECT with an empty port": (get(target=b"a:", method=b"CONNECT"), 400),
    "CONNECT, even well-formed": (get(target=b"a:443", method=b"CONNECT"), 501),
    # line ends: RFC 9112 section 2.2
    "a bare LF behind the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "a bare LF behind a field": (get(b"X: y\nZ: w\r\n"), 400),
    "bare LFs alone": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "a bare CR in a value": (get(b"X: a\rb\r\n"), 400),
    "a bare CR behind a field": (get(b"X: a\rY: b\r\n"), 400),
    "CR CR LF": (get(b"X: a\r\r\n"), 400),
    "a bare LF for the empty line": (b"GET / HTTP/1.1\r\n" + HOST + b"\n", 400),
    # fields: RFC 9112 section 5, RFC 9110 section 5
    "white space before the colon": (get(b"X : a\r\n"), 400),
    "a tab before the colon": (get(b"X\t: a\r\n"), 400),
    "obs-fold": (get(b"X: a\r\n b\r\n"), 400),
    "obs-fold with a tab": (get(b"X: a\r\n\tb\r\n"), 400),
    "white space before the first field": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", 400),
    "no colon": (get(b"X\r\n"), 400),
    "no name": (get(b": a\r\n"), 400),
    "a name that is no token": (get(b"X(y): a\r\n"), 400),
    "a high octet in a name": (get(b"X\xe9: a\r\n"), 400),
    "VT in a name": (get(b"X\x0b: a\r\n"), 400),
    "NUL in a value": (get(b"X: a\x00b\r\n"), 400),
    "BEL in a value": (get(b"X: a\x07\r\n"), 400),
    "DEL in a value": (get(b"X: a\x7f\r\n"), 400),
    "form feed in a value": (get(b"X: a\x0cb\r\n"), 400),
    # Host: RFC 9112 section 3.2
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (get(HOST), 400),
    "two Hosts in HTTP/1.0": (b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400),
    "an empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "a list of Hosts": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "a Host with a user": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "a Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a Host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a Host with markup": (b"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n", 400),
    "a Host with a bad port": (b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", 400),
    "a Host with a long port": (b"GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400),
    "a Host with half a bracket": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    "a Host with high octets": (b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400),
    # length: RFC 9112 section 6
    "two lengths": (get(b"Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
    "the same length twice": (get(b"Content-Length: 1\r\ncontent-length: 1\r\n"), 400),
    "a list of lengths": (get(b"Content-Length: 1, 1\r\n"), 400),
    "an empty length": (get(b"Content-Length: \r\n"), 400),
    "a signed length": (get(b"Content-Length: +1\r\n"), 400),
    "a negative length": (get(b"Content-Length: -1\r\n"), 400),
    "minus zero": (get(b"Content-Length: -0\r\n"), 400),
    "an underscore in the length": (get(b"Content-Length: 1_0\r\n"), 400),
    "a hexadecimal length": (get(b"Content-Length: 0x1\r\n"), 400),
    "two numbers": (get(b"Content-Length: 1 1\r\n"), 400),
    "no-break space behind the length": (get(b"Content-Length: 1\xa0\r\n"), 400),
    "a fullwidth digit": (get(b"Content-Length: \xef\xbc\x95\r\n"), 400),
    "a length of 19 digits": (get(b"Content-Length: 1000000000000000000\r\n"), 400),
    "a length and chunks": (get(b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
    "chunks and a length": (get(b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 400),
    # transfer codings: RFC 9112 sections 6.1 and 7
    "an unknown coding": (get(b"Transfer-Encoding: xchunked\r\n"), 501),
    "gzip before chunked": (get(b"Transfer-Encoding: gzip, chunked\r\n"), 501),
    "identity": (get(b"Transfer-Encoding: identity\r\n"), 501),
    "chunked not last": (get(b"Transfer-Encoding: chunked, gzip\r\n"), 400),
    "chunked not last, on two lines": (
        get(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"), 400,
    ),
    "chunked twice": (get(b"Transfer-Encoding: chunked, chunked\r\n"), 400),
    "chunked on two lines": (
        get(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400,
    ),
    "no coding": (get(b"Transfer-Encoding:\r\n"), 400),
    "an empty member": (get(b"Transfer-Encoding: ,chunked\r\n"), 400),
    "a coding in quotes": (get(b'Transfer-Encoding: "chunked"\r\n'), 400),
    "a no-break space before chunked": (get(b"Transfer-Encoding: \xa0chunked\r\n"), 400),
    "a Kelvin sign": (get(b"Transfer-Encoding: chun\xe2\x84\xaaed\r\n"), 400),
    "VT before chunked": (get(b"Transfer-Encoding: \x0bchunked\r\n"), 400),
    "chunks in HTTP/1.0": (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    # expectations: RFC 9110 section 10.1.1
    "another expectation": (get(b"Expect: miracles\r\n"), 417),
    "one expectation too many": (get(b"Expect: 100-continue, miracles\r\n"), 417),
    # chunks: RFC 9112 section 7.1
    "an empty size": (CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400),
    "a size that is not hex": (CHUNKED + b"5g\r\nhello\r\n0\r\n\r\n", 400),
    "a size with a prefix": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    "a signed size": (CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", 400),
    "a negative size": (CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", 400),
    "an underscore in the size": (CHUNKED + b"0_5\r\nhello\r\n0\r\n\r\n", 400),
    "a space before the size": (CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n", 400),
    "a space behind the size": (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", 400),
    "a size of 17 digits": (CHUNKED + b"F" * 17 + b"\r\n", 400),
    "a size of 16 digits": (CHUNKED + b"F" * 16 + b"\r\n", 413),
    "NUL behind the size": (CHUNKED + b"5\x00\r\nhello\r\n0\r\n\r\n", 400),
    "a bare LF behind the size": (CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400),
    "a bare CR behind the size": (CHUNKED + b"5\rhello\r\n0\r\n\r\n", 400),
    "an extension without a name": (CHUNKED + b"5;\r\nhello\r\n0\r\n\r\n", 400),
    "an extension without a value": (CHUNKED + b"5;a=\r\nhello\r\n0\r\n\r\n", 400),
    "a bare LF in an extension": (CHUNKED + b"5;\nxx\r\nhello\r\n0\r\n\r\n", 400),
    "a bare CR in an extension": (CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n", 400),
    "a quote left open": (CHUNKED + b'5;a="b\r\nhello\r\n0\r\n\r\n', 400),
    "an endless extension": (CHUNKED + b"5;" + b"a" * 9000, 400),
    # trailers: RFC 9112 section 7.1.2
    "a request among the trailers": (CHUNKED + b"0\r\nGET / HTTP/1.1\r\n\r\n", 400),
    "a length among the trailers": (CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n", 400),
    "a coding among the trailers": (CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "a Host among the trailers": (CHUNKED + b"0\r\nHost: a\r\n\r\n", 400),
    "a folded trailer": (CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n", 400),
    "a bare LF behind a trailer": (CHUNKED + b"0\r\nX: a\n\r\n", 400),
    # limits
    "a long request line": (get(target=b"/" + b"a" * 8190), 414),
    "a request line without end": (b"GET /" + b"a" * 9000, 414),
    "a long field": (get(b"X: " + b"a" * 8190 + b"\r\n"), 431),
    "a field without end": (get()[:-2] + b"X: " + b"a" * 9000, 431),
    "a long head": (get(b"".join(b"X%d: %b\r\n" % (i, b"a" * 1000) for i in range(40))), 431),
    "too many fields": (get(b"X:\r\n" * 100), 431),
    "a length over the limit": (get(b"Content-Length: 1048577\r\n"), 413),
    "a chunk over the limit": (CHUNKED + b"100001\r\n", 413),
    "too many trailers": (CHUNKED + b"0\r\n" + b"X:\r\n" * 101, 431),
    "a long trailer": (CHUNKED + b"0\r\nX: " + b"a" * 9000, 431),
    "long trailers": (CHUNKED + b"0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 40, 431),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_for_good(data: bytes, status: int) -> None:
    parser = RequestParser()
    seen = events(parser, [data + get()])
    assert [status, ParserState.FAILED] == seen[-2:]
    assert 0 == sum(isinstance(each, tuple) and each[1] == "/smuggled" for each in seen)
    with pytest.raises(HttpError) as caught:
        parser.next_request(get())
    assert status == caught.value.status


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_alike_byte_by_byte(data: bytes, status: int) -> None:
    data += get()
    whole = parse(data)
    assert whole == events(RequestParser(), octets(data))


def test_chunk_data_must_end_where_its_size_says() -> None:
    for data in (b"5\r\nhelloX\r\n", b"5\r\nhello\n", b"5\r\nhello\r\r\n", b"5\r\nAAAAAXX2\r\n"):
        assert 400 == parse(CHUNKED + data)[-2], data


def test_what_came_before_a_broken_chunk_is_given_first() -> None:
    assert [b"hello", 400, ParserState.FAILED] == parse(CHUNKED + b"5\r\nhello\r\nx\r\n")[-3:]


# -- what is let in -------------------------------------------------------------------------------

ACCEPTED = {
    "a plain GET": get(),
    "one empty line before": b"\r\n" + get(),
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/1.2, as 1.1": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "a port": b"GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n",
    "an empty port": b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
    "an IPv6 host": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "an odd but valid host": b"GET / HTTP/1.1\r\nHost: a_b.0=5~\r\n\r\n",
    "an escape in the host": b"GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n",
    "a host in capitals": b"GET / HTTP/1.1\r\nHOST:EXAMPLE.ORG\r\n\r\n",
    "absolute form": get(target=b"http://example.org/a?b"),
    "absolute form without a path": get(target=b"HTTPS://example.org?b"),
    "an asterisk for OPTIONS": get(target=b"*", method=b"OPTIONS"),
    "two slashes": get(target=b"//a"),
    "every octet a target may have": get(target=bytes(b"/" + bytes(range(0x24, 0x7F)) + b'!"')),
    "a rare method": get(method=b"M-SEARCH", target=b"/"),
    "obs-text in a value": get(b"X: caf\xc3\xa9 \xff\r\n"),
    "tabs in a value": get(b"X:\ta\tb\t\r\n"),
    "an empty value": get(b"X:\r\n"),
    "every octet a name may have": get(b"!#$%&'*+-.^_`|~09azAZ: x\r\n"),
    "as many fields as may be": get(b"X:\r\n" * 99),
    "a field as long as may be": get(b"X: " + b"a" * 8187 + b"\r\n"),
    "a request line as long as may be": get(target=b"/" + b"a" * (8190 - 14)),
    "a wish to upgrade, with no one to grant it": get(b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_good_heads_are_let_in_however_they_are_cut(data: bytes) -> None:
    data += get(target=b"/second")
    whole = parse(data)
    assert 2 == sum(isinstance(each, tuple) and len(each) == 4 for each in whole)
    assert whole == events(RequestParser(), octets(data))


BODIES = {
    "none": (get(), b""),
    "a length": (get(b"Content-Length: 5\r\n") + b"hello", b"hello"),
    "a length with zeros": (get(b"Content-Length: 005\r\n") + b"hello", b"hello"),
    "a length of zero": (get(b"Content-Length: 0\r\n"), b""),
    "chunks": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    "CHUNKED": (get(b"TRANSFER-ENCODING:\tCHUNKED \r\n") + b"1\r\nx\r\n0\r\n\r\n", b"x"),
    "sizes with zeros and letters": (CHUNKED + b"00a\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
    "extensions": (CHUNKED + b'1 ; a;b = c; d="e\\"f"\r\nx\r\n0;z\r\n\r\n', b"x"),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\nVary: *\r\nX: y\r\n\r\n", b"x"),
    "no chunk": (CHUNKED + b"0\r\n\r\n", b""),
    "what looks like a request": (get(b"Content-Length: 37\r\n") + get(), get()),
}  # fmt: skip


@pytest.mark.parametrize(("data", "body"), BODIES.values(), ids=BODIES)
def test_bodies_end_where_their_framing_says(data: bytes, body: bytes) -> None:
    for segments in ([data + get()], [bytes([octet]) for octet in data + get()]):
        seen = events(RequestParser(), segments)
        bodies = b"".join(each for each in seen if isinstance(each, bytes))
        heads = [each for each in seen if isinstance(each, tuple) and len(each) == 4]
        assert (body, 2) == (bodies, len(heads))


def test_trailers_are_dropped() -> None:
    seen = parse(CHUNKED + b"0\r\nX-Secret: y\r\n\r\n")
    assert "X-Secret" not in str(seen)


def test_an_unfinished_head_waits() -> None:
    for data in (b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", get()[:-1], b"\r", b"\r\n"):
        assert [ParserState.HEAD] == parse(data), data


def test_pipelined_requests_come_one_by_one() -> None:
    parser = RequestParser()
    assert parser.next_request(get(target=b"/1") + get(target=b"/2")).target == "/1"
    assert parser.next_request().target == "/2"
    assert NEED_DATA is parser.next_request()


LINES = [
    b"GET / HTTP/1.1",
    b"GET /a?b HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET  / HTTP/1.1",
    b"FOO / HTTP/1.1",
    b"POST / HTTP/1.1",
]
FIELDS = [
    b"Host: a\r\n\r\n",
    b"Host: a\r\nAccept: */*\r\n\r\n",
    b"Host: a\r\nAccept: */*\r\nHost: a\r\n\r\n",
    b"Host: a\r\n\r\nHost: a\r\n\r\n",
    b"Host: a\r\nConnection: close\r\n\r\n",
    b"\r\n",
    b"Host: a\r\nContent-Length: 1\r\n\r\nx",
    b"Host: a\r\nContent-Length: 12\r\n\r\ntwelve bytes",
    b"Host: a\r\nContent-Length: 0\r\n\r\n",
    b"Host: a\r\nContent-Length: 02\r\n\r\nxy",
    b"Host: a\r\nContent-Length: \r\n\r\n",
    b"Host: a\r\nContent-Length: -1\r\n\r\n",
    b"Host: a\r\nContent-Length: 1 \r\n\r\nx",
    b"Host: a\r\nContent-Length: 1, 1\r\n\r\nx",
    b"Host: a\r\nContent-Length: 0000000000000000001\r\n\r\nx",
    b"Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    b"Host: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    b"Host: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
    b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    b"content-length:\t1\r\nHost: a\r\n\r\nx",
    b"content-length:\t12\r\nHost: a\r\n\r\ntwelve bytes",
]


LOW = [Limits(head_bytes=40), Limits(head_bytes=47), Limits(request_line_bytes=15)]


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(FIELDS)), min_size=2, max_size=5),
    st.sampled_from([DEFAULT_LIMITS, *LOW]),
)
def test_a_head_is_judged_alike_whatever_came_before_it(
    heads: list[tuple[bytes, bytes]], limits: Limits
) -> None:
    expected: list[object] = [ParserState.HEAD]
    for line, fields in heads:
        if expected[-1] is ParserState.HEAD:
            expected[-1:] = parse(line + b"\r\n" + fields, limits)
    data = b"".join(line + b"\r\n" + fields for line, fields in heads)
    assert expected == parse(data, limits)


def test_a_limit_can_be_raised_for_one_body() -> None:
    parser = RequestParser(Limits(body_bytes=3))
    parser.next_request(get(b"Content-Length: 5\r\n") + b"hello")
    parser.set_body_limit(5)
    assert b"hello" == parser.next_body()
    parser.next_request(get(b"Content-Length: 5\r\n") + b"hello")
    with pytest.raises(HttpError, match="413"):
        parser.next_body()


def test_chunks_are_counted() -> None:
    limits = Limits(chunk_count=3)
    chunk = b"1\r\nx\r\n"
    assert b"xxx" == parse(CHUNKED + chunk * 3 + b"0\r\n\r\n", limits)[-2]
    assert 413 == parse(CHUNKED + chunk * 4, limits)[-2]


def test_small_limits_hold_for_heads_of_every_kind() -> None:
    assert 414 == parse(get(target=b"/abcdef"), Limits(request_line_bytes=19))[0]
    assert 431 == parse(get(b"X: abcdefghijklmnop\r\n"), Limits(header_line_bytes=18))[0]
    assert 431 == parse(get(b"X: y\r\n"), Limits(head_bytes=40))[0]
    assert 431 == parse(get(b"X: y\r\n"), Limits(header_count=1))[0]


@pytest.mark.parametrize(
    ("fields", "minor", "keep_alive"),
    [
        (b"", 1, True),
        (b"", 0, False),
        (b"Connection: close\r\n", 1, False),
        (b"Connection: Keep-Alive\r\n", 0, True),
        (b"connection: x , CLOSE\r\n", 1, False),
        (b"Connection: keep-alive\r\nConnection: close\r\n", 1, False),
        (b"Connection: closed\r\n", 1, True),
    ],
)
def test_the_connection_is_kept_as_its_options_say(
    fields: bytes, minor: int, keep_alive: bool
) -> None:
    request = one(b"GET / HTTP/1.%d\r\n" % minor + HOST + fields + b"\r\n")
    assert keep_alive == request.framing.keep_alive


def test_an_expectation_of_100_is_seen_but_not_in_http_1_0() -> None:
    fields = b"Content-Length: 1\r\nExpect: 100-Continue\r\n"
    assert one(get(fields)).framing.expects_continue
    assert not one(b"POST / HTTP/1.0\r\n" + fields + b"\r\n").framing.expects_continue


def test_the_next_request_is_refused_while_a_body_is_unread() -> None:
    parser = RequestParser()
    parser.next_request(get(b"Content-Length: 5\r\n"))
    with pytest.raises(MisuseError, match="body"):
        parser.next_request()


def test_what_follows_an_upgrade_is_handed_over() -> None:
    parser = RequestParser()
    parser.next_request(get(b"Connection: upgrade\r\nUpgrade: x\r\n") + b"\x00\x01")
    assert b"\x00\x01" == parser.hand_over()
    assert ParserState.HANDED_OVER is parser.state
    with pytest.raises(MisuseError):
        parser.next_request(get())


def test_idle_means_nothing_of_the_next_request_is_there() -> None:
    parser = RequestParser()
    assert parser.is_idle
    parser.next_request(b"G")
    assert not parser.is_idle


def test_every_state_but_the_last_can_be_left() -> None:
    assert set(ParserState) == set(PARSER_LIFE)
    assert [ParserState.HANDED_OVER] == [state for state in PARSER_LIFE if not PARSER_LIFE[state]]


# -- cutting changes nothing ----------------------------------------------------------------------

WORDS = [
    b"GET", b"POST", b"OPTIONS", b" ", b"  ", b"/", b"*", b"http://a/", b"HTTP/1.1", b"HTTP/1.0",
    b"HTTP/2.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"Host: a\r\n", b"Host:", b"X: y\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 3", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:", b"chunked", b"gzip, ", b"Connection: close\r\n",
    b"Expect: 100-continue\r\n", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\n", b"5;a=b\r\n",
    b"\x00", b"\xff", b"\t", b":", b"\x7f", b"a" * 30, b"CONNECT / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
]  # fmt: skip
streams = st.lists(
    st.one_of(st.sampled_from(WORDS), st.sampled_from([*BODIES.values()]).map(lambda it: it[0])),
    max_size=12,
).map(b"".join)
#: So small that the random streams run into them.
TIGHT = Limits(
    request_line_bytes=30, header_line_bytes=40, head_bytes=120, header_count=4, body_bytes=20,
    chunk_count=3,
)  # fmt: skip


@given(streams, st.lists(st.integers(1, 40)), st.sampled_from([DEFAULT_LIMITS, TIGHT]))
@example(get(b"Content-Length: 1\r\n") + b"\r\n" + get(), [1], DEFAULT_LIMITS)
@example(b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", [31, 1], TIGHT)
def test_cuts_do_not_change_what_comes_out(data: bytes, cuts: list[int], limits: Limits) -> None:
    whole = parse(data, limits)
    bytewise = events(RequestParser(limits), [bytes([octet]) for octet in data])
    segments, at = [], 0
    for cut in cuts:
        segments.append(data[at : at + cut])
        at += cut
    segments.append(data[at:])
    assert whole == bytewise
    assert whole == events(RequestParser(limits), filter(None, segments))


@given(st.binary(max_size=200), st.integers(0, 3))
def test_garbage_never_crashes_the_parser(data: bytes, place: int) -> None:
    before = [b"", b"GET / HTTP/1.1\r\n", CHUNKED, get()[:-2]][place]
    assert parse(before + data) == events(
        RequestParser(), [bytes([octet]) for octet in before + data]
    )
