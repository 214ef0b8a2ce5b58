"""The parking lot: first come, first served, whoever leaves, and no trace of who has left."""

from __future__ import annotations

import weakref
from time import process_time

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit import no_collector
from sync_kit import Gen, passes, play

import coop
from coop.parking import OwnedLot, ParkingLot, Spot


class LineBesideAList(RuleBasedStateMachine):
    """Spots without tasks: who is called, moved, or leaves is the same as in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.lot, self.other = ParkingLot("one", "wait in"), ParkingLot("other", "wait in")
        self.line: list[Spot] = []
        self.other_line: list[Spot] = []

    @rule()
    def arrive(self) -> None:
        self.line.append(_Quiet(self.lot))

    @precondition(lambda self: self.line)
    @rule()
    def call(self) -> None:
        assert self.line.pop(0) is self.lot.call_first()

    @rule()
    def wake(self) -> None:
        assert (self.line.pop(0) if self.line else None) is self.lot.wake_first("value")

    @precondition(lambda self: self.line)
    @rule()
    def move(self) -> None:
        spot = self.line.pop(0)
        assert spot is self.lot.move_first(self.other)
        self.other_line.append(spot)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.line.pop(data.draw(st.integers(0, len(self.line) - 1))).abort()

    @precondition(lambda self: self.other_line)
    @rule(data=st.data())
    def leave_the_other(self, data: st.DataObject) -> None:
        self.other_line.pop(data.draw(st.integers(0, len(self.other_line) - 1))).abort()

    @rule()
    def wake_everyone(self) -> None:
        assert len(self.line) == self.lot.wake_all()
        self.line.clear()

    @invariant()
    def the_lines_are_the_same(self) -> None:
        for lot, line in ((self.lot, self.line), (self.other, self.other_line)):
            assert len(line) == len(lot)
            assert bool(line) == bool(lot.spots)
            assert len(lot.spots) <= 2 * len(line), "husks pile up"


class _Quiet(Spot):
    def wake(self) -> None:
        pass


TestLineBesideAList = LineBesideAList.TestCase


def test_those_who_leave_are_let_go_of() -> None:
    """Though a husk may stay in the line behind the first."""

    def main() -> Gen[list[object]]:
        event, channel = coop.Event(), coop.Channel[int](0)
        first = coop.spawn(event.wait())
        gone: list[weakref.ref[coop.Task]] = []

        def choose() -> Gen[None]:
            yield from coop.first(event, channel)

        for _ in range(3):
            task = coop.spawn(choose())
            gone.append(weakref.ref(task))
            yield from passes(2)
            task.cancel()
            del task
            yield from passes(2)
        alive = [task() for task in gone]
        first.cancel()
        return alive

    with no_collector():
        assert [None] * 3 == play(main())


def test_a_lot_of_an_owner_dies_with_it() -> None:
    class Owner:
        def __init__(self) -> None:
            self.lot = OwnedLot(self, "wait for")

    with no_collector():
        owner = Owner()
        dead = weakref.ref(owner)
        for _ in range(3):
            _Quiet(owner.lot)
        waiting = list(owner.lot.spots)
        waiting[1].abort()
        waiting[0].abort()
        waiting[2].abort()
        del owner, waiting
        assert dead() is None


def test_leaving_from_the_middle_costs_the_same_in_a_long_line() -> None:
    """Not a hundred times as much in a line a hundred times as long: that would be a scan."""

    def seconds_for(count: int) -> float:
        lot = ParkingLot("long", "wait in")
        spots = [_Quiet(lot) for _ in range(count)]
        begin = process_time()
        for spot in reversed(spots):
            spot.abort()
        return (process_time() - begin) / count

    seconds_for(200)
    assert min(seconds_for(20_000) for _ in range(3)) < 20 * min(seconds_for(200) for _ in range(9))


def test_a_line_says_whose_it_is() -> None:
    assert "<line to knock at 'the door'>" == repr(coop.ParkingLot("the door", "knock at"))


def test_a_repr_names_those_who_wait_and_no_husks() -> None:
    def main() -> Gen[str]:
        event = coop.Event()
        tasks = [coop.spawn(event.wait(), name=f"t{number}") for number in range(5)]
        yield from passes(2)
        tasks[1].cancel()
        text = repr(event)
        event.set()
        return text

    assert "<event not set, 4 wait: 't0', 't2', 't3', …>" == play(main())
