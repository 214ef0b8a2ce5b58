"""Faults: rates, plans, the log; each kind strikes, and no more than it should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim.scenarios import everything, patient_echo

import coop
from coop.sim import KINDS, Faults, Simulation, Strike, format_plan, parse_plan, run
from coop.sim.explore import explore
from coop.sim.faults import NUMBERS, SHORT_READ

NAMES = [kind.name for kind in KINDS]


def asked(faults: Faults, times: int = 1000, span: int = 10) -> list[int]:
    return [faults.strike(SHORT_READ, span) for _ in range(times)]


def test_seed_0_is_boring():
    faults = Faults.seeded(0)
    assert 0 == sum(faults.rates.values())
    assert [0] * 1000 == asked(faults)


def test_about_half_of_the_kinds_are_off_in_a_run():
    rates = [rate for seed in range(1, 200) for rate in Faults.seeded(seed).rates.values()]
    assert 0.45 < sum(rate == 0 for rate in rates) / len(rates) < 0.55


def test_a_rate_can_be_chosen():
    always = asked(Faults.seeded(1, {"short_read": 1}))
    assert 0 not in always
    assert set(range(1, 11)) == set(always)
    assert {0} == set(asked(Faults.seeded(7, {"short_read": False})))
    assert 60 < sum(map(bool, asked(Faults.seeded(3, {"short_read": 0.1})))) < 140


def test_true_switches_a_kind_on():
    for seed in range(20):
        assert Faults.seeded(seed, {"short_read": True}).rates["short_read"] > 0


def test_a_plan_strikes_what_it_says():
    faults = Faults.planned("short_read@3=5 short_read@1")
    assert [0, 1, 0, 5, 0] == asked(faults, 5)
    assert [Strike("short_read", 1, 1), Strike("short_read", 3, 5)] == faults.log


def test_a_plan_is_cut_to_what_is_possible():
    assert [2] == asked(Faults.planned("short_read@0=99"), 1, span=2)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0), st.integers(1))))
def test_a_plan_is_read_as_it_was_written(choices):
    strikes = [Strike(*choice) for choice in choices]
    assert strikes == parse_plan(format_plan(strikes))


@pytest.mark.parametrize("text", ["short_read", "nothing@1", "short_read@x", "short_read@1="])
def test_a_bad_plan_is_refused(text):
    with pytest.raises(ValueError, match="kind@number"):
        parse_plan(text)


def test_the_log_of_a_run_is_a_plan_that_repeats_it():
    for seed in range(1, 20):
        first = Simulation(seed)
        with first:
            first.do(patient_echo(first))
        again = Simulation(seed, plan=first.plan)
        with again:
            again.do(patient_echo(again))
        assert (first.plan, first.unseed) == (again.plan, again.unseed)


def test_after_the_calm_nothing_strikes():
    faults = Faults.seeded(1, {"short_read": 1})
    faults.calm()
    assert {0} == set(asked(faults))


def test_every_kind_strikes_by_default_and_is_survived():
    """The probe: a kind that never strikes tests nothing."""
    struck = set()
    for outcome in explore(everything, range(120)):
        assert not outcome.has_failed, f"seed {outcome.seed}: {outcome.kind}: {outcome.message}"
        struck.update(strike.kind for strike in outcome.strikes)
    assert set(NAMES) == struck


@pytest.mark.parametrize("kind", [name for name in NAMES if not name.startswith("datagram")])
def test_each_kind_strikes_the_patient_client_and_it_gets_through(kind):
    others = dict.fromkeys(NUMBERS, 0)
    rate = 0.3 if kind not in ("reset_loses", "small_buffers", "crash") else 1
    helper = {"reset": 0.2} if kind == "reset_loses" else {}
    struck = 0
    for seed in range(1, 9):
        chosen = {**others, **helper, kind: rate}
        simulation = Simulation(seed, **chosen)
        with simulation:
            assert 15 == simulation.do(patient_echo(simulation))
        struck += simulation.world.faults.tally().get(kind, 0)
    assert struck > 0 or kind == "crash"  # which strikes hosts that may crash alone


@pytest.mark.parametrize("kind", ["stall", "crash"])
def test_what_strikes_a_host_names_it(kind):
    def scenario(sim):
        sim.host("sleeper", lambda: coop.sleep(1), may_crash=True)
        yield from coop.sleep(3)

    with Simulation(plan=f"{kind}@0 {kind}@2", trace=True) as simulation:
        simulation.do(scenario(simulation))
        struck = [strike.host for strike in simulation.world.faults.log]
        told = [note.host for note in simulation.world.trace if note.what == "FAULT"]
    assert "sleeper" in struck
    assert struck == told
    assert "" not in struck


def test_chosen_faults_reach_run():
    assert 15 == run(patient_echo, 1, short_read=1, partial_send=1)
