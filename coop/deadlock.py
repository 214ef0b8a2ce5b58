"""Deadlock: why no task can ever run again.

What lives here: the text of the report, with each task's reason and the circle of waits, if there
is one.  What it must not know: locks, channels; a waiter names its blockers.  Stands on:
printable, traps, task.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coop.printable import printable
from coop.task import Task
from coop.traps import Waiter

#: How many tasks the report names.
_SHOWN = 20


def explain_deadlock(tasks: Iterable[Task[Any]]) -> str:
    """Say of each parked task what it waits for, and who waits for whom in a circle."""
    parked = {task: task.waiter for task in tasks if task.waiter is not None}
    lines = ["no task can ever run again:"]
    reasons = {task: waiter.reason().removeprefix("wait for ") for task, waiter in parked.items()}
    lines += [f"  {task.name}: waits for {reasons[task]}" for task in list(parked)[:_SHOWN]]
    if len(parked) > _SHOWN:
        lines.append(f"  … and {len(parked) - _SHOWN} more")
    circle = find_circle(parked)
    if circle:
        lines.append("a circle of waits:")
        told = [
            f"  {task.name} waits for {after.name}: {parked[task].reason()}"
            for task, after in zip(circle, circle[1:] + circle[:1], strict=True)
        ]
        if len(told) > _SHOWN:
            told[_SHOWN - 2 : -1] = [f"  … and {len(told) - _SHOWN + 1} more, until"]
        lines += told
    return "\n".join(map(printable, lines))


def find_circle(parked: dict[Task[Any], Waiter]) -> list[Task[Any]]:
    """Return tasks of which each waits for the next, and the last for the first; none: empty.

    A depth-first search by hand, as chains of waits may be deeper than Python's stack.
    """
    seen: set[Task[Any]] = set()
    for start in parked:
        path: dict[Task[Any], None] = {}
        branches = [iter([start])]
        while branches:
            task = next(branches[-1], None)
            if task is None:
                branches.pop()
                if path:
                    path.popitem()
            elif task in path:
                chain = list(path)
                return chain[chain.index(task) :]
            elif task in parked and task not in seen:
                seen.add(task)
                path[task] = None
                branches.append(iter(parked[task].blockers()))
    return []
