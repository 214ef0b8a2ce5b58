"""A poorer platform: take away what Windows lacks, or threads, before coop is imported.

COOP_TEST_POOR=1 and COOP_TEST_NO_THREADS=1 in the environment ask for it; conftest calls
``impoverish`` first of all.  What must not be here: an import of coop.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

MISSING = (
    *((select, name) for name in ("epoll", "poll", "kqueue")),
    *((os, name) for name in ("fork", "register_at_fork", "sendfile")),
    *((socket, name) for name in ("AF_UNIX", "SO_REUSEPORT")),
    (signal, "SIGUSR1"),
)
STARTERS = ("start_new_thread", "start_new", "start_joinable_thread")


def impoverish() -> None:
    """Take away what the environment asks to be without."""
    if os.environ.get("COOP_TEST_POOR"):
        for module, name in MISSING:
            if hasattr(module, name):
                delattr(module, name)
        sys.modules["fcntl"] = None  # type: ignore[assignment]  # so that its import fails
        socket.socketpair = _tcp_pair  # type: ignore[assignment]  # as where AF_UNIX is missing
    if os.environ.get("COOP_TEST_NO_THREADS"):
        for name in STARTERS:
            for module, reference in ((_thread, name), (threading, f"_{name}")):
                if hasattr(module, reference):
                    setattr(module, reference, _refuse_thread)


def _refuse_thread(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError("somebody starts a thread, though COOP_TEST_NO_THREADS is set")


def _tcp_pair(*_: Any) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]
