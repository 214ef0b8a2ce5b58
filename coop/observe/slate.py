"""Slate: how a running program answers what it is doing, to a signal or to another process.

What lives here: ``answering``, the handler of SIGUSR1, and the slate, a small file on which another
process writes a question and finds the answer; ``find_slate`` for that other process.  What it must
not know: the command line.  Stands on: signals' rule about threads, traps, tree.

On Linux the slate is a memory file, found among the process's descriptors in /proc: no file system
holds it, it dies with the process, and the kernel lets only the same user (or root) open it.
Elsewhere it is a file in a directory of the user's own (mode 0700), locked while its process lives.

A signal kills a process that does not expect it, so nobody signals a process without a slate, and a
handler that was installed stays until the process ends: the question may be on its way.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from coop.observe.tree import Tree, take_tree
from coop.signals import Signals
from coop.traps import running

try:
    import fcntl
except ImportError:  # Windows, where there is no SIGUSR1 either
    fcntl = None  # type: ignore[assignment]

NAME: Final = "coop-tree"
#: The first bytes are the question, or say which question is answered and how long the answer is.
HEADER_BYTES: Final = 64
#: The descriptor of standard error; ``sys.stderr`` may be in use where the signal came.
_STDERR: Final = 2


@contextmanager
def answering() -> Iterator[None]:
    """Answer SIGUSR1 with the task tree, inside: on the slate if asked there, else on stderr.

    Does nothing outside the main thread, without SIGUSR1, or when the program handles it itself.
    """
    number = getattr(signal, "SIGUSR1", None)
    if number is None or not Signals.are_available():
        yield
        return
    present = signal.getsignal(number)
    if present is not signal.SIG_DFL and not isinstance(present, _Answerer):
        yield
        return
    slate = _open_slate()
    signal.signal(number, _Answerer(slate))
    try:
        yield
    finally:
        if slate is not None:
            slate.close()


class _Answerer:
    """The handler of SIGUSR1.  It stays when the run is over, and then says so."""

    def __init__(self, slate: Slate | None) -> None:
        self._slate = slate

    def __call__(self, number: int, frame: FrameType | None) -> None:
        scheduler = running.scheduler
        if scheduler is None:
            _write_all(_STDERR, b"coop: nothing is running\n")
            return
        try:
            self._answer(take_tree(scheduler, frame))
        except Exception as error:
            # Raised here it would come up in the middle of whatever the program is doing.
            _write_all(_STDERR, f"coop: the task tree cannot be shown: {error!r}\n".encode())

    def _answer(self, tree: Tree) -> None:
        question = self._slate.question() if self._slate is not None else b""
        if self._slate is not None and question:
            self._slate.answer(question, tree.to_json().encode())
        else:
            _write_all(_STDERR, f"{tree}\n".encode(errors="replace"))


class Slate:
    """A file that two processes share: one asks, the other answers."""

    def __init__(self, fd: int, path: str | None = None) -> None:
        self.fd = fd
        #: Where it is, if it is to be removed at the end.
        self.path = path

    def try_reserve(self) -> bool:
        """Whether no other process is asking; if so, none does until this one closes the slate."""
        if fcntl is not None:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
        return True

    def ask(self, nonce: bytes) -> None:
        """Write a question, which any bytes will do for that no other question has."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, (b"ask " + nonce).ljust(HEADER_BYTES), 0)

    def question(self) -> bytes:
        """Return what is asked; empty when nothing is."""
        with suppress(OSError):
            verb, _, nonce = os.pread(self.fd, HEADER_BYTES, 0).partition(b" ")
            return nonce.strip() if verb == b"ask" else b""
        return b""

    def answer(self, nonce: bytes, text: bytes) -> None:
        """Write the answer, and only then the header that says it is there."""
        with suppress(OSError):
            _write_all(self.fd, text, HEADER_BYTES)
            os.pwrite(self.fd, (b"told %s %d" % (nonce, len(text))).ljust(HEADER_BYTES), 0)

    def read_answer(self, nonce: bytes) -> bytes | None:
        """Return the answer to this question; None when it is not there yet."""
        words = os.pread(self.fd, HEADER_BYTES, 0).split()
        if words[:2] != [b"told", nonce]:
            return None
        text, length = b"", int(words[2])
        while len(text) < length:
            more = os.pread(self.fd, length - len(text), HEADER_BYTES + len(text))
            if not more:
                return None  # it was wiped meanwhile
            text += more
        return text

    def wipe(self) -> None:
        """Take the question away, so that the next signal is answered on stderr."""
        os.ftruncate(self.fd, 0)

    def close(self) -> None:
        """Give it up.  Again, it changes nothing."""
        if self.fd >= 0:
            if self.path is not None:
                with suppress(OSError):
                    os.unlink(self.path)
            os.close(self.fd)
            self.fd = -1


