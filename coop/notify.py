"""Notices to the service manager: that we are ready, that we are stopping.

What lives here: ``notify_manager``.  What it must not know: what there is to say, and when.
Stands on: the standard library alone.  Source: sd_notify(3).
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify_manager(state: str) -> bool:
    """Tell the service manager, as ``READY=1`` or ``STOPPING=1``; return whether one was told.

    Several at once stand on lines of their own.  Without NOTIFY_SOCKET in the environment, which
    systemd sets for ``Type=notify``, there is nobody to tell.  What cannot be told is not an error.
    Waits: never.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.sendto(state.encode(), address)
        return True
    return False
