"""A task that ended with an error was kept alive, with all its frames held, by its own traceback.

Frames of the kernel in the traceback had locals that led back to the task: ``result`` and ``join``
(self), the loop's throw (task), a scope's exit (its task), a sleep (task), the group (its errors),
a race (its winner).  The whole of it was a cycle, and waited for the collector.  The alarm heap
kept ended tasks too, until their last timeout would have come.
The tests of what must die without the collector are in test_task.py; here is the last one.
"""

from __future__ import annotations

import weakref

import kit
import pytest
from kit import Gen, play

import coop

pytestmark = pytest.mark.core


def test_an_alarm_of_long_ago_does_not_keep_a_task_alive() -> None:
    def work() -> Gen[None]:
        with coop.timeout(300):
            yield from coop.sleep(1)

    def main() -> Gen[bool]:
        task = coop.spawn(work())
        yield from task.join()
        reference = weakref.ref(task)
        del task
        yield None
        return reference() is None

    with kit.no_collector():
        assert play(main())


def test_a_group_that_is_over_is_no_cycle() -> None:
    hooks: list[weakref.ref[object]] = []

    def body(group: coop.Group) -> Gen[None]:
        yield None

    def main() -> Gen[None]:
        def hook(task: coop.Task, error: BaseException) -> None: ...

        hooks.append(weakref.ref(hook))  # only the group holds it from here on
        yield from coop.group(body, on_error=hook)

    with kit.no_collector():
        play(main())
        assert hooks[0]() is None
