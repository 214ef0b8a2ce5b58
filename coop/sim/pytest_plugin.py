"""The pytest plugin: a fixture ``sim`` for tests of handlers.

What lives here: the fixture and the two options that choose seeds.  What it must not know: how a
simulation works.  Stands on: explore, simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from coop.sim.explore import check
from coop.sim.simulation import Scenario, Simulation, run

#: How many seeds ``sim.check`` tries unless told otherwise.
SEEDS = 100


class Simulator:
    """What the fixture ``sim`` is: ways to run, and to search."""

    def __init__(self, seeds: int, first: int) -> None:
        self._seeds = range(first, first + seeds)

    def run(self, main: Any, seed: int = 0, **options: Any) -> Any:
        """Run a scenario once: see ``coop.sim.run``."""
        return run(main, seed, **options)

    def check(
        self, scenario: Scenario, seeds: int | Iterable[int] | None = None, **options: Any
    ) -> None:
        """Run a scenario under many seeds; fail with a report of at most a screen."""
        __tracebackhide__ = True
        check(scenario, self._seeds if seeds is None else seeds, **options)

    def simulation(self, seed: int = 0, **options: Any) -> Simulation:
        """Make a simulation to drive by hand: see ``coop.sim.Simulation``."""
        return Simulation(seed, **options)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--sim-seeds`` and ``--sim-first``."""
    group = parser.getgroup("coop", "simulation")
    add: Callable[..., None] = group.addoption
    add("--sim-seeds", type=int, default=SEEDS, help=f"seeds for each sim.check ({SEEDS})")
    add("--sim-first", type=int, default=0, help="the first of these seeds (0)")


@pytest.fixture
def sim(request: pytest.FixtureRequest) -> Simulator:
    """Simulate: ``sim.check(scenario)``, ``sim.run(scenario, seed)``."""
    config = request.config
    return Simulator(config.getoption("--sim-seeds"), config.getoption("--sim-first"))
