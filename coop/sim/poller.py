"""The poller of a simulated host: readiness by the same rules, and no system call.

What lives here: SimulatedPoller.  What it must not know: what an endpoint is, beyond its bits; who
moves the time.  Stands on: poller's bits, faults.

It never blocks: the simulation moves the time when no host has anything to do.  An endpoint that
changes says so by ``touch``, and only touched descriptors are looked at; those that are ready stay
touched, for the poller is level-triggered.
"""

from __future__ import annotations

from typing import Protocol

from coop.poller import ERROR, HANGUP, READ, Events, Poller
from coop.sim.faults import EVENT_ORDER, SPURIOUS, Faults


class HasBits(Protocol):
    """Whatever has a descriptor in a simulated host."""

    #: READ and WRITE bits that are watched.
    interest: int
    #: SO_ERROR: an errno, or 0.
    error: int

    @property
    def label(self) -> str:
        """What the trace calls it."""
        raise NotImplementedError

    @property
    def unread_error(self) -> str:
        """Say of which error it is that nobody has looked at it."""
        raise NotImplementedError

    def bits(self) -> int:
        """Return what poll(2) would report."""
        raise NotImplementedError


class SimulatedPoller(Poller):
    """Reports which simulated descriptors are ready."""

    __slots__ = ("_faults", "endpoints", "touched", "watched")

    name = "simulated"

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        #: What is open in this host, by descriptor.
        self.endpoints: dict[int, HasBits] = {}
        #: Interest by descriptor.
        self.watched: dict[int, int] = {}
        #: Descriptors that may be ready.
        self.touched: dict[int, None] = {}

    def watch(self, fd: int, interest: int) -> None:
        endpoint = self.endpoints.get(fd)
        if endpoint is None:
            raise ValueError(
                f"descriptor {fd} is not of this simulated host: real files and sockets cannot be "
                "waited for inside a simulation"
            )
        endpoint.interest = self.watched[fd] = interest
        self.touched[fd] = None

    def forget(self, fd: int) -> None:
        if self.watched.pop(fd, None) is not None:
            self.touched.pop(fd, None)
            endpoint = self.endpoints.get(fd)
            if endpoint is not None:
                endpoint.interest = 0

    def poll(self, timeout: float | None) -> Events:
        events = []
        for fd in list(self.touched):
            bits = self.endpoints[fd].bits() & (self.watched[fd] | ERROR | HANGUP)
            if bits:
                events.append((fd, bits))
            else:
                del self.touched[fd]
        if self.watched and (pick := self._faults.strike(SPURIOUS, len(self.watched))):
            self._add_spurious(events, pick - 1)
        if len(events) > 1:
            self._faults.reorder(EVENT_ORDER, events)
        return events

    def fileno(self) -> None:
        return None

    def close(self) -> None:
        self.watched.clear()
        self.touched.clear()

    def _add_spurious(self, events: Events, pick: int) -> None:
        fd = list(self.watched)[pick]
        if all(fd != ready for ready, _ in events):
            events.append((fd, self.watched[fd] or READ))
