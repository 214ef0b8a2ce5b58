"""Ranges and conditions: whether, and which part of, a representation is sent.

What lives here: the conditional fields of RFC 9110 section 13 and the byte ranges of section 14, as
questions about strings.  What it must not know: files, responses.
Stands on: the mapping of fields, errors.
"""

from __future__ import annotations

import email.utils
import re
from typing import Final, NamedTuple

from coop.http.errors import HttpError
from coop.http.fields import Headers, http_date

#: Most ranges that one request may ask for; a Range with more is ignored.
RANGE_COUNT: Final = 16

_TAG: Final = r'(?:W/)?"[!#-~\x80-\xff]*"'
_find_tags: Final = re.compile(_TAG).findall
_is_tag: Final = re.compile(_TAG).fullmatch
_split_ranges: Final = re.compile(r"bytes=([,0-9-][\t ,0-9-]*)", re.IGNORECASE).fullmatch
_split_range: Final = re.compile(r"([0-9]{1,32})-([0-9]{0,32})|-([0-9]{1,32})").fullmatch


class Span(NamedTuple):
    """Octets ``start`` to ``stop``, without the last."""

    start: int
    stop: int


class Validators(NamedTuple):
    """What tells one state of a representation from another."""

    #: An entity tag with its quotes, ``"v7"`` or weak, ``W/"v7"``; empty for none.
    tag: str = ""
    #: When it was last modified, in whole seconds since 1970, if that is known.
    modified: int | None = None

    def fields(self) -> list[tuple[str, str]]:
        """Return the fields that tell them: ETag, Last-Modified.

        Errors: ValueError for a tag without its quotes.
        """
        fields = []
        if self.tag:
            if not _is_tag(self.tag):
                raise ValueError(f"an entity tag has quotes around it, not {self.tag!r}")
            fields.append(("ETag", self.tag))
        if self.modified is not None:
            fields.append(("Last-Modified", http_date(self.modified)))
        return fields


def check_conditions(headers: Headers, validators: Validators) -> bool:
    """Tell whether the representation is to be sent; False means 304 (Not Modified).

    For GET and HEAD of something that exists, in the order of RFC 9110 section 13.2.2.  What cannot
    be parsed is ignored.  Errors: HttpError 412 when a precondition fails.
    """
    if "if-match" in headers:
        if not _has_tag(headers["if-match"], validators.tag, weakly=False):
            raise HttpError(412, "If-Match does not match")
    elif _is_later(validators.modified, headers.get("if-unmodified-since")):
        raise HttpError(412, "modified since If-Unmodified-Since")
    if "if-none-match" in headers:
        return not _has_tag(headers["if-none-match"], validators.tag, weakly=True)
    since = headers.get("if-modified-since")
    if since is None or parse_date(since) is None or validators.modified is None:
        return True
    return _is_later(validators.modified, since)


def parse_date(text: str) -> int | None:
    """Return a date in any of the three forms of RFC 9110 section 5.6.7 as seconds, or None."""
    try:
        parts = email.utils.parsedate_tz(text)
        return None if parts is None else int(email.utils.mktime_tz(parts))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def select_spans(headers: Headers, validators: Validators, size: int) -> list[Span] | None:
    """Return the parts of ``size`` octets that Range asks for, None for the whole.

    Overlapping and touching ranges are merged in one pass, so the parts never exceed the whole.
    A Range that is malformed, in other units, of more than 16 parts, or whose If-Range does not
    hold, is ignored (RFC 9110 sections 13.1.5 and 14.2).
    Errors: HttpError 416 when it asks for nothing that is there.
    """
    asked = _split_ranges(headers.get("range", ""))
    if asked is None or not _holds_if_range(headers.get("if-range"), validators):
        return None
    items = [item for item in (part.strip(" \t") for part in asked[1].split(",")) if item]
    if not 0 < len(items) <= RANGE_COUNT:
        return None
    spans = []
    for item in items:
        span = _parse_span(item, size)
        if span is None:
            return None
        if span.start < span.stop:
            spans.append(span)
    if not spans:
        raise HttpError(416, "no such range", (("Content-Range", f"bytes */{size}"),))
    merged = _merge(spans)
    return merged if len(merged) < len(spans) else spans  # in the order asked for


def _parse_span(item: str, size: int) -> Span | None:
    """Return the span of one range, empty when it lies behind the end; None when malformed."""
    parts = _split_range(item)
    if parts is None:
        return None
    first, last, suffix = parts.groups()
    if suffix is not None:
        return Span(max(0, size - int(suffix)), size)
    start = int(first)
    if last and int(last) < start:
        return None
    return Span(start, min(size, int(last) + 1) if last else size)


def _merge(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].stop:
            merged[-1] = Span(merged[-1].start, max(merged[-1].stop, span.stop))
        else:
            merged.append(span)
    return merged


def _has_tag(condition: str, tag: str, *, weakly: bool) -> bool:
    """Tell whether a list of entity tags holds this one (RFC 9110 section 8.8.3.2)."""
    if condition.strip(" \t") == "*":
        return True
    tags = _find_tags(condition)
    if not weakly:
        return tag in tags and not tag.startswith("W/")
    opaque = tag.removeprefix("W/")
    return bool(tag) and (opaque in tags or f"W/{opaque}" in tags)


def _is_later(modified: int | None, date: str | None) -> bool:
    """Tell whether it was modified after the date; False without a date, or with a bad one."""
    limit = parse_date(date or "")
    return limit is not None and modified is not None and modified > limit


def _holds_if_range(condition: str | None, validators: Validators) -> bool:
    """Tell whether If-Range names just this representation: its tag, or its very date."""
    if condition is None:
        return True
    if condition == validators.tag:
        return not condition.startswith("W/")
    return validators.modified is not None and parse_date(condition) == validators.modified
