"""Header fields: their grammar, and a mapping that reads them.

What lives here: the patterns of RFC 9110 section 5 in bytes, the check of fields that a program
wants to send, and the read-only multi-mapping that requests and responses hand out.
What it must not know: messages, connections.  Stands on: the standard library alone.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

#: One octet of a token (RFC 9110 section 5.6.2), as the inside of a character class.
TOKEN_OCTETS: Final = rb"!#$%&'*+.^_`|~0-9A-Za-z-"
#: One octet of a field value (RFC 9110 section 5.5): HTAB, SP, VCHAR and obs-text.
VALUE_OCTETS: Final = rb"\t -~\x80-\xff"

_is_token: Final = re.compile(rb"[" + TOKEN_OCTETS + rb"]++").fullmatch
_is_value: Final = re.compile(rb"[" + VALUE_OCTETS + rb"]*+").fullmatch
_find_fields: Final = re.compile(rb"\n([^:\r\n]++):[ \t]*+([^\r\n]*+)").findall

HeaderPairs = Mapping[str, str] | Iterable[tuple[str, str]]
"""What a program may give as headers: a mapping, or pairs where a name may come twice."""


def split_fields(head: bytes) -> list[tuple[str, str]]:
    """Return (name, value) of each field line of a head that was already judged.

    Values come without the white space around them, as latin-1: one character per octet.
    """
    text = "latin-1"
    return [
        (name.decode(text), value.rstrip(b" \t").decode(text)) for name, value in _find_fields(head)
    ]


def encode_field(name: str, value: str) -> bytes:
    """Return the field as a line to send, with its CRLF.

    Raises ValueError for a name that is no token, or a value that could end the line: CR, LF, NUL
    and the other control characters, white space around it, or a character outside latin-1.
    TypeError for what is no text.
    """
    try:
        name_octets, value_octets = name.encode("ascii"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"header {name!r}: {value!r} has characters HTTP cannot carry") from None
    except AttributeError:
        raise TypeError(_no_texts(name, value)) from None
    if not _is_token(name_octets):
        raise ValueError(f"header name {name!r} is not a token (RFC 9110 section 5.1)")
    if not _is_value(value_octets) or value_octets != value_octets.strip(b" \t"):
        raise ValueError(f"header {name!r} has a control character or stray space: {value!r}")
    return b"%b: %b\r\n" % (name_octets, value_octets)


def check_fields(headers: object) -> None:
    """Raise TypeError, with what is wanted, for what is no mapping of texts and no pairs of them.

    For those to whom something has gone wrong with them: it takes longer than to encode them.
    """
    if isinstance(headers, (str, bytes)) or not isinstance(headers, Iterable):
        raise TypeError(f"headers are a mapping, or pairs (name, value), not {headers!r}") from None
    for field in headers:
        pair: Any = () if isinstance(field, (str, bytes)) else field
        try:
            name, value = pair
        except (TypeError, ValueError):
            raise TypeError(
                f"headers are a mapping, or pairs (name, value), and {field!r} is no pair"
            ) from None
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(_no_texts(name, value)) from None


def _no_texts(name: object, value: object) -> str:
    wrong = value if isinstance(name, str) else name
    return f"header {name!r}: name and value are str, not {type(wrong).__name__}: {wrong!r}"


@lru_cache(maxsize=256)
def http_date(seconds: float) -> str:
    """Return a time, in seconds since 1970, as HTTP writes it (RFC 9110 section 5.6.7)."""
    return email.utils.formatdate(seconds, usegmt=True)


def drop_field(lines: bytes, name: str) -> bytes:
    """Return field lines, each with its CRLF, without those of this name."""
    prefix = name.lower().encode("latin-1", "replace") + b":"
    kept = [line for line in lines.splitlines(keepends=True) if not line.lower().startswith(prefix)]
    return b"".join(kept)


class Pairs(Mapping[str, str]):
    """Map names to values, where a name may have several values.

    A mapping lists each name once; ``get_all`` and ``pairs`` show the repeats, in order.
    """

    __slots__ = ("_values", "pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        #: Every (name, value) in the order received.
        self.pairs: Final = tuple(pairs)
        self._values: dict[str, list[str]] = {}
        for name, value in self.pairs:
            self._values.setdefault(self._key(name), []).append(value)

    @staticmethod
    def _key(name: str) -> str:
        return name

    def __getitem__(self, name: str) -> str:
        return self._values[self._key(name)][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get_all(self, name: str) -> list[str]:
        """Return every value of this name in the order received; an empty list for none."""
        return list(self._values.get(self._key(name), ()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.pairs)!r})"


class Headers(Pairs):
    """Map field names, in any case, to values; iterates names in lower case.

    A field that came several times reads as one value, joined by ", " (RFC 9110 section 5.3; a
    Cookie by "; ", RFC 6265 section 5.4).
    """

    __slots__ = ()

    @staticmethod
    def _key(name: str) -> str:
        return name.lower()

    def __getitem__(self, name: str) -> str:
        key = name.lower()
        return ("; " if key == "cookie" else ", ").join(self._values[key])
