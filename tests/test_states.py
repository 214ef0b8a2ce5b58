"""The lives of tasks, connections, listeners and servers: each cell of each table, and the page.

For each cell there is a function that brings a thing into the state and lets the event happen; the
set of functions must be the set of cells.  What is no cell is refused, or changes nothing.
"""

from __future__ import annotations

import itertools
import runpy
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import kit
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import Gen, play

import coop
from coop.listener import LISTENER_LIFE, ListenerState
from coop.parking import ParkingLot
from coop.server import SERVER_LIFE, ServerState
from coop.stream import CONNECTION_LIFE, ConnectionState
from coop.task import TASK_LIFE, TaskState

pytestmark = pytest.mark.core

ROOT = Path(__file__).parent.parent

Cell = tuple[Enum, str]
Seen = list[Enum]


def cells_of(life: Any) -> set[Cell]:
    return {(state, event) for state, row in life.items() for event in row}


def echo(conn: coop.Connection) -> Gen[None]:
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


# -- tasks ----------------------------------------------------------------------------------------


def watch_resume() -> Gen[Seen]:
    seen: Seen = []

    def work() -> Gen[None]:
        seen.append(coop.current_task().state)
        yield None

    task = coop.spawn(work())
    seen.append(task.state)
    yield from task.join()
    return seen


def watch_pass() -> Gen[Seen]:
    seen: Seen = []

    def work() -> Gen[None]:
        seen.append(coop.current_task().state)
        yield None

    task = coop.spawn(work())
    yield None
    return [*seen, task.state]


def watch_park() -> Gen[Seen]:
    seen: Seen = []
    lot = ParkingLot("shop", "enter")

    def work() -> Gen[None]:
        seen.append(coop.current_task().state)
        yield from lot.park()

    task = coop.spawn(work())
    yield None
    seen.append(task.state)
    lot.wake_all()
    return seen


def watch_end(body: Callable[[Seen], Gen[None]], *, cancelled: bool = False) -> Gen[Seen]:
    """Let a task end by this body, which notes its state just before."""
    seen: Seen = []
    task = coop.spawn(body(seen))
    if cancelled:
        task.cancel()
    try:
        yield from task.join()
    except (ValueError, coop.TaskCancelled):
        pass
    return [*seen, task.state]


def returning(seen: Seen) -> Gen[None]:
    yield None
    seen.append(coop.current_task().state)


def raising(seen: Seen) -> Gen[None]:
    yield None
    seen.append(coop.current_task().state)
    raise ValueError


def leaving(seen: Seen) -> Gen[None]:
    try:
        yield from coop.sleep(1)
    finally:
        seen.append(coop.current_task().state)


def watch_unpark(act: Callable[[coop.Task, ParkingLot], object]) -> Gen[Seen]:
    lot = ParkingLot("shop", "enter")
    task = coop.spawn(lot.park())
    yield None
    before = task.state
    act(task, lot)
    return [before, task.state]


TASK_CELLS: dict[Cell, Callable[[], Gen[Seen]]] = {
    (TaskState.READY, "resume"): lambda: reversed_(watch_resume()),
    (TaskState.RUNNING, "pass"): watch_pass,
    (TaskState.RUNNING, "park"): watch_park,
    (TaskState.RUNNING, "return"): lambda: watch_end(returning),
    (TaskState.RUNNING, "raise"): lambda: watch_end(raising),
    (TaskState.RUNNING, "leave"): lambda: watch_end(leaving, cancelled=True),
    (TaskState.PARKED, "wake"): lambda: watch_unpark(lambda task, lot: lot.wake_first()),
    (TaskState.PARKED, "cancel"): lambda: watch_unpark(lambda task, lot: task.cancel()),
}


def reversed_(watching: Gen[Seen]) -> Gen[Seen]:
    return sorted((yield from watching), key=lambda state: state is not TaskState.READY)


# -- connections ----------------------------------------------------------------------------------


def connection_in(state: ConnectionState) -> tuple[coop.Connection, coop.Connection]:
    ours, theirs = kit.pair()
    if state is ConnectionState.SEND_CLOSED:
        ours.shutdown_send()
    elif state is ConnectionState.CLOSED:
        ours.close()
    assert state is ours.state
    return ours, theirs


