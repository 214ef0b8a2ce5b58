"""Observe: what a running program is doing, seen from inside and from outside.

What lives here: the task tree, the answer to SIGUSR1, the watchdog for long steps.  What it must
not know: protocols.  Stands on: task, groups, stopwatch.
"""

from coop.observe.stacks import Line
from coop.observe.tree import GroupNode, TaskNode, Tree, take_tree, tree

__all__ = ["GroupNode", "Line", "TaskNode", "Tree", "take_tree", "tree"]
