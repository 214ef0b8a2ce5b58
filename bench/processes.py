"""Processes: programs started, pinned to a core, and ended by the bench.

Charter: starts and ends, and knows nothing of what is measured. Servers stand on the first core
that this process may use, load on the last. Everything listens on 127.0.0.1 and nowhere else.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.cpu import process_tree
from bench.paths import REPOSITORY
from bench.peers import Peer

HOST = "127.0.0.1"
START_SECONDS = 15.0
END_SECONDS = 2.0

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


class DidNotStart(Exception):
    """A program ended, or did not listen in time; the message is the last it had to say."""


class Server:
    """A peer that is up and listening on `port` of 127.0.0.1."""

    def __init__(self, peer: Peer) -> None:
        self.name = peer.name
        self.port = free_port()
        self.scratch = Path(tempfile.mkdtemp(prefix="coop-bench-"))
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
            shutil.rmtree(self.scratch)
            raise DidNotStart(f"{err.filename} is not installed") from None
        try:
            self._wait_until_listening(process)
        except DidNotStart:
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

    def stop(self) -> None:
        """End the server and all its children, and remove its folder."""
        self._clear_away(self.process)

    def _clear_away(self, process: subprocess.Popen[bytes]) -> None:
        end(process)
        shutil.rmtree(self.scratch, ignore_errors=True)


def start_pinned(command: Sequence[str], core: int, **streams: object) -> subprocess.Popen[bytes]:
    """Start a program on one core, able to open all the descriptors there are."""

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}
    return subprocess.Popen(command, env=environment, preexec_fn=prepare, **streams)  # type: ignore[call-overload,no-any-return]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely, and after a while for good."""
    if process.poll() is not None:
        return
    members = process_tree(process.pid)
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in members[1:]:
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


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
    for peer in peers:
        try:
            servers.append(Server(peer))
        except DidNotStart as err:
            skipped[peer.name] = str(err)
            print(f"skipped: {peer.name}: {err}")
    return servers, skipped
