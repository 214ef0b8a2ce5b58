"""Streams of bytes that a client may send, good and bad, for Hypothesis to draw and to shrink."""

from __future__ import annotations

from http_attack_table import ATTACKS
from hypothesis import strategies as st

#: What messages are made of, for those who put them together.
WORDS = [
    b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"BREW ", b"/", b"/a?b=c", b"*",
    b"http://a/", b"a:80", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b" HTTP/1.9", b"\r\n",
    b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\xff", b"\xa0", b":", b",",
    b";", b"=", b'"', b"\\", b"#", b"Host: a\r\n", b"Host:", b"Content-Length: 5\r\n",
    b"Content-Length:", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:", b"chunked",
    b"gzip", b"identity", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n", b"Expect: 100-continue\r\n", b"Expect:", b"X: y\r\n",
    b"0", b"1", b"5", b"a", b"F", b"0\r\n\r\n", b"5\r\nhello\r\n", b"1;a=b\r\nx\r\n", b"hello",
    b"-", b"+", b"_", b"0x", b"99999999999999999999", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
]  # fmt: skip

words = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=3)), max_size=30).map(
    b"".join
)
short = [attack.data for attack in ATTACKS if len(attack.data) < 500]

names = st.sampled_from([b"X", b"Accept", b"Cookie", b"Connection", b"Expect"])
values = st.sampled_from([b"a", b"", b"close", b"a, b", b"100-continue", b"keep-alive", b"\xff"])
spaces = st.sampled_from([b" ", b"", b"\t", b"  "])
fields = st.builds(
    lambda name, before, value, after: name + b":" + before + value + after + b"\r\n",
    names, spaces, values, spaces,
)  # fmt: skip
lines = st.builds(
    lambda method, target, minor: b"%b %b HTTP/1.%d\r\n" % (method, target, minor),
    st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"get"]),
    st.sampled_from([b"/", b"/a?b", b"http://a/b", b"*", b"a", b"/#", b"//a"]),
    st.sampled_from([1, 1, 1, 0, 9]),
)
hosts = st.sampled_from([b"Host: a\r\n"] * 6 + [b"", b"Host: a:80\r\n", b"Host: a b\r\n"])
chunk = st.builds(
    lambda data, extension: b"%x%b\r\n%b\r\n" % (len(data), extension, data),
    st.binary(min_size=1, max_size=20),
    st.sampled_from([b"", b"", b";a", b" ; a = b", b';a="b;c"', b";", b" "]),
)
trailers = st.sampled_from([b"", b"", b"X: y\r\n", b"Content-Length: 1\r\n", b"X : y\r\n"])
chunked = st.builds(
    lambda chunks, trailers: (
        b"Transfer-Encoding: chunked\r\n", b"".join(chunks) + b"0\r\n" + trailers + b"\r\n",
    ),
    st.lists(chunk, max_size=4), trailers,
)  # fmt: skip
measured = st.builds(
    lambda body, excess: (b"Content-Length: %d\r\n" % max(0, len(body) + excess), body),
    st.binary(max_size=20), st.sampled_from([0, 0, 0, 1, -1]),
)  # fmt: skip
framings = st.one_of(st.just((b"", b"")), measured, chunked)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A request, most often a good one."""
    framing, body = draw(framings)
    if draw(st.integers(0, 9)) == 0:
        framing += draw(framings)[0]
    head = [draw(hosts), framing, *draw(st.lists(fields, max_size=3))]
    return draw(lines) + b"".join(draw(st.permutations(head))) + b"\r\n" + body


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A stream in which some octets are lost, doubled, changed, or come from elsewhere."""
    data = draw(st.one_of(st.sampled_from(short), st.lists(messages(), max_size=4).map(b"".join)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 20)))
        middle = draw(
            st.sampled_from([b"", data[start:stop] * 2, *WORDS])
            if draw(st.booleans())
            else st.binary(max_size=2)
        )
        data = data[:start] + middle + data[stop:]
    return data
