"""The pages that the server itself answers with: what an error says when nobody made it nicer.

What lives here: ``error_page``.  What it must not know: what went wrong.  Stands on: messages.
"""

from __future__ import annotations

from http import HTTPStatus

from coop.http.messages import Response


def error_page(status: int, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return the answer to an error: its number and name, and nothing that could tell on us."""
    return Response(f"{status} {HTTPStatus(status).phrase}\n", status, headers)