def watch_connection(state: ConnectionState, event: str) -> Gen[Seen]:
    ours, theirs = connection_in(state)
    with ours, theirs:
        getattr(ours, event)()
        return [state, ours.state]
    yield


# -- listeners ------------------------------------------------------------------------------------


def watch_listener(state: ListenerState, event: str) -> Gen[Seen]:
    with coop.listen("127.0.0.1", 0) as listener:
        if state is ListenerState.CLOSED:
            listener.close()
        assert state is listener.state
        getattr(listener, event)()
        return [state, listener.state]
    yield


# -- servers --------------------------------------------------------------------------------------


def run(server: coop.Server) -> Gen[None]:
    yield from server.run(heed_signals=False)


class Watched(coop.Server):
    """A server that notes where each event led."""

    def __init__(self) -> None:
        super().__init__(echo, coop.listen("127.0.0.1", 0))
        self.after: dict[str, ServerState] = {}

    def _advance(self, event: str) -> None:
        super()._advance(event)
        self.after[event] = self.state


def watch_server(state: ServerState, event: str) -> Gen[Seen]:
    server = Watched()
    if ServerState.LEAVING in (state, SERVER_LIFE[state][event]):
        server.lame_duck = 5.0
    with server.listener:
        at_work = {ServerState.SERVING, ServerState.LEAVING, ServerState.STOPPED}
        if state in at_work or event == "end":
            coop.spawn(run(server))
            yield from kit.passes(3)
        if (state, event) == (ServerState.DRAINING, "end"):
            conn = yield from coop.connect(server.address)
            yield from kit.wait_until(lambda: server.active)
        if state in {ServerState.LEAVING, ServerState.DRAINING, ServerState.STOPPED}:
            server.stop()
            yield from kit.passes(5)
        assert state is server.state
        if event == "run":
            coop.spawn(run(server))
        elif event == "stop" and state is ServerState.LEAVING:
            server.abort()
        elif event in {"stop", "leave"}:
            server.stop()
        elif state in {ServerState.SERVING, ServerState.LEAVING}:
            [task] = coop.current_scheduler().root.children.values()
            task.cancel()
        else:
            conn.close()
        yield from kit.wait_until(lambda: event in server.after)
        after = server.after[event]
        server.abort()
        return [state, after]


CELLS: dict[Cell, Callable[[], Gen[Seen]]] = {
    **TASK_CELLS,
    **{
        (state, event): lambda watch=watch, state=state, event=event: watch(state, event)
        for watch, life in (
            (watch_connection, CONNECTION_LIFE),
            (watch_listener, LISTENER_LIFE),
            (watch_server, SERVER_LIFE),
        )
        for state, row in life.items()
        for event in row
    },
}
LIVES: list[Any] = [TASK_LIFE, CONNECTION_LIFE, LISTENER_LIFE, SERVER_LIFE]


def test_each_cell_has_its_test() -> None:
    assert set().union(*map(cells_of, LIVES)) == set(CELLS)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{type(cell[0]).__name__}-{cell}")
def test_a_cell(cell: Cell) -> None:
    state, event = cell
    (life,) = (life for life in LIVES if state in life)
    assert [state, life[state][event]] == play(CELLS[cell]())


@pytest.mark.parametrize("life", LIVES, ids=lambda life: type(next(iter(life))).__name__)
def test_a_table_names_every_state_and_leads_only_to_states(life: Any) -> None:
    kind = type(next(iter(life)))
    assert set(kind) == set(life)
    assert all(after in kind for row in life.values() for after in row.values())
    reached = {next(iter(life))}
    while more := {after for state in reached for after in life[state].values()} - reached:
        reached |= more
    assert set(kind) == reached, "each state can be reached from the first"


# -- what is no cell ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [returning, raising])
def test_an_ended_task_stays_as_it_is(end: Any) -> None:
    def main() -> Gen[None]:
        task = coop.spawn(end([]))
        try:
            yield from task.join()
        except ValueError:
            pass
        before = task.state
        task.cancel()
        task.cancel_soon()
        assert before is task.state
        assert {} == TASK_LIFE[task.state]

    play(main())


