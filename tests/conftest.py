"""What every test stands on: debug mode, nothing left behind, and the tools of the system."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import threading
from collections.abc import Callable, Iterator

import hypothesis
import poor_platform
import pytest

poor_platform.impoverish()
os.environ.setdefault("COOP_DEBUG", "1")  # read when coop is imported
hypothesis.settings.register_profile("coop", deadline=None)  # machines are noisy
hypothesis.settings.load_profile("coop")

DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


@pytest.fixture(autouse=True, scope="module")
def little_to_search() -> None:
    """Keep what is there by now, such as 3,500 tests, out of every later search for cycles.

    Hundreds of tests make such a search, at 0.14 s each; this halves the time of the whole suite.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves descriptors, threads or child processes behind.

    Not one that has failed already: its traceback keeps things alive.
    """
    fds, threads, children = _open_fds(), threading.enumerate(), _has_children()
    failures = request.session.testsfailed
    yield
    if request.session.testsfailed > failures:
        return
    if _open_fds() != fds:
        gc.collect()  # what only a cycle held is let go now, and warns if it minds
    left = [f"descriptor {fd} {target}" for fd, target in _open_fds().items() if fd not in fds]
    left += [repr(thread) for thread in threading.enumerate() if thread not in threads]
    left += ["a child process"] if _has_children() and not children else []
    assert [] == left, "the test leaves something behind"


@pytest.fixture(scope="session")
def tool() -> Callable[..., str]:
    """Return a function that finds a system tool by any of its names, or skips the test.

    With COOP_REQUIRE_TOOLS=1 in the environment, as in CI, it fails the test instead.
    """

    def find(*names: str) -> str:
        path = next(filter(None, map(shutil.which, names)), "")
        if not path:
            give_up = pytest.fail if os.environ.get("COOP_REQUIRE_TOOLS") else pytest.skip
            give_up(f"{' or '.join(names)} is not installed")
        return path

    return find


def _open_fds() -> dict[int, str]:
    """Return the open descriptors, and what each is where the system tells; none on Windows."""
    if not os.path.isdir(DESCRIPTORS):
        return {}
    fds = {}
    for name in os.listdir(DESCRIPTORS):
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is gone again
            fds[int(name)] = os.readlink(f"{DESCRIPTORS}/{name}")
    return fds


def _has_children() -> bool:
    """Tell whether the process has children, dead or alive, and reap none."""
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
