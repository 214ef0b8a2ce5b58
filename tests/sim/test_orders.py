"""Every order of a small program: races that random orders rarely meet."""

from __future__ import annotations

from itertools import permutations

import pytest
from sim.scenarios import PORT, echo

import coop
from coop.sim import every_order, run
from coop.sim.explore import SimulationFailed, attempt
from coop.sim.orders import Choice, following

SEEDS = 300


def all_at_once(*bodies):
    """Run generator functions side by side."""
    yield from coop.gather(*(body() for body in bodies))


def noting(letters, rounds=1):
    """Make a scenario in which each letter notes itself so many times; and the list of notes."""
    notes = []

    def body(letter):
        for _ in range(rounds):
            notes[-1] += letter
            yield

    def scenario(sim):
        notes.append("")
        yield from coop.gather(*map(body, letters))

    return scenario, notes


def test_every_order_of_tasks_is_tried_once():
    scenario, notes = noting("abcd")
    runs = every_order(scenario)
    assert set(map("".join, permutations("abcd"))) == {note[:4] for note in notes}
    assert runs == len(notes)


def test_every_turn_has_its_orders():
    scenario, notes = noting("ab", rounds=3)
    every_order(scenario)
    orders = {tuple(note[turn : turn + 2] for turn in (0, 2, 4)) for note in notes}
    assert 8 == len(orders)


def test_few_changes_are_few_runs():
    scenario, notes = noting("abcd")
    assert 1 == every_order(scenario, changes=0)
    assert ["abcd"] == notes
    assert every_order(scenario, changes=1) < every_order(scenario)


def test_too_many_orders_are_told():
    scenario, _ = noting("abcdef", rounds=3)
    with pytest.raises(coop.LimitError, match=r"100 orders went well, and there are more"):
        every_order(scenario, limit=100)


def test_the_path_after_a_path():
    assert following([]) is None
    assert [Choice(1, 1, 2)] == following([Choice(1, 0, 2), Choice(1, 1, 1)])
    assert following([Choice(1, 2, 2), Choice(1, 1, 1)]) is None
    assert following([Choice(1, 1, 2), Choice(1, 0, 1)], changes=1) == [Choice(1, 2, 2)]


def stack(sim):
    """The ABA bug: a pop that compares the top with what it saw, and the top went and came back."""
    below = {"a": "b", "b": "c", "c": "d", "d": None}
    top = ["a"]
    popped = []

    def pop_slowly():
        seen = top[0]
        under = below[seen]
        yield
        if top[0] == seen:
            top[0] = under
            popped.append(seen)

    def pop():
        popped.append(top[0])
        top[0] = below[top[0]]
        yield

    def borrow():
        first = top[0]
        top[0] = below[first]
        yield
        below[first] = top[0]
        top[0] = first

    yield from all_at_once(pop, pop, borrow, pop_slowly)
    assert len(popped) == len(set(popped)), f"popped twice: {popped}"
    while top[0] is not None:
        assert top[0] not in popped, f"popped, and still there: {top[0]}"
        top[0] = below[top[0]]


def test_a_race_is_found_that_random_orders_rarely_find():
    rare = [seed for seed in range(SEEDS) if attempt(stack, seed).has_failed]
    assert len(rare) <= SEEDS // 50
    with pytest.raises(SimulationFailed, match=r"still there: [bc](.|\n)*plan='task_order@"):
        every_order(stack)


def test_the_plan_of_an_order_repeats_it():
    with pytest.raises(SimulationFailed) as caught:
        every_order(stack)
    plan = str(caught.value).rpartition("plan='")[2].partition("'")[0]
    with pytest.raises(AssertionError, match="still there"):
        run(stack, plan=plan)


def test_sockets_and_hosts_have_orders_too():
    def scenario(sim):
        sim.host("server", lambda: coop.serve(echo, port=PORT))
        with (yield from coop.connect("server", PORT)) as conn:
            yield from conn.sendall(b"hello\n")
            assert b"hello\n" == (yield from conn.readline())

    assert every_order(scenario) > 1


def test_an_order_that_does_not_repeat_itself_is_told():
    runs = []

    def scenario(sim):
        runs.append(None)

        def body():
            yield

        yield from all_at_once(*[body] * (1 + len(runs)))

    with pytest.raises(SimulationFailed, match=r"Uncontrolled: choice 0 was"):
        every_order(scenario)
