"""Forms and JSON: what comes is read however it was cut, and what is broken is refused."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import http_kit
import kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop.http import Form, FormLimits, HttpError, Request, Response
from coop.http import json as json_answer
from coop.http.forms import MultipartReader, parse_urlencoded
from coop.http.payload import media_type

URLENCODED = "Content-Type: application/x-www-form-urlencoded\r\n"
MULTIPART = "Content-Type: multipart/form-data; boundary=XX\r\n"

Part = tuple[str, str | None, bytes]


def encode(parts: list[Part], boundary: str = "XX") -> bytes:
    """Write a form as browsers do."""
    body = b""
    for name, filename, content in parts:
        quoted = [_quote(name)] + ([] if filename is None else [_quote(filename)])
        keys = ["name", "filename"]
        told = "; ".join(f'{key}="{value}"' for key, value in zip(keys, quoted, strict=False))
        body += f"--{boundary}\r\nContent-Disposition: form-data; {told}\r\n".encode()
        if filename is not None:
            body += b"Content-Type: text/x-test\r\n"
        body += b"\r\n" + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def _quote(text: str) -> str:
    """As HTML says for multipart forms: these three, and no others."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def feed(body: bytes, cuts: list[int] | None = None, **limits: int) -> Form:
    reader = MultipartReader("XX", FormLimits(**limits))
    edges = [0, *sorted(cuts or []), len(body)]
    try:
        for start, stop in itertools.pairwise(edges):
            if start < stop:
                reader.feed(body[start:stop])
        return reader.finish()
    except BaseException:
        reader.close()
        raise


def refusal(act: Callable[[], Any]) -> int:
    with pytest.raises(HttpError) as caught:
        act()
    return caught.value.status


# -- multipart ------------------------------------------------------------------------------------


def test_fields_and_files_come_through_one_face() -> None:
    parts: list[Part] = [
        ("a", None, "é 1".encode()),
        ("a", None, b"2"),
        ("doc", "../x.txt", b"content\r\n--X"),
        ("doc", "", b""),
    ]
    with feed(encode(parts)) as form:
        assert ("é 1", ["é 1", "2"]) == (form["a"], form.get_all("a"))
        assert ["../x.txt", ""] == [upload.filename for upload in form.uploads]
        upload = form.files["doc"]
        assert ("doc", "text/x-test", 12) == (upload.name, upload.content_type, upload.size)
        assert b"content\r\n--X" == upload.file.read() == upload.read()
        file = upload.file
    assert file.closed


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters='%\\"'))
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"\r\n", b"--XX", b"-", b"\r", b"\n", b"x"])).map(b"".join),
).filter(lambda content: b"\r\n--XX" not in b"\r\n" + content)
PARTS = st.lists(
    st.one_of(
        st.tuples(NAMES, st.none(), st.text(st.characters(codec="utf-8")).map(str.encode)),
        st.tuples(NAMES, NAMES, CONTENTS),
    ),
    max_size=4,
)


@given(PARTS, st.data())
def test_however_it_is_cut_the_form_is_the_same(parts: list[Part], data: st.DataObject) -> None:
    if any(b"\r\n--XX" in b"\r\n" + content for _, _, content in parts):
        return
    body = encode(parts)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=10))
    with feed(body, cuts, spool_bytes=20) as form:
        fields = [(name, content.decode()) for name, filename, content in parts if filename is None]
        files = [part for part in parts if part[1] is not None]
        assert fields == list(form.pairs)
        assert files == [(each.name, each.filename, each.read()) for each in form.uploads]


@given(PARTS, st.data())
def test_an_end_too_early_is_refused(parts: list[Part], data: st.DataObject) -> None:
    body = encode(parts)
    cut = data.draw(st.integers(0, len(body) - 4))
    assert 400 == refusal(lambda: feed(body[:cut]).close())


@given(st.lists(st.sampled_from([
    b"--XX", b"--XX--", b"\r\n", b"\r", b"\n", b":", b'Content-Disposition: form-data; name="a"',
    b"Content-Length: 9", b"Content-Type: x/y; charset=zz", b" ", b"filename*=utf-8''%ff", b"\xff",
])).map(b"".join))  # fmt: skip
def test_garbage_is_refused_or_read_and_never_worse(body: bytes) -> None:
    with suppress(HttpError):
        feed(body).close()


