"""Deadlock: the report names every wait, and the circle; and there is none while help may come."""

from __future__ import annotations

import threading

import pytest
from sync_kit import Gen, passes, play

import coop
from coop.deadlock import find_circle
from coop.task import Task
from coop.traps import Waiter


def report_of(main: Gen[object]) -> list[str]:
    with pytest.raises(coop.Deadlock) as caught:
        play(main)
    return str(caught.value).splitlines()


def holding(one: coop.Lock, other: coop.Lock) -> Gen[None]:
    with (yield from one.acquire()):
        yield from passes(2)
        with (yield from other.acquire()):
            pass


def test_two_locks_in_opposite_order_make_a_circle() -> None:
    def main() -> Gen[None]:
        a, b = coop.Lock(name="a"), coop.Lock(name="b")
        coop.spawn(holding(a, b), name="left")
        coop.spawn(holding(b, a), name="right")
        return
        yield

    assert report_of(main()) == [
        "no task can ever run again:",
        "  main: waits for the end of <run of 2 tasks>",
        "  left: waits for acquire <lock 'b' held by 'right', 1 wait: 'left'>",
        "  right: waits for acquire <lock 'a' held by 'left', 1 wait: 'right'>",
        "a circle of waits:",
        "  left waits for right: acquire <lock 'b' held by 'right', 1 wait: 'left'>",
        "  right waits for left: acquire <lock 'a' held by 'left', 1 wait: 'right'>",
    ]


def test_a_long_circle_is_cut_short() -> None:
    """A circle of ten thousand tasks was a message of ten thousand lines."""

    def main() -> Gen[None]:
        locks = [coop.Lock() for _ in range(100)]
        for number in range(100):
            task = holding(locks[number], locks[(number + 1) % 100])
            coop.spawn(task, name=f"t{number}")
        return
        yield

    lines = report_of(main())
    assert "  … and 81 more" == lines[21]
    assert "a circle of waits:" == lines[22]
    assert 20 == len(lines[23:])
    assert lines[23].startswith("  t0 waits for t1: ")
    assert "  … and 81 more, until" == lines[-2]
    assert lines[-1].startswith("  t99 waits for t0: ")


def test_a_name_cannot_forge_a_line_of_the_report() -> None:
    def main() -> Gen[None]:
        coop.spawn(coop.Event().wait(), name="sly\n  root: waits for nothing\x1b[2J")
        return
        yield

    lines = report_of(main())
    assert 3 == len(lines)
    assert lines[2].startswith(r"  sly\n  root: waits for nothing\x1b[2J: waits for ")


def test_tasks_that_join_each_other_make_a_circle() -> None:
    def main() -> Gen[None]:
        tasks: list[coop.Task] = []

        def join(number: int) -> Gen[None]:
            yield None
            yield from tasks[(number + 1) % 3].join()

        tasks += [coop.spawn(join(number), name=f"t{number}") for number in range(3)]
        return
        yield

    assert ["t0 waits for t1", "t1 waits for t2", "t2 waits for t0"] == [
        line.strip().partition(":")[0] for line in report_of(main())[-3:]
    ]


def test_a_circle_goes_through_groups_limiters_and_choices() -> None:
    def main() -> Gen[None]:
        limiter = coop.CapacityLimiter(1)

        def child() -> Gen[None]:
            yield from coop.first(coop.Event(), limiter)

        def body(group: coop.Group) -> Gen[None]:
            group.spawn(child(), name="child")
            return
            yield

        with (yield from limiter.acquire()):
            yield from coop.group(body)

    assert ["main waits for child", "child waits for main"] == [
        line.strip().partition(":")[0] for line in report_of(main())[-2:]
    ]


def test_without_a_circle_none_is_reported() -> None:
    def main() -> Gen[None]:
        yield from coop.Event(name="never").wait()

    assert [
        "no task can ever run again:",
        "  main: waits for <event 'never' not set, 1 wait: 'main'>",
    ] == report_of(main())


def test_a_long_report_is_cut() -> None:
    def main() -> Gen[None]:
        event = coop.Event()
        for _ in range(50):
            coop.spawn(event.wait())
        yield from event.wait()

    report = report_of(main())
    assert 22 == len(report)
    assert "  … and 31 more" == report[-1]


def test_a_deep_chain_of_waits_is_walked() -> None:
    def main() -> Gen[None]:
        tasks: list[coop.Task] = []

        def join(number: int) -> Gen[None]:
            yield None
            yield from (tasks[number + 1].join() if number < 2999 else coop.Event().wait())

        tasks += [coop.spawn(join(number)) for number in range(3000)]
        return
        yield

    assert "a circle of waits:" not in report_of(main())


def test_the_circle_is_found_beside_dead_ends() -> None:
    """Strings will do for tasks: the search looks at nothing but who waits for whom."""
    waits = {"a": ["x", "b"], "b": ["y", "c"], "c": ["b"], "x": ["y"], "y": []}

    def waiter(names: list[str]) -> Waiter:
        blocked = type("Blocked", (Waiter,), {"blockers": lambda self: names})
        return blocked()

    parked: dict[Task, Waiter] = {name: waiter(names) for name, names in waits.items()}  # type: ignore[misc]
    assert ["b", "c"] == find_circle(parked)


def test_what_another_thread_may_end_is_no_deadlock() -> None:
    def main() -> Gen[str]:
        event = coop.Event()
        scheduler = coop.current_scheduler()
        release = threading.Event()

        def help_out() -> None:
            release.wait()
            scheduler.call_threadsafe(event.set)

        thread = threading.Thread(target=help_out)
        thread.start()
        release.set()
        yield from event.wait()
        thread.join()
        return "helped"

    assert "helped" == coop.run(main())


def test_when_the_last_thread_has_ended_it_is_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coop.scheduler.THREADS_PATIENCE", 0.01)

    def main() -> Gen[None]:
        release = threading.Event()
        thread = threading.Thread(target=release.wait)
        thread.start()
        coop.current_scheduler().call_soon(release.set)
        yield from coop.Event().wait()

    with pytest.raises(coop.Deadlock):
        coop.run(main())


def test_a_simulation_has_no_threads_to_wait_for() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        assert "no task can ever run again:" == report_of(coop.Event().wait())[0]
    finally:
        release.set()
        thread.join()
