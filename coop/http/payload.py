"""The payload: what the body of a request means.

What lives here: the media type that a request declares, and its body as JSON.
What it must not know: how a body is received.  Stands on: errors, traps.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from coop.http.errors import HttpError
from coop.traps import Coop, operation

if TYPE_CHECKING:
    from coop.http.messages import Request

JSON: Final = "application/json"

_find_parameters: Final = re.compile(
    r';[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*+"|[^;"]*)'
).findall
_find_escapes: Final = re.compile(r"\\(.)")


def media_type(request: Request) -> tuple[str, dict[str, str]]:
    """Return the media type of a request's body, in lower case, and its parameters.

    Both are empty for a request without a Content-Type.
    """
    kind, semicolon, rest = request.headers.get("content-type", "").partition(";")
    parameters = {
        name.lower(): _unquote(value) for name, value in _find_parameters(semicolon + rest)
    }
    return kind.strip(" \t").lower(), parameters


def _unquote(value: str) -> str:
    if value.startswith('"'):
        return _find_escapes.sub(r"\1", value[1:-1])
    return value.strip(" \t")


def refuse_type(kind: str, accepted: str) -> NoReturn:
    """Raise 415, and say what would be accepted (RFC 9110 section 15.5.16)."""
    raise HttpError(415, f"content type {kind!r}, not {accepted}", (("Accept", accepted),))


@operation
def read_json(request: Request, max_bytes: int | None) -> Coop[Any]:
    """Read a body of JSON; see ``Request.json``."""
    kind, _ = media_type(request)
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        refuse_type(kind, JSON)
    data = yield from request.read(max_bytes)
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise HttpError(400, f"the body is not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
