"""The guard against a forgotten ``yield from``: debug mode's answer to a silent mistake.

What lives here: whether debug mode is on, and the wrapper that complains when an operation was
made and never run; and the look at a generator that is about to be run.  What it must not know:
what the operation does.  Stands on: forgotten, outcomes.

``conn.sendall(data)`` alone on a line makes a generator and drops it; Python says nothing.  With
``COOP_DEBUG=1`` in the environment every operation is wrapped in a Guarded, which warns with file
and line when it dies without having been started, and lets forgotten look at the function that made
it, for calls of the user's own generator functions.  Off, it costs nothing: there is no wrapper.
"""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Generator
from types import CoroutineType, FrameType, GeneratorType
from typing import Any

from coop.forgotten import PACKAGE, look_at
from coop.outcomes import MisuseError

#: On by COOP_DEBUG=1, and in a test-suite unless COOP_DEBUG=0.
DEBUG = os.environ.get("COOP_DEBUG", "1" if "pytest" in sys.modules else "") not in ("", "0")


def _calling_frame(name: str) -> tuple[FrameType, str]:
    """The innermost frame that is not coop's own, and the name of what it called there."""
    frame = sys._getframe(3)  # that of whoever called the operation
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        name = frame.f_code.co_qualname
        frame = frame.f_back
    return frame, name


_STATES = {
    inspect.GEN_CREATED: "", inspect.CORO_CREATED: "",
    inspect.GEN_RUNNING: "is running", inspect.CORO_RUNNING: "is running",
    inspect.GEN_SUSPENDED: "has begun", inspect.CORO_SUSPENDED: "has begun",
    inspect.GEN_CLOSED: "has ended", inspect.CORO_CLOSED: "has ended",
}  # fmt: skip


def check_fresh(thing: Any) -> None:
    """Raise MisuseError for a generator (or a coroutine) that has begun, or has ended.

    One that has ended would return None at once, and one that has begun would be run by two: each
    takes for its own what the other waited for.  It costs a quarter of a spawn, so spawn looks in
    debug mode alone.
    """
    inner = thing._generator if isinstance(thing, Guarded) else thing
    if isinstance(inner, GeneratorType):
        state = _STATES[inspect.getgeneratorstate(inner)]
    elif isinstance(inner, CoroutineType):
        state = _STATES[inspect.getcoroutinestate(inner)]
    else:
        return  # of another making: it does not tell
    if state:
        raise MisuseError(f"{thing!r} {state} already: call its function again, for a fresh one")


def look_into(thing: Any) -> None:
    """Look at a generator (or a coroutine) that is about to be run, and at its function.

    Errors: MisuseError as ``check_fresh``.
    """
    check_fresh(thing)
    frame = getattr(thing, "gi_frame", None) or getattr(thing, "cr_frame", None)
    if frame is not None:
        look_at(frame)


def _look_outward(frame: FrameType | None) -> None:
    """Look at the caller of an operation, and at the generators that wait for it in turn."""
    while frame is not None:
        look_at(frame)
        if not frame.f_code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE):
            return
        frame = frame.f_back


class Guarded(Generator[Any, Any, Any]):
    """An operation that warns when it is dropped without having been started."""

    __slots__ = ("_file", "_generator", "_line", "_name", "_started")

    def __init__(self, generator: Generator[Any, Any, Any], name: str) -> None:
        self._generator = generator
        frame, self._name = _calling_frame(name)
        self._file = frame.f_code.co_filename
        self._line = frame.f_lineno
        # Handed on inside the library, it is started there or the outer operation complains.
        self._started = self._file.startswith(PACKAGE)
        if not self._started:
            _look_outward(frame)

    def __iter__(self) -> Generator[Any, Any, Any]:
        self._started = True
        return self._generator

    def __await__(self) -> Generator[Any, Any, Any]:
        self._started = True
        return self  # the generator itself is a coroutine to Python, which may not be returned here

    def send(self, value: Any) -> Any:
        self._started = True
        return self._generator.send(value)

    def throw(self, *error: Any) -> Any:
        self._started = True
        try:
            return self._generator.throw(*error)
        finally:
            del error  # its traceback keeps this frame, and would keep itself through it

    def close(self) -> None:
        self._started = True
        self._generator.close()

    @property
    def gi_frame(self) -> FrameType | None:
        return self._generator.gi_frame  # type: ignore[attr-defined, no-any-return]

    @property
    def gi_running(self) -> bool:
        return self._generator.gi_running  # type: ignore[attr-defined, no-any-return]

    @property
    def gi_yieldfrom(self) -> Any:
        return self._generator.gi_yieldfrom  # type: ignore[attr-defined]

    @property
    def gi_code(self) -> Any:
        return self._generator.gi_code  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<operation {self._name}>"

    def __del__(self) -> None:
        if not self._started:
            warnings.warn_explicit(
                f"{self._name}() was made and never run: write 'yield from' (or 'await') before it",
                RuntimeWarning,
                self._file,
                self._line,
            )
