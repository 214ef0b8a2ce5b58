"""The core runs where others would not: without threads, and where Windows would be poorer."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import poor_platform
import pytest

from coop.poller import Select, available_pollers

WHERE = Path(__file__).parent.parent
MODES = ("COOP_TEST_POOR", "COOP_TEST_NO_THREADS")


@pytest.mark.timeout(300)
def test_the_core_passes_on_poorer_platforms() -> None:
    """Both at once, for there is nearly always a second processor."""
    with contextlib.ExitStack() as ends:
        runs = [ends.enter_context(_run_the_core(mode)) for mode in MODES]
        outputs = [run.communicate()[0] for run in runs]
    failed = [output[-8000:] for output, run in zip(outputs, runs, strict=True) if run.returncode]
    assert not failed, "\n".join(failed)


def _run_the_core(mode: str) -> subprocess.Popen[str]:
    # The files are named, since to collect all of them costs as much as to run these.
    files = [file for file in WHERE.glob("tests/**/test_*.py") if "mark.core" in file.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "core", "-p", "no:cacheprovider"]
    command += ["-p", "no:coop-sim"]  # which imports coop before anything is taken away
    return subprocess.Popen(
        command + [str(file) for file in files],
        cwd=WHERE,
        env=os.environ | {mode: "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.core
@pytest.mark.skipif(not os.environ.get(MODES[0]), reason="this platform is rich")
def test_a_poor_platform_is_poor() -> None:
    assert [] == [name for module, name in poor_platform.MISSING if hasattr(module, name)]
    assert [Select] == available_pollers()
    with pytest.raises(ImportError):
        importlib.import_module("fcntl")


@pytest.mark.core
@pytest.mark.skipif(not os.environ.get(MODES[1]), reason="this platform has threads")
def test_a_platform_without_threads_starts_none() -> None:
    with pytest.raises(RuntimeError, match="somebody starts a thread"):
        threading.Thread(target=print).start()
