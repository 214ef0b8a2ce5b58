"""The core runs where others would not: without threads, and where Windows would be poorer."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import poor_platform
import pytest

from coop.poller import Select, available_pollers

MODES = ("COOP_TEST_POOR", "COOP_TEST_NO_THREADS")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_the_core_passes_on_a_poorer_platform(mode: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "core", "-p", "no:cacheprovider"]
    command += ["-p", "no:coop-sim"]  # which imports coop before anything is taken away
    where = Path(__file__).parent.parent
    run = subprocess.run(
        command, cwd=where, env=os.environ | {mode: "1"}, capture_output=True, text=True
    )
    assert 0 == run.returncode, (run.stdout + run.stderr)[-8000:]


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
