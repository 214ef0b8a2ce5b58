"""Sealed: what a simulation cannot repeat is caught where it is used, and named.

What lives here: the list of such calls, ``sealed``, and Uncontrolled.  What it must not know: what
runs.  Stands on: outcomes, stopwatch, traps.

Only calls made by a task of a simulation are caught, and not those of the tools around it (logging,
Hypothesis, pytest, coverage).  What cannot be caught: ``from time import time`` done before,
``datetime.now``, the order of ``id()`` and of hashes.  Running a seed twice finds those.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import coop.stopwatch
from coop.outcomes import MisuseError
from coop.sim.scheduler import SimulatedScheduler
from coop.sim.world import PACKAGE, World
from coop.traps import running

_CLOCK = "coop.current_scheduler().clock.now()"
_RANDOM = "the simulation's own: sim.random, or random.Random(a seed)"
_EXECUTOR = "coop.spawn, or an executor whose submit runs the function at once"
_SOCKET = "coop.connect, coop.listen and the network of current_scheduler()"

#: What is caught: the family to allow it by, its owner, its name, and what to use instead.
CAUGHT: Final[tuple[tuple[str, Any, str, str], ...]] = (
    *(
        ("time", time, name, _CLOCK)
        for name in (
            "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
        )
    ),
    ("sleep", time, "sleep", "yield from coop.sleep(seconds)"),
    *(
        ("random", random, name, _RANDOM)
        for name in (
            "random", "uniform", "randint", "randrange", "choice", "choices", "sample", "shuffle",
            "getrandbits", "gauss", "expovariate", "randbytes", "betavariate", "triangular",
        )
    ),
    ("random", os, "urandom", _RANDOM),
    ("random", uuid, "uuid1", _RANDOM),
    ("random", uuid, "uuid4", _RANDOM),
    ("random", secrets, "token_bytes", _RANDOM),
    ("random", secrets, "token_hex", _RANDOM),
    ("random", random.SystemRandom, "random", _RANDOM),
    ("random", random.SystemRandom, "getrandbits", _RANDOM),
    ("sockets", socket.socket, "__init__", _SOCKET),
    ("sockets", socket, "getaddrinfo", _SOCKET),
    ("sockets", socket, "create_connection", _SOCKET),
    ("threads", threading.Thread, "start", "coop.spawn"),
    ("threads", ThreadPoolExecutor, "submit", _EXECUTOR),
    ("processes", subprocess.Popen, "__init__", "nothing: a process is not simulated"),
    ("processes", ProcessPoolExecutor, "submit", _EXECUTOR),
)  # fmt: skip

FAMILIES: Final = tuple(dict.fromkeys(family for family, *_ in CAUGHT))

_TOOLS: Final = ("logging", "hypothesis", "_pytest", "pytest", "coverage", "_hypothesis_globals")


class Uncontrolled(MisuseError):
    """Something was used inside a simulation that no seed can repeat."""


@contextmanager
def sealed(world: World, allowed: frozenset[str]) -> Generator[None, None, None]:
    """Catch, while this lasts, what tasks of a simulation use and no seed repeats.

    Of an allowed family, time and random answer by the simulation's clock and source, and the rest
    is left alone.
    """
    kept = [(owner, name, getattr(owner, name)) for _, owner, name, _ in CAUGHT]
    stopwatch: Any = coop.stopwatch
    system: Any = type(coop.stopwatch.MONOTONIC)
    own = system.now, stopwatch.time
    try:
        for (family, owner, name, instead), (_, _, real) in zip(CAUGHT, kept, strict=True):
            substitute = _substitute(world, family, name) if family in allowed else None
            if family not in allowed or substitute is not None:
                shown = f"{getattr(owner, '__name__', owner)}.{name}"
                setattr(owner, name, _catching(real, shown, instead, substitute))
        # coop's own stopwatches show the simulation's time, whatever clock they were given.
        system.now = staticmethod(_virtual(own[0], world.clock.now))
        stopwatch.time = _virtual(own[1], world.clock.wall_seconds)
        yield
    finally:
        system.now, stopwatch.time = staticmethod(own[0]), own[1]
        for owner, name, real in kept:
            setattr(owner, name, real)


def _catching(
    real: Callable[..., Any], shown: str, instead: str, substitute: Callable[..., Any] | None
) -> Callable[..., Any]:
    def caught(*args: Any, **kwargs: Any) -> Any:
        scheduler = running.scheduler
        if not isinstance(scheduler, SimulatedScheduler) or scheduler.current is None:
            return real(*args, **kwargs)
        frame = sys._getframe(1)
        if frame.f_globals.get("__name__", "").partition(".")[0] in _TOOLS:
            return real(*args, **kwargs)
        if substitute is not None:
            return substitute(*args, **kwargs)
        while frame.f_code.co_filename.startswith(PACKAGE) and frame.f_back is not None:
            frame = frame.f_back  # the user's line, not coop's own that it called
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        raise Uncontrolled(
            f"{shown} was used inside a simulation, at {place}, by task "
            f"{scheduler.current.name!r}: no seed can repeat it.  Use {instead}"
        )

    return caught


def _is_simulated() -> bool:
    return isinstance(running.scheduler, SimulatedScheduler)


def _virtual(real: Callable[[], float], virtual: Callable[[], float]) -> Callable[[], float]:
    def now() -> float:
        return virtual() if _is_simulated() else real()

    return now


def _substitute(world: World, family: str, name: str) -> Callable[..., Any] | None:
    if family == "time":
        read = world.clock.wall_seconds if name.startswith("time") else world.clock.now
        return (lambda: int(read() * 1e9)) if name.endswith("_ns") else read
    if family == "random":
        if name in ("urandom", "token_bytes"):
            return world.random.randbytes
        if name == "token_hex":
            return lambda count=32: world.random.randbytes(count).hex()
        if name.startswith("uuid"):
            return lambda *_, **__: uuid.UUID(bytes=world.random.randbytes(16), version=4)
        return getattr(world.random, name, None)
    return None
