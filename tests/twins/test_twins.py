"""The checks find the faults: each promise breaks for each twin that breaks it."""

from __future__ import annotations

from collections.abc import Callable

import machines
import promises
import pytest
from sync_kit import Broken
from twins import broken

import coop

FAULTS: dict[str, Callable[[], None]] = {
    "last come, first served": lambda: promises.holders_come_and_go(broken.LifoLock, 1),
    "a newcomer barges in": lambda: promises.holders_come_and_go(broken.BargingLock, 1),
    "two hold the lock": lambda: promises.holders_come_and_go(broken.ForgetfulLock, 1),
    "the dead are handed the lock": lambda: promises.holders_come_and_go(broken.LosingLock, 1),
    "the past is kept": lambda: promises.holders_come_and_go(broken.PinningLock, 1),
    "permits are minted": lambda: promises.holders_come_and_go(
        lambda: broken.MintingSemaphore(1), 1
    ),
    "a wakeup is lost": lambda: promises.holders_come_and_go(
        lambda: broken.DroppingSemaphore(2), 2
    ),
    "one too many gets in": lambda: promises.holders_come_and_go(
        lambda: broken.OverfullLimiter(2), 2
    ),
    "one alone hears of the event": lambda: promises.everyone_hears_of_it(broken.QuietEvent),
    "a short event is missed": lambda: promises.everyone_hears_of_it(broken.RecheckingEvent),
    "a notification is lost": lambda: promises.no_notification_is_lost(broken.DeafCondition),
    "a wait ends without the lock": lambda: promises.no_notification_is_lost(broken.LooseCondition),
    "the barrier counts the gone": lambda: promises.all_pass_together(
        lambda: broken.CountingBarrier(3), 3
    ),
    "a value comes twice": lambda: promises.values_arrive_once(broken.DoublingChannel),
    "a value is lost": lambda: promises.values_arrive_once(broken.DroppingChannel),
    "values overtake": lambda: promises.values_arrive_once(broken.OvertakingChannel),
    "receivers are left behind": lambda: promises.values_arrive_once(broken.LeavingChannel),
    "the line is no line": lambda: machines.run_machine(
        machines.holder_machine(broken.LifoLock, 1)
    ),
    "the line holds the dead": lambda: machines.run_machine(
        machines.holder_machine(broken.LosingLock, 1)
    ),
    "permits come from nowhere": lambda: machines.run_machine(
        machines.holder_machine(lambda: broken.MintingSemaphore(1), 1)
    ),
    "the channel is no line": lambda: machines.run_machine(
        machines.channel_machine(broken.OvertakingChannel, 1)
    ),
    "the channel doubles": lambda: machines.run_machine(
        machines.channel_machine(broken.DoublingChannel, 1)
    ),
    "the channel does not close": lambda: machines.run_machine(
        machines.channel_machine(broken.LeavingChannel, 0)
    ),
    "two alternatives happen": lambda: promises.exactly_one_happens(broken.greedy_first),
}


@pytest.mark.parametrize("check", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(check: Callable[[], None]) -> None:
    with pytest.raises(Broken):
        check()


def test_the_promises_hold_for_what_is_not_broken() -> None:
    promises.holders_come_and_go(coop.Lock, 1, examples=1)
