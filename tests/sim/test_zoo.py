"""The zoo: every bug is found with default faults, made small, and its mended twin survives."""

from __future__ import annotations

import pytest
from sim.scenarios import ANIMALS, animal

from coop.sim.explore import attempt, minimise

#: A bug must show within so many seeds; its twin must survive so many, and in a campaign so many.
FIND_WITHIN, SURVIVE, CAMPAIGN = 300, 40, 3000
#: What is left of the strikes when a failure has been made small.
HANDFUL = 6

each_animal = pytest.mark.parametrize("name", ANIMALS)


def survive(name: str, seeds: range) -> None:
    for seed in seeds:
        outcome = attempt(animal(name).mended, seed)
        assert not outcome.has_failed, f"seed {seed}: {outcome.kind}: {outcome.message}"


def test_there_are_enough_animals():
    assert len(ANIMALS) >= 20


@each_animal
def test_the_bug_is_found_and_made_small(name):
    buggy = animal(name).buggy
    outcomes = (attempt(buggy, seed) for seed in range(FIND_WITHIN))
    failed = next((outcome for outcome in outcomes if outcome.has_failed), None)
    assert failed is not None, f"not found within {FIND_WITHIN} seeds"
    small = minimise(buggy, failed)
    assert small.kind == failed.kind
    assert len(small.strikes) <= HANDFUL, small.plan


@each_animal
def test_the_mended_twin_survives(name):
    survive(name, range(SURVIVE))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@each_animal
def test_the_mended_twin_survives_a_campaign(name):
    survive(name, range(CAMPAIGN))
