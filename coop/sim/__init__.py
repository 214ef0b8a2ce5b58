"""Simulation: any handler, any network, any order, from one seed.

What lives here: the public names.  See docs/testing.md.
"""

from coop.sim.clock import VirtualClock
from coop.sim.faults import KINDS, Faults, Strike, format_plan, parse_plan
from coop.sim.host import Host
from coop.sim.links import Message
from coop.sim.orders import every_order
from coop.sim.sealed import Uncontrolled
from coop.sim.simulation import LeakError, LoggedError, Simulation, Unfinished, run
from coop.sim.sowing import at_every_park

__all__ = [
    "KINDS",
    "Faults",
    "Host",
    "LeakError",
    "LoggedError",
    "Message",
    "Simulation",
    "Strike",
    "Uncontrolled",
    "Unfinished",
    "VirtualClock",
    "at_every_park",
    "every_order",
    "format_plan",
    "parse_plan",
    "run",
]
