"""Replies: responses of a kind, each made by one call.

What lives here: redirects, JSON, and the answer to a client that has it already.
What it must not know: connections, files.  Stands on: messages, ranges' conditions.
"""

from __future__ import annotations

import re
from json import dumps
from typing import Any, Final
from urllib.parse import quote

from coop.http.errors import HttpError
from coop.http.fields import HeaderPairs
from coop.http.messages import Request, Response
from coop.http.ranges import Validators, check_conditions

_REDIRECTS: Final = (301, 302, 303, 307, 308)
#: What may stand in a Location as it is (RFC 3986 section 2), the percent sign included.
_URI_CHARACTERS: Final = "!#$%&'()*+,/:;=?@[]~"
_leads_elsewhere: Final = re.compile(r"[/\\]{2}|\\|[A-Za-z][A-Za-z0-9+.-]*:").match
_has_control: Final = re.compile(r"[\x00-\x20\x7f]").search


def redirect(location: str, status: int = 303, *, elsewhere: bool = False) -> Response:
    """Answer that the client is to go to another address.

    303 (See Other) makes it a GET, as behind a form; 307 and 308 repeat the request as it was;
    301 and 308 are for ever, and remembered.  What is not ASCII is percent-encoded.
    An address on another host, such as ``https://…`` or ``//…``, needs ``elsewhere=True``: so
    ``redirect(form["next"])`` cannot be made to lead a visitor away.
    Errors: ValueError for such an address, a control character or space in it, another status.
    """
    if status not in _REDIRECTS:
        raise ValueError(f"a redirect has one of the statuses {_REDIRECTS}, not {status!r}")
    if _has_control(location):
        raise ValueError(f"a location has no spaces or control characters: {location!r}")
    if not elsewhere and _leads_elsewhere(location):
        raise ValueError(f"{location!r} leads to another host; elsewhere=True, if that is meant")
    return Response(b"", status, [("Location", quote(location, _URI_CHARACTERS))])


def json(value: Any, status: int = 200, headers: HeaderPairs = ()) -> Response:
    """Answer with a value as JSON, in UTF-8 and without spaces.

    Errors: TypeError for what JSON cannot express, ValueError for NaN and the infinities.
    """
    text = dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    response = Response(text.encode(), status, headers)
    response.set_header("Content-Type", "application/json")
    return response


def revalidate(request: Request, validators: Validators) -> Response | None:
    """Return the 304 for a client that has this representation already, else None.

    ::

        now = coop.http.Validators('"v7"')
        return coop.http.revalidate(request, now) or coop.http.json(rows, headers=now.fields())

    For other methods than GET and HEAD it tells whether the request may be carried out.
    Errors: HttpError 412 when a precondition fails (RFC 9110 section 13).
    """
    if check_conditions(request.headers, validators):
        return None
    if request.method not in ("GET", "HEAD"):
        raise HttpError(412, "If-None-Match matches")
    return Response(b"", 304, validators.fields())
