"""Negotiation: which of several representations suits what a client says it accepts.

What lives here: the fields of RFC 9110 section 12.5, Accept and Accept-Encoding, as questions about
strings.  What it must not know: messages, files.  Stands on: the standard library alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_split_item: Final = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z/-]+)[ \t]*((?:;[^;]*)*)", re.ASCII
).fullmatch
_find_weight: Final = re.compile(r"(?i);[ \t]*q[ \t]*=[ \t]*([^; \t]*)").search
_is_weight: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)").fullmatch
#: Most items of one field that are looked at.
_ITEM_COUNT: Final = 100


def parse_weights(field: str) -> dict[str, float]:
    """Return each item of a field like Accept, in lower case, with its weight from 0 to 1.

    Parameters but ``q`` are dropped, and so is what cannot be parsed.
    """
    weights: dict[str, float] = {}
    for item in field.split(",", _ITEM_COUNT)[:_ITEM_COUNT]:
        parts = _split_item(item)
        if parts is None:
            continue
        weight = _find_weight(parts[2])
        if weight is None:
            weights[parts[1].lower()] = 1.0
        elif _is_weight(weight[1]):
            weights[parts[1].lower()] = float(weight[1])
    return weights


def choose_coding(field: str | None, offers: Iterable[str]) -> str | None:
    """Return the content coding that the client prefers among these, None to send it as it is.

    ``field`` is Accept-Encoding.  Offers of equal weight are taken in the order given; a coding
    that is accepted is preferred to none, unless ``identity`` has a greater weight.
    Source: RFC 9110 section 12.5.3; where even the plain form is refused, it is sent all the same.
    """
    if not field:
        return None
    weights = parse_weights(field)
    if "x-gzip" in weights:
        weights.setdefault("gzip", weights["x-gzip"])
    best, best_weight = None, weights.get("identity", 0.0)
    for offer in offers:
        weight = weights.get(offer, weights.get("*", 0.0))
        if weight > best_weight or (best is None and 0 < weight == best_weight):
            best, best_weight = offer, weight
    return best


def choose_type(field: str | None, offers: Iterable[str]) -> str | None:
    """Return the media type that the client prefers among these, None when it accepts none.

    ``field`` is Accept; without one, the first offer.  The more specific of two ranges that match
    counts (RFC 9110 section 12.5.1); offers of equal weight are taken in the order given.
    """
    weights = parse_weights("*/*" if field is None or not field.strip() else field)
    best, best_weight = None, 0.0
    for offer in offers:
        kind = offer.partition(";")[0].strip().lower()
        ranges = (kind, kind.partition("/")[0] + "/*", "*/*")
        weight = next((weights[each] for each in ranges if each in weights), 0.0)
        if weight > best_weight:
            best, best_weight = offer, weight
    return best
