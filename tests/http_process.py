"""A server in a process of its own, and what the system tells about that process."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
Process = subprocess.Popen[str]

#: What each program begins with: ``tell`` writes the port for ``serving`` to read.
_PREAMBLE = """
def tell(server):
    print(server.port, flush=True)
"""


@contextmanager
def serving(program: str, *, files: int = 0, debug: str = "") -> Iterator[tuple[Process, int]]:
    """Run a program that serves and calls ``tell``; give the process and its port.

    ``files``: how many descriptors it may have.  It is killed at the end, if it runs still.
    """

    def restrict() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + program],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "COOP_DEBUG": debug},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=restrict,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def dial(port: int, timeout: float = 20) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def cpu_seconds(pid: int) -> float:
    """Seconds that the process has spent on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Bytes of the process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
