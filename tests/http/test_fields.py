"""Header fields: reading them, and refusing to send what would break a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop.http.fields import Headers, Pairs, encode_field, split_fields


def test_names_are_found_in_any_case() -> None:
    headers = Headers([("Content-Type", "text/html")])
    assert "text/html" == headers["CONTENT-TYPE"] == headers.get("content-type")
    assert "content-type" in headers
    assert ["content-type"] == list(headers)


def test_repeats_are_joined_and_still_there() -> None:
    headers = Headers([("Accept", "a"), ("Cookie", "x=1"), ("accept", "b"), ("cookie", "y=2")])
    assert "a, b" == headers["Accept"]
    assert "x=1; y=2" == headers["Cookie"]
    assert ["a", "b"] == headers.get_all("ACCEPT")
    assert [] == headers.get_all("missing")
    assert 2 == len(headers)
    assert 4 == len(headers.pairs)


def test_pairs_give_the_first_value_and_keep_case() -> None:
    pairs = Pairs([("a", "1"), ("a", "2"), ("A", "3")])
    assert ("1", ["1", "2"], "3") == (pairs["a"], pairs.get_all("a"), pairs["A"])
    with pytest.raises(KeyError):
        pairs["b"]


def test_values_lose_the_white_space_around_them() -> None:
    head = b"GET / HTTP/1.1\r\nA: \t b c\t \r\nD:\r\nE:\xe9\r\n\r\n"
    assert [("A", "b c"), ("D", ""), ("E", "é")] == split_fields(head)


@pytest.mark.parametrize(
    "value", ["a\r\nb: c", "a\nb", "a\rb", "a\x00", "\x7f", " a", "a ", "\u0100"]
)
def test_a_value_that_breaks_the_message_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="header 'X'"):
        encode_field("X", value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", "a\x00", "(a)"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        encode_field(name, "x")


@given(st.text(), st.text())
def test_whatever_is_encoded_is_one_line(name: str, value: str) -> None:
    try:
        line = encode_field(name, value)
    except ValueError:
        return
    assert line.endswith(b"\r\n")
    assert [(name, value)] == split_fields(b"x\r\n" + line + b"\r\n")
