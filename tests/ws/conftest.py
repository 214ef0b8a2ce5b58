"""The clock of these tests leaps late: they send much, and a busy network is not an idle one."""

from __future__ import annotations

import kit
import pytest

from coop.poller import Events

#: Seconds that the real network gets to show what is under way before the clock leaps.
GRACE = 0.02


class UnhurriedPoller(kit.LeapingPoller):
    """A poller that looks twice before it lets the clock leap."""

    def poll(self, timeout: float | None) -> Events:
        if timeout and self.before_poll is None and (events := self.inner.poll(GRACE)):
            self.timeouts.append(timeout)
            return events
        return super().poll(timeout)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "LeapingPoller", UnhurriedPoller)
