"""The fixture ``sim``, also where coop is not installed and its entry point not known."""

import pytest

from coop.sim.pytest_plugin import Simulator


@pytest.fixture
def sim() -> Simulator:
    return Simulator(seeds=30, first=0)
