"""Asking: how one process gets the task tree of another.

What lives here: ``ask``.  What it must not know: how the tree is shown.  Stands on: outcomes,
scopes, waits, slate, tree.
"""

from __future__ import annotations

import errno
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
    MisuseError when it runs no coop, or another version of it, or handles SIGUSR1 itself: it was
    not signalled then; TimeoutError when it does not answer, as it is stopped, or inside a long
    call that is not Python's.
    """
    handle = _open_process(pid)
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
    with move_on_after(timeout):
        while not slate.try_reserve():
            yield from sleep(_PAUSE)  # others are asking, one after the other
        try:
            slate.ask(nonce)
            if handle is not None:
                signal.pidfd_send_signal(handle, signal.SIGUSR1)
            else:
                os.kill(pid, signal.SIGUSR1)
            while (answer := slate.read_answer(nonce)) is None:
                yield from sleep(_PAUSE)
            return Tree.from_json(answer)
        except ValueError as error:
            raise MisuseError(
                f"process {pid} answers what cannot be read: does it run another version of coop?"
            ) from error
        finally:
            with suppress(OSError):
                slate.wipe()
    return None


def _open_process(pid: int) -> int | None:
    """Open it first: then it stays this process's, also when another gets its number."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OverflowError:
        raise ProcessLookupError(f"there is no process {pid}") from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # a thread's number
            raise ProcessLookupError(f"there is no process {pid}") from None
        raise
