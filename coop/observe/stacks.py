"""Stacks: where a task stands, line by line, also when it is suspended.

What lives here: Line, and how to read the stack of a suspended or running task.  What it must not
know: who asks, or how it is shown.  Stands on: frames, task.
"""

from __future__ import annotations

import linecache
import sys
from types import FrameType
from typing import Any, NamedTuple

from coop.frames import code_of, frames_of
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


def stack_of(task: Task[Any], interrupted: FrameType | None = None) -> tuple[Line, ...]:
    """Return the stack of a task, wherever it is; empty when it has ended.

    ``interrupted`` is the frame that a signal handler was called in.
    """
    if task.state is TaskState.RUNNING:
        running = tuple(_stack_of_running(task, interrupted or sys._getframe(1)))
        if running:
            return running
    return tuple(map(line_of, frames_of(task.generator)))


def _stack_of_running(task: Task[Any], frame: FrameType | None) -> list[Line]:
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


def line_of(frame: FrameType) -> Line:
    """Return the line at which a frame stands."""
    return Line(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname)
