"""The head of a request: the strict rules, each with the section of the RFC that it comes from.

What lives here: judging lines, the request line, fields and what they say of the message's framing.
Every function answers a question about bytes or raises HttpError; none keeps state.
What it must not know: where the bytes come from.  Stands on: fields, limits, errors.

The order of the judgement is the order of the bytes, so that the verdict on a head is the same
however it was cut: a line is judged for its octets, then its length, then its grammar, and what the
fields mean together when the empty line has come.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from coop.http.errors import HttpError
from coop.http.fields import TOKEN_OCTETS, VALUE_OCTETS

#: The methods that the parser knows, but for CONNECT; others get 501 (RFC 9110 section 9.1).
_METHOD_NAMES: Final = (
    "ACL", "BIND", "CHECKOUT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK",
    "M-SEARCH", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH",
    "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH",
    "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
)  # fmt: skip
METHODS: Final = {name.encode(): name for name in _METHOD_NAMES}

#: A host (RFC 3986 section 3.2.2): a name, an IPv4 address or a bracketed IPv6 one; no comma.
_HOST_NAME: Final = (
    rb"(?:[A-Za-z0-9._~!$&'()*+;=-]++(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~!$&'()*+;=-]*+)*+"
    rb"|\[[0-9A-Fa-f:.]++\])"
)
#: A host with an optional port, and without user information (RFC 9110 section 4.2.4).
HOST: Final = _HOST_NAME + rb"(?::[0-9]{0,5}+)?"
#: What may stand in a target: printable US-ASCII without the fragment's number sign.
TARGET_OCTETS: Final = rb"!\"$-~"

_CR: Final = 0x0D
_find_bad_octet: Final = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)|(?<!\r)\n"
).search
_begins_too_long: Final = re.compile(
    rb"[%b]{%d}" % (TOKEN_OCTETS, max(map(len, METHODS)) + 1)
).match
_split_request_line: Final = re.compile(
    rb"([" + TOKEN_OCTETS + rb"]++) ([!-~]++) HTTP/([0-9])\.([0-9])"
).fullmatch
_is_origin_form: Final = re.compile(rb"/[" + TARGET_OCTETS + rb"]*+").fullmatch
_is_absolute_form: Final = re.compile(
    rb"[Hh][Tt][Tt][Pp][Ss]?://" + HOST + rb"(?:[/?][" + TARGET_OCTETS + rb"]*+)?"
).fullmatch
_is_authority_form: Final = re.compile(_HOST_NAME + rb":[0-9]{1,5}").fullmatch
_is_field: Final = re.compile(rb"[" + TOKEN_OCTETS + rb"]++:[" + VALUE_OCTETS + rb"]*+").fullmatch
_is_host: Final = re.compile(HOST).fullmatch
_is_length: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_is_token: Final = re.compile(rb"[" + TOKEN_OCTETS + rb"]++").fullmatch

#: Finds the fields that frame a message: (a well-formed Host, "", "") or ("", name, value).
find_framing_fields: Final = re.compile(
    rb"\n(?=[HhCcTtEe])(?:[Hh][Oo][Ss][Tt]:[ \t]*+(" + HOST + rb")[ \t]*+\r"
    rb"|([Hh](?i:ost)|[Cc](?i:ontent-length|onnection)|[Tt](?i:ransfer-encoding)|[Ee](?i:xpect))"
    rb":([^\r]*+))"
).findall


class RequestLine(NamedTuple):
    """A request line that passed."""

    method: str
    target: bytes
    #: The minor version, as received: 0 to 9.
    minor: int


class Framing(NamedTuple):
    """What a head says of the body behind it, and of the connection after it."""

    #: Octets of the body; 0 when there is none, None when it comes in chunks.
    content_length: int | None = 0
    #: Whether another request may follow on the connection.
    keep_alive: bool = True
    #: Whether the client waits for 100 (Continue) before it sends the body.
    expects_continue: bool = False


NO_BODY: Final = Framing()
"""The framing of a plain HTTP/1.1 request without a body."""


def find_line_end(
    buffer: bytes, start: int, stop: int, limit: int, too_long: int, known: int = 0
) -> int:
    """Return the offset of the CRLF that ends the line at ``start``, or -1 while there is none.

    Looks no further than ``stop``.  A line is at most ``limit`` octets long, else HttpError with
    status ``too_long``.  400 for a bare CR, a bare LF (RFC 9112 section 2.2 lets a server take it
    for a line end: smuggling lives there, so we do not), NUL and the other control characters
    (RFC 9110 section 5.5), whichever comes first.

    ``known``: so many octets of the line were seen before, and are not looked at again: a line of
    8 KiB that comes octet by octet would take a second.
    """
    edge = min(stop, start + limit + 2)
    resume = start + max(0, known - 1)  # a CR that was the last may be a bare one by now
    newline = buffer.find(b"\n", resume, edge)
    seen = edge if newline < 0 else newline + 1
    bad = start if newline == start else -1
    if bad < 0 and (found := _find_bad_octet(buffer, resume, seen)):
        bad = found.start()
    if 0 <= bad <= start + limit:
        raise HttpError(400, f"octet 0x{buffer[bad]:02x} where none may be in a line")
    if bad >= 0 or (newline < 0 and seen - start > limit and buffer[start + limit] != _CR):
        raise HttpError(too_long, f"line longer than {limit} bytes")
    return newline - 1 if newline >= 0 else -1


def judge_request_line(line: bytes) -> RequestLine:
    """Take a request line apart (RFC 9112 section 3): method SP target SP version, one SP each.

    400 for bad syntax.  505 for another major version than 1, so also for the preface of HTTP/2
    (RFC 9113 section 3.4).  A higher minor version is served as 1.1 (RFC 9110 section 2.5).
    501 for a method we do not know, and for CONNECT.
    """
    parts = _split_request_line(line)
    if parts is None:
        raise HttpError(400, "request line is not 'method target HTTP/1.1'")
    name, target, major, minor = parts.groups()
    if major != b"1":
        raise HttpError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    judge_target(name, target)
    method = METHODS.get(name)
    if method is None:
        raise HttpError(501, "method not implemented")
    return RequestLine(method, target, int(minor))


def judge_method_length(buffer: bytes, start: int) -> None:
    """Raise 501 for a method longer than any that we know (RFC 9112 section 3), once that shows.

    So garbage without an end of line is refused at once, not when a limit or deadline ends it.
    """
    if _begins_too_long(buffer, start):
        raise HttpError(501, "method not implemented")


def judge_target(method: bytes, target: bytes) -> None:
    """Accept one of the four forms of a target (RFC 9112 section 3.2), or raise 400.

    Origin form ``/path?query``; absolute form with http or https, a host and no user information
    (RFC 9110 section 4.2.4); authority form ``host:port`` for CONNECT alone; ``*`` for OPTIONS
    alone.  No form has a fragment, a control character or an octet above 0x7E.
    """
    if method == b"CONNECT":
        is_good = _is_authority_form(target) is not None
    elif target == b"*":
        is_good = method == b"OPTIONS"
    else:
        is_good = bool(_is_origin_form(target) or _is_absolute_form(target))
    if not is_good:
        raise HttpError(400, "request target is in none of the forms its method may have")


def judge_field(line: bytes) -> None:
    """Accept a field line (RFC 9112 section 5) or raise 400.

    The name is a token and the colon follows it at once (section 5.1); a line that begins with
    white space would continue the line before, obs-fold, which is refused (section 5.2).
    """
    if _is_field(line):
        return
    if line[:1] in b" \t":
        raise HttpError(400, "field line begins with white space (obs-fold)")
    raise HttpError(400, "field line is not 'name: value'")


def judge_framing(head: bytes, minor: int) -> Framing:
    """Say how the message behind this head ends; 400, 417 or 501 when there is any doubt."""
    found: dict[bytes, list[bytes]] = {}
    for host, name, value in find_framing_fields(head):
        key = b"host" if host else name.lower()
        found.setdefault(key, []).append(host or value.strip(b" \t"))
    judge_host(found.get(b"host", []), minor)
    length = judge_length(found.get(b"content-length", []))
    codings = found.get(b"transfer-encoding")
    if codings is not None:
        judge_codings(codings, minor)
        if length is not None:
            raise HttpError(400, "both Transfer-Encoding and Content-Length")
    return Framing(
        None if codings is not None else length or 0,
        judge_connection(found.get(b"connection", []), minor),
        judge_expectation(found.get(b"expect", []), minor),
    )


def judge_host(hosts: list[bytes], minor: int) -> None:
    """Demand exactly one well-formed Host (RFC 9112 section 3.2); HTTP/1.0 may have none."""
    if not hosts and minor == 0:
        return
    if len(hosts) != 1:
        raise HttpError(400, "Host is missing" if not hosts else "more than one Host")
    if not _is_host(hosts[0]):
        raise HttpError(400, "Host is not a host with an optional port")


def judge_length(lengths: list[bytes]) -> int | None:
    """Return the Content-Length, None without one (RFC 9112 section 6.2, RFC 9110 section 8.6).

    1 to 18 ASCII digits, once: repeats and lists are refused even where they agree.
    """
    if not lengths:
        return None
    if len(lengths) != 1:
        raise HttpError(400, "more than one Content-Length")
    if not _is_length(lengths[0]):
        raise HttpError(400, "Content-Length is not 1 to 18 digits")
    return int(lengths[0])


def judge_codings(values: list[bytes], minor: int) -> None:
    """Accept ``chunked`` alone as Transfer-Encoding (RFC 9112 sections 6.1, 6.3 and 7).

    400 in HTTP/1.0, for an empty or malformed list, and where chunked is not the last coding or
    comes twice: the length cannot be known.  501 for a coding that we do not decode.
    """
    if minor == 0:
        raise HttpError(400, "Transfer-Encoding in HTTP/1.0")
    codings = [coding.strip(b" \t").lower() for value in values for coding in value.split(b",")]
    if codings == [b"chunked"]:
        return
    if not all(map(_is_token, codings)):
        raise HttpError(400, "Transfer-Encoding is not a list of codings")
    if codings.count(b"chunked") > 1 or (b"chunked" in codings and codings[-1] != b"chunked"):
        raise HttpError(400, "chunked is not the last transfer coding, or not alone")
    raise HttpError(501, "only the transfer coding 'chunked' is understood")


def judge_connection(values: list[bytes], minor: int) -> bool:
    """Say whether the connection may go on after this exchange (RFC 9112 section 9.3)."""
    if not values:
        return minor > 0
    options = [option.strip(b" \t").lower() for value in values for option in value.split(b",")]
    return b"close" not in options and (minor > 0 or b"keep-alive" in options)


def judge_expectation(values: list[bytes], minor: int) -> bool:
    """Say whether the client waits for 100 (Continue) (RFC 9110 section 10.1.1).

    417 for any other expectation; HTTP/1.0 clients cannot expect anything.
    """
    if not values or minor == 0:
        return False
    wishes = {wish.strip(b" \t").lower() for value in values for wish in value.split(b",")}
    if wishes != {b"100-continue"}:
        raise HttpError(417, "the only expectation that can be met is 100-continue")
    return True
