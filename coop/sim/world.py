"""The world of a simulation: time, what is going to happen, the hosts and the links between them.

What lives here: World.  What it must not know: who drives it, how a run is judged.
Stands on: clock, faults, links, hosts.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from heapq import heappush
from typing import Any, Final, NamedTuple

from coop.frames import frames_of
from coop.outcomes import Cancelled
from coop.sim.bound import SockName
from coop.sim.clock import VirtualClock
from coop.sim.faults import Faults, Strike
from coop.sim.host import Host
from coop.sim.links import Link
from coop.task import Task
from coop.traps import running

#: Where coop's own files are.
PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

_PLUMBING: Final = ("stream_socket.py", "base_socket.py", "udp_socket.py", "readiness.py")


class Note(NamedTuple):
    """One line of the trace."""

    time: float
    host: str
    task: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.time:12.6f}  {self.host:10} {self.task:18} {self.what:8} {self.detail}"


class World:
    """Everything that the hosts of one simulation share."""

    def __init__(self, seed: int, faults: Faults, *, has_trace: bool = False) -> None:
        self.clock = VirtualClock()
        self.faults = faults
        faults.where = self.whereabouts
        faults.heard = self._note_strike
        #: For jitter, and for programs that ask the simulation for randomness.
        self.random = random.Random(~seed if seed >= 0 else seed)
        #: What happened, if anybody wants to know.
        self.trace: list[Note] | None = [] if has_trace else None
        #: Counts socket calls, events that were due, segments sent.
        self.calls = self.events_run = self.segments = 0
        self.hosts: dict[str, Host] = {}
        #: The host whose turn comes next, while it may be struck before any task of its runs.
        self.next_host: Host | None = None
        #: Errors that ended the programs of hosts.
        self.fallen: list[BaseException] = []
        #: Errors of sockets that were closed before anybody looked at them.
        self.unread: list[str] = []
        #: What is going to happen: when, in which order, the call and its arguments.
        self.events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._events_set = 0
        self._by_address: dict[str, Host] = {}
        self._links: dict[tuple[str, str], Link] = {}

    # -- time ---------------------------------------------------------------------------------

    def at(self, when: float, call: Callable[..., object], *args: Any) -> None:
        """Have ``call(*args)`` made at this clock time."""
        self._events_set += 1
        heappush(self.events, (when, self._events_set, call, args))

    def after(self, seconds: float, call: Callable[..., object], *args: Any) -> None:
        """Have ``call(*args)`` made after so many seconds; now, if there are none."""
        if seconds <= 0.0:
            call(*args)
        else:
            self.at(self.clock.time + seconds, call, *args)

    # -- places -------------------------------------------------------------------------------

    def add_host(self, name: str, program: Callable[..., Any] | None) -> Host:
        """Add a machine; it gets the next address of 10.0.0.0/16."""
        if name != name.lower() or not name:
            raise ValueError(f"a host's name is in lower case, not {name!r}")
        if name in self.hosts:
            raise ValueError(f"there is a host {name!r} already")
        block, number = divmod(len(self.hosts), 250)
        host = Host(self, name, f"10.0.{block}.{number + 1}", program)
        self.hosts[name] = host
        self._by_address[host.address] = host
        return host

    def host_at(self, asker: Host, name: SockName) -> Host | None:
        """Return which host has this address, as the asker sees it."""
        address = name[0]
        if name[1] == -1 or address.startswith("127.") or address in ("::1", "0.0.0.0", "::"):
            return asker
        return self._by_address.get(address)

    def link(self, source: Host, target: Host | None) -> Link:
        """Return the link from one host to another, or to itself."""
        names = source.name, "" if target is None else target.name
        link = self._links.get(names)
        if link is None:
            link = self._links[names] = Link(f"{names[0]}>{names[1]}")
            if source is target:
                link.latency = 0.0
        return link

    def heal(self) -> None:
        """Let everything pass again."""
        for link in self._links.values():
            link.cut_until = -1.0
            link.release()

    # -- what happens -------------------------------------------------------------------------

    def next_segment(self) -> int:
        """Count one more segment."""
        self.segments += 1
        return self.segments

    def note(self, host: str, what: str, detail: str) -> None:
        """Write a line of the trace."""
        if self.trace is not None:
            self.trace.append(Note(self.clock.time, host, self._task_name(), what, detail))

    def note_failure(self, host: Host, task: Task[Any], error: BaseException) -> None:
        """Take note of an error that ended a task."""
        if not isinstance(error, Cancelled):
            self.note(host.name, "failed", f"{type(error).__name__}: {error}")

    def _note_strike(self, strike: Strike) -> None:
        self.note(strike.host, "FAULT", f"{strike} {strike.place}".rstrip())

    def whereabouts(self) -> tuple[float, str, str, str]:
        """Say where we are: time, host, task, and the line of the user's code."""
        scheduler = running.scheduler
        host = getattr(scheduler, "host", self.next_host)
        name = "" if host is None else host.name
        return self.clock.time, name, self._task_name(), self._place()

    def _task_name(self) -> str:
        scheduler = running.scheduler
        task = getattr(scheduler, "gave_way", None) or getattr(scheduler, "current", None)
        return "" if task is None else str(task.name)

    def _place(self) -> str:
        """The innermost line that is not coop's own, of the task that is running."""
        scheduler = running.scheduler
        suspended = getattr(scheduler, "gave_way", None)
        if suspended is not None:
            return place_of(suspended)
        if scheduler is None or scheduler.current is None:
            return ""
        frame = sys._getframe(1)
        library = ""
        while frame is not None and frame.f_code is not _LOOP:
            path = frame.f_code.co_filename
            if path.startswith(PACKAGE + "sim"):
                frame = frame.f_back  # type: ignore[assignment]
                continue
            if not path.startswith(PACKAGE):
                return f"{os.path.basename(path)}:{frame.f_lineno}"
            if not library and os.path.basename(path) not in _PLUMBING:
                library = f"coop/{path[len(PACKAGE) :]}:{frame.f_lineno}"
            frame = frame.f_back  # type: ignore[assignment]
        return library


def place_of(task: Task[Any]) -> str:
    """The line of the user's own code at which a task that gave way stands; empty without one."""
    place = ""
    for frame in frames_of(task.generator):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
    return place


_LOOP: Final = Host.turn.__code__
