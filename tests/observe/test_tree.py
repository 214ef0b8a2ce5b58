"""The task tree: what it says of each task, how it is drawn, and how it travels."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from sync_kit import Gen, passes, play

import coop
from coop.observe import GroupNode, Line, TaskNode, Tree, draw, tabulate
from coop.observe.picture import seconds


def crowd(count: int) -> Gen[Tree]:
    """Take the tree of so many tasks that wait for one channel, and one that sleeps."""
    jobs = coop.Channel[int](0, name="jobs")

    def work() -> Gen[None]:
        yield from jobs.recv()

    def sleeper() -> Gen[None]:
        with coop.timeout(30):
            yield from coop.sleep(60)

    def body(group: coop.Group) -> Gen[Tree]:
        for _ in range(count):
            group.spawn(work())
        group.spawn(sleeper(), name="sleeper")
        yield from passes(2)
        yield from coop.sleep(4)
        tree = coop.tree()
        group.cancel()
        return tree

    return (yield from coop.group(body))


def test_it_says_what_each_task_waits_for_and_how_long() -> None:
    tree = play(crowd(2))
    sleeper = tree.find("sleeper")
    assert "parked" == sleeper.state
    assert "sleep" == sleeper.reason
    assert (4, 26) == (sleeper.waited, sleeper.remaining)
    assert "running" == tree.find("main").state
    worker = tree.tasks[1]
    assert "receive from <channel 'jobs' 0 of 0, 2 wait: 'work-2', 'work-3'>".replace(
        "work", "crowd.<locals>.work".rpartition("<locals>.")[2]
    ) == (worker.reason)
    assert worker.remaining is None


def test_groups_are_branches_under_the_task_that_holds_them() -> None:
    tree = play(crowd(2))
    (root,) = tree.roots
    assert "main" == root.name
    (group,) = tree.groups_of(root)
    assert "group" == tree.groups[group].name
    assert ["work-2", "work-3", "sleeper"] == [task.name for task in tree.members_of(group)]


def test_a_group_whose_holder_has_ended_its_body_still_hangs_there() -> None:
    def main() -> Gen[Tree]:
        trees: list[Tree] = []

        def child() -> Gen[None]:
            yield from passes(3)
            trees.append(coop.tree())

        def body(group: coop.Group) -> Gen[None]:
            group.spawn(child())
            return
            yield

        yield from coop.group(body)
        return trees[0]

    tree = play(main())
    assert 1 == len(tree.groups_of(tree.find("main")))
    assert "the end of <group of 1 tasks>" == tree.find("main").reason


def test_a_cancelled_task_is_marked() -> None:
    def main() -> Gen[Tree]:
        trees: list[Tree] = []

        def stubborn() -> Gen[None]:
            try:
                yield from coop.sleep(100)
            finally:
                with coop.shield():
                    yield from coop.sleep(2)
                trees.append(coop.tree())

        task = coop.spawn(stubborn(), name="stubborn")
        yield from passes(2)
        task.cancel()
        yield from task.joiners.park()
        return trees[0]

    assert play(main()).find("stubborn").is_cancelled


def test_equal_tasks_are_drawn_once() -> None:
    text = draw(play(crowd(990)))
    assert "├─ 990 of 991: work-2 … work-991, parked 4.0 s: receive from <channel 'jobs'" in text
    assert "└─ sleeper, parked 4.0 s, 26.0 s left: sleep" in text
    assert 1 == text.count("yield from jobs.recv()")
    assert len(text.splitlines()) < 15


def test_the_librarys_own_lines_are_left_out_of_the_picture() -> None:
    text = str(play(crowd(1)))
    assert "run_body" not in text
    assert "channel.py" in text  # the innermost line is where it stands


def test_a_recursion_is_drawn_once() -> None:
    """A stack of three hundred lines that are the same filled the terminal."""

    def descend(depth: int) -> Gen[None]:
        if depth:
            yield from descend(depth - 1)
        else:
            yield from coop.Event().wait()

    def main() -> Gen[str]:
        task = coop.spawn(descend(100))
        yield from passes(2)
        tree = coop.tree()
        task.cancel()
        assert 102 == len(tree.find(task.name).stack)
        return draw(tree)

    text = play(main())
    assert "… the same 99 times more" in text
    assert 2 == text.count("descend(depth - 1)\n") + text.count("coop.Event().wait()\n")


def test_names_and_reasons_stay_on_their_line() -> None:
    def main() -> Gen[tuple[str, str, Tree]]:
        class Sly(coop.Event):
            def __repr__(self) -> str:
                return "<nothing>\n\x1b[2J"

        event = Sly()
        tasks = [coop.spawn(event.wait(), name=name) for name in ("a\nb\x1b[31m\udc80", 7)]  # type: ignore[arg-type]
        yield from passes(2)
        tree = coop.tree()
        event.set()
        assert tasks
        return draw(tree), tabulate(tree), Tree.from_json(tree.to_json())

    drawn, table, again = play(main())
    for text in (drawn, table):
        assert r"a\nb\x1b[31m\udc80" in text
        assert r"wait for <nothing>\n\x1b[2J" in text
        assert all(line.isprintable() for line in text.splitlines())
    assert 4 == len(table.splitlines())
    assert ["a\nb\x1b[31m\udc80", "7"] == [task.name for task in again.tasks[1:]]


def test_the_table_has_a_line_for_each_task() -> None:
    lines = tabulate(play(crowd(2))).splitlines()
    assert ["TASK", "NAME", "STATE"] == lines[0].split()[:3]
    assert 5 == len(lines)
    assert ["4", "sleeper", "parked", "4.0", "s", "26.0", "s", "sleep"] == lines[-1].split()


def test_it_is_for_inside_a_run() -> None:
    with pytest.raises(coop.MisuseError):
        coop.tree()


texts = st.text(max_size=5)
times = st.none() | st.floats(0, 1e6)
stacks = st.lists(st.builds(Line, texts, st.integers(0), texts), max_size=3).map(tuple)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    groups = draw(st.lists(st.builds(GroupNode, texts, st.none() | st.integers(1, 9)), max_size=3))
    members = st.none() | st.integers(0, len(groups) - 1) if groups else st.none()
    nodes = st.builds(
        TaskNode,
        st.integers(1, 9),
        texts,
        texts,
        st.none() | texts,
        times,
        times,
        st.booleans(),
        members,
        stacks,
    )
    tasks = draw(st.lists(nodes, max_size=5, unique_by=lambda task: task.number))
    return Tree(tuple(tasks), tuple(groups))


@given(trees())
def test_json_brings_back_the_same_tree(tree: Tree) -> None:
    again = Tree.from_json(tree.to_json())
    assert (tree.tasks, tree.groups) == (again.tasks, again.groups)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tasks": [[1]], "groups": [], "stacks": []}'])
def test_what_is_no_tree_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Tree.from_json(text)


def test_a_deep_tree_is_drawn() -> None:
    count = 3000
    tasks = [
        TaskNode(n, f"t{n}", "parked", None, None, None, False, n - 2 if n > 1 else None, ())
        for n in range(1, count + 1)
    ]
    tree = Tree(tuple(tasks), tuple(GroupNode("g", n) for n in range(1, count)))
    assert f"t{count}, parked" in draw(tree)


@pytest.mark.parametrize(
    ("time", "text"),
    [(0.0123, "0.012 s"), (3.44, "3.4 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")],
)
def test_times_are_written_for_readers(time: float, text: str) -> None:
    assert text == seconds(time)
