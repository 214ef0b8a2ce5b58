"""Programs to look into from outside: each says `ready` and then does what it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

needs_usr1 = pytest.mark.skipif(
    not hasattr(signal, "SIGUSR1") or not os.path.isdir("/proc/self/fd"),
    reason="no SIGUSR1, or no /proc, on this platform",
)

PREFACE = """
import logging, os, signal, sys, time
import coop

def ready():
    print("ready", flush=True)
"""


def environment(**changes: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COOP_")}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


@contextmanager
def program(source: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program beside the test, from its `ready` to the end of the block."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", PREFACE + source],
        env=environment(**changes),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()


def run_program(source: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [sys.executable, "-c", PREFACE + source],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=30,
    )


def coop_command(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command `coop`."""
    return subprocess.run(
        [sys.executable, "-m", "coop", *map(str, arguments)],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=30,
    )
