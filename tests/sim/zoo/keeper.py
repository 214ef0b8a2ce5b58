"""What the animals of the zoo share: a port, a server, and patience with the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import coop
from coop.address import ipv4
from coop.sim import Host, Simulation
from coop.sockets import UdpSocket

PORT = 7000

#: What a network may do to anybody: not the fault of a program that says so and goes on.
BROKEN = (OSError, EOFError)


def serve(sim: Simulation, handler: Callable[..., Any], **options: Any) -> None:
    """Add a host called "server" that serves this handler."""
    sim.host("server", lambda: coop.serve(handler, port=PORT, **options))


def keep_trying(attempt: Callable[..., Any], *args: Any) -> coop.Coop[Any]:
    """Run ``attempt(*args)`` until the network lets it through."""
    while True:
        try:
            with coop.timeout(120):
                return (yield from attempt(*args))
        except BROKEN:
            yield from coop.sleep(10)


def connect() -> coop.Coop[coop.Connection]:
    """Connect to the server."""
    return (yield from coop.connect("server", PORT))


def struck(sim: Simulation, *kinds: str) -> int:
    """Count the strikes of these kinds so far."""
    return sum(strike.kind in kinds for strike in sim.world.faults.log)


def open_udp(host: Host, port: int = 0) -> coop.Coop[UdpSocket]:
    """Open a UDP socket of this host, as soon as there is a descriptor for it."""
    while True:
        try:
            return host.network.open_datagram(ipv4("0.0.0.0", port))
        except OSError:
            yield from coop.sleep(1)
