"""Links and pipes: how bytes travel from one simulated host to another.

What lives here: Link, one direction between two hosts; Pipe, one direction of one connection over
it.  What it must not know: the errno of any call.  Stands on: poller's bits,
faults.

A pipe keeps order.  What the receiver has no room for stays on the way, and counts against the
sender's buffer: that is backpressure.  Over a link that is cut it is sent again, later and later as
TCP does, and after fifteen minutes given up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from coop.poller import WRITE
from coop.sim.faults import CUT, DELAY, PARTITION, RESET_LOSES, SPLIT, STOP_READING

if TYPE_CHECKING:
    from coop.sim.endpoints import Endpoint
    from coop.sim.world import World

#: Seconds between hosts, one way, unless a link says otherwise.
LATENCY: Final = 0.001
#: The first wait before something is sent again, the longest, and when TCP gives up: tcp(7).
RETRY_SECONDS: Final = 0.2
LONGEST_RETRY_SECONDS: Final = 120.0
GIVE_UP_SECONDS: Final = 924.6
#: How long a partition or a closed window lasts per unit of a fault's value.
OUTAGE_SECONDS: Final = 0.5
DELAY_SECONDS: Final = 0.001
MOST_DELAYS: Final = 1000
MOST_OUTAGES: Final = 60

_FIN: Final = b""


class Message(NamedTuple):
    """Something that has come to the end of a link that is held."""

    #: "connect", "segment", "end", "reset" or "datagram".
    what: str
    #: Who sent it, as the trace calls it.
    sender: str
    data: bytes


class Held(Protocol):
    """Whatever a link can keep back."""

    def held(self) -> list[Message]:
        """Return what would have arrived by now."""
        raise NotImplementedError

    def pump(self) -> None:
        """Arrive after all."""


class Link:
    """One direction between two hosts, or a host and itself."""

    __slots__ = (
        "bandwidth", "cut_until", "free_at", "is_held", "jitter", "latency", "name", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, latency: float = LATENCY) -> None:
        self.name = name
        #: Seconds that everything takes, and up to how many more, drawn for each segment.
        self.latency = latency
        self.jitter = 0.0
        #: Bytes per second; None is without limit.
        self.bandwidth: float | None = None
        #: Clock time until which nothing passes.
        self.cut_until = -1.0
        #: Clock time at which what was sent so far has left.
        self.free_at = 0.0
        #: Whether everything is kept at the end, and what is, in the order of arrival.
        self.is_held = False
        self.waiting: dict[Held, None] = {}

    def arrival(self, world: World, size: int) -> float:
        """Return when something of this size, sent now, arrives."""
        at = world.clock.time
        if self.bandwidth is not None:
            at = self.free_at = max(at, self.free_at) + size / self.bandwidth
        if self.jitter:
            at += self.jitter * world.random.random()
        return at + self.latency

    def is_cut(self, now: float) -> bool:
        """Whether nothing passes now."""
        return self.cut_until > now

    def keeps(self, thing: Held) -> bool:
        """Keep this back if the link is held; return whether it is."""
        if self.is_held:
            self.waiting[thing] = None
        return self.is_held

    def release(self) -> None:
        """Let everything arrive that was kept."""
        self.is_held = False
        waiting, self.waiting = self.waiting, {}
        for thing in waiting:
            thing.pump()


class Pipe:
    """One direction of a connection: from the sender's buffer to the receiver's."""

    __slots__ = (
        "_failing_since", "_last", "_next_pump", "_reset_at", "_retries", "_window_opens",
        "flight", "flight_bytes", "is_dead", "link", "receiver", "sender", "world",
    )  # fmt: skip

    def __init__(self, sender: Endpoint, receiver: Endpoint, link: Link) -> None:
        self.world = sender.world
        self.sender = sender
        self.receiver = receiver
        self.link = link
        #: What is on the way: when it arrives, the bytes (none: FIN), its number in the trace.
        self.flight: deque[tuple[float, bytes, int]] = deque()
        self.flight_bytes = 0
        #: Whether something in the middle has cut it: whatever is sent from now on is lost.
        self.is_dead = False
        self._last = 0.0
        self._next_pump = -1.0
        self._reset_at: float | None = None
        self._window_opens = -1.0
        self._failing_since: float | None = None
        self._retries = 0

    # -- the sender's side --------------------------------------------------------------------

    def put_data(self, data: bytes) -> None:
        """Send: at once where nothing is between, else in its time; and here the network errs."""
        world = self.world
        faults = world.faults
        if self.is_dead:
            world.after(self.link.latency, self.sender.reset)
            return
        if kept := faults.strike(CUT, len(data)):
            self._cut(data[: len(data) - kept])
            return
        if faults.strike(PARTITION, MOST_OUTAGES) if self.link.latency else 0:
            self.link.cut_until = world.clock.time + OUTAGE_SECONDS * faults.log[-1].value
        delay = DELAY_SECONDS * faults.strike(DELAY, MOST_DELAYS)
        if len(data) > 1 and (cut := faults.strike(SPLIT, len(data) - 1)):
            self._put(data[:cut], delay)
            self._put(data[cut:], delay + DELAY_SECONDS)
        else:
            self._put(data, delay)

    def put_fin(self) -> None:
        """Send the end of the stream, after all that was sent."""
        if not self.is_dead:
            self._put(_FIN, 0.0)

    def put_reset(self) -> None:
        """Send a reset: what the receiver has no room for is lost, and perhaps more."""
        if self.is_dead or self._reset_at is not None:
            return
        if self.flight and self.world.faults.strike(RESET_LOSES, 1):
            self.drop()
        at = max(self._last, self.world.clock.time + self.link.latency)
        self._reset_at = self._last = at
        self._pump_at(at)

    def drop(self) -> None:
        """Lose what is on the way, but for what is the middle's own affair since it cut in."""
        if not self.is_dead:
            self.flight.clear()
            self.flight_bytes = 0

    def _put(self, data: bytes, delay: float) -> None:
        world = self.world
        at = max(self._last, self.link.arrival(world, len(data)) + delay)
        self._last = at
        number = world.next_segment()
        if world.trace is not None:
            what = f"segment {number}: {len(data)} bytes" if data else f"segment {number}: the end"
            world.note(self.sender.host.name, "sent", f"{self.sender.label} {what}")
        self.flight.append((at, data, number))
        self.flight_bytes += len(data)
        self._pump_at(at)

    def _cut(self, last_data: bytes) -> None:
        """Have something in the middle end the stream both ways, and forget the connection."""
        if last_data:
            self._put(last_data, 0.0)
        for pipe in (self, self.receiver.out):
            if pipe is not None and not pipe.is_dead:
                pipe._put(_FIN, 0.0)
                pipe.is_dead = True

    # -- the receiver's side ------------------------------------------------------------------

    def pump(self) -> None:
        """Hand over what has arrived, as far as there is room for it."""
        now = self.world.clock.time
        if self._next_pump <= now:
            self._next_pump = -1.0
        if self.flight or self._reset_at is not None:
            if self.link.keeps(self) or self._is_lost(now):
                return
            self._retries, self._failing_since = 0, None
            self._hand_over(now)

    def held(self) -> list[Message]:
        """Return what would have arrived by now."""
        now, sender = self.world.clock.time, self.sender.label
        messages = [
            Message("segment" if data else "end", sender, data)
            for at, data, _ in self.flight
            if at <= now
        ]
        if self._reset_at is not None and self._reset_at <= now:
            messages.append(Message("reset", sender, b""))
        return messages

    def _hand_over(self, now: float) -> None:
        flight, receiver = self.flight, self.receiver
        before = self.flight_bytes
        while flight and flight[0][0] <= now and not self._is_window_shut(now):
            at, data, number = flight[0]
            room = receiver.receive_buffer - len(receiver.received)
            if data and room <= 0 and not receiver.is_gone:
                break
            flight.popleft()
            if len(data) > room and not receiver.is_gone:
                flight.appendleft((at, data[room:], number))
                data = data[:room]
            self.flight_bytes -= len(data)
            self._arrive(data, number)
        if self._reset_at is not None and self._reset_at <= now:
            self._reset_at = None
            self.drop()
            receiver.reset()
        else:
            self._plan_next(now)
        if self.flight_bytes < before and self.sender.interest & WRITE:
            self.sender.touch()

    def _plan_next(self, now: float) -> None:
        """Come back for what is still under way; what waits for room is the reader's to fetch."""
        if self.flight and self.flight[0][0] > now:
            self._pump_at(self.flight[0][0])
        elif self._reset_at is not None:
            self._pump_at(self._reset_at)

    def _arrive(self, data: bytes, number: int) -> None:
        world = self.world
        if world.trace is not None:
            what = f"segment {number}: {len(data)} bytes" if data else f"segment {number}: the end"
            world.note(self.receiver.host.name, "arrived", f"{self.receiver.label} {what}")
        if data:
            self.receiver.take(data)
        else:
            self.sender.is_fin_acked = True
            self.receiver.take_fin()
            self.sender.settle()

    def _is_window_shut(self, now: float) -> bool:
        """Whether the receiver takes nothing for a while: struck for what has arrived only."""
        if self._window_opens > now:
            self._pump_at(self._window_opens)
            return True
        if self.link.latency and (units := self.world.faults.strike(STOP_READING, MOST_OUTAGES)):
            self._window_opens = now + OUTAGE_SECONDS * units
            self._pump_at(self._window_opens)
            return True
        return False

    def _is_lost(self, now: float) -> bool:
        """Whether what should arrive now does not: then it is sent again later."""
        if not self.link.is_cut(now) and self.receiver.host.is_up:
            if self.receiver.is_forgotten:
                self.drop()
                self.world.after(self.link.latency, self.sender.reset)
                return True
            return False
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since > GIVE_UP_SECONDS:
            self.drop()
            self.sender.time_out()
        else:
            wait = min(RETRY_SECONDS * 2**self._retries, LONGEST_RETRY_SECONDS)
            self._retries += 1
            self._pump_at(now + wait)
        return True

    def _pump_at(self, at: float) -> None:
        """See to it that ``pump`` runs at this time; at once when it has come."""
        if at <= self.world.clock.time:
            self.pump()
        elif not self.world.clock.time < self._next_pump <= at:
            self._next_pump = at
            self.world.at(at, self.pump)
