"""A real browser for the tests: Chromium without a window, driven over a pair of pipes.

It speaks the DevTools protocol: JSON messages, each ended by a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

_FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --disable-dev-shm-usage
    --remote-debugging-pipe
""".split()  # noqa: SIM905

# The browser reads from descriptor 3 and writes to 4.
_LAUNCH = """if True:
    import fcntl, os, sys
    pipes = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
    os.dup2(pipes[0], 3)
    os.dup2(pipes[1], 4)
    os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A browser with a profile of its own, for the length of a with-block."""

    def __init__(self, program: str, profile: Path) -> None:
        self._receive, theirs_out = os.pipe()
        theirs_in, self._send = os.pipe()
        launch = [sys.executable, "-c", _LAUNCH, str(theirs_in), str(theirs_out)]
        self._process = subprocess.Popen(
            [*launch, program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest = b""
        self._sent = 0

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.call("Browser.close")
                self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._send)
            os.close(self._receive)

    def open(self, url: str, width: int = 1000, height: int = 600) -> Page:
        """Open a page in a window of its own, and wait until it is loaded."""
        place = self.call(
            "Target.createTarget", url="about:blank", newWindow=True, width=width, height=height
        )
        session = self.call("Target.attachToTarget", **place, flatten=True)["sessionId"]
        page = Page(self, session)
        page.call("Page.enable")
        page.call("Page.navigate", url=url)
        page.evaluate(
            "new Promise(done => document.readyState == 'complete' ? done()"
            " : addEventListener('load', () => done()))"
        )
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next_message()).get("id") != self._sent:
            pass  # an event, which nobody asked for
        assert "error" not in answer, answer
        return answer["result"]

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._receive, 65536)
            assert data, "the browser has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]


class Page:
    """A page in the browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> Any:
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, script: str) -> Any:
        """Return what an expression of JavaScript gives; of a promise, what it is kept with."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> Any:
        """Wait until an expression of JavaScript is true, and return its value."""
        return self.evaluate(
            "new Promise(done => { const look = () => { const value = (" + condition + ");"
            " value ? done(value) : setTimeout(look, 50) }; look() })"
        )

    def take_picture(self, path: Path) -> None:
        """Write what the page looks like to a PNG file."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
