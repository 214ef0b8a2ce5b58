"""CPU time and memory of other processes, read from /proc.

Charter: looks, never touches. CPU time comes from /proc/PID/task/*/schedstat, which counts
nanoseconds (user and system together), not from /proc/PID/stat, which counts ticks of 10 ms. A
server is its whole tree of processes and all their threads.
"""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class CpuTime:
    """Nanoseconds that a tree of processes ran, and stood in a run queue wanting to run."""

    ran: int
    queued: int

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.ran - earlier.ran, self.queued - earlier.queued)


def cpu_time(pid: int) -> CpuTime:
    """Return the CPU time of the process and its descendants since they started."""
    ran = queued = 0
    for member in process_tree(pid):
        for thread in threads(member):
            fields = read_of_thread(member, thread, "schedstat").split()
            ran += int(fields[0]) if fields else 0
            queued += int(fields[1]) if fields else 0
    return CpuTime(ran, queued)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of the process and its descendants."""
    return sum(own_rss_bytes(member) for member in process_tree(pid))


def own_rss_bytes(pid: int) -> int:
    """Return one process's resident memory: smaps_rollup is exact where statm lags behind."""
    return kib_of(pid, "smaps_rollup", "Rss:") * 1024


def peak_rss_bytes(pid: int) -> int:
    """Return the most resident memory that one process, without its children, ever had."""
    return kib_of(pid, "status", "VmHWM:") * 1024


def kib_of(pid: int, file: str, field: str) -> int:
    """Return a field of a file of /proc/PID, or 0 where the process has ended."""
    try:
        lines = (PROC / str(pid) / file).read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)


def threads(pid: int) -> list[str]:
    """Return the ids of the threads of one process; none when it has ended."""
    try:
        return os.listdir(PROC / str(pid) / "task")
    except FileNotFoundError:
        return []


def process_tree(pid: int) -> list[int]:
    """Return the process and its descendants, parents first."""
    members = [pid]
    for member in members:
        for thread in threads(member):
            members += map(int, read_of_thread(member, thread, "children").split())
    return members


def read_of_thread(pid: int, thread: str, name: str) -> str:
    """Return a file of /proc/PID/task/THREAD, or nothing where the thread has just ended."""
    try:
        return (PROC / str(pid) / "task" / thread / name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
