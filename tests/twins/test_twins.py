"""The checks find the faults: each promise breaks for each twin that breaks it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import machines
import moments
import promises
import pytest
import small_groups
import small_programs as small
from sync_kit import Broken, lots_of
from test_small_programs import WORLDS
from twins import broken

import coop
from coop.parking import OwnedLot

FAULTS: dict[str, Callable[[], object]] = {
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
    "small: two hold the lock": lambda: small.try_all(small.holders(broken.ForgetfulLock, 1), 6),
    "small: permits are minted": lambda: small.try_all(
        small.holders(lambda: broken.MintingSemaphore(1), 1), 4
    ),
    "small: a permit is lost": lambda: small.try_all(
        small.holders(lambda: broken.DroppingSemaphore(1), 1), 5
    ),
    "small: one too many gets in": lambda: small.try_all(
        small.holders(lambda: broken.OverfullLimiter(1), 1), 5
    ),
    "small: a short event is missed": lambda: small.try_all(
        small.events(broken.RecheckingEvent), 4
    ),
    "small: a notification is lost": lambda: small.try_all(
        small.conditions(broken.DeafCondition), 5
    ),
    "small: a wait ends without the lock": lambda: small.try_all(
        small.conditions(broken.LooseCondition), 4
    ),
    "small: the barrier counts the gone": lambda: small.try_all(
        small.barriers(lambda: broken.CountingBarrier(2), 2), 5
    ),
    "small: a value comes twice": lambda: small.try_all(
        small.channels(lambda: broken.DoublingChannel(1), 1), 4
    ),
    "small: a value is lost": lambda: small.try_all(
        small.channels(lambda: broken.DroppingChannel(1), 1), 4
    ),
    "small: receivers are left behind": lambda: small.try_all(
        small.channels(lambda: broken.LeavingChannel(1), 1), 4
    ),
    "small: work is called done too soon": lambda: small.try_all(
        small.queues(broken.HastyQueue), 6
    ),
    "small: equal values change places": lambda: small.try_all(
        small.channels(lambda: broken.UnstablePriorityQueue(key=lambda _: 0), float("inf")), 5
    ),
    "small: two alternatives happen": lambda: small.try_all(small.choices(broken.greedy_first), 4),
    "two alternatives happen": lambda: promises.exactly_one_happens(broken.greedy_first),
}


@pytest.mark.parametrize("check", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(check: Callable[[], object]) -> None:
    with pytest.raises(Broken):
        check()


@pytest.mark.parametrize(
    "group",
    [broken.hasty_group, broken.silent_group, broken.forgiving_group, broken.hiding_group],
    ids=lambda group: group.__name__,
)
def test_a_fault_of_a_group_is_found(group: Callable[..., object]) -> None:
    with pytest.raises(Broken):
        small_groups.try_all(group)


LOTS = [broken.LifoLot, broken.SleepyLot, broken.StayingLot, broken.PinningLot]


@pytest.mark.parametrize("lot", LOTS)
@pytest.mark.parametrize("name", WORLDS)
def test_a_fault_of_the_line_is_found_in_every_primitive(name: str, lot: type[OwnedLot]) -> None:
    make, length = WORLDS[name]

    def make_broken() -> small.World:
        world = make()
        for thing in world.things():
            for each in lots_of(thing):
                each.__class__ = lot
        return world

    with pytest.raises(Broken):
        small.try_all(make_broken, length)
    broken.PinningLot.pinned.clear()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the broken
@pytest.mark.parametrize("lot", LOTS)
@pytest.mark.parametrize("name", moments.CASES)
def test_a_fault_of_the_line_is_found_at_some_moment(name: str, lot: type[OwnedLot]) -> None:
    def prepare(thing: object) -> None:
        for each in lots_of(thing):
            each.__class__ = lot
        if isinstance(thing, coop.Condition):
            prepare(thing.lock)

    with pytest.raises(Broken):
        for moment in moments.MOMENTS:
            moments.check(name, moment, "yield from", prepare)
    broken.PinningLot.pinned.clear()
    gc.collect()  # here, and not in the middle of another test


def test_the_promises_hold_for_what_is_not_broken() -> None:
    promises.holders_come_and_go(coop.Lock, 1, examples=1)
