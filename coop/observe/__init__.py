"""Observe: what a running program is doing, seen from inside and from outside.

What lives here: the task tree, the answer to SIGUSR1, the watchdog for long steps.  What it must
not know: protocols.  Stands on: task, groups, stopwatch.
"""

from coop.observe.asking import ask
from coop.observe.picture import draw, tabulate
from coop.observe.slate import answering, find_answering
from coop.observe.stacks import Line
from coop.observe.tree import GroupNode, TaskNode, Tree, take_tree, tree
from coop.observe.watchdog import LONGEST_STEP, watching

__all__ = [
    "LONGEST_STEP",
    "GroupNode",
    "Line",
    "TaskNode",
    "Tree",
    "answering",
    "ask",
    "draw",
    "find_answering",
    "tabulate",
    "take_tree",
    "tree",
    "watching",
]
