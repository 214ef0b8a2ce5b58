"""A real server under siege: slow clients, floods, too few descriptors, and its end in mid-load.

All of it is a campaign, and prints what it measured::

    pytest -m campaign -s tests/http/test_siege.py

The server is a process of its own, with its default limits and deadlines.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import http_load
import pytest
from http_process import cpu_seconds, dial, resident_bytes, serving

import coop

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300)]

PROGRAM = """
import coop, coop.http
from coop.http import Response

def app(request):
    if request.path == "/slow":
        yield from coop.sleep({slow})
    if request.path == "/big":
        return Response(bytes(50_000_000))
    if request.path == "/pieces":
        return Response(pieces())
    if request.method == "POST":
        return Response((yield from request.read()))
    return Response(b"hello")

def pieces():
    for _ in range(1000):
        yield bytes(50_000)

coop.run(coop.http.serve(app, "127.0.0.1", 0, on_listening=tell, max_connections=None))
"""
GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
Tool = Callable[..., str]


def program(slow: float = 1.2) -> str:
    return PROGRAM.format(slow=slow)


def ask(conn: socket.socket, target: bytes = b"/") -> bytes:
    conn.sendall(GET % target)
    return conn.recv(65536)


def report(what: str, **figures: Any) -> None:
    """Print what was measured, for those who look."""
    print(f"\n{what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))


# -- slow clients -------------------------------------------------------------------------------


def trickle(conn: coop.Connection, first: bytes, rest: bytes) -> coop.Coop[tuple[float, bytes]]:
    """Send ``first``, then an octet of ``rest`` every two seconds; return when and how it ended."""
    clock = coop.current_scheduler().clock
    start = clock.now()
    said = b""
    with conn:
        yield from conn.sendall(first)
        for octet in rest + b"\0" * 100:
            with coop.move_on_after(2.0 if rest else 200.0):
                while True:
                    data = yield from conn.recv()
                    if not data:
                        return clock.now() - start, said
                    said += data
            yield from conn.sendall(bytes([octet]))
    raise AssertionError("it never ends")


def read_nothing(conn: coop.Connection) -> coop.Coop[tuple[float, bytes]]:
    """Ask for much, read none of it; return when the connection was reset."""
    clock = coop.current_scheduler().clock
    start = clock.now()
    with conn:
        yield from conn.sendall(GET % b"/big")
        while True:
            yield from coop.sleep(0.05)
            error = conn.socket.get_option(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[attr-defined]
            if error:
                return clock.now() - start, os.strerror(error).encode()


def test_slow_clients_are_parted_with() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    plans: dict[str, tuple[float, bytes, Callable[[coop.Connection], Any]]] = {
        "silent": (5, b"", lambda conn: trickle(conn, b"", b"")),
        "an octet of a head every 2 s": (10, b"408", lambda conn: trickle(conn, head, b"x" * 99)),
        "an octet of a body every 2 s": (10, b"408", lambda conn: trickle(conn, post, b"x" * 99)),
        "idle behind an answer": (5, b"200", lambda conn: trickle(conn, GET % b"/", b"")),
        "a reader that reads nothing": (30, b"Connection reset", read_nothing),
    }

    def visit(port: int, plan: Callable[[coop.Connection], Any]) -> coop.Coop[Any]:
        conn = yield from coop.connect("127.0.0.1", port)
        return (yield from plan(conn))

    with serving(program()) as (_, port):
        visits = [visit(port, plan) for _, _, plan in plans.values()]

        def main() -> coop.Coop[Any]:
            return (yield from coop.gather(*visits))

        ends = coop.run(main())
    for (name, (wanted, _, _)), (seconds, said) in zip(plans.items(), ends, strict=True):
        report(name, wanted=wanted, seconds=round(seconds, 2), said=said[:30])
    for (wanted, word, _), (seconds, said) in zip(plans.values(), ends, strict=True):
        assert wanted - 0.1 < seconds < wanted * 1.2 + 1
        assert word in said


# -- too little of something --------------------------------------------------------------------


def test_with_too_few_descriptors_it_waits_and_recovers() -> None:
    with serving(program(), files=64) as (process, port), ExitStack() as stack:
        conns = [stack.enter_context(dial(port)) for _ in range(150)]
        before = cpu_seconds(process.pid)
        time.sleep(2)
        used = (cpu_seconds(process.pid) - before) / 2
        for conn in conns:
            conn.close()
        start = time.monotonic()
        with dial(port) as conn:
            assert b"hello" in ask(conn)
        again = time.monotonic() - start
        report("64 descriptors, 150 connections", cpu=f"{used:.1%}", again=f"{again:.3f} s")
        assert used < 0.05
        assert again < 1


def test_a_client_that_pipelines_and_reads_nothing_costs_little() -> None:
    body = bytes(65536)
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with serving(program()) as (process, port), dial(port) as warm, dial(port, 2) as conn:
        ask(warm)
        before = resident_bytes(process.pid)
        sent = 0
        try:
            while sent < 200_000_000:
                sent += conn.send(post[sent % len(post) :])
        except TimeoutError:
            pass
        growth = resident_bytes(process.pid) - before
        report("64 KiB echoes that nobody reads", sent=f"{sent:_}", growth=f"{growth:_}")
        assert sent < 30_000_000
        assert growth < 4_000_000
        with dial(port) as polite:
            assert b"hello" in ask(polite)


def test_an_idle_connection_takes_at_most_five_kib() -> None:
    count = 10_000
    script = (
        "import resource, socket, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({count} + 100,) * 2)\n"
        "conns = []\n"
        f"for _ in range({count}):\n"
        "    conn = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "    conn.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\nX: ' + b'x' * 300 + b'\\r\\n\\r\\n')\n"
        "    assert b'hello' in conn.recv(65536)\n"
        "    conns.append(conn)\n"
        "print('connected', flush=True)\n"
        "sys.stdin.read()\n"
    )
    patient = program().replace(
        "max_connections=None", "max_connections=None, deadlines=coop.http.Deadlines(idle=600)"
    )
    with serving(patient, files=count + 100) as (process, port):
        with dial(port) as warm:
            ask(warm)
        before = resident_bytes(process.pid)
        with helper([sys.executable, "-c", script, str(port)]) as client:
            assert client.stdout is not None
            assert "connected\n" == client.stdout.readline()
            each = (resident_bytes(process.pid) - before) / count
            report("10,000 idle kept connections", each=f"{each / 1024:.2f} KiB")
            assert each <= 5 * 1024


# -- its end ------------------------------------------------------------------------------------


def test_its_end_comes_at_once_but_for_the_request_in_flight() -> None:
    with serving(program()) as (process, port), dial(port) as idle, dial(port) as busy:
        ask(idle)
        busy.sendall(GET % b"/slow")
        time.sleep(0.3)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert b"" == idle.recv(1)
        closed = time.monotonic() - start
        assert b"\r\nConnection: close\r\n" in busy.recv(65536)
        answered = time.monotonic() - start
        assert b"" == busy.recv(1)
        busy.close()
        assert 0 == process.wait(20)
        ended = time.monotonic() - start
    report("SIGTERM", idle=f"{closed:.3f} s", answered=f"{answered:.3f} s", exit=f"{ended:.3f} s")
    assert closed < 0.3
    assert answered < 1.3
    assert ended - answered < 0.5


@pytest.mark.parametrize("think", [0, 1, 5])
def test_its_end_in_mid_load_loses_no_request(think: int) -> None:
    """Each client keeps its connection; between two requests it thinks for so many seconds."""
    with serving(program(slow=0.2), files=6000) as (process, port):
        command = [sys.executable, http_load.__file__, str(port), "5000", str(think)]
        with helper(command) as load:
            assert load.stdout is not None
            assert "busy\n" == load.stdout.readline()
            time.sleep(1)
            start = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(40)
            seconds = time.monotonic() - start
            ends = json.loads(load.stdout.readline())
    report(
        f"SIGTERM under 5,000 connections that think {think} s", seconds=round(seconds, 2), **ends
    )
    assert 0 == code
    assert seconds < 30
    # To look for a request and to say the end are two system calls, some microseconds apart.
    assert ends.pop("LOST", 0) <= 2
    assert set(ends) <= {"answered", "told, and closed", "closed while idle"}


def test_its_end_loses_nobody_who_has_just_connected() -> None:
    """Each client connects, thinks for a tenth of a second at most, asks once, and comes again."""
    ends: Counter[str] = Counter()

    def come_again(port: int) -> coop.Coop[None]:
        while True:
            try:
                conn = yield from coop.connect("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            with conn:
                yield from coop.sleep(random.random() * 0.1)
                try:
                    yield from conn.sendall(GET % b"/")
                    ends["answered" if (yield from conn.recv()) else "LOST"] += 1
                except OSError as error:
                    ends[repr(error)] += 1

    def body(members: coop.Group) -> coop.Coop[None]:
        for _ in range(300):
            members.spawn(come_again(port))
        yield from coop.sleep(1)
        process.send_signal(signal.SIGTERM)

    with serving(program()) as (process, port):
        coop.run(coop.group(body))
        start = time.monotonic()
        assert 0 == process.wait(20)
    report("SIGTERM among newcomers", seconds=round(time.monotonic() - start, 2), **ends)
    assert {"answered"} == set(ends)


# -- slowhttptest -------------------------------------------------------------------------------

MODES = {
    "slow heads": ["-H", "-i", "5"],
    "slow bodies": ["-B", "-i", "5", "-s", "8192"],
    "ranges": ["-R", "-a", "10", "-b", "3000"],
    "slow reading": ["-X", "-w", "1", "-y", "10", "-n", "5", "-z", "32", "-k", "3"],
}


@pytest.mark.parametrize("mode", MODES)
def test_a_polite_client_is_served_while_a_thousand_are_slow(
    mode: str, tool: Tool, tmp_path: Path
) -> None:
    command = [
        tool("slowhttptest"), *MODES[mode], "-c", "1000", "-r", "200", "-l", "20", "-x", "24",
        "-p", "3", "-t", "POST" if mode == "slow bodies" else "GET",
    ]  # fmt: skip
    with serving(program()) as (process, port):
        path = "/pieces" if mode == "slow reading" else "/"
        url = f"http://127.0.0.1:{port}{path}"
        with helper([*command, "-u", url, "-g", "-o", str(tmp_path / "log")]) as attack:
            waits = polite_waits(port, 20)
            out, _ = attack.communicate(timeout=60)
        assert process.poll() is None
        with dial(port) as conn:
            assert b"hello" in ask(conn)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
    states = re.findall(r"(connected|closed|error|pending): +(\d+)", plain)[-4:]
    available = re.findall(r"service available: +(\w+)", plain)
    p99 = sorted(waits)[int(len(waits) * 0.99)]
    most = max((int(each) for each in re.findall(r"connected: +(\d+)", plain)), default=0)
    report(
        mode, p99=f"{p99 * 1000:.1f} ms", max=f"{max(waits) * 1000:.1f} ms", asked=len(waits),
        most=most, last=dict(states), unavailable=available.count("NO"),
    )  # fmt: skip
    assert p99 < 0.1
    assert "NO" not in available


def polite_waits(port: int, seconds: float) -> list[float]:
    """Ask once in ten milliseconds, each time anew; return how long each answer took."""
    waits = []
    end = time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        with dial(port) as conn:
            assert b"hello" in ask(conn)
        waits.append(time.monotonic() - start)
        time.sleep(0.01)
    return waits


@contextmanager
def helper(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process of ours beside the server, for the length of a with-block."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
