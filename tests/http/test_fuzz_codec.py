"""The codec under any stream of bytes: no crash, no hang, and one meaning however it is cut.

The everyday part lets Hypothesis put streams together, and spoil those of the table of attacks;
more of them with COOP_TEST_EFFORT.  The campaign is ten minutes of a coverage-guided fuzzer::

    pytest -m campaign tests/http/test_fuzz_codec.py        # needs `pip install atheris`
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import http_fuzz
import pytest
from http_attack_table import ATTACKS
from http_fuzz import TIGHT, WORDS, check
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import EFFORT

from coop.http.codec import ParserState
from coop.http.limits import DEFAULT_LIMITS

SECONDS = 600

limits = st.sampled_from([DEFAULT_LIMITS, TIGHT])
cuts = st.lists(st.integers(0, 2000), max_size=8)
words = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=3)), max_size=30)
short = [attack.data for attack in ATTACKS if len(attack.data) < 500]

names = st.sampled_from([b"Host", b"X", b"content-length", b"Transfer-Encoding", b"connection"])
values = st.sampled_from([b"a", b"", b"5", b"chunked", b"close", b"0", b"a, b", b"100-continue"])
spaces = st.sampled_from([b"", b" ", b"\t", b"  "])
fields = st.builds(b"%b:%b%b%b\r\n".__mod__, st.tuples(names, spaces, values, spaces))
lines = st.builds(
    b"%b %b HTTP/1.%b\r\n".__mod__,
    st.tuples(
        st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"get"]),
        st.sampled_from([b"/", b"*", b"/a?b", b"http://a/b", b"a", b"/#"]),
        st.sampled_from([b"1", b"1", b"0", b"9"]),
    ),
)
chunk = st.binary(max_size=9).map(lambda data: b"%x\r\n%b\r\n" % (len(data), data))
bodies = st.one_of(
    st.just(b""),
    st.just(b"hello"),
    st.lists(chunk, max_size=4).map(lambda it: b"".join(it) + b"0\r\n\r\n"),
)
messages = st.builds(
    lambda line, fields, body: line + b"Host: a\r\n" + b"".join(fields) + b"\r\n" + body,
    lines, st.lists(fields, max_size=4), bodies,
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A stream in which some octets are lost, doubled, changed, or come from elsewhere."""
    data = draw(st.one_of(st.sampled_from(short), st.lists(messages, max_size=4).map(b"".join)))
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


@settings(max_examples=150 * EFFORT)
@given(words.map(b"".join), limits, cuts)
def test_words_in_any_order(data: bytes, limits: http_fuzz.Limits, cuts: list[int]) -> None:
    check(data, limits, cuts)


@settings(max_examples=300 * EFFORT)
@given(spoilt(), limits, cuts)
def test_streams_that_were_spoilt(data: bytes, limits: http_fuzz.Limits, cuts: list[int]) -> None:
    check(data, limits, cuts)


@given(st.lists(messages, max_size=4).map(b"".join), cuts)
def test_whole_messages(data: bytes, cuts: list[int]) -> None:
    check(data, DEFAULT_LIMITS, cuts)


def test_the_check_notices_what_depends_on_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(http_fuzz.RequestParser):
        """Takes what it is given for a whole head."""

        def next_request(self, data: bytes = b"") -> object:
            if data and b"\r\n\r\n" not in data:
                self.state = ParserState.FAILED
                self._error = http_fuzz.HttpError(400)
                raise self._error
            return super().next_request(data)

    monkeypatch.setattr(http_fuzz, "RequestParser", Hasty)
    with pytest.raises(AssertionError):
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", DEFAULT_LIMITS, [])


@pytest.mark.campaign
@pytest.mark.timeout(SECONDS * EFFORT + 120)
def test_ten_minutes_of_guided_fuzzing_find_nothing() -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    tests = Path(http_fuzz.__file__).parent
    path = os.pathsep.join(filter(None, [str(tests.parent), str(tests), *sys.path]))
    done = subprocess.run(
        [sys.executable, http_fuzz.__file__, str(SECONDS * EFFORT)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr[-3000:]
