"""Forwarded: what the proxies in front of a server say about a request that they pass on.

What lives here: Forwarding, who is believed and in which fields, and Origin, what was said.
What it must not know: connections, requests.  Stands on: address, proxies, fields, head.
Source: RFC 7239; the X-Forwarded fields have no standard, and are read as proxies write them.

Each proxy adds at the right end whom it had the request from.  So a list is believed from the
right, as long as those who wrote it are trusted: the first address that is no trusted proxy's is
the client's, and what stands left of it, which the client may have written, is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from coop.address import AF_UNIX, Address, ipv4, ipv6
from coop.http.fields import Headers
from coop.http.head import HOST
from coop.proxies import TrustedPeers

_FOR, _PROTO, _HOST = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"
_FORWARDED: Final = "forwarded"
#: What is believed unless told otherwise: what nearly every proxy is set up to send.
DEFAULT_FIELDS: Final = (_FOR, _PROTO)
#: How many commas the quoted strings of one element may have: a host and an address have none.
_MOST_COMMAS: Final = 8
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PAIR: Final = rf'({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*+")'
_SPACE: Final = r"[ \t]*+"
_is_element: Final = re.compile(
    rf"{_SPACE}(?:{_PAIR})?+{_SPACE}(?:;{_SPACE}(?:{_PAIR})?+{_SPACE})*+"
).fullmatch
_find_pairs: Final = re.compile(_PAIR).findall
_unescape: Final = re.compile(r"\\(.)")
_is_node: Final = re.compile(
    r"(?:(?P<v4>[0-9.]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?:(?P<port>[0-9]{1,5})|_[A-Za-z0-9._-]+))?"
).fullmatch
_is_bare_ipv6: Final = re.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*").fullmatch
_is_host: Final = re.compile(HOST.decode()).fullmatch


class Origin(NamedTuple):
    """Where a request came from; what nobody trusted has said is None."""

    peer: Address | None
    scheme: str | None = None
    host: str | None = None


class Forwarding:
    """Whose word is believed about where requests come from, and in which fields.

    ``trusted`` are addresses, networks, ``unix`` or ``*``, as for ``coop.TrustedPeers``.
    ``fields`` are those that the proxies set, or add to, on each request, since what they only let
    pass is anybody's: some of X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, or
    Forwarded (RFC 7239) alone.
    Errors: ValueError for other names, and for both kinds at once.
    """

    __slots__ = ("_fields", "_recall", "_trusted")

    def __init__(self, trusted: Iterable[str], fields: Iterable[str] = DEFAULT_FIELDS) -> None:
        if isinstance(fields, str):
            raise TypeError(f"fields are a list of names, such as [{fields!r}]")
        self._trusted = TrustedPeers(trusted)
        names = {name.lower() for name in fields}
        if names != {_FORWARDED} and not {_FOR, _PROTO, _HOST} >= names > set():
            raise ValueError(
                f"no such fields to believe: {', '.join(sorted(names)) or 'none'}: give "
                "'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', or 'Forwarded' alone"
            )
        self._fields = sorted(names)
        # Asked several times for one request: 1 µs instead of 16.  Few, for the values may be long.
        self._recall = lru_cache(maxsize=64)(self._read)

    def origin(self, peer: Address | None, headers: Headers) -> Origin:
        """Return where a request with these fields, sent by this peer, came from.

        What cannot be read is nobody's: the client is then who sent it on, the last whose address
        is known.  Errors: none.
        """
        return self._recall(peer, *(headers.get(name, "") for name in self._fields))

    def _read(self, peer: Address | None, *values: str) -> Origin:
        if peer not in self._trusted:
            return Origin(peer)
        said = dict(zip(self._fields, values, strict=True))
        if _FORWARDED in said:
            return self._follow_elements(peer, said[_FORWARDED])
        peer, steps = self._follow_addresses(peer, _entries(said.get(_FOR, "")))
        scheme, host = (_entry_at(steps, _entries(said.get(name, ""))) for name in (_PROTO, _HOST))
        return Origin(peer, _SCHEMES.get(scheme.lower()), host if _is_host(host) else None)

    def _follow_addresses(
        self, peer: Address | None, entries: list[str]
    ) -> tuple[Address | None, int]:
        """Return the client, and how many entries from the right tell of it."""
        steps = 0
        for entry in reversed(entries):
            steps += 1
            address = _read_entry(entry)
            if address is None:
                break
            peer = address
            if peer not in self._trusted:
                break
        return peer, steps

    def _follow_elements(self, peer: Address | None, text: str) -> Origin:
        scheme = host = None
        for element in _elements(text):
            scheme = _SCHEMES.get(element.get("proto", "").lower(), scheme)
            said = element.get("host", "")
            host = said if _is_host(said) else host
            address = _read_node(element.get("for", ""))
            if address is None:
                break
            peer = address
            if peer not in self._trusted:
                break
        return Origin(peer, scheme, host)

    def __repr__(self) -> str:
        return f"<forwarding {', '.join(self._fields)} by {self._trusted!r}>"


def as_forwarding(forwarded_by: Iterable[str] | Forwarding | None) -> Forwarding | None:
    """Make what a server is given into a Forwarding, unless it is one, or nobody is believed."""
    if forwarded_by is None or isinstance(forwarded_by, Forwarding):
        return forwarded_by
    return Forwarding(forwarded_by)


def _entries(text: str) -> list[str]:
    """Return the entries of a list; empty ones are none (RFC 9110 section 5.6.1)."""
    return [entry for part in text.split(",") if (entry := part.strip(" \t"))]


def _entry_at(steps: int, entries: list[str]) -> str:
    """Return the entry so many steps from the right, the first if there are fewer."""
    return entries[-min(max(steps, 1), len(entries))] if entries else ""


def _read_entry(text: str) -> Address | None:
    """Read an address of X-Forwarded-For; None for what is none."""
    if text == "unix:" and AF_UNIX is not None:  # as nginx says that it was over a unix socket
        return Address.from_sockaddr(AF_UNIX, "")
    is_bare = _is_bare_ipv6(text) and text.count(":") > 1
    return _read_node(f"[{text}]" if is_bare else text)


def _read_node(text: str) -> Address | None:
    """Read an address with or without a port; None for ``unknown``, ``_hidden`` and all else.

    Source: RFC 7239 section 6.
    """
    node = _is_node(text)
    if node is None:
        return None
    port = int(node["port"] or 0)
    try:
        return ipv4(node["v4"], port) if node["v4"] else ipv6(node["v6"], port).unmapped()
    except ValueError:
        return None


def _elements(text: str) -> Iterator[dict[str, str]]:
    """Yield the elements of Forwarded from the right, as far as they can be read.

    From the right too each begins, so that a quote which a client has left open does not swallow
    what a proxy has added.  A comma inside of a quoted string is no beginning: what would begin
    there has a lone quote at its end.
    """
    end = len(text)
    while end >= 0:
        start = end
        for _ in range(_MOST_COMMAS + 1):
            start = text.rfind(",", 0, start)
            if start < 0 or _is_element(text, start + 1, end):
                break
        if not _is_element(text, start + 1, end):
            return
        pairs = _find_pairs(text, start + 1, end)
        element = {name.lower(): _unquote(value) for name, value in pairs}
        if len(element) < len(pairs):
            return  # a parameter twice: which one is meant?
        if element:
            yield element
        end = start


def _unquote(value: str) -> str:
    return _unescape.sub(r"\1", value[1:-1]) if value.startswith('"') else value
