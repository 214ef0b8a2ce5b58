"""Processes: programs started, pinned to a core, and ended by the bench.

Charter: starts and ends, and knows nothing of what is measured. Servers stand on the first core
that this process may use, load on the last. Everything listens on 127.0.0.1 and nowhere else.
Nothing outlives the bench: every program leads a group of its own, which is killed with it; the
kernel kills it when the bench is killed; and what was left even so, the next run finds by the
bench's number in its environment.
"""

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.paths import FILES, REPOSITORY
from bench.peers import Peer

HOST = "127.0.0.1"
START_SECONDS = 15.0
END_SECONDS = 2.0
PR_SET_PDEATHSIG = 1  # prctl(2)
MARK = "COOP_BENCH_PID"
SCRATCH = "coop-bench-"

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
LIBC = ctypes.CDLL(None)


class DidNotStart(Exception):
    """A program ended, or did not listen in time; the message is the last it had to say."""


class Server:
    """A peer that is up and listening on `port` of 127.0.0.1."""

    def __init__(self, peer: Peer) -> None:
        self.name = peer.name
        self.reservation = reserve_port()
        self.port = int(self.reservation.getsockname()[1])
        self.scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-"))
        self.process = self._start(peer)

    @property
    def pid(self) -> int:
        return self.process.pid

    def _start(self, peer: Peer) -> subprocess.Popen[bytes]:
        try:
            with open(self.scratch / "log", "wb") as log:
                command = peer.command_line(self.port, self.scratch)
                process = start_pinned(command, SERVER_CORE, stdout=log, stderr=log)
        except FileNotFoundError as err:
            self._clear_away(None)
            raise DidNotStart(f"{err.filename} is not installed") from None
        try:
            self._wait_until_listening(process)
        except BaseException:
            self._clear_away(process)
            raise
        return process

    def _wait_until_listening(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not is_listening(self.port):
            if process.poll() is not None:
                raise DidNotStart(self.last_words() or f"ended with code {process.returncode}")
            if time.monotonic() > give_up:
                raise DidNotStart(self.last_words() or f"not listening in {START_SECONDS:.0f} s")
            time.sleep(0.05)

    def last_words(self) -> str:
        """Return the last line that the server printed."""
        lines = (self.scratch / "log").read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def signal(self, number: int) -> None:
        """Send the server and all its children a signal."""
        os.killpg(self.pid, number)

    def stop(self) -> None:
        """End the server and all its children, and remove its folder."""
        self._clear_away(self.process)

    def _clear_away(self, process: subprocess.Popen[bytes] | None) -> None:
        if process:
            end(process)
        self.reservation.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


@contextmanager
def alone(server: Server, servers: Sequence[Server]) -> Iterator[None]:
    """Hold all the others still: what they have left over would show in this one's tail."""
    others = [other for other in servers if other is not server]
    try:
        for other in others:
            other.signal(signal.SIGSTOP)
        yield
    finally:
        for other in others:
            other.signal(signal.SIGCONT)


def start_pinned(command: Sequence[str], core: int, **streams: object) -> subprocess.Popen[bytes]:
    """Start a program on one core, able to open all the descriptors there are."""

    def prepare() -> None:
        os.setsid()
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, {core})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}
    environment |= {MARK: str(os.getpid()), "HTTP_FILES": str(FILES)}
    return subprocess.Popen(command, env=environment, preexec_fn=prepare, **streams)  # type: ignore[call-overload,no-any-return]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely, and after a while for good."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)  # it leads the group that its children are in
    except ProcessLookupError:
        pass
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def end_leftovers() -> list[int]:
    """Kill what a run that is no more has left behind, remove its folders, and return the ids."""
    killed = []
    for scratch in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*-*"):
        if not is_alive(scratch.name.removeprefix(SCRATCH).partition("-")[0]):
            shutil.rmtree(scratch, ignore_errors=True)
    for folder in Path("/proc").glob("[0-9]*"):
        owner = bench_of(folder)
        if owner and not is_alive(owner):
            os.kill(int(folder.name), signal.SIGKILL)
            killed.append(int(folder.name))
    return killed


def is_alive(pid: str) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for yet does not."""
    try:
        state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def bench_of(folder: Path) -> str:
    """Return the id of the bench that started the process of that folder of /proc, or nothing."""
    try:
        variables = (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return ""
    mark = f"{MARK}=".encode()
    return next((v.removeprefix(mark).decode() for v in variables if v.startswith(mark)), "")


def reserve_port() -> socket.socket:
    """Return a socket whose port the kernel gives to nobody unasked, but to a server by its number.

    It is bound and does not listen: with SO_REUSEADDR, or SO_REUSEPORT, on both sides a server may
    bind the port beside it, while no connection and no bind to port 0 gets it.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reservation.bind((HOST, 0))
    return reservation


def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def start_all(peers: Sequence[Peer]) -> tuple[list[Server], dict[str, str]]:
    """Start every peer; return those that are up, and why the others are not, by name."""
    servers: list[Server] = []
    skipped: dict[str, str] = {}
    try:
        for peer in peers:
            try:
                servers.append(Server(peer))
            except DidNotStart as err:
                skipped[peer.name] = str(err)
                print(f"left out: {peer.name}: {err}", flush=True)
    except BaseException:
        stop_all(servers)
        raise
    return servers, skipped


def stop_all(servers: Sequence[Server]) -> None:
    """Stop every server: all are asked first, then each is waited for."""
    for server in servers:
        server.process.terminate()
    for server in servers:
        server.stop()
