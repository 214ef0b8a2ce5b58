"""Loads: the programs that keep servers busy, driven from Python.

Charter: starts a load program for one server, asks it for a slice of load, and returns what the
slice cost on both sides. A load that was busy all the time while the server was not says so: then
the server polled more often than it had to, and its figure is on the high side.
"""

import re
import resource
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cpu import CpuTime, cpu_time
from bench.paths import BUILD
from bench.processes import HOST, LOAD_CORE, PIPES, Server, end, start_pinned
from bench.rounds import Failed

SETTLE_SECONDS = 0.01
PATIENCE_SECONDS = 60.0
CONNECTING_SECONDS = 0.05
FULL = 0.95
WRK_UNITS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}
LATENCIES = ("p50", "p99", "p999", "late")


class LoadFailed(Failed):
    """A load program ended, or the server answered wrongly; the message says which and how."""


@dataclass(frozen=True)
class Slice:
    """One slice of load on one server. Times are in nanoseconds."""

    operations: int
    wall: int
    server: CpuTime
    load: CpuTime
    latency: dict[str, int]

    @property
    def cost(self) -> float:
        """Server CPU time of one operation."""
        return self.server.ran / self.operations

    @property
    def is_load_the_limit(self) -> bool:
        """Whether the load's core was full while the server's had room."""
        return share(self.load, self.wall) > FULL > share(self.server, self.wall)


def note_of(slices: Sequence[Slice]) -> str:
    """Say when the load could not keep up."""
    limited = sum(taken.is_load_the_limit for taken in slices)
    return f"load was the limit in {limited} of {len(slices)} slices" if limited else ""


def share(cpu: CpuTime, wall: int) -> float:
    """Return the part of the time in which a process ran or wanted to."""
    return (cpu.ran + cpu.queued) / wall


class PipedLoad:
    """A C load program that says "ready", then answers lines on its standard input."""

    def __init__(self, server: Server, program: str, *arguments: object) -> None:
        self.server = server
        command = [str(BUILD / program), str(server.port), *map(str, arguments)]
        self.process = start_pinned(command, LOAD_CORE, **PIPES)
        try:
            self._read_line()
        except BaseException:
            self.stop()
            raise

    def ask(self, line: str) -> dict[str, int]:
        """Send one line and return the numbers of the answer."""
        self.tell(line)
        return {name: int(n) for name, n in re.findall(r"(\w+)=(-?\d+)", self._read_line())}

    def tell(self, line: str) -> None:
        """Send one line that has no answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: reading its next answer tells why

    def _read_line(self) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if not select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0]:
            raise LoadFailed(f"{self.server.name}: nothing done in {PATIENCE_SECONDS:.0f} s")
        line = self.process.stdout.readline().decode()
        if not line:
            reason = self.process.stderr.read().decode().strip()
            raise LoadFailed(f"{self.server.name}: {reason or 'the load program ended'}")
        return line

    def stop(self) -> None:
        """End the program, which closes its connections."""
        end(self.process)


class SlicedLoad(PipedLoad):
    """A load program that works for as long as it is told, and then says what that cost it."""

    lines = 1

    def slice_of(self, command: str) -> Slice:
        """Have the server loaded for one slice and return what it cost."""
        before = cpu_time(self.server.pid)
        answer = self.ask(command)
        time.sleep(SETTLE_SECONDS)
        if not answer.get("messages"):
            raise LoadFailed(f"{self.server.name}: nothing came back")
        return Slice(
            operations=answer["messages"] * self.lines,
            wall=answer["wall"],
            server=cpu_time(self.server.pid) - before,
            load=CpuTime(answer["cpu"], answer["queued"]),
            latency={name: answer[name] for name in LATENCIES if name in answer},
        )


class EchoLoad(SlicedLoad):
    """Connections to an echo server, open from slice to slice; a message may be several lines."""

    def __init__(
        self, server: Server, connections: int, size_bytes: int, flooders: int = 0, lines: int = 1
    ) -> None:
        self.lines = lines
        super().__init__(server, "echo_load", connections, size_bytes, flooders, lines)

    def resize(self, size_bytes: int) -> None:
        """Send messages (or lines) of that size from now on."""
        self.tell(f"bytes {size_bytes}")

    def run(self, seconds: float, rate: int = 0) -> Slice:
        """Load the server: one message outstanding per connection, or `rate` a second in all."""
        return self.slice_of(f"run {seconds * 1000:.0f} {rate}")


class AcceptLoad(SlicedLoad):
    """Conversations of one message, each on a connection of its own, `concurrency` at a time."""

    def __init__(self, server: Server, concurrency: int) -> None:
        super().__init__(server, "accept_load", concurrency)

    def run(self, seconds: float) -> Slice:
        """Load the server; an operation is one connection."""
        return self.slice_of(f"run {seconds * 1000:.0f}")


class IdleLoad(PipedLoad):
    """Connections that were used once and then stay; `kind` is echo or http."""

    def __init__(self, server: Server, connections: int, kind: str) -> None:
        super().__init__(server, "idle_load", connections, kind)


@dataclass(frozen=True)
class Wrk:
    """wrk, one thread, for `connections` kept alive; `script` is a Lua file or None."""

    connections: int
    path: str = "/"
    script: Path | None = None

    def run(self, server: Server, seconds: float) -> Slice:
        """Load the server with requests and return what it cost; raises LoadFailed on any error."""
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{PATIENCE_SECONDS:.0f}s"]
        command += ["-s", str(self.script)] if self.script else []
        before = cpu_time(server.pid)
        used_before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command.append(f"http://{HOST}:{server.port}{self.path}")
        output = interrupted(start_pinned(command, LOAD_CORE, stdout=subprocess.PIPE), seconds)
        time.sleep(SETTLE_SECONDS)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = used.ru_utime + used.ru_stime - used_before.ru_utime - used_before.ru_stime
        operations, wall = read_wrk(server, output)
        return Slice(
            operations=operations,
            wall=wall,
            server=cpu_time(server.pid) - before,
            load=CpuTime(int(ran * 1e9), 0),
            latency={},
        )


def interrupted(wrk: subprocess.Popen[bytes], seconds: float) -> str:
    """Let wrk, which knows whole seconds only, go on for so long, and return what it prints."""
    try:
        time.sleep(seconds + CONNECTING_SECONDS)
        wrk.send_signal(signal.SIGINT)
        return wrk.communicate(timeout=PATIENCE_SECONDS)[0].decode()
    except subprocess.TimeoutExpired:
        return "nothing"
    finally:
        end(wrk)


def read_wrk(server: Server, output: str) -> tuple[int, int]:
    """Return how many requests wrk says were answered well, and in how many nanoseconds."""
    trouble = re.search(r"Socket errors.*|Non-2xx.*", output)
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", output)
    if trouble or not total or not int(total[1]):
        raise LoadFailed(f"{server.name}: wrk says: {trouble.group() if trouble else output!r}")
    return int(total[1]), int(float(total[2]) * WRK_UNITS[total[3]])
