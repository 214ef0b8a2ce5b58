"""Frames: where a suspended generator stands, and what stands inside it.

What lives here: how to walk from a generator (or coroutine, or async generator) to whatever it
delegates to, down to the innermost.  What it must not know: tasks, or what the frames are for.
Stands on: the standard library alone.

A suspended generator tells what it delegates to (``gi_yieldfrom``), so the walk is exact, and
disturbs nothing.  Two wrappers of Python's own, the awaitable of a coroutine and the step of an
async generator, do not tell; the garbage collector knows what they refer to.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, Final

# The attributes of generators, coroutines and async generators: frame, and what they wait in.
_KINDS: Final = (
    ("gi_frame", "gi_yieldfrom"),
    ("cr_frame", "cr_await"),
    ("ag_frame", "ag_await"),
)


def frames_of(thing: Any) -> Iterator[FrameType]:
    """Give the frames of what is suspended, the outermost first; none when it has ended.

    The walk ends at a waiter, or at a generator of another making that does not tell.
    """
    while thing is not None:
        for frame_name, inner_name in _KINDS:
            if hasattr(thing, frame_name):
                frame = getattr(thing, frame_name)
                if frame is None:
                    return
                yield frame
                thing = getattr(thing, inner_name)
                break
        else:
            wrapped = [each for each in gc.get_referents(thing) if code_of(each) is not None]
            if len(wrapped) != 1:
                return
            thing = wrapped[0]


def code_of(thing: Any) -> CodeType | None:
    """Return the code that a generator, a coroutine or an async generator runs."""
    for name in ("gi_code", "cr_code", "ag_code"):
        code: CodeType | None = getattr(thing, name, None)
        if code is not None:
            return code
    return None
