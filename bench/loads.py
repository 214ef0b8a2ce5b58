"""Loads: the programs that keep servers busy, driven from Python.

Charter: starts a load program for one server, asks it for a slice of load, and returns what the
slice cost on both sides. A load that was busy all the time while the server was not says so: then
the server polled more often than it had to, and its figure is on the high side.
"""

import re
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.cpu import CpuTime, cpu_time
from bench.paths import BUILD
from bench.processes import HOST, LOAD_CORE, PIPES, Server, end, start_pinned
from bench.rounds import Failed

SETTLE_SECONDS = 0.01
FULL = 0.95


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


def share(cpu: CpuTime, wall: int) -> float:
    """Return the part of the time in which a process ran or wanted to."""
    return (cpu.ran + cpu.queued) / wall


class PipedLoad:
    """A C load program that says "ready", then answers lines on its standard input."""

    def __init__(self, server: Server, program: str, *arguments: object) -> None:
        self.server = server
        command = [str(BUILD / program), str(server.port), *map(str, arguments)]
        self.process = start_pinned(command, LOAD_CORE, **PIPES)
        self._read_line()

    def ask(self, line: str) -> dict[str, int]:
        """Send one line and return the numbers of the answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: reading its answer tells why
        return {name: int(n) for name, n in re.findall(r"(\w+)=(-?\d+)", self._read_line())}

    def _read_line(self) -> str:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline().decode()
        if not line:
            reason = self.process.stderr.read().decode().strip()
            raise LoadFailed(f"{self.server.name}: {reason or 'the load program ended'}")
        return line

    def stop(self) -> None:
        """End the program, which closes its connections."""
        end(self.process)


class EchoLoad(PipedLoad):
    """Connections to an echo server, open from slice to slice."""

    def __init__(
        self, server: Server, connections: int, size_bytes: int, flooders: int = 0
    ) -> None:
        super().__init__(server, "echo_load", connections, size_bytes, flooders)

    def run(self, seconds: float, rate: int = 0) -> Slice:
        """Load the server: one message outstanding per connection, or `rate` a second in all."""
        before = cpu_time(self.server.pid)
        answer = self.ask(f"run {seconds * 1000:.0f} {rate}")
        time.sleep(SETTLE_SECONDS)
        return Slice(
            operations=answer["messages"],
            wall=answer["wall"],
            server=cpu_time(self.server.pid) - before,
            load=CpuTime(answer["cpu"], answer["queued"]),
            latency={name: answer[name] for name in ("p50", "p99", "p999", "late")},
        )


class IdleLoad(PipedLoad):
    """Connections that were used once and then stay; `kind` is echo or http."""

    def __init__(self, server: Server, connections: int, kind: str) -> None:
        super().__init__(server, "idle_load", connections, kind)


@dataclass(frozen=True)
class Wrk:
    """wrk, one thread, for `connections` kept alive; `script` is a Lua file or None."""

    connections: int
    script: Path | None = None

    def run(self, server: Server, seconds: int) -> Slice:
        """Load the server with GET / and return what it cost; raises LoadFailed on any error."""
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--latency"]
        command += ["-s", str(self.script)] if self.script else []
        before = cpu_time(server.pid)
        used_before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic_ns()
        command.append(f"http://{HOST}:{server.port}/")
        wrk = start_pinned(command, LOAD_CORE, stdout=subprocess.PIPE)
        output = wrk.communicate()[0].decode()
        wall = time.monotonic_ns() - begin
        time.sleep(SETTLE_SECONDS)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = used.ru_utime + used.ru_stime - used_before.ru_utime - used_before.ru_stime
        return Slice(
            operations=count_requests(server, output),
            wall=wall,
            server=cpu_time(server.pid) - before,
            load=CpuTime(int(ran * 1e9), 0),
            latency={},
        )


def count_requests(server: Server, output: str) -> int:
    """Return how many requests wrk says were answered well."""
    trouble = re.search(r"Socket errors.*|Non-2xx.*", output)
    total = re.search(r"(\d+) requests in", output)
    if trouble or not total or not int(total.group(1)):
        raise LoadFailed(f"{server.name}: wrk says: {trouble.group() if trouble else output!r}")
    return int(total.group(1))
