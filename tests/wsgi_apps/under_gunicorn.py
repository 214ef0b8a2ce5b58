"""What the tests of the gunicorn worker serve: an application, and a handler of coop's own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import coop
import coop.wsgi
from coop.http import Request, Response


def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Tell the worker's number; ``/hold?path`` first waits until there is such a file."""
    path = environ["QUERY_STRING"]
    if environ["PATH_INFO"] == "/hold":
        open(f"{path}.{os.getpid()}", "w").close()
        while not os.path.exists(path):
            coop.wsgi.wait(coop.sleep, 0.01)
    elif environ["PATH_INFO"] == "/block":
        time.sleep(float(path))
    elif environ["PATH_INFO"] == "/complain":
        print("this is what went wrong", file=environ["wsgi.errors"])
    elif environ["PATH_INFO"] == "/fail":
        raise LookupError("too bad")
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Pid", str(os.getpid()))])
    wanted = parse_qs(path).get("tell", [])
    body = environ["wsgi.input"].read()
    yield b"|".join([body, *(str(environ.get(name)).encode() for name in wanted)])


def native(request: Request) -> Response:
    """Answer as a handler of coop.http."""
    return Response(f"{request.scheme} {request.path}\n", headers=[("X-Pid", str(os.getpid()))])