def test_a_closed_connection_cannot_be_half_closed() -> None:
    def main() -> Gen[None]:
        ours, theirs = connection_in(ConnectionState.CLOSED)
        with theirs:
            with pytest.raises(coop.ClosedError):
                ours.shutdown_send()
            assert ConnectionState.CLOSED is ours.state
        yield

    play(main())


@pytest.mark.parametrize("state", [ServerState.SERVING, ServerState.STOPPED])
def test_a_server_runs_once(state: ServerState) -> None:
    def main() -> Gen[None]:
        server = coop.Server(echo, coop.listen("127.0.0.1", 0))
        task = coop.spawn(run(server))
        yield from kit.passes(3)
        if state is ServerState.STOPPED:
            server.stop()
            yield from task.join()
        with pytest.raises(coop.MisuseError, match="can run only once"):
            yield from server.run(heed_signals=False)
        assert state is server.state
        server.stop()

    play(main())


# -- any program ----------------------------------------------------------------------------------

verbs = st.one_of(
    st.just(("pass",)),
    st.tuples(st.just("sleep"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["join", "cancel", "wake", "shielded"]), st.integers(0, 4)),
    st.just(("park",)),
    st.just(("raise",)),
)
programs = st.lists(st.lists(verbs, max_size=5), min_size=1, max_size=5)


def reachable() -> dict[TaskState, set[TaskState]]:
    """For each state, those it may be found in some time later."""
    after = {state: {state, *row.values()} for state, row in TASK_LIFE.items()}
    for _ in TaskState:
        after = {
            state: set().union(*(after[next_] for next_ in row)) for state, row in after.items()
        }
    return after


@given(programs)
def test_in_any_program_every_task_moves_as_the_table_says(program: list[list[Any]]) -> None:
    seen: dict[coop.Task, list[TaskState]] = {}
    lot = ParkingLot("shop", "enter")
    tasks: list[coop.Task] = []

    def look() -> None:
        running = [task for task in tasks if task.state is TaskState.RUNNING]
        assert len(running) <= 1
        for task in tasks:
            seen.setdefault(task, []).append(task.state)
            assert task.is_done == (not TASK_LIFE[task.state])
            assert (task.waiter is not None) == (task.state is TaskState.PARKED)

    def work(steps: list[Any]) -> Gen[None]:
        for verb, *args in steps:
            look()
            other = tasks[args[0] % len(tasks)] if args else None
            if verb == "pass":
                yield None
            elif verb == "sleep":
                yield from coop.sleep(args[0])
            elif verb == "park":
                yield from lot.park()
            elif verb == "wake":
                lot.wake_all()
            elif verb == "cancel":
                assert other is not None
                other.cancel()
            elif verb == "shielded":
                with coop.shield(2):
                    yield from coop.sleep(args[0])
            elif verb == "join":
                if other is not coop.current_task():
                    assert other is not None
                    with coop.move_on_after(3):
                        yield from other.join()
            else:
                raise ValueError

    def body(group: coop.Group) -> Gen[None]:
        tasks.extend(group.spawn(work(steps)) for steps in program)
        for _ in range(30):
            look()
            yield from coop.sleep(1)
            lot.wake_all()

    def main() -> Gen[None]:
        yield from coop.group(body, on_error=lambda task, error: look())
        look()

    play(main())
    after = reachable()
    for states in seen.values():
        assert TaskState.READY is states[0]
        assert not TASK_LIFE[states[-1]], "it has ended"
        for state, later in itertools.pairwise(states):
            assert later in after[state]


# -- the page -------------------------------------------------------------------------------------


def test_the_page_of_states_is_up_to_date() -> None:
    pytest.importorskip("httptools")
    page = runpy.run_path(str(ROOT / "docs" / "make_states.py"))["render"]()
    message = "run python docs/make_states.py"
    assert page == (ROOT / "docs" / "states.md").read_text("utf-8"), message
