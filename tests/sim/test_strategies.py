"""Strategies: Hypothesis chooses the faults, finds the bugs, and shrinks to the boring run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sim.scenarios import ANIMALS, PORT, animal, echo, hasty_reader, patient_echo

import coop
from coop.sim import Simulation, parse_plan, run
from coop.sim.explore import attempt
from coop.sim.strategies import chunkings, crash_times, plans, schedules, seeds

#: What is left at most of the strikes of a bug of the zoo; and those that take seconds to shrink.
HANDFUL = 3
SLOW = ("swallowed_cancel", "unbounded_buffer", "waiting_cleanup")

QUICK = settings(
    max_examples=2000,
    database=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@given(plans())
@example("reset@3 short_read@1=4")
@settings(max_examples=30)
def test_whatever_strikes_the_patient_client_gets_through(plan):
    assert 15 == run(patient_echo, plan=plan)


@given(schedules())
@settings(max_examples=20)
def test_whatever_the_order(plan):
    assert 15 == run(patient_echo, plan=plan)


@given(seeds())
@settings(max_examples=20)
def test_whatever_the_seed(seed):
    assert 15 == run(patient_echo, seed)


@given(crash_times(["server"], within=5.0))
@settings(max_examples=20)
def test_whenever_the_server_crashes(crashes):
    def main(sim):
        coop.spawn(crash(sim))
        return (yield from patient_echo(sim))

    def crash(sim):
        for when, host in crashes:
            yield from coop.sleep_until(when)
            sim.restart(host)

    assert 15 == run(main)


@given(st.binary(max_size=40).flatmap(lambda data: st.tuples(st.just(data), chunkings(data))))
def test_a_chunking_is_the_stream_in_pieces(drawn):
    data, pieces = drawn
    assert data == b"".join(pieces)
    assert b"" not in pieces


@pytest.mark.parametrize("strategy", [plans(), schedules(), seeds(), crash_times(["a"])])
def test_the_simplest_is_boring(strategy):
    assert not find(strategy, lambda value: True, settings=QUICK)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.campaign] * (name in SLOW)) for name in ANIMALS],
)
def test_a_bug_is_shrunk_to_a_handful(name):
    buggy = animal(name).buggy
    plan = find(plans(), lambda plan: attempt(buggy, plan=plan).has_failed, settings=QUICK)
    assert len(parse_plan(plan)) <= HANDFUL, plan


def test_what_is_left_of_a_bug_is_the_mildest_that_shows_it():
    plan = find(plans(), lambda plan: attempt(hasty_reader, plan=plan).has_failed, settings=QUICK)
    assert plan == "short_read@0"


def test_a_mended_bug_is_not_found():
    mended = animal("hasty_reader").mended
    few = settings(QUICK, max_examples=50)
    with pytest.raises(NoSuchExample):
        find(plans(), lambda plan: attempt(mended, plan=plan).has_failed, settings=few)


class Echoing(RuleBasedStateMachine):
    """A server that crashes and comes back, and a client that connects again."""

    def __init__(self) -> None:
        super().__init__()
        self.sim = Simulation()
        self.sim.host("server", lambda: coop.serve(echo, port=PORT))

    @rule(words=st.binary(min_size=1, max_size=20).map(lambda words: words.hex().encode() + b"\n"))
    def talk(self, words):
        def client():
            with (yield from coop.connect("server", PORT)) as conn:
                yield from conn.sendall(words)
                return (yield from conn.readline())

        assert words == self.sim.do(client())

    @rule()
    def restart(self):
        self.sim.restart("server")
        self.sim.advance(1)

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds):
        self.sim.advance(seconds)

    @invariant()
    def the_server_is_idle(self):
        self.sim.settle()
        self.sim.advance(3)  # the connection that was just closed
        assert 1 == len(self.sim.world.hosts["server"].poller.endpoints)

    def teardown(self):
        self.sim.finish()


Echoing.TestCase.settings = settings(max_examples=20, stateful_step_count=10)
TestEchoing = Echoing.TestCase
