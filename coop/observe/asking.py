"""Asking: how one process gets the task tree of another.

What lives here: ``ask``.  What it must not know: how the tree is shown.  Stands on: outcomes,
scopes, waits, slate, tree.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final

from coop.observe.slate import Slate, find_slate
from coop.observe.tree import Tree
from coop.outcomes import MisuseError
from coop.scopes import move_on_after
from coop.traps import Coop, operation
from coop.waits import sleep

#: Seconds between two looks at the slate.
_PAUSE: Final = 0.01


@operation
def ask(pid: int, *, timeout: float | None = 5.0) -> Coop[Tree]:
    """Ask a process for its task tree.  Its tasks are not disturbed; a sleep of theirs may be.

    Errors: ProcessLookupError when there is none; PermissionError when it is another user's;
    MisuseError when it runs no coop, or handles SIGUSR1 itself: it was not signalled then;
    TimeoutError when it does not answer, as it is stopped, or inside a long call that is not
    Python's.
    """
    # Opened first: it stays this process's, also when another gets its number.
    handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    try:
        slate = find_slate(pid)
        if slate is None:
            raise MisuseError(
                f"process {pid} cannot be asked: it is not inside coop.run(...) in its main "
                "thread, or has a handler of its own for SIGUSR1"
            )
        try:
            tree = yield from _converse(slate, pid, handle, timeout)
        finally:
            with suppress(OSError):
                slate.wipe()
            slate.close()
    finally:
        if handle is not None:
            os.close(handle)
    if tree is None:
        raise TimeoutError(
            f"process {pid} does not answer: it is stopped, or inside a long call outside Python"
        )
    return tree


def _converse(
    slate: Slate, pid: int, handle: int | None, timeout: float | None
) -> Coop[Tree | None]:
    nonce = os.urandom(8).hex().encode()
    slate.ask(nonce)
    if handle is not None:
        signal.pidfd_send_signal(handle, signal.SIGUSR1)
    else:
        os.kill(pid, signal.SIGUSR1)
    with move_on_after(timeout):
        while (answer := slate.read_answer(nonce)) is None:
            yield from sleep(_PAUSE)
        return Tree.from_json(answer)
    return None
