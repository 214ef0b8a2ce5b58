"""Fuzzing the codec: what must hold for any stream of bytes, however it is cut.

What lives here: the check, and the guided fuzzer that calls it for as long as it is told::

    PYTHONPATH=.:tests python tests/http_fuzz.py 600        # seconds; needs `pip install atheris`

It begins with the streams of the table of attacks, keeps whatever reaches a new branch of
``coop.http``, and stops at the first input that breaks a promise.  What it must not know: sockets.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from http_streams import WORDS

from coop.http.codec import NEED_DATA, ParserState, RequestParser
from coop.http.errors import HttpError
from coop.http.limits import DEFAULT_LIMITS, Limits

#: So small that a short stream runs into each of them.
TIGHT = Limits(
    request_line_bytes=30, header_line_bytes=40, head_bytes=120, header_count=4, body_bytes=20,
    chunk_count=3,
)  # fmt: skip

#: Steps that what came before may still be good for.
MOST_HELD = 99


def transcript(limits: Limits, segments: list[bytes]) -> list[Any]:
    """Return all that comes out of a parser: requests, bodies joined, and how it ends."""
    parser = RequestParser(limits)
    seen: list[Any] = []
    body = b""
    try:
        for segment in segments:
            for each in _step(parser, segment):
                if isinstance(each, bytes):
                    body += each
                    continue
                seen += [body, each]
                body = b""
    except HttpError as error:
        _check_failed(parser, error)
        return [*seen, body, error.status, error.message, parser.state]
    return [*seen, body, parser.state, parser.is_idle]


def _step(parser: RequestParser, data: bytes) -> Iterator[Any]:
    """Give what the parser makes of one segment."""
    for _ in range(2 * len(data) + MOST_HELD):
        if not parser.is_body_read:
            piece = parser.next_body(data)
            if piece is NEED_DATA:
                return
            yield piece
        else:
            request = parser.next_request(data)
            if request is NEED_DATA:
                return
            yield (
                request.method, request.target, request.minor, request.framing,
                request.headers.pairs, request.host, request.path,
            )  # fmt: skip
        data = b""
    raise AssertionError("the parser goes on for ever")


def _check_failed(parser: RequestParser, error: HttpError) -> None:
    """What has failed has failed for good: nothing behind it is looked at."""
    assert ParserState.FAILED is parser.state
    assert error.status in (400, 413, 414, 417, 431, 501, 505), error
    for ask in (parser.next_request, parser.next_body):
        again: object = None
        try:
            ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        except HttpError as raised:
            again = raised
        assert error is again


def _check_bounds(limits: Limits, seen: list[Any]) -> None:
    for each in seen:
        if isinstance(each, bytes):
            assert len(each) <= limits.body_bytes
        elif isinstance(each, tuple):
            pairs = each[4]
            assert len(pairs) <= limits.header_count
            assert sum(len(name) + len(value) for name, value in pairs) <= limits.head_bytes
            names = [name.lower() for name, _ in pairs]
            assert names.count("host") == 1 or (names.count("host") == 0 and each[2] == 0)
            assert names.count("content-length") + names.count("transfer-encoding") <= 1


def check(data: bytes, limits: Limits, cuts: list[int]) -> list[Any]:
    """See that a stream is understood in one way only; return it."""
    whole = transcript(limits, [data])
    _check_bounds(limits, whole)
    assert whole == transcript(limits, [data[at : at + 1] for at in range(len(data))])
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places) if start < end]
    assert whole == transcript(limits, pieces), pieces
    return whole


def check_input(data: bytes) -> None:
    """Check a stream; how it is cut, and the limits, follow from its bytes."""
    chance = random.Random(data)
    cuts = [chance.randrange(len(data) + 1) for _ in range(chance.randrange(9))]
    check(data, TIGHT if chance.random() < 0.5 else DEFAULT_LIMITS, cuts)


def fuzz(seconds: int) -> None:
    """Fuzz, guided by coverage, until the time is over; never returns."""
    import atheris
    from http_attack_table import ATTACKS

    for name in ("codec", "head", "body", "fields", "messages"):
        module = sys.modules[f"coop.http.{name}"]
        for each in list(vars(module).values()):
            for function in vars(each).values() if isinstance(each, type) else [each]:
                if getattr(function, "__module__", None) == module.__name__ and hasattr(
                    function, "__code__"
                ):
                    atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, attack in enumerate(ATTACKS):
            if len(attack.data) < 2000:
                (corpus / str(number)).write_bytes(attack.data)
        words = ("".join(f"\\x{octet:02x}" for octet in word) for word in WORDS)
        dictionary = Path(folder, "words")
        dictionary.write_text("".join(f'"{word}"\n' for word in words))
        options = [
            f"-max_total_time={seconds}", f"-dict={dictionary}", "-max_len=700", "-timeout=10",
            f"-artifact_prefix={tempfile.gettempdir()}/", "-print_final_stats=1",
        ]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, str(corpus)], check_input)
        atheris.Fuzz()


if __name__ == "__main__":
    fuzz(int(sys.argv[1]))
