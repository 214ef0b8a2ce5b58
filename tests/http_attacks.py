"""Attacks on the HTTP server: what one is, the app it is aimed at, and the judge of its answers.

What it must not know: sockets; the drivers are in http/test_attacks.py.  The attacks themselves are
rows in http_attack_table.py.

Behind each attack come two good requests, for /next and for /last, which ends the connection.  If
the connection must close, neither is answered; if it must go on, both are.  And /hidden stands
where only a parser that lost count would find a request: no answer may ever name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from coop.http import Limits, Request, Response

#: Small enough that a limit is reached with little; all others are the defaults.
LIMITS = Limits(body_bytes=50_000, chunk_count=1000, discard_bytes=2000)


class Attack(NamedTuple):
    """Bytes, and the one verdict on them."""

    name: str
    #: Where the rule stands, or the class of past vulnerabilities.
    rule: str
    data: bytes
    #: The answers to ``data``, in order: the status of a refusal, or "method target length".
    answers: tuple[int | str, ...]
    #: Whether the server then closes the connection, so that nothing behind is read.
    closes: bool = True
    #: Whether the client sends no more, and says so by the end of its stream.
    ends: bool = False


class Answer(NamedTuple):
    """An answer as it came; names of fields in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes


def app(request: Request) -> Any:
    """Answer with what was understood; a path that begins with /unread leaves the body alone."""
    assert "/hidden" not in request.target
    if request.path.startswith("/unread"):
        return Response(f"{request.method} {request.target} unread")
    return _read_and_answer(request)


def _read_and_answer(request: Request) -> Any:
    body = yield from request.read()
    return Response(f"{request.method} {request.target} {len(body)}")


# -- what is sent -------------------------------------------------------------------------------

HOST = b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


def get(fields: bytes = b"", target: bytes = b"/", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\n" % (method, target) + HOST + fields + b"\r\n"


def line(request_line: bytes) -> bytes:
    return request_line + b"\r\n" + HOST + b"\r\n"


def host(field: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + field + b"\r\n\r\n"


def length(value: bytes, body: bytes = HIDDEN) -> bytes:
    return get(b"Content-Length: " + value + b"\r\n", method=b"POST") + body


def coding(value: bytes, more: bytes = b"") -> bytes:
    fields = b"Transfer-Encoding: " + value + b"\r\n" + more
    return get(fields, method=b"POST") + b"0\r\n\r\n" + HIDDEN


def chunks(body: bytes, target: bytes = b"/") -> bytes:
    return get(CHUNKED, target, b"POST") + body


def smuggled(fields: bytes) -> bytes:
    """A request with a body that holds another one, by one of two ways to count."""
    return get(fields, method=b"POST") + b"0\r\n\r\n" + HIDDEN


def stream(attack: Attack) -> bytes:
    """Return all that is sent."""
    return attack.data if attack.ends else attack.data + NEXT + LAST


# -- what came back -----------------------------------------------------------------------------

#: All that an answer to bad input says.
FIELDS = {"server", "date", "connection", "content-length", "content-type"}

_head = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n")
_field = re.compile(rb"([^:]+): ([^\r\n]*)")


def read_answers(said: bytes, methods: Iterator[str]) -> list[Answer]:
    """Take all answers apart, strictly: each has a length, and nothing is left over."""
    answers = []
    at = 0
    while at < len(said):
        head = _head.match(said, at)
        assert head is not None, said[at:]
        fields = {}
        for each in head[3].split(b"\r\n")[:-1]:
            parts = _field.fullmatch(each)
            assert parts is not None, each
            name = parts[1].decode().lower()
            assert name not in fields, f"{name} comes twice"
            fields[name] = parts[2].decode("latin-1")
        at = head.end()
        if head[1] == b"100":
            continue
        size = 0 if next(methods, "GET") == "HEAD" else int(fields["content-length"])
        body = said[at : at + size]
        assert size == len(body), "an answer is cut off"
        at += size
        answers.append(Answer(int(head[1]), fields, body))
    return answers


def judge(attack: Attack, said: bytes) -> None:
    """See that exactly the answers came that must, and give nothing of the input back."""
    behind = () if attack.closes or attack.ends else ("GET /next 0", "GET /last 0")
    expected = [*attack.answers, *behind]
    methods = (str(each).partition(" ")[0] for each in expected)
    answers = read_answers(said, methods)
    seen = [
        answer.body.decode() if answer.status == 200 else answer.status
        for answer, wanted in zip(answers, expected, strict=False)
    ]
    heads = {each for each in expected if str(each).startswith("HEAD")}
    wanted = ["" if each in heads else each for each in expected]
    assert (wanted, len(expected)) == (seen, len(answers)), said
    for answer in answers:
        if answer.status != 200:
            assert re.fullmatch(rb"%d [A-Za-z' -]+\n" % answer.status, answer.body), answer
            assert "close" == answer.fields["connection"]
            assert FIELDS == set(answer.fields)
    if answers and not (attack.ends and answers[-1].status == 200):
        assert "close" == answers[-1].fields["connection"], "the last answer does not say so"
        assert all("connection" not in answer.fields for answer in answers[:-1])


# -- the table ----------------------------------------------------------------------------------


def refused(rule: str, status: int, inputs: Mapping[str, bytes]) -> list[Attack]:
    """Rows that are answered with one status; then the connection is closed."""
    return [Attack(name, rule, data, (status,)) for name, data in inputs.items()]


def served(rule: str, inputs: Mapping[str, tuple[Any, ...]]) -> list[Attack]:
    """Rows that are answered as ordinary requests, and the connection goes on."""
    return [
        Attack(name, rule, data, answers, closes=False)
        for name, (data, *answers) in inputs.items()  # type: ignore[misc]
    ]


def ended(rule: str, answers: tuple[int | str, ...], inputs: Mapping[str, bytes]) -> list[Attack]:
    """Rows behind which the client's stream ends."""
    return [Attack(name, rule, data, answers, ends=True) for name, data in inputs.items()]
