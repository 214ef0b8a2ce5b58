"""``--reload``: a process that serves, and another that starts it anew when a file changes.

What lives here: the supervisor, and the watcher of files.  What it must not know: HTTP.  Stands on:
binding, signals, runtime.

The supervisor opens the listeners and every child inherits them, so a client that comes while one
child ends and the next begins waits in the backlog, and is refused by nobody.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from coop.commands.binding import open_listeners
from coop.commands.options import bindings_of
from coop.commands.refusal import Refusal
from coop.commands.terminal import is_terminal_gone
from coop.runtime import run
from coop.scopes import move_on_after
from coop.signals import Signals
from coop.traps import Coop

#: How often to look at the files, in seconds; and what a child gets to end.
LOOK_SECONDS: Final = 0.25
END_SECONDS: Final = 5.0

_Stamp = tuple[int, int]
_END: Final = (signal.SIGTERM, signal.SIGINT)


class Watcher:
    """The .py files below some directories, and which of them have changed."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._directories = [os.path.abspath(each) for each in directories]
        self._stamps = self._look()

    def __len__(self) -> int:
        return len(self._stamps)

    def changed(self) -> list[str]:
        """Return the files that are new, changed or gone since the last call."""
        before, self._stamps = self._stamps, self._look()
        paths = before.keys() | self._stamps.keys()
        return sorted(path for path in paths if before.get(path) != self._stamps.get(path))

    def _look(self) -> dict[str, _Stamp]:
        stamps = {}
        for directory in self._directories:
            for entry in _python_files(directory):
                with suppress(OSError):  # gone meanwhile
                    status = entry.stat()
                    stamps[entry.path] = (status.st_mtime_ns, status.st_size)
        return stamps


def _python_files(directory: str) -> Iterator[os.DirEntry[str]]:
    """Yield them; hidden directories, virtual environments and what npm brings are not entered."""
    try:
        with os.scandir(directory) as found:
            entries = list(found)
    except OSError:
        return
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith(".") and entry.name not in ("__pycache__", "node_modules"):
                yield from _python_files(entry.path)
        elif entry.name.endswith(".py"):
            yield entry


def supervise(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Serve in a child process, and in another when a file has changed, until told to end.

    Blocks the thread.  Errors: Refusal.
    """
    if os.path.isdir(options.target):
        raise Refusal(f"{options.target} is a directory: its files are read anew at each request")
    if not hasattr(signal, "SIGCHLD"):
        raise Refusal("--reload needs a system with SIGCHLD")
    return run(_supervise(options, arguments))


def _supervise(options: argparse.Namespace, arguments: Sequence[str]) -> Coop[int]:
    listeners = open_listeners(
        bindings_of(options), backlog=options.backlog, reuse_port=options.reuse_port
    )
    watcher = Watcher(options.reload_dir or [options.app_dir])
    _say(f"watching {len(watcher)} files")
    child = _Child(arguments, [listener.fileno() for listener in listeners])
    try:
        with Signals(signal.SIGCHLD, signal.SIGHUP, *_END) as arrivals:
            child.start()
            yield from _tend(child, watcher, arrivals)
            return (yield from child.end(arrivals))
    finally:
        child.kill()
        for listener in listeners:
            listener.close()


def _tend(child: _Child, watcher: Watcher, arrivals: Signals) -> Coop[None]:
    """Keep a child at work until a signal says that all is to end."""
    pending: list[str] = []
    while True:
        number = 0
        with move_on_after(LOOK_SECONDS):
            number = yield from arrivals.next()
        if number in _END or (number == signal.SIGHUP and is_terminal_gone()):
            return
        if number == signal.SIGHUP:
            child.send(number)
        elif number == signal.SIGCHLD:
            child.note_end()
        elif changed := watcher.changed():
            pending += changed  # and more may follow: an editor, or git, writes several
        elif pending:
            _say(f"{_names(pending)} changed: starting anew")
            pending = []
            yield from child.end(arrivals)
            child.start()


def _names(paths: Sequence[str]) -> str:
    names = list(dict.fromkeys(os.path.relpath(path) for path in paths))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class _Child:
    """The process that serves, one after the other."""

    def __init__(self, arguments: Sequence[str], fds: Sequence[int]) -> None:
        self._fds = fds
        # The child watches our end of a pipe, so that it does not outlive us, whatever happens.
        self._leash, self._hand = os.pipe()
        rest = [each for each in arguments if each != "--reload"]
        inherited = ["--sockets", *map(str, fds), "--leash", str(self._leash)]
        self._command = [sys.executable, "-m", "coop", "serve", *rest, *inherited]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        # A .pyc knows its source's time to the second only: it would hide a quick second change.
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            self._command, env=environment, pass_fds=[*self._fds, self._leash]
        )

    def send(self, number: int) -> None:
        """Pass a signal on."""
        if self._process is not None:
            self._process.send_signal(number)

    def note_end(self) -> bool:
        """Return whether it has ended; say so, if nobody has told it to."""
        if self._process is None:
            return True
        code = self._process.poll()
        if code is None:
            return False
        _say(f"it ended with exit code {code}: waiting for a change")
        self._process = None
        return True

    def end(self, arrivals: Signals) -> Coop[int]:
        """Tell it to end, and wait until it has; kill it at the next signal, or when it is late."""
        process = self._process
        if process is None:
            return 0
        self._process = None
        process.terminate()
        with move_on_after(END_SECONDS):
            while process.poll() is None:
                if (yield from arrivals.next()) in _END:
                    break
        if process.poll() is None:
            process.kill()
        return max(0, process.wait())

    def kill(self) -> None:
        """Leave nothing behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        os.close(self._leash)
        os.close(self._hand)


def _say(text: str) -> None:
    print(f"coop: {text}", file=sys.stderr, flush=True)
