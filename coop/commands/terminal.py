"""The terminal that a command was started from, if it was one.

What lives here: whether it is still there.  What it must not know: what follows from that.
Stands on: nothing.
"""

from __future__ import annotations

import errno
import os


def is_terminal_gone() -> bool:
    """Whether standard input was a terminal, and has been closed: SIGHUP says so, too.

    SIGHUP is also how one asks a server to read its files again.  Never true without a terminal.
    """
    try:
        os.tcgetpgrp(0)
    except OSError as error:
        return error.errno == errno.EIO
    return False
