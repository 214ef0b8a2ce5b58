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
from http_fuzz import TIGHT, check
from http_streams import messages, spoilt, words
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import EFFORT

from coop.http.codec import ParserState
from coop.http.limits import DEFAULT_LIMITS

SECONDS = 600

limits = st.sampled_from([DEFAULT_LIMITS, TIGHT])
cuts = st.lists(st.integers(0, 2000), max_size=8)


@pytest.mark.timeout(60 * EFFORT)
@settings(max_examples=80 * EFFORT)
@given(words, limits, cuts)
def test_words_in_any_order(data: bytes, limits: http_fuzz.Limits, cuts: list[int]) -> None:
    check(data, limits, cuts)


@pytest.mark.timeout(60 * EFFORT)
@settings(max_examples=150 * EFFORT)
@given(spoilt(), limits, cuts)
def test_streams_that_were_spoilt(data: bytes, limits: http_fuzz.Limits, cuts: list[int]) -> None:
    check(data, limits, cuts)


@settings(max_examples=50 * EFFORT)
@given(st.lists(messages(), max_size=4).map(b"".join), cuts)
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
