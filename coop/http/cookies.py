"""Cookies: reading the Cookie field, and writing Set-Cookie.

What lives here: the two directions of RFC 6265, each as a question about strings.  Reading takes
whatever comes and never fails; writing lets nothing pass that could break the field.
What it must not know: messages.  Stands on: the mapping of fields.

Not ``http.cookies``: it gives up a whole field for one odd cookie, reads and writes octal escapes
that no browser knows, and passes a semicolon in Path or Domain.
"""

from __future__ import annotations

import math
import re
from typing import Final

from coop.http.fields import Pairs

#: Most bytes of a cookie's name and value that browsers keep (RFC 6265 section 6.1).
COOKIE_BYTES: Final = 4096
_SAME_SITE: Final = ("Strict", "Lax", "None")
_EXPIRED: Final = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"

_is_name: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_value: Final = re.compile(r"[!#-+\--:<-\[\]-~]*").fullmatch
_is_path: Final = re.compile(r"/[ -:<-~]*").fullmatch
_is_domain: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?").fullmatch


def parse_cookies(field: str) -> Pairs:
    """Return the cookies of a Cookie field, given as one character per octet.

    What has no ``=`` or no name is skipped; white space and one pair of quotes around a value are
    dropped; what is not UTF-8 becomes U+FFFD.  Of a name that comes twice the first is the one of
    the more specific path (RFC 6265 section 5.4).  Errors: none.
    """
    text = field.encode("latin-1", "replace").decode("utf-8", "replace")
    pairs = []
    for item in text.split(";"):
        name, is_pair, value = item.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if is_pair and name:
            pairs.append((name, value))
    return Pairs(pairs)


def format_cookie(
    name: str,
    value: str,
    *,
    max_age: float | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = True,
    same_site: str | None = "Lax",
) -> str:
    """Return the value of a Set-Cookie field; see ``Response.set_cookie``."""
    if max_age is not None and not math.isfinite(max_age):
        raise ValueError(f"max_age is a number of seconds, not {max_age!r}")
    _check_pair(name, value)
    _check_rules(name, path, domain, secure, same_site)
    parts = [f"{name}={value}"]
    if max_age is not None:
        parts.append(f"Max-Age={max(0, int(max_age))}")
        if max_age <= 0:
            parts.append(_EXPIRED)
    if path is not None:
        parts.append(f"Path={path}")
    if domain is not None:
        parts.append(f"Domain={domain}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    if same_site is not None:
        parts.append(f"SameSite={same_site}")
    return "; ".join(parts)


def _check_pair(name: str, value: str) -> None:
    if not _is_name(name):
        raise ValueError(f"cookie name {name!r} is not a token (RFC 6265 section 4.1.1)")
    if not _is_value(value):
        raise ValueError(
            f"the value of cookie {name!r} has characters a cookie cannot carry; "
            "encode it, with urllib.parse.quote for example"
        )
    if len(name) + len(value) > COOKIE_BYTES:
        raise ValueError(f"cookie {name!r} is longer than {COOKIE_BYTES} bytes: browsers drop it")


def _check_rules(
    name: str, path: str | None, domain: str | None, secure: bool, same_site: str | None
) -> None:
    """Refuse what could break the field, and what browsers would silently drop."""
    if path is not None and not _is_path(path):
        raise ValueError(f"cookie path {path!r} does not begin with '/', or has a ';' in it")
    if domain is not None and not _is_domain(domain):
        raise ValueError(f"cookie domain {domain!r} is not the name of a host")
    if same_site is not None and same_site not in _SAME_SITE:
        raise ValueError(f"same_site is one of {', '.join(_SAME_SITE)}, not {same_site!r}")
    lower = name.lower()
    if not secure and (same_site == "None" or lower.startswith(("__secure-", "__host-"))):
        raise ValueError(f"cookie {name!r} must be secure: its prefix or SameSite=None demands it")
    if lower.startswith("__host-") and (path != "/" or domain is not None):
        raise ValueError(f"cookie {name!r} must have path '/' and no domain: its prefix demands it")
