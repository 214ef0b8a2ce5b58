"""Real clients at the real server: of the shell, of Python, and a browser."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import http_clients
import pytest
from browser import Browser, Page
from http_clients import BIG, SERVER, STATUSES, VISITS
from http_process import ROOT, serving

Tool = Callable[..., str]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(SERVER) as (process, port):
        yield f"http://127.0.0.1:{port}"
        assert process.poll() is None, "the server has ended"


def run(*command: str, data: bytes = b"") -> bytes:
    return subprocess.run(command, input=data, capture_output=True, timeout=50, check=True).stdout


def test_curl(url: str, tool: Tool) -> None:
    curl = [tool("curl"), "-sS", "--max-time", "20"]
    ports = run(*curl, "-w", " %{num_connects}\n", *[url + "/peer"] * 3).decode().splitlines()
    assert ["1", "0", "0"] == [line.split()[1] for line in ports]
    assert BIG == run(*curl, url + "/big") == run(*curl, url + "/pieces")
    assert BIG == run(*curl, "--http1.0", url + "/pieces")
    for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
        assert BIG == run(*curl, "--data-binary", "@-", *more, url + "/echo", data=BIG)
    targets = [url + path for path in STATUSES]
    statuses = run(
        *curl, "-o", os.devnull, *["-o", os.devnull] * 3, "-w", "%{http_code} ", *targets
    )
    assert [*STATUSES.values()] == [int(each) for each in statuses.split()]
    assert run(*curl, "-I", url + "/big").startswith(b"HTTP/1.1 200 OK\r\n")


def test_wrk(url: str, tool: Tool) -> None:
    report = run(tool("wrk"), "-t1", "-c50", "-d1s", url + "/peer").decode()
    assert "Socket errors" not in report, report
    assert "Non-2xx" not in report, report
    assert re.search(r"[1-9]\d* requests in", report), report


@pytest.mark.parametrize("options", [[], ["-k"]], ids=["a connection each", "kept"])
def test_ab(url: str, tool: Tool, options: list[str]) -> None:
    """It speaks HTTP/1.0, and asks to keep the connection as one did then."""
    report = run(tool("ab"), "-q", "-n1000", "-c50", *options, url + "/page").decode()
    assert re.search(r"Complete requests: +1000\n", report), report
    assert re.search(r"Failed requests: +0\n", report), report
    assert "Non-2xx" not in report, report
    if options:
        assert re.search(r"Keep-Alive requests: +1000\n", report), report


@pytest.mark.parametrize("name", VISITS)
def test_a_client_in_python(url: str, name: str) -> None:
    if importlib.util.find_spec(name) is None:
        give_up = pytest.fail if os.environ.get("COOP_REQUIRE_TOOLS") else pytest.skip
        give_up(f"{name} is not installed")
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, http_clients.__file__, name, url],
        env=os.environ | {"PYTHONPATH": path, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (0, "content\n") == (done.returncode, done.stdout), done.stderr


def test_chromium(url: str, tool: Tool, tmp_path: Path) -> None:
    with Browser(tool("chromium"), tmp_path / "profile") as browser:
        page: Page = browser.open(url + "/page")
        size = len(BIG)
        answers = [
            True,
            [200, size],
            [200, size],
            [404, 14],
            [500, 26],
            [204, 0],
            [200, 5],
            [200, 0],
        ]
        assert answers == json.loads(page.evaluate("ask_all()"))
        assert [[3, 3, 100_000], 1000, True] == json.loads(page.evaluate("talk()"))
