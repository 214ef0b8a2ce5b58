"""Replies: redirects that lead nowhere strange, JSON, and answers to those who have it already."""

from __future__ import annotations

import math
from typing import Any

import http_kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop.http import HttpError, Request, RequestParser, Response, Validators, revalidate
from coop.http import json as json_answer
from coop.http.negotiate import choose_coding, choose_type, parse_weights
from coop.http.replies import redirect


def request(fields: str = "", method: str = "GET") -> Request:
    parsed = RequestParser().next_request(http_kit.get(fields=fields, method=method))
    assert isinstance(parsed, Request)
    return parsed


# -- redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/", "/"),
        ("/a/b?c=d&e=%20#f", "/a/b?c=d&e=%20#f"),
        ("/a//b", "/a//b"),
        ("next?x=http://y", "next?x=http://y"),
        ("../up", "../up"),
        ("?page=2", "?page=2"),
        ("/é<>", "/%C3%A9%3C%3E"),
        ("/a\\b", "/a%5Cb"),
    ],
)
def test_a_redirect_stays_on_this_host(location: str, sent: str) -> None:
    answer = redirect(location)
    assert (303, sent) == (answer.status, answer.headers["location"])


@pytest.mark.parametrize(
    "location",
    [
        "//evil",
        "/\\evil",
        "\\\\evil",
        "\\/evil",
        "https://evil",
        "HTTP:evil",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_elsewhere_must_be_meant(location: str) -> None:
    with pytest.raises(ValueError, match="elsewhere=True"):
        redirect(location)
    assert 307 == redirect(location, 307, elsewhere=True).status


@pytest.mark.parametrize(
    "location", ["/a\r\nX: y", "/a b", "\t//evil", " //evil", "/\x00", "/\x7f"]
)
def test_a_location_has_no_room_for_more(location: str) -> None:
    for elsewhere in (False, True):
        with pytest.raises(ValueError, match="no spaces or control characters"):
            redirect(location, elsewhere=elsewhere)


def test_a_redirect_has_a_status_of_its_own() -> None:
    with pytest.raises(ValueError, match="301, 302, 303, 307, 308"):
        redirect("/", 200)


# -- JSON -----------------------------------------------------------------------------------------


def test_json_is_compact_and_of_its_type() -> None:
    answer = json_answer({"a": [1, "é", None]}, 201, {"X-A": "b"})
    assert (201, '{"a":[1,"é",null]}'.encode()) == (answer.status, answer.body)
    assert {"x-a": "b", "content-type": "application/json"} == {**answer.headers}


@pytest.mark.parametrize("value", [math.nan, {"a": math.inf}])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        json_answer(value)


# -- conditions -----------------------------------------------------------------------------------

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
OLDER = "Sun, 06 Nov 1994 08:49:36 GMT"
SECONDS = 784111777

FRESH = {
    'If-None-Match: "v1"': 304,
    'If-None-Match: W/"v1"': 304,
    'If-None-Match: "v0", "v1"': 304,
    "If-None-Match: *": 304,
    'If-None-Match: "v2"': None,
    f"If-Modified-Since: {DATE}": 304,
    f"If-Modified-Since: {OLDER}": None,
    "If-Modified-Since: soon": None,
    f'If-None-Match: "v2"\r\nIf-Modified-Since: {DATE}': None,
    'If-Match: "v1"': None,
    'If-Match: W/"v1"': 412,
    'If-Match: "v2"': 412,
    f"If-Unmodified-Since: {OLDER}": 412,
    "X: y": None,
}


@pytest.mark.parametrize(("field", "status"), FRESH.items())
def test_who_has_it_already_is_told_so(field: str, status: int | None) -> None:
    now = Validators('"v1"', SECONDS)
    try:
        answer = revalidate(request(field + "\r\n"), now)
    except HttpError as error:
        assert status == error.status  # noqa: PT017
        return
    assert status == (answer and answer.status)
    if answer:
        assert [("etag", '"v1"'), ("last-modified", DATE)] == list(answer.headers.items())


def test_validators_may_be_weak_or_missing() -> None:
    weak = Validators('W/"v1"')
    assert revalidate(request('If-None-Match: "v1"\r\n'), weak) is not None
    with pytest.raises(HttpError):
        revalidate(request('If-Match: W/"v1"\r\n'), weak)
    dated = Validators(modified=SECONDS)
    assert revalidate(request('If-None-Match: ""\r\n'), dated) is None
    assert revalidate(request(f"If-Modified-Since: {DATE}\r\n"), Validators('"v"')) is None
    assert [("Last-Modified", DATE)] == dated.fields()
    with pytest.raises(ValueError, match="quotes"):
        Validators("v1").fields()


def test_a_change_may_demand_that_nothing_is_there() -> None:
    with pytest.raises(HttpError) as caught:
        revalidate(request("If-None-Match: *\r\n", "PUT"), Validators('"v1"'))
    assert 412 == caught.value.status


# -- negotiation ----------------------------------------------------------------------------------

CODINGS = {
    "": None,
    "gzip": "gzip",
    "GZIP": "gzip",
    "x-gzip": "gzip",
    "br, gzip": "br",
    "br;q=0.5, gzip": "gzip",
    "gzip;q=0.5, br ; q=0.5": "br",
    "gzip;q=0": None,
    "gzip;q=0.0": None,
    "*": "br",
    "*;q=0.5, gzip": "gzip",
    "br;q=0, *": "gzip",
    "identity": None,
    "identity, gzip": "gzip",
    "identity;q=1, gzip;q=0.5": None,
    "identity;q=0": None,
    "deflate": None,
    "gzip;q=2": None,
    "gzip;q=0.1234": None,
    "gzip;q=-1": None,
    "gzip;q=nan": None,
    "gzip;q=": None,
    "\x00, gzip": "gzip",
    ",,gzip,,": "gzip",
    "gzip;foo=bar;q=0.3": "gzip",
}


@pytest.mark.parametrize(("field", "coding"), CODINGS.items())
def test_a_coding_is_chosen_by_weight(field: str, coding: str | None) -> None:
    assert coding == choose_coding(field, ["br", "gzip"])


TYPES = {
    None: "text/html",
    "": "text/html",
    "*/*": "text/html",
    "application/json": "application/json",
    "text/*, application/json;q=0.9": "text/html",
    "text/html;q=0.1, application/*": "application/json",
    "text/*;q=0.9, text/html;q=0.1, application/json;q=0.5": "application/json",
    "image/png": None,
    "*/*;q=0": None,
    "text/html;q=0, */*": "application/json",
}


@pytest.mark.parametrize(("field", "kind"), TYPES.items())
def test_a_type_is_chosen_by_weight(field: str | None, kind: str | None) -> None:
    offers = ["text/html", "application/json"]
    assert kind == choose_type(field, offers)
    fields = "" if field is None else f"Accept: {field}\r\n"
    assert kind == request(fields).accepts(*offers)


@given(st.text(st.sampled_from("gzipbr*;=q01., \t\x00é")))
def test_no_field_is_too_odd_to_choose(field: str) -> None:
    assert choose_coding(field, ["gzip"]) in ("gzip", None)
    assert all(0 <= weight <= 1 for weight in parse_weights(field).values())


# -- fields of a response -------------------------------------------------------------------------


def test_fields_can_be_set_and_dropped() -> None:
    answer = Response(b"", 200, [("A", "1"), ("AB", "2"), ("a", "3"), ("Date", DATE)])
    answer.set_header("a", "4")
    answer.drop_header("date")
    answer.drop_header("missing")
    assert [("AB", "2"), ("a", "4")] == list(answer.headers.pairs)
    assert not answer.has_date
    with pytest.raises(ValueError):
        answer.set_header("a", "1\r\nb: 2")
