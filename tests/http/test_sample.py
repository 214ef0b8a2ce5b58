"""The sample server serves real clients: curl, wrk, and a browser that shows the ticking clock."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Browser

SAMPLE = Path(__file__).parent.parent.parent / "samples" / "http_server.py"
Tool = Callable[..., str]


@contextmanager
def serving(directory: Path, ending: int = signal.SIGTERM) -> Iterator[str]:
    """Run the sample on any port; give its URL, and see it end well."""
    process = subprocess.Popen(
        [sys.executable, str(SAMPLE), "0", "-d", str(directory), "-b", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SAMPLE.parent.parent), "COOP_DEBUG": ""},
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", first)
        assert found, first + process.communicate()[1]
        yield found[0]
        process.send_signal(ending)
        _, log = process.communicate(timeout=20)
        assert 0 == process.returncode, log
        assert "Traceback" not in log
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    files = tmp_path / "files"
    files.mkdir()
    (files / "digits.txt").write_bytes(b"0123456789" * 100_000)
    with serving(files) as url:
        yield url


def run(*command: str, data: bytes = b"") -> bytes:
    return subprocess.run(command, input=data, capture_output=True, timeout=50, check=True).stdout


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_stream_and_an_idle_connection_open(
    tmp_path: Path, ending: int
) -> None:
    with serving(tmp_path, ending) as url:
        address = ("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]))
        with socket.create_connection(address) as stream, socket.create_connection(address) as idle:
            stream.sendall(b"GET /clock/events HTTP/1.1\r\nHost: a\r\n\r\n")
            with stream.makefile("rb") as lines:
                assert b"HTTP/1.1 200 OK\r\n" == lines.readline()
            assert idle.fileno() > 0


def test_curl_keeps_the_connection(site: str, tool: Tool) -> None:
    urls = [site, site + "hello?name=<b>", site + "digits.txt", site + "missing"]
    answers = run(tool("curl"), "-sg", "-w", "\n%{http_code} %{num_connects}\n", *urls).decode()
    assert ["200 1", "200 0", "200 0", "404 0"] == re.findall(r"(?m)^\d{3} \d$", answers)
    assert "Hello, &lt;b&gt;!" in answers
    assert '<a href="./digits.txt">' in answers


def test_curl_gets_a_range_and_a_head(site: str, tool: Tool) -> None:
    url = site + "digits.txt"
    assert b"56789012" == run(tool("curl"), "-s", "-r", "15-22", url)
    head = run(tool("curl"), "-sI", url).decode()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Length: 1000000\r\n" in head
    tag = re.search(r'ETag: ("\S+")', head)
    assert tag
    again = run(tool("curl"), "-s", "-w", "%{http_code}", "-H", f"If-None-Match: {tag[1]}", url)
    assert b"304" == again


@pytest.mark.parametrize(
    "header", ["Transfer-Encoding: chunked", "Expect: 100-continue", "Expect:"]
)
def test_curl_uploads_and_gets_it_back(site: str, tool: Tool, header: str) -> None:
    data = os.urandom(1_000_000) * 3
    command = [tool("curl"), "-s", "-X", "POST", "-H", header, "-T", "-", site + "echo"]
    if "chunked" not in header:
        command[-3:-1] = ["--data-binary", "@-"]
    assert data == run(*command, data=data)


@pytest.mark.parametrize("connections", [64, 1000])
def test_wrk_meets_no_error(site: str, tool: Tool, connections: int) -> None:
    report = run(tool("wrk"), "-t1", f"-c{connections}", "-d1s", site + "hello").decode()
    assert "Socket errors" not in report, report
    assert "Non-2xx" not in report, report
    assert re.search(r"[1-9]\d+ requests in", report), report


def test_a_browser_shows_the_clock_ticking(site: str, tool: Tool, tmp_path: Path) -> None:
    with Browser(tool("chromium"), tmp_path / "profile") as browser:
        page = browser.open(site + "clock")
        assert "The time is" == page.evaluate("document.title")
        ticks = "document.getElementById('count').textContent"
        assert "1" == page.wait_for(f"{ticks} >= 1 && {ticks}")
        first = page.evaluate("document.getElementById('now').textContent")
        page.wait_for(f"{ticks} >= 3")
        last = page.evaluate("document.getElementById('now').textContent")
        assert re.fullmatch(r"\d\d:\d\d:\d\d", first)
        assert re.fullmatch(r"\d\d:\d\d:\d\d", last)
        assert first != last
        page.take_picture(tmp_path / "clock.png")
        assert (tmp_path / "clock.png").stat().st_size > 5000


def test_a_browser_sends_text_and_shows_it_coming_back(
    site: str, tool: Tool, tmp_path: Path
) -> None:
    with Browser(tool("chromium"), tmp_path / "profile") as browser:
        page = browser.open(site + "echo")
        page.evaluate("document.all.text.value = 'Grüße <b>'; send()")
        assert "Grüße <b>" == page.wait_for("document.all.answer.textContent")
