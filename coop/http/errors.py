"""Errors: the one exception that is an HTTP answer.

What lives here: HttpError.  What it must not know: messages, connections.
Stands on: the exception family of coop.
"""

from __future__ import annotations

from http import HTTPStatus

from coop.outcomes import CoopError


class HttpError(CoopError):
    """Something that is answered with this status instead of a response.

    A handler may raise it.  The codec raises it for a request that cannot be trusted; the
    connection is then closed behind the answer.  ``message`` is for the log and for tests: it names
    the rule that was broken and is never sent.  ``headers`` are added to the answer.
    """

    def __init__(
        self, status: int, message: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"an HttpError has a status from 400 to 599, not {status!r}")
        super().__init__(status, message or HTTPStatus(status).phrase)
        self.status = status
        self.message = message or HTTPStatus(status).phrase
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status} {self.message}"