def _write_all(fd: int, data: bytes, offset: int | None = None) -> None:
    view = memoryview(data)
    with suppress(OSError):  # nobody reads stderr: not a reason to fail
        while view:
            if offset is None:
                view = view[os.write(fd, view) :]
            else:
                written = os.pwrite(fd, view, offset)
                view, offset = view[written:], offset + written


def _open_slate() -> Slate | None:
    """Make the slate of this process; None when the system gives none."""
    with suppress(OSError):
        if hasattr(os, "memfd_create"):
            return Slate(os.memfd_create(NAME))
        if fcntl is not None:
            path = os.path.join(private_directory(), str(os.getpid()))
            with suppress(FileNotFoundError):
                os.unlink(path)  # left by a process that had our number, and is dead
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Slate(fd, path)
    return None


def private_directory() -> str:
    """Return the directory for slates, which is this user's alone.

    Errors: PermissionError when somebody else made it, or can get in.
    """
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp"
    path = os.path.join(base, f"coop-{os.geteuid()}")
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{path} is not a directory of this user's alone: remove it")
    return path


def find_slate(pid: int) -> Slate | None:
    """Open the slate of another process; None when it has none, and so must not be signalled.

    Errors: ProcessLookupError when there is no such process; PermissionError when it is another
    user's.
    """
    if os.path.isdir("/proc/self/fd"):
        found = _find_memory_file(pid)
        if found is not None:
            return found
    else:
        os.kill(pid, 0)
    return _find_locked_file(pid)


def find_answering() -> list[int]:
    """Return the numbers of the processes that have a slate which we may read."""
    processes = "/proc" if os.path.isdir("/proc/self/fd") else private_directory()
    found = []
    for pid in sorted(int(name) for name in os.listdir(processes) if name.isdigit()):
        with suppress(OSError):
            slate = find_slate(pid)
            if slate is not None:
                slate.close()
                found.append(pid)
    return found


def _find_memory_file(pid: int) -> Slate | None:
    directory = f"/proc/{pid}/fd"
    try:
        if not _catches_usr1(pid):
            return None
        names = sorted(os.listdir(directory), key=int, reverse=True)
    except FileNotFoundError:
        raise ProcessLookupError(f"there is no process {pid}") from None
    for name in names:
        with suppress(FileNotFoundError):
            if os.readlink(f"{directory}/{name}").startswith(f"/memfd:{NAME}"):
                return Slate(os.open(f"{directory}/{name}", os.O_RDWR | os.O_CLOEXEC))
    return None


def _catches_usr1(pid: int) -> bool:
    """Read in /proc whether a handler for SIGUSR1 is installed: without one it would kill."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)
    return False


def _find_locked_file(pid: int) -> Slate | None:
    if fcntl is None:
        return None
    try:
        fd = os.open(
            os.path.join(private_directory(), str(pid)), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        )
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Slate(fd)  # its process lives
    os.close(fd)
    return None
