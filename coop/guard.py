"""The guard against a forgotten ``yield from``: debug mode's answer to a silent mistake.

What lives here: whether debug mode is on, and the wrapper that complains when an operation was
made and never run.  What it must not know: what the operation does.  Stands on: nothing of coop.

``conn.sendall(data)`` alone on a line makes a generator and drops it; Python says nothing.  With
``COOP_DEBUG=1`` in the environment every operation is wrapped in a Guarded, which warns with file
and line when it dies without having been started.  Off, it costs nothing: there is no wrapper.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Generator
from types import FrameType
from typing import Any

#: On by COOP_DEBUG=1, and in a test-suite unless COOP_DEBUG=0.
DEBUG = os.environ.get("COOP_DEBUG", "1" if "pytest" in sys.modules else "") not in ("", "0")

_PACKAGE = os.path.dirname(__file__) + os.sep


def _calling_frame() -> FrameType:
    """The innermost frame that is not coop's own: the user's call."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


class Guarded(Generator[Any, Any, Any]):
    """An operation that warns when it is dropped without having been started."""

    __slots__ = ("_file", "_generator", "_line", "_name", "_started")

    def __init__(self, generator: Generator[Any, Any, Any], name: str) -> None:
        frame = _calling_frame()
        self._generator = generator
        self._name = name
        self._file = frame.f_code.co_filename
        self._line = frame.f_lineno
        # Handed on inside the library, it is started there or the outer operation complains.
        self._started = self._file.startswith(_PACKAGE)

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
        return self._generator.throw(*error)

    def close(self) -> None:
        self._started = True
        self._generator.close()

    @property
    def gi_frame(self) -> FrameType | None:
        return self._generator.gi_frame  # type: ignore[attr-defined, no-any-return]

    @property
    def gi_yieldfrom(self) -> Any:
        return self._generator.gi_yieldfrom  # type: ignore[attr-defined]

    @property
    def gi_code(self) -> Any:
        return self._generator.gi_code  # type: ignore[attr-defined]

    def __del__(self) -> None:
        if not self._started:
            warnings.warn_explicit(
                f"{self._name}() was made and never run: write 'yield from' (or 'await') before it",
                RuntimeWarning,
                self._file,
                self._line,
            )
