"""Signals as something a task can wait for.

What lives here: Signals, a queue of signals that arrived.  What it must not know: what a server
does about them.  Stands on: outcomes, traps, the running scheduler.

Python runs a signal's handler between two instructions of the main thread.  All it does here is put
a callback into the scheduler's inbox; the wakeup descriptor has by then woken the poller.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from types import FrameType
from typing import Any

from coop.outcomes import MisuseError
from coop.parking import ParkingLot, Spot
from coop.traps import Coop, current_scheduler, operation


class _SignalSpot(Spot):
    __slots__ = ()
    external = True


class Signals:
    """The signals of these numbers, as they arrive, for as long as the with-block lasts.

    ``with coop.Signals(signal.SIGHUP) as arrivals: number = yield from arrivals.next()``
    The handlers that were there before are put back at the end.
    Errors: MisuseError outside the main thread, which is the only one Python gives signals to.
    """

    __slots__ = ("_arrived", "_before", "_lot", "_scheduler", "numbers")

    def __init__(self, *numbers: int) -> None:
        if not numbers:
            raise ValueError("name at least one signal, such as signal.SIGTERM")
        self.numbers = numbers
        self._before: dict[int, Any] = {}
        self._arrived: deque[int] = deque()
        self._lot = ParkingLot(self, "a signal of")
        self._scheduler = current_scheduler()

    @staticmethod
    def are_available() -> bool:
        """Whether this thread is the one that signals come to."""
        return threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Signals:
        if not self.are_available():
            raise MisuseError("signals come to the main thread only: wait for them there")
        try:
            for number in dict.fromkeys(self.numbers):
                self._before[number] = signal.signal(number, self._take)
        except BaseException:
            self._put_back()  # those that were taken before one that cannot be
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._put_back()

    def _put_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    @operation
    def next(self) -> Coop[int]:
        """Wait for a signal; return its number.  Those that came meanwhile come in order."""
        if self._arrived:
            return self._arrived.popleft()
        spot = _SignalSpot(self._lot)
        yield spot
        return int(spot.value)

    def __repr__(self) -> str:
        names = ", ".join(signal.Signals(number).name for number in self.numbers)
        return f"<signals {names}{self._lot.describe()}>"

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._scheduler.call_soon(lambda: self._deliver(number))

    def _deliver(self, number: int) -> None:
        if self._lot.wake_first(number) is None:
            self._arrived.append(number)
