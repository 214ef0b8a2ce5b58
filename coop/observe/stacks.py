"""Stacks: where a task stands, line by line, also when it is suspended.

What lives here: Line, and how to read the stack of a suspended or running task.  What it must not
know: who asks, or how it is shown.  Stands on: task.

A suspended generator tells what it delegates to (``gi_yieldfrom``), so its stack is exact, and
reading it disturbs nothing.  Two wrappers of Python's own, the awaitable of a coroutine and the
step of an async generator, do not tell; the garbage collector knows what they refer to.
"""

from __future__ import annotations

import gc
import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from coop.task import Task, TaskState


class Line(NamedTuple):
    """One line of a stack: the outermost call comes first."""

    file: str
    number: int
    function: str

    @property
    def source(self) -> str:
        """The text of the line, if its file can be read."""
        return linecache.getline(self.file, self.number).strip()


# The attributes of generators, coroutines and async generators: frame, and what they wait in.
_KINDS: Final = (
    ("gi_frame", "gi_yieldfrom"),
    ("cr_frame", "cr_await"),
    ("ag_frame", "ag_await"),
)


def stack_of(task: Task, interrupted: FrameType | None = None) -> tuple[Line, ...]:
    """Return the stack of a task, wherever it is; empty when it has ended.

    ``interrupted`` is the frame that a signal handler was called in.
    """
    if task.state is TaskState.RUNNING:
        running = tuple(_stack_of_running(task, interrupted or sys._getframe(1)))
        if running:
            return running
    return tuple(_stack_of_suspended(task.generator))


def _stack_of_running(task: Task, frame: FrameType | None) -> list[Line]:
    """Read upward from the frame that runs to the first of the task; empty if it is not there."""
    code = code_of(task.generator)
    lines: list[Line] = []
    while frame is not None:
        if not str(frame.f_globals.get("__name__")).startswith("coop.observe"):
            lines.append(line_of(frame))
        if frame.f_code is code and frame.f_back is not None and _is_loop(frame.f_back):
            return lines[::-1]
        frame = frame.f_back
    return []


def _is_loop(frame: FrameType) -> bool:
    return bool(frame.f_globals.get("__name__") == "coop.scheduler")


def _stack_of_suspended(thing: Any) -> Iterator[Line]:
    while thing is not None:
        for frame_name, inner_name in _KINDS:
            if hasattr(thing, frame_name):
                frame = getattr(thing, frame_name)
                if frame is None:
                    return
                yield line_of(frame)
                thing = getattr(thing, inner_name)
                break
        else:
            wrapped = [each for each in gc.get_referents(thing) if code_of(each) is not None]
            if len(wrapped) != 1:
                return  # a waiter, or a generator of another making that does not tell
            thing = wrapped[0]


def line_of(frame: FrameType) -> Line:
    """Return the line at which a frame stands."""
    return Line(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname)


def code_of(thing: Any) -> CodeType | None:
    """Return the code that a generator, a coroutine or an async generator runs."""
    for name in ("gi_code", "cr_code", "ag_code"):
        code: CodeType | None = getattr(thing, name, None)
        if code is not None:
            return code
    return None
