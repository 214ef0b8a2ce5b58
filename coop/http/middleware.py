"""Middleware: functions around a handler, which are handlers themselves.

What lives here: the one wait for whatever a handler returns, and the middleware that makes pages of
errors.  What it must not know: connections.  Stands on: messages, errors, groups' view of
coroutines.

A middleware is a plain function that takes a handler and returns one::

    def timed(handler):
        def wrapped(request):
            watch = coop.Stopwatch()
            response = yield from coop.http.answer(handler, request)
            response.set_header("Server-Timing", f"app;dur={watch.elapsed * 1000:.1f}")
            return response
        return wrapped
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from coop.groups import as_generator
from coop.http.errors import HttpError
from coop.http.messages import Request, Response
from coop.traps import Coop, operation

logger = logging.getLogger("coop.http")

Handler = Callable[[Request], Any]
"""What answers a request: with a Response, or with a generator or coroutine that returns one."""

ErrorPage = Callable[[Request, HttpError], Any]
"""A handler of errors: it is given the request and what went wrong."""


@operation
def answer(handler: Callable[..., Any], *args: Any) -> Coop[Response]:
    """Call a handler of any kind, plain, generator or ``async def``, and wait for its Response.

    ``response = yield from coop.http.answer(handler, request)``.
    Errors: the handler's; TypeError when it answers with something else.
    """
    response = handler(*args)
    if hasattr(response, "send") or hasattr(response, "__await__"):
        response = yield from as_generator(response)
    if not isinstance(response, Response):
        raise TypeError(f"the handler answered {response!r}: return a coop.http.Response")
    return response


def error_pages(handler: Handler, page: ErrorPage) -> Handler:
    """Answer a handler's errors with pages of your own: ``page(request, error)``.

    ``error.status`` and ``error.headers`` are for the answer, and the headers (Allow, Retry-After)
    are added to it where it lacks them; ``error.message`` is for the log.  A handler that fails is
    logged with its traceback; ``page`` is told of a 500 and nothing more.  A connection that broke
    is passed on, and so is an error of ``page`` itself: the server's own page answers that one.
    """

    def wrapped(request: Request) -> Coop[Response]:
        try:
            return (yield from answer(handler, request))
        except HttpError as error:
            told = error
        except Exception as error:
            if request.source is not None and request.source.is_lost:
                raise  # the connection's: the server knows what to do
            logger.error("the handler of %r failed", request, exc_info=error)
            told = HttpError(500)
        response = yield from answer(page, request, told)
        for name, value in told.headers:
            if name.lower() not in response.headers:
                response.add_header(name, value)
        return response

    return wrapped