BROKEN = {
    "no name": (b"--XX\r\nContent-Disposition: attachment\r\n\r\nx\r\n--XX--\r\n", 400),
    "no head": (b"--XX\r\n\r\nx\r\n--XX--\r\n", 400),
    "bad field": (encode([("a", None, b"\xff")]), 400),
    "other boundary": (encode([("a", None, b"1")], "YY"), 400),
    "empty": (b"", 400),
    "long head": (b"--XX\r\nA: " + b"x" * 5000 + b"\r\n\r\n", 413),
    "many heads": (b"--XX\r\n" + b"A: b\r\n" * 9 + b"\r\n", 413),
    "many parts": (encode([("a", None, b"")] * 4), 413),
    "long field": (encode([("a", None, b"x" * 101)]), 413),
}


@pytest.mark.parametrize(("body", "status"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_or_too_much_is_refused(body: bytes, status: int) -> None:
    assert status == refusal(lambda: feed(body, parts=3, field_bytes=100))


def test_a_large_file_goes_to_disk_and_nothing_is_left_of_it() -> None:
    with feed(encode([("a", "a", b"x" * 1000), ("b", "b", b"y" * 99)]), spool_bytes=100) as form:
        large, small = (upload.file for upload in form.uploads)
        assert isinstance(large.fileno(), int)
        assert not small._rolled  # type: ignore[attr-defined]
    assert large.closed
    assert small.closed


@pytest.mark.parametrize("boundary", ["", "x" * 71, "é"])
def test_a_bad_boundary_is_refused(boundary: str) -> None:
    assert 400 == refusal(lambda: MultipartReader(boundary))


def test_a_missing_package_is_named_with_its_remedy() -> None:
    program = (
        "import sys; sys.modules['multipart'] = None\n"
        "from coop.http.forms import MultipartReader, parse_urlencoded\n"
        "assert [('a', '1')] == parse_urlencoded(b'a=1')\n"
        "try: MultipartReader('x')\n"
        "except ImportError as error: print(error)"
    )
    root = str(Path(__file__).parent.parent.parent)
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert "multipart forms need multipart: pip install 'coop-net[forms]'\n" == told


TYPES = {
    "": ("", {}),
    "text/plain": ("text/plain", {}),
    "Text/Plain ;Charset=UTF-8": ("text/plain", {"charset": "UTF-8"}),
    'a/b; boundary="x;\\"y"; c=d': ("a/b", {"boundary": 'x;"y', "c": "d"}),
    "a/b; boundary*=utf-8''x": ("a/b", {"boundary*": "utf-8''x"}),
    'a/b; boundary="x': ("a/b", {"boundary": ""}),
    "a/b; boundary=x ; c=d": ("a/b", {"boundary": "x", "c": "d"}),
    "a/b; ;; x; =y": ("a/b", {}),
}


@pytest.mark.parametrize(("field", "parsed"), TYPES.items())
def test_a_media_type_is_taken_apart(field: str, parsed: tuple[str, dict[str, str]]) -> None:
    assert parsed == media_type(typed(field))


@given(st.text(st.sampled_from('a/;="\\ *\xff')))
def test_no_media_type_is_too_odd(field: str) -> None:
    kind, parameters = media_type(typed(field))
    assert all(type(each) is str for each in (kind, *parameters, *parameters.values()))


def typed(field: str) -> Request:
    return Request("POST", f"POST / HTTP/1.1\r\nContent-Type: {field}\r\n".encode("latin-1"))


def test_limits_are_positive() -> None:
    for name in ("parts", "field_bytes", "header_bytes", "spool_bytes"):
        with pytest.raises(ValueError, match=f"limit {name}=0 must be greater than zero"):
            FormLimits(**{name: 0})


# -- urlencoded -----------------------------------------------------------------------------------


def test_an_urlencoded_form_is_decoded_in_order() -> None:
    body = b"a=1&b=x+y%26&a=%C3%A9&c&=d"
    pairs = [("a", "1"), ("b", "x y&"), ("a", "é"), ("c", ""), ("", "d")]
    assert pairs == parse_urlencoded(body)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"a=%ff", 400), (b"a=\xff", 400), (b"a&" * 1000, 413), (b"a=" + b"x" * 300_000, 413)],
)
def test_a_bad_urlencoded_form_is_refused(body: bytes, status: int) -> None:
    assert status == refusal(lambda: parse_urlencoded(body))


