"""Servers in a process of their own: signals, limits of the process, time on the CPU."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SCRIPT = """
import logging, resource, sys
import coop

logging.basicConfig(level=logging.INFO)
if {files}:
    resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))

def echo(conn):
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)

def tell(server):
    print(server.port, flush=True)

coop.run(coop.serve(echo, "127.0.0.1", 0, drain={drain}, on_listening=tell))
print("over")
"""

Process = subprocess.Popen[str]


@contextmanager
def server(*, files: int = 0, drain: float | None = 30) -> Iterator[tuple[Process, int]]:
    """Start an echo server; give the process and its port."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(files=files, drain=drain)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def talk(conn: socket.socket, word: bytes = b"ping") -> bytes:
    conn.sendall(word)
    return conn.recv(100)


def wait_until_refused(port: int) -> None:
    """A signal takes its time to arrive."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            dial(port).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass
    raise AssertionError("it goes on accepting")


def end(process: Process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains(number: int) -> None:
    with server() as (process, port):
        with dial(port) as conn:
            assert b"ping" == talk(conn)
            process.send_signal(number)
            wait_until_refused(port)
            assert b"pong" == talk(conn, b"pong"), "the conversation may finish"
        code, out, err = end(process)
    assert (0, "over\n") == (code, out)
    assert re.search(r"stopping: [1-9]\d* connections? may finish", err)  # with our own last dials


@pytest.mark.parametrize(
    ("number", "drain", "level", "rest"),
    [
        (signal.SIGTERM, 30, "INFO", ""),
        (signal.SIGINT, 30, "WARNING", " within 30 s; Ctrl-C again ends at once"),
        (signal.SIGINT, None, "WARNING", "; Ctrl-C again ends at once"),
    ],
)
def test_who_presses_ctrl_c_is_told_what_is_waited_for(
    number: int, drain: float | None, level: str, rest: str
) -> None:
    """The console was silent, for up to the time of the drain."""
    with server(drain=drain) as (process, port):
        assert process.stderr is not None
        with dial(port) as conn:
            assert b"ping" == talk(conn)
            process.send_signal(number)
            line = process.stderr.readline()
            assert f"{level}:coop.server:stopping: 1 connection may finish{rest}\n" == line
        assert 0 == end(process)[0]


def test_the_second_signal_ends_now() -> None:
    with server(drain=1000) as (process, port):
        with dial(port) as conn:
            assert b"ping" == talk(conn)
            process.send_signal(signal.SIGTERM)
            wait_until_refused(port)
            process.send_signal(signal.SIGTERM)
            assert b"" == conn.recv(1)
            code, out, err = end(process)
    assert (0, "over\n") == (code, out)
    assert re.search(r"ending now: cutting off [1-9]\d* connection", err)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_at_once(number: int) -> None:
    with server() as (process, _):
        process.send_signal(number)
        quiet = "INFO:coop.server:stopping: 0 connections may finish\n"
        assert (0, "over\n", quiet) == end(process)


def test_the_end_of_the_drain_cuts_off() -> None:
    with server(drain=0.05) as (process, port):
        with dial(port) as conn:
            assert b"ping" == talk(conn)
            process.send_signal(signal.SIGTERM)
            assert b"" == conn.recv(1)
            code, out, err = end(process)
    assert (0, "over\n") == (code, out)
    assert "took over 0.05 s to end were cut off" in err


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
def test_out_of_descriptors_it_costs_no_cpu_and_recovers() -> None:
    with ExitStack() as stack:
        process, port = stack.enter_context(server(files=32))
        conns = [stack.enter_context(dial(port)) for _ in range(60)]
        served = [conn for conn in conns[:10] if talk(conn) == b"ping"]
        assert 10 == len(served)
        before, start = cpu_seconds(process.pid), time.monotonic()
        time.sleep(0.6)  # the one sleep: CPU time is what is measured
        used = cpu_seconds(process.pid) - before
        assert used < 0.05 * (time.monotonic() - start) + 0.011  # and one tick of the clock
        for conn in conns[:40]:
            conn.close()
        for conn in conns[40:]:
            assert b"ping" == talk(conn), "those that waited in the backlog are served"
        process.terminate()
        for conn in conns[40:]:
            conn.close()
        code, _, err = end(process)
    assert 0 == code
    assert "cannot accept: EMFILE" in err


def test_a_thousand_connections_at_once() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with ExitStack() as stack:
        process, port = stack.enter_context(server())
        conns = [stack.enter_context(dial(port)) for _ in range(1000)]
        for conn in conns:
            conn.sendall(b"ping")
        for conn in conns:
            assert b"ping" == conn.recv(10)
        process.terminate()
        for conn in conns:
            conn.close()
        assert 0 == end(process)[0]
