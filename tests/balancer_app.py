"""What the workers behind the balancer serve: each request takes a moment, and leaves a trace."""

from __future__ import annotations

import os
from typing import Any

import coop
import coop.http

NAME = os.environ["WORKER"]
#: One line for each request that has begun, which survives a kill.
TRACE = os.open(os.environ["TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def app(request: coop.http.Request) -> Any:
    """Answer with the worker's name and the client's address, after a moment."""
    os.write(TRACE, f"{request.query['id']}\n".encode())
    yield from coop.sleep(0.02)
    return coop.http.Response(f"{NAME} {request.peer}")
