"""Cookies: whatever comes is read, and nothing is written that could break a field."""

from __future__ import annotations

from typing import Any

import http_kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop.http import Request, RequestParser, Response
from coop.http.cookies import parse_cookies

NAMES = st.text(
    "!#$%&'*+.^_`|~-0123456789ABCXYZabcxyz", min_size=1
).filter(lambda name: not name.lower().startswith(("__host-", "__secure-")))  # fmt: skip
VALUES = st.text(
    "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\'), max_size=200
)


def request(fields: str) -> Request:
    parsed = RequestParser().next_request(http_kit.get(fields=fields))
    assert isinstance(parsed, Request)
    return parsed


FIELDS = {
    "": [],
    "a=1": [("a", "1")],
    "a=1; b=2": [("a", "1"), ("b", "2")],
    "a=1;b=2;": [("a", "1"), ("b", "2")],
    " a = 1 ; b=": [("a", "1"), ("b", "")],
    "a=1; a=2": [("a", "1"), ("a", "2")],
    'a="x y"; b="': [("a", "x y"), ("b", '"')],
    "a=b=c": [("a", "b=c")],
    "novalue; =noname; ok=1": [("ok", "1")],
    "a b=c,d; e[0]={}": [("a b", "c,d"), ("e[0]", "{}")],
    "a=%20+": [("a", "%20+")],
    "a=\xc3\xa9\xff": [("a", "é\ufffd")],
}


@pytest.mark.parametrize(("field", "pairs"), FIELDS.items())
def test_a_field_is_read_leniently(field: str, pairs: list[tuple[str, str]]) -> None:
    assert pairs == list(parse_cookies(field).pairs)


@given(st.text(st.characters(max_codepoint=255)))
def test_reading_never_fails(field: str) -> None:
    for name, _ in parse_cookies(field).pairs:
        assert name


def test_a_request_has_the_cookies_of_all_its_fields() -> None:
    parsed = request("Cookie: a=1; b=2\r\nCookie: c=3\r\n")
    assert {"a": "1", "b": "2", "c": "3"} == {**parsed.cookies}
    assert {} == {**request("").cookies}


@given(NAMES, VALUES)
def test_what_is_set_comes_back(name: str, value: str) -> None:
    response = Response()
    response.set_cookie(name, value)
    set_cookie = response.headers["set-cookie"]
    assert value == request(f"Cookie: {set_cookie.partition(';')[0]}\r\n").cookies[name]


def test_the_attributes_are_written_as_the_standard_says() -> None:
    response = Response()
    response.set_cookie("a", "1")
    response.set_cookie(
        "__Host-b", "2", max_age=3600.5, secure=True, http_only=False, same_site="None"
    )
    response.set_cookie("c", "", path=None, domain="a.example.org", same_site=None)
    response.delete_cookie("d", path="/x")
    assert [
        "a=1; Path=/; HttpOnly; SameSite=Lax",
        "__Host-b=2; Max-Age=3600; Path=/; Secure; SameSite=None",
        "c=; Domain=a.example.org; HttpOnly",
        "d=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/x; HttpOnly; SameSite=Lax",
    ] == response.headers.get_all("set-cookie")


BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("", "1", {}),
    ("a b", "1", {}),
    ("a=b", "1", {}),
    ("a;", "1", {}),
    ("é", "1", {}),
    ("a", "1; Domain=evil", {}),
    ("a", "x\r\nSet-Cookie: b=2", {}),
    ("a", "two words", {}),
    ("a", 'quo"ted', {}),
    ("a", "é", {}),
    ("a", "\x00", {}),
    ("a", "x" * 4096, {}),
    ("a", "1", {"max_age": float("inf")}),
    ("a", "1", {"path": "/; Secure"}),
    ("a", "1", {"path": "/\r\n"}),
    ("a", "1", {"path": "x"}),
    ("a", "1", {"domain": "a;b"}),
    ("a", "1", {"domain": "a\nb"}),
    ("a", "1", {"domain": ""}),
    ("a", "1", {"same_site": "Lax; Secure"}),
    ("a", "1", {"same_site": "none"}),
    ("a", "1", {"same_site": "None"}),
    ("__Secure-a", "1", {}),
    ("__host-a", "1", {"secure": True, "path": "/x"}),
    ("__Host-a", "1", {"secure": True, "domain": "example.org"}),
]


@pytest.mark.parametrize(("name", "value", "options"), BAD)
def test_what_could_break_the_field_is_refused(
    name: str, value: str, options: dict[str, Any]
) -> None:
    response = Response()
    with pytest.raises(ValueError):
        response.set_cookie(name, value, **options)
    assert {} == {**response.headers}


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_that_passes_can_end_the_field(
    name: str, value: str, path: str, domain: str
) -> None:
    response = Response()
    try:
        response.set_cookie(name, value, path=path, domain=domain)
    except ValueError:
        return
    parts = response.headers["set-cookie"].split("; ")
    assert [f"{name}={value}", f"Path={path}", f"Domain={domain}"] == parts[:3]
    assert ["HttpOnly", "SameSite=Lax"] == parts[3:]
