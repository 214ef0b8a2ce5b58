"""Faults: what can go wrong, how often, and the one source of every choice of a simulation.

What lives here: the kinds of fault as a table, Faults (which opportunity is struck, and how hard),
and the plan, a line of text that replays a run's choices without its seed.
What it must not know: sockets, hosts, what a fault does; whoever may be struck asks.
Stands on: the standard library alone.

Each place where something can go wrong asks ``strike(kind, span)``: 0 means nothing happens, and
1..span how hard it strikes.  Opportunities are counted per kind, so ``short_read@3=5`` names one
choice whatever made it.  Choice 0 everywhere is the boring run: no fault, first in first out.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, MutableSequence
from typing import Any, Final, NamedTuple

NEVER: Final = 1 << 62


class Kind(NamedTuple):
    """One kind of fault: its name, the range its rate is drawn from, and what it does."""

    name: str
    lowest: float
    highest: float
    meaning: str


#: Every kind, in the order in which rates are drawn.  Append only: a seed's run depends on it.
KINDS: Final[tuple[Kind, ...]] = (
    Kind("short_read", 0.02, 0.5, "recv returns less than there is"),
    Kind("partial_send", 0.02, 0.5, "send takes less than it has room for"),
    Kind("recv_blocked", 0.01, 0.3, "recv answers EAGAIN although data is there"),
    Kind("send_blocked", 0.01, 0.3, "send answers EAGAIN although there is room"),
    Kind("spurious", 0.01, 0.2, "the poller reports readiness that is not"),
    Kind("split", 0.02, 0.5, "a segment is cut in two, and the second part comes later"),
    Kind("delay", 0.02, 0.3, "a segment comes late, and all behind it"),
    Kind("stop_reading", 0.005, 0.05, "the receiver's window closes for some seconds"),
    Kind("small_buffers", 0.1, 1.0, "a connection has smaller buffers, down to 2304 bytes"),
    Kind("reset", 0.002, 0.05, "the connection is reset, for both ends"),
    Kind("cut", 0.002, 0.05, "both ends get the end of the stream, at any byte"),
    Kind("reset_loses", 0.2, 1.0, "what was under way before a reset never arrives"),
    Kind("accept_aborted", 0.02, 0.3, "accept fails with ECONNABORTED: that connection is gone"),
    Kind("accept_exhausted", 0.02, 0.3, "accept fails with EMFILE, ENFILE, ENOBUFS or ENOMEM"),
    Kind("socket_exhausted", 0.01, 0.1, "no new socket: EMFILE, ENFILE, ENOBUFS or ENOMEM"),
    Kind("refused", 0.01, 0.2, "connect fails with ECONNREFUSED"),
    Kind("unreachable", 0.01, 0.2, "connect fails with EHOSTUNREACH or ENETUNREACH"),
    Kind("connect_hangs", 0.01, 0.2, "the first packets of a connect are lost"),
    Kind("partition", 0.001, 0.02, "a link is cut for some seconds, one way"),
    Kind("stall", 0.001, 0.02, "a host does nothing for some seconds"),
    Kind("task_order", 0.05, 0.8, "a task steps before others that were ready earlier"),
    Kind("event_order", 0.05, 0.8, "the poller reports in another order"),
    Kind("host_order", 0.05, 0.8, "another host takes the first turn"),
    Kind("datagram_lost", 0.01, 0.3, "a datagram does not arrive"),
    Kind("datagram_doubled", 0.01, 0.2, "a datagram arrives twice"),
    Kind("datagram_late", 0.01, 0.3, "a datagram arrives after later ones"),
    Kind("name_unknown", 0.01, 0.1, "a name cannot be resolved for now"),
    Kind("name_slow", 0.01, 0.2, "a name takes seconds to resolve"),
    Kind("crash", 0.01, 0.05, "a host that may crash does, and comes back"),
)

#: Kinds that strike only those who ask for them: no program can be expected to go on as before.
ASKED: Final[tuple[Kind, ...]] = (
    Kind("cancel", 0.01, 0.05, "a task is cancelled where it gives way"),
)

NAMES: Final = tuple(kind.name for kind in (*KINDS, *ASKED))
NUMBERS: Final[dict[str, int]] = {name: number for number, name in enumerate(NAMES)}

(
    SHORT_READ, PARTIAL_SEND, RECV_BLOCKED, SEND_BLOCKED, SPURIOUS, SPLIT, DELAY, STOP_READING,
    SMALL_BUFFERS, RESET, CUT, RESET_LOSES, ACCEPT_ABORTED, ACCEPT_EXHAUSTED, SOCKET_EXHAUSTED,
    REFUSED, UNREACHABLE, CONNECT_HANGS, PARTITION, STALL, TASK_ORDER, EVENT_ORDER, HOST_ORDER,
    DATAGRAM_LOST, DATAGRAM_DOUBLED, DATAGRAM_LATE, NAME_UNKNOWN, NAME_SLOW, CRASH, CANCEL,
) = range(len(NAMES))  # fmt: skip

#: Faults that only change the order of what happens.
ORDERS: Final = ("task_order", "event_order", "host_order")

#: In a run, each kind is switched off with this probability: swarm testing.
OFF: Final = 0.5

_STRIKE: Final = re.compile(r"(?P<name>[a-z_]+)@(?P<number>[0-9]+)(?:=(?P<value>[0-9]+))?")


class Strike(NamedTuple):
    """One choice that was not the boring one."""

    kind: str
    #: Which opportunity for this kind was struck, from 0.
    number: int
    #: How hard: 1 or more.
    value: int
    #: When, and where: host, task, and the line of the user's code that made the call.
    time: float = 0.0
    host: str = ""
    task: str = ""
    place: str = ""

    def __str__(self) -> str:
        return f"{self.kind}@{self.number}" + (f"={self.value}" if self.value != 1 else "")


Plan = Iterable[Strike]


def parse_plan(text: str) -> list[Strike]:
    """Read a plan, such as ``short_read@3=5 reset@7``.  Errors: ValueError."""
    strikes = []
    for word in text.split():
        match = _STRIKE.fullmatch(word)
        if match is None or match["name"] not in NUMBERS:
            raise ValueError(f"cannot read {word!r} in a plan: write kind@number=value")
        strikes.append(Strike(match["name"], int(match["number"]), int(match["value"] or 1)))
    return strikes


def format_plan(plan: Plan) -> str:
    """Write a plan as one line that ``parse_plan`` reads."""
    return " ".join(map(str, plan))


class Faults:
    """Decides, for every opportunity of a run, whether a fault strikes; keeps the log."""

    __slots__ = ("_next", "_random", "_seen", "_values", "heard", "log", "rates", "where")

    def __init__(self) -> None:
        count = len(NAMES)
        #: The rate of each kind in this run, by name; 0 is off.
        self.rates: dict[str, float] = dict.fromkeys(NUMBERS, 0.0)
        #: Every strike so far, in order.
        self.log: list[Strike] = []
        #: Tells where a strike fell: (time, host, task, place).
        self.where: Callable[[], tuple[float, str, str, str]] = lambda: (0.0, "", "", "")
        #: Is told of every strike.
        self.heard: Callable[[Strike], object] = lambda strike: None
        self._seen = [0] * count
        self._next = [NEVER] * count
        #: For a plan: the opportunities still to be struck, last first, and how hard.
        self._values: dict[int, list[tuple[int, int]]] = {}
        self._random: random.Random | None = None

    @classmethod
    def seeded(cls, seed: int, chosen: Mapping[str, float | bool] | None = None) -> Faults:
        """Draw the rates, and later every choice, from a seed; seed 0 is the boring run.

        ``chosen`` sets the rate of a kind, from 0 (off) to 1 (always); True draws one from its
        range although the swarm would have switched it off.  Kinds that must be asked for are off.
        """
        faults = cls()
        faults._random = source = random.Random(seed)
        chosen = dict(chosen or {})
        check_kinds(chosen)
        for number, kind in enumerate(KINDS):
            is_on, depth = source.random() >= OFF, source.random()
            drawn = kind.lowest * (kind.highest / kind.lowest) ** depth
            rate = chosen.get(kind.name, drawn if is_on and seed else 0.0)
            faults.rates[kind.name] = drawn if rate is True else float(rate)
            faults._plan_next(number)
        for number, kind in enumerate(ASKED, len(KINDS)):
            rate = chosen.get(kind.name, 0.0)
            faults.rates[kind.name] = kind.highest if rate is True else float(rate)
            faults._plan_next(number)
        return faults

    @classmethod
    def planned(cls, plan: Plan | str) -> Faults:
        """Strike what the plan says, and nothing else."""
        faults = cls()
        strikes = parse_plan(plan) if isinstance(plan, str) else list(plan)
        check_kinds(strike.kind for strike in strikes)
        by_kind: dict[int, dict[int, int]] = {}
        for strike in strikes:
            by_kind.setdefault(NUMBERS[strike.kind], {})[strike.number] = max(1, strike.value)
        for kind, struck in by_kind.items():
            faults._values[kind] = sorted(struck.items(), reverse=True)
            faults._plan_next(kind)
        return faults

    def strike(self, kind: int, span: int) -> int:
        """Say whether this opportunity is struck: 0 if not, else how hard, 1 to ``span``."""
        number = self._seen[kind]
        self._seen[kind] = number + 1
        if number != self._next[kind]:
            return 0
        return self._hit(kind, number, span)

    def reorder(self, kind: int, things: MutableSequence[Any]) -> None:
        """Let any of the things behind it take each place: all orders can come of it."""
        last = len(things) - 1
        if self._seen[kind] + last <= self._next[kind]:
            self._seen[kind] += max(0, last)  # none of these opportunities is struck
            return
        self._take_places(kind, things)

    def _take_places(self, kind: int, things: MutableSequence[Any]) -> None:
        last = len(things) - 1
        for place in range(last):
            if ahead := self.strike(kind, last - place):
                thing = things[place + ahead]
                del things[place + ahead]
                things.insert(place, thing)

    def calm(self) -> None:
        """Strike no more."""
        self._next = [NEVER] * len(NAMES)

    def may_strike(self, kind: int) -> bool:
        """Whether this kind will strike, given the opportunity."""
        return self._next[kind] != NEVER

    @property
    def plan(self) -> str:
        """What has been struck so far, as a line of text."""
        return format_plan(self.log)

    def tally(self) -> dict[str, int]:
        """Return how often each kind struck; of those that could have."""
        struck = dict.fromkeys((NAMES[n] for n, seen in enumerate(self._seen) if seen), 0)
        for strike in self.log:
            struck[strike.kind] += 1
        return struck

    def _hit(self, kind: int, number: int, span: int) -> int:
        value = self._draw_value(kind, max(1, span))
        self._plan_next(kind)
        self._log(kind, number, value)
        return value

    def _log(self, kind: int, number: int, value: int) -> None:
        strike = Strike(NAMES[kind], number, value, *self.where())
        self.log.append(strike)
        self.heard(strike)

    def _draw_value(self, kind: int, span: int) -> int:
        if self._random is None:
            return min(self._values[kind].pop()[1], span)
        # Boundaries are where the bugs are: as often the least, or the most, as anything between.
        where = self._random.random()
        if where < 0.25:
            return 1
        return span if where < 0.5 else 1 + int(self._random.random() * span)

    def _plan_next(self, kind: int) -> None:
        """Find the next opportunity to strike: a draw for each strike, not for each opportunity."""
        if self._random is None:
            ahead = self._values[kind]
            self._next[kind] = ahead[-1][0] if ahead else NEVER
            return
        rate = self.rates[NAMES[kind]]
        if rate <= 0.0:
            gap = NEVER
        elif rate >= 1.0:
            gap = 0
        else:
            gap = int(math.log(1.0 - self._random.random()) / math.log(1.0 - rate))
        self._next[kind] = self._seen[kind] + gap


def check_kinds(names: Iterable[Any]) -> None:
    """Raise TypeError for a name that is no kind of fault."""
    for name in names:
        if name not in NUMBERS:
            raise TypeError(f"no fault is called {name!r}: there are {', '.join(NUMBERS)}")
