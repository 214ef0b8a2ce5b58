"""Sowing: one fault at every place where it can strike, one after the other."""

from __future__ import annotations

import pytest
from sim.scenarios import PORT, echo, patient_echo

import coop
from coop.sim import LeakError, at_every_park, run
from coop.sim.explore import SimulationFailed, attempt


def talk():
    with (yield from coop.connect("server", PORT)) as conn:
        yield from conn.sendall(b"hello\n")
        return (yield from conn.readline())


def careful(sim):
    """A client that leaves nothing behind, wherever it is cancelled."""
    sim.host("server", lambda: coop.serve(echo, port=PORT))
    yield from talk()


def careless(sim):
    """A bug: cancelled between connect and close, it leaves the connection open."""
    sim.host("server", lambda: coop.serve(echo, port=PORT))
    conn = yield from coop.connect("server", PORT)
    yield from conn.sendall(b"hello\n")
    yield from conn.readline()
    yield from coop.sleep(1)
    conn.close()


def test_a_task_is_cancelled_wherever_it_gives_way():
    steps = []

    def scenario(sim):
        for step in range(5):
            steps.append(step)
            yield from coop.sleep(1)

    assert 5 == at_every_park(scenario)
    assert [step for last in range(5) for step in range(last + 1)] + [0, 1, 2, 3, 4] == steps


def test_passing_is_giving_way_too():
    def scenario(sim):
        yield
        yield

    assert 2 == at_every_park(scenario, limit=2)


def test_careful_code_survives_a_cancel_anywhere():
    assert at_every_park(careful, of="main/main") > 5


def test_the_one_park_that_leaks_is_found():
    with pytest.raises(SimulationFailed, match=r"LeakError(.|\n)*main cancel@\d+ at test_sowing"):
        at_every_park(careless, of="main/main")


def test_the_report_says_how_to_repeat_it():
    with pytest.raises(SimulationFailed) as caught:
        at_every_park(careless, of="main/main")
    plan = str(caught.value).rpartition("plan='")[2].partition("'")[0]
    with pytest.raises(LeakError):
        run(careless, plan=plan)


def test_a_lock_is_given_back_by_whoever_is_cancelled():
    def scenario(sim):
        lock = coop.Lock()

        def use():
            for _ in range(3):
                with (yield from lock.acquire()):
                    yield from coop.sleep(1)

        yield from coop.gather(use(), use(), use())

    assert at_every_park(scenario) > 9


@pytest.mark.parametrize("kind", ["reset", "cut", "stall", "partial_send", "refused"])
def test_another_kind_strikes_at_each_of_its_opportunities(kind):
    assert at_every_park(patient_echo, kind) >= 3


def test_the_server_may_be_killed_at_every_turn():
    def scenario(sim):
        sim.host("server", lambda: coop.serve(echo, port=PORT), may_crash=True)
        while True:
            try:
                with coop.timeout(5):
                    answer = yield from talk()
                if answer:
                    return
            except (OSError, EOFError):
                yield from coop.sleep(1)

    assert at_every_park(scenario, "crash") > 5


def test_too_many_are_told():
    with pytest.raises(coop.LimitError, match="more than 3 opportunities"):
        at_every_park(patient_echo, "reset", limit=3)


def test_an_unknown_kind_is_refused():
    with pytest.raises(TypeError, match="no fault is called 'cancels'"):
        at_every_park(careful, "cancels")


def test_nobody_is_cancelled_who_did_not_ask_for_it():
    for seed in range(20):
        assert 15 == run(patient_echo, seed)
    assert "cancel" in attempt(patient_echo, 1, cancel=1).plan