# -- over a connection ----------------------------------------------------------------------------


def form_app(request: Request) -> kit.Gen[Response]:
    with (yield from request.form(max_bytes=100_000)) as form:
        files = [(upload.filename, upload.size) for upload in form.uploads]
        return json_answer([list(form.pairs), files])


def json_app(request: Request) -> kit.Gen[Response]:
    return json_answer((yield from request.json(max_bytes=1000)))


Asked = tuple[int, bytes]


def ask(app: Any, body: bytes, fields: str, cut: int | None = None) -> Asked:
    def visitor(hall: Any) -> kit.Gen[Asked]:
        client = yield from hall.enter()
        yield from client.say(http_kit.post(body, fields), cut)
        answer = yield from client.hear()
        return answer.status, answer.body

    return http_kit.visit(app, visitor)  # type: ignore[no-any-return]


@pytest.mark.parametrize("cut", [None, 7])
def test_a_handler_reads_a_form_of_either_kind(cut: int | None) -> None:
    multipart = encode([("a", None, "é".encode()), ("f", "x.bin", b"\0" * 300)])
    assert (200, '[[["a","é"]],[["x.bin",300]]]'.encode()) == ask(
        form_app, multipart, MULTIPART, cut
    )
    assert (200, b'[[["a","1"]],[]]') == ask(form_app, b"a=1", URLENCODED, cut)


@pytest.mark.parametrize(
    ("body", "fields", "status"),
    [
        (b"a=1", "", 415),
        (b"a=1", "Content-Type: text/plain\r\n", 415),
        (b"a=1", "Content-Type: ;;;\r\n", 415),
        (b"a=1", "Content-Type: multipart/form-data\r\n", 400),
        (b"a=1", MULTIPART, 400),
        (b"a=" + b"x" * 100_000, URLENCODED, 413),
        (encode([("a", "a", b"x" * 100_000)]), MULTIPART, 413),
    ],
)
def test_a_form_that_cannot_be_read_is_answered(body: bytes, fields: str, status: int) -> None:
    assert status == ask(form_app, body, fields)[0]


JSON = "Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("body", "fields", "answer"),
    [
        (b'{"a": [1, null, "\xc3\xa9"]}', JSON, (200, b'{"a":[1,null,"\xc3\xa9"]}')),
        (
            b"\xef\xbb\xbf1",
            "Content-Type: application/problem+json; charset=utf-8\r\n",
            (200, b"1"),
        ),
        (b"{}", "", (415, b"415 Unsupported Media Type\n")),
        (b"{}", "Content-Type: text/plain\r\n", (415, b"415 Unsupported Media Type\n")),
        (b"{}", "Content-Type: text/x+json\r\n", (415, b"415 Unsupported Media Type\n")),
        (b"", JSON, (400, b"400 Bad Request\n")),
        (b"{", JSON, (400, b"400 Bad Request\n")),
        (b"NaN", JSON, (400, b"400 Bad Request\n")),
        (b"-Infinity", JSON, (400, b"400 Bad Request\n")),
        (b'"\xff"', JSON, (400, b"400 Bad Request\n")),
        (b'"a"'.decode().encode("utf-16"), JSON, (400, b"400 Bad Request\n")),
        (b"[" * 900, JSON, (400, b"400 Bad Request\n")),
        (b"1" * 1001, JSON, (413, b"413 Content Too Large\n")),
    ],
)
def test_json_is_read_or_refused(body: bytes, fields: str, answer: Asked) -> None:
    status, told = ask(json_app, body, fields)
    assert answer[0] == status
    if status != 413:  # whose name depends on the version of Python
        assert answer[1] == told


def test_deep_json_is_refused() -> None:
    def app(request: Request) -> kit.Gen[Response]:
        yield from request.json()
        return Response()

    assert 400 == ask(app, b"[" * 100_000, JSON)[0]
