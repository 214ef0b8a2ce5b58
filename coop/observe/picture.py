"""Picture: a task tree as text.

What lives here: ``draw``, the tree with its stacks, equal tasks folded; and ``tabulate``, one line
for each task.  What it must not know: schedulers, tasks; it reads a Tree.  Stands on:
printable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from coop.printable import printable

if TYPE_CHECKING:
    from coop.observe.tree import TaskNode, Tree

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_COLUMNS = ("TASK", "NAME", "STATE", "FOR", "LEFT", "WAITS FOR")


def draw(tree: Tree) -> str:
    """Return the tree as text: groups as branches, and under each task its stack.

    Tasks of one group that stand at the same lines are shown once: ``990 of 1000``.  The
    library's own lines are left out, but for the innermost.
    """
    lines = [f"{len(tree.tasks)} tasks"]
    # Each entry: the text to the left of what is drawn, and the drawing.  A list and not a
    # recursion, as groups may stand in groups deeper than Python's stack.
    stack: list[tuple[str, bool, Any]] = []
    _push_tasks(stack, "", tree.roots, tree)
    stack += [("", True, group) for group in reversed(tree.loose_groups)]
    while stack:
        margin, is_last, thing = stack.pop()
        corner, below = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        if isinstance(thing, int):
            members = tree.members_of(thing)
            lines.append(f"{margin}{corner}{tree.groups[thing].name} of {len(members)} tasks")
            _push_tasks(stack, margin + below, members, tree)
        else:
            held = tree.groups_of(thing[0])
            bar = "│" if held else " "
            lines.append(f"{margin}{corner}{_describe(thing, tree)}")
            lines += [f"{margin}{below}{bar}    {text}" for text in _stack_text(thing[0])]
            for position, group in enumerate(reversed(held)):
                stack.append((margin + below, position == 0, group))
    return "\n".join(map(printable, lines))


def _push_tasks(
    stack: list[tuple[str, bool, Any]], margin: str, tasks: list[TaskNode], tree: Tree
) -> None:
    for position, folded in enumerate(reversed(fold(tasks, tree))):
        stack.append((margin, position == 0, folded))


def fold(tasks: Iterable[TaskNode], tree: Tree) -> list[list[TaskNode]]:
    """Put those together that are in the same state at the same lines and hold no group."""
    folds: dict[Any, list[TaskNode]] = {}
    for task in tasks:
        key: Any = (task.state, task.stack, task.is_cancelled)
        if tree.groups_of(task):
            key = task.number
        folds.setdefault(key, []).append(task)
    return list(folds.values())


def _describe(tasks: list[TaskNode], tree: Tree) -> str:
    first = tasks[0]
    title = first.name
    if len(tasks) > 1:
        siblings = tree.roots if first.group is None else tree.members_of(first.group)
        title = f"{len(tasks)} of {len(siblings)}: {first.name} … {tasks[-1].name}"
    times = _range(task.waited for task in tasks)
    left = _range(task.remaining for task in tasks)
    reasons = dict.fromkeys(task.reason for task in tasks if task.reason)
    return "".join(
        [
            f"{title}, {first.state}",
            f" {times}" if times else "",
            f", {left} left" if left else "",
            ", cancelled" if first.is_cancelled else "",
            f": {next(iter(reasons))}" if reasons else "",
            f" … {len(reasons) - 1} more" if len(reasons) > 1 else "",
        ]
    )


def _stack_text(task: TaskNode) -> Iterator[str]:
    # The way through the library tells nothing, but where it stands does.
    shown = [line for line in task.stack[:-1] if not line.file.startswith(_PACKAGE)]
    for line, same in groupby([*shown, *task.stack[-1:]]):
        source = f"  {line.source}" if line.source else ""
        yield f"{line.file}:{line.number} {line.function}{source}"
        repeats = len(list(same)) - 1
        if repeats:
            yield f"… the same {repeats} times more"


def _range(times: Iterable[float | None]) -> str:
    known = sorted(time for time in times if time is not None)
    if not known:
        return ""
    shortest, longest = seconds(known[0]), seconds(known[-1])
    return shortest if shortest == longest else f"{shortest} … {longest}"


def seconds(time: float) -> str:
    """Write a number of seconds so that a reader takes it in: 0.012 s, 3.4 s, 2 min 5 s."""
    if time < 1:
        return f"{time:.3f} s"
    if time < 60:
        return f"{time:.1f} s"
    minutes, rest = divmod(round(time), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def tabulate(tree: Tree) -> str:
    """Return one line for each task."""
    rows = [_COLUMNS] + [
        (
            str(task.number),
            printable(task.name),
            task.state + (" cancelled" if task.is_cancelled else ""),
            "" if task.waited is None else seconds(task.waited),
            "" if task.remaining is None else seconds(task.remaining),
            printable(task.reason or ""),
        )
        for task in tree.tasks
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
