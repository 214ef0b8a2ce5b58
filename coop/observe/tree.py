"""Tree: every task of a scheduler, at one moment, as data.

What lives here: Tree, its nodes, how it is taken from a scheduler, and how it travels as JSON.
What it must not know: who asked.  Stands on: traps, task, groups, stacks, picture.

Taking a tree reads and changes nothing, so it may be done at any moment, also from a signal
handler.  It is kept flat: tasks name their group by its index, groups their holder by its number.
"""

from __future__ import annotations

import json
import math
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from coop.groups import Group
from coop.observe.picture import draw
from coop.observe.stacks import Line, stack_of
from coop.task import Task
from coop.traps import current_scheduler

if TYPE_CHECKING:
    from coop.scheduler import Scheduler


class TaskNode(NamedTuple):
    """One task."""

    #: Counts the tasks of the scheduler from 1.
    number: int
    name: str
    #: "ready", "running" or "parked".
    state: str
    #: What it waits for, and for how many seconds already; None unless it is parked.
    reason: str | None
    waited: float | None
    #: Seconds until its nearest deadline; None without one.
    remaining: float | None
    #: Whether a cancellation is in force where it stands.
    is_cancelled: bool
    #: Index of its group in the tree; None for the root of a run.
    group: int | None
    #: Outermost call first.
    stack: tuple[Line, ...]


class GroupNode(NamedTuple):
    """One group."""

    name: str
    #: Number of the task that holds it; None when no task of the tree does.
    holder: int | None


class Tree:
    """Every task of a scheduler at one moment.  ``print`` draws it, with equal tasks folded."""

    def __init__(self, tasks: tuple[TaskNode, ...], groups: tuple[GroupNode, ...]) -> None:
        #: In the order of spawning.
        self.tasks = tasks
        self.groups = groups
        self._members: dict[int | None, list[TaskNode]] = {}
        self._held: dict[int | None, list[int]] = {}
        for task in tasks:
            self._members.setdefault(task.group, []).append(task)
        for index, group in enumerate(groups):
            self._held.setdefault(group.holder, []).append(index)

    @property
    def roots(self) -> list[TaskNode]:
        """The tasks that belong to no group: the root of the run."""
        return self._members.get(None, [])

    @property
    def loose_groups(self) -> list[int]:
        """Indexes of the groups that no task of the tree holds."""
        return self._held.get(None, [])

    def groups_of(self, task: TaskNode) -> list[int]:
        """Return the indexes of the groups that this task holds, in the order they appeared."""
        return self._held.get(task.number, [])

    def members_of(self, group: int) -> list[TaskNode]:
        """Return the tasks of the group with this index."""
        return self._members.get(group, [])

    def find(self, name: str) -> TaskNode:
        """Return the first task of this name.  Errors: KeyError."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(f"no task is named {name!r}")

    def __str__(self) -> str:
        return draw(self)

    def __repr__(self) -> str:
        return f"<tree of {len(self.tasks)} tasks>"

    # -- as JSON ------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Write the tree as JSON; stacks that are equal are written once."""
        stacks: dict[tuple[Line, ...], int] = {}
        tasks = [[*task[:-1], stacks.setdefault(task.stack, len(stacks))] for task in self.tasks]
        return json.dumps({"tasks": tasks, "groups": self.groups, "stacks": list(stacks)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Tree:
        """Read what ``to_json`` wrote.  Errors: ValueError when it is something else."""
        try:
            data: dict[str, Any] = json.loads(text)
            stacks = [tuple(Line(*line) for line in stack) for stack in data["stacks"]]
            tasks = [TaskNode._make([*row[:-1], stacks[row[-1]]]) for row in data["tasks"]]
            return cls(tuple(tasks), tuple(map(GroupNode._make, data["groups"])))
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"this is no task tree: {error!r}") from error


def tree() -> Tree:
    """Return every task of the running scheduler: state, reason, time, time left, exact stack.

    Errors: MisuseError outside a run.
    """
    return take_tree(current_scheduler())


def take_tree(scheduler: Scheduler, interrupted: FrameType | None = None) -> Tree:
    """Return every task of this scheduler; a signal handler says which frame it interrupted."""
    now = scheduler.clock.now()
    live = list(scheduler.tasks.values())
    groups: dict[int, tuple[int, Group]] = {}
    tasks = []
    for task in live:
        index = None
        if isinstance(task.owner, Group):
            index, _ = groups.setdefault(id(task.owner), (len(groups), task.owner))
        tasks.append(_node_of(task, index, now, interrupted))
    numbers = {task.number for task in live}
    holders = [(group.name, group.holder) for _, group in groups.values()]
    return Tree(
        tuple(tasks),
        tuple(
            GroupNode(name, holder.number if holder and holder.number in numbers else None)
            for name, holder in holders
        ),
    )


def _node_of(
    task: Task[Any], group: int | None, now: float, interrupted: FrameType | None
) -> TaskNode:
    waiter = task.waiter
    left = task.deadline - now
    return TaskNode(
        task.number,
        str(task.name),
        task.state.value,
        None if waiter is None else waiter.reason(),
        None if waiter is None else max(0.0, now - task.since),
        None if math.isinf(left) else max(0.0, left),
        task.cancelling is not None,
        group,
        stack_of(task, interrupted),
    )
