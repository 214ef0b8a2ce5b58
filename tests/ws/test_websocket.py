"""A WebSocket's life: messages, turns, pings, and every way to end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import kit
import pytest
import ws_kit
from http_kit import Gen, Hall
from ws_kit import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, close, enter, frame, visit

import coop
import coop.ws
from coop.ws import Rules, WebSocket, WebSocketState
from coop.ws.life import WEBSOCKET_LIFE

QUICK = {"rules": Rules(ping_interval=2.0, ping_timeout=3.0, close_timeout=4.0)}
Visitor = Callable[[Hall], Gen[Any]]


def silent(ws: WebSocket) -> Gen[None]:
    """A handler that never receives."""
    yield from coop.sleep(1000)


# -- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [None, 1, 7])
def test_what_is_said_comes_back_however_it_is_cut(cut: int | None) -> None:
    def visitor(hall: Hall) -> Gen[list[Frame]]:
        peer = yield from enter(hall)
        yield from peer.say(
            frame(TEXT, b"hi"), frame(BINARY, b"\0" * 300), frame(TEXT), close(1001), cut=cut
        )
        return (yield from peer.hear_end())

    heard = visit(ws_kit.echo, visitor)
    assert [Frame(TEXT, b"hi"), Frame(BINARY, b"\0" * 300), Frame(TEXT, b"")] == heard[:3]
    assert 1001 == heard[3].code


def test_a_for_loop_receives_until_the_end() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        try:
            for incoming in ws:
                told.append((yield from incoming))  # noqa: PERF401
        finally:
            told.append(ws.close_code)

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from peer.say(frame(TEXT, b"a"), frame(TEXT, b""), close(3000, b"enough"))
        code = (yield from peer.hear_end())[-1].code
        yield from kit.wait_until(lambda: not hall.server.active)
        assert 0 == hall.server.failed
        return code

    assert 3000 == visit(handler, visitor)
    assert ["a", "", 3000] == told


def test_fragments_are_sent_as_they_come() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        yield from ws.send(word for word in ("to", "be"))
        yield from ws.send([b"or", b"not"])

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        return (yield from (yield from enter(hall)).hear_end())

    assert [
        Frame(TEXT, b"to", fin=False),
        Frame(CONT, b"be", fin=False),
        Frame(CONT, b""),
        Frame(BINARY, b"or", fin=False),
    ] == visit(handler, visitor)[:4]


def test_an_error_in_the_middle_of_a_message_ends_it() -> None:
    def half() -> Any:
        yield "half"
        raise KeyError("gone")

    errors: list[BaseException] = []

    def handler(ws: WebSocket) -> Gen[None]:
        try:
            yield from ws.send(half())
        except KeyError as error:
            errors.append(error)
        with pytest.raises(coop.ClosedError, match="1011"):
            yield from ws.send("more")

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        return (yield from (yield from enter(hall)).hear_end())

    visit(handler, visitor)
    assert 1 == len(errors)


@pytest.mark.parametrize("wrong", [5, None, [5], [None, "a"]])
def test_what_is_no_message_is_refused_and_nothing_is_sent(wrong: Any) -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        with pytest.raises(TypeError):
            yield from ws.send(wrong)
        yield from ws.send("good")

    def visitor(hall: Hall) -> Gen[Frame]:
        return (yield from (yield from enter(hall)).hear())

    assert Frame(TEXT, b"good") == visit(handler, visitor)


def test_a_second_receiver_is_refused() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        coop.spawn(ws.recv())
        yield None
        with pytest.raises(coop.BusyError, match="another task is receiving"):
            yield from ws.recv()

    def visitor(hall: Hall) -> Gen[int]:
        return (yield from (yield from enter(hall)).hear_end())[0].code

    assert 1000 == visit(handler, visitor)


def test_a_slow_handler_holds_up_its_peer() -> None:
    """Backpressure: what nobody takes stays with the peer."""
    taken: list[int] = []

    def handler(ws: WebSocket) -> Gen[None]:
        yield from ws.recv()
        taken.append(1)
        yield from coop.sleep(1000)

    def visitor(hall: Hall) -> Gen[bool]:
        peer = yield from enter(hall)
        message = frame(BINARY, bytes(60_000))
        with coop.move_on_after(400) as patience:
            for _ in range(2000):
                yield from peer.conn.sendall(message)
        return patience.caught

    assert visit(handler, visitor, {"rules": Rules()}, drain=0.1)
    assert [1] == taken


def test_pings_are_answered_while_the_handler_receives() -> None:
    def visitor(hall: Hall) -> Gen[Frame]:
        peer = yield from enter(hall)
        yield from peer.say(frame(PING, b"there?"))
        return (yield from peer.hear())

    assert Frame(PONG, b"there?") == visit(ws_kit.echo, visitor)


def test_pings_are_answered_while_the_handler_does_not_receive() -> None:
    def visitor(hall: Hall) -> Gen[tuple[Frame, float]]:
        peer = yield from enter(hall)
        begin = kit.now()
        yield from peer.say(frame(TEXT, b"unread"), frame(PING, b"there?"))
        return (yield from peer.hear()), kit.now() - begin

    heard, seconds = visit(silent, visitor, drain=0.1)
    assert Frame(PONG, b"there?") == heard
    assert 6 > seconds


def test_what_was_read_ahead_is_received_in_order() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        yield from coop.sleep(30)
        while (message := (yield from ws.recv())) is not coop.CLOSED:
            told.append(message)

    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall)
        yield from peer.say(*(frame(TEXT, b"%d" % number) for number in range(40)), close(1000))
        yield from peer.hear_end()

    visit(handler, visitor)
    assert [str(number) for number in range(40)] == told


def test_what_another_reads_while_the_handler_waits_is_the_handlers() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        yield from coop.sleep(30)  # meanwhile a task reads
        yield from ws_kit.echo(ws)

    def visitor(hall: Hall) -> Gen[list[bytes]]:
        peer = yield from enter(hall)
        yield from coop.sleep(60)
        yield from peer.say(frame(TEXT, b"one"))
        heard = [(yield from peer.hear()).data]
        yield from peer.say(frame(TEXT, b"two"), frame(TEXT, b"three"))
        return [*heard, (yield from peer.hear()).data, (yield from peer.hear()).data]

    assert [b"one", b"two", b"three"] == visit(handler, visitor)


def test_a_ping_comes_back_after_the_time_it_took() -> None:
    times: list[float] = []

    def handler(ws: WebSocket) -> Gen[None]:
        times.append((yield from ws.ping()))
        times.append((yield from ws.ping()))
        assert "kept" == (yield from ws.recv())

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        first = yield from peer.hear()
        yield from coop.sleep(1.5)
        yield from peer.say(frame(TEXT, b"kept"), frame(PONG, b"wrong"), frame(PONG, first.data))
        yield from peer.say(frame(PONG, (yield from peer.hear()).data))
        return (yield from peer.hear()).code

    assert 1000 == visit(handler, visitor)
    assert [True, True] == [times[0] >= 1.5, times[1] < 1]


def test_a_ping_of_a_websocket_that_ends_is_an_error() -> None:
    errors: list[BaseException] = []

    def handler(ws: WebSocket) -> Gen[None]:
        with pytest.raises(coop.ClosedError) as caught:
            yield from ws.ping()
        errors.append(caught.value)

    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall)
        yield from peer.say(close(1000))
        yield from peer.hear_end()

    visit(handler, visitor)
    assert 1 == len(errors)


# -- turns ----------------------------------------------------------------------------------------


def test_senders_take_turns_and_no_frame_is_mixed() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        def speak(number: int) -> Gen[None]:
            for _ in range(3):
                yield from ws.send(bytes([number]) * 200_000)

        yield from coop.gather(*map(speak, range(4)))

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        peer = yield from enter(hall, receive_buffer_bytes=30_000)
        yield from coop.sleep(1)
        return (yield from peer.hear_end())

    frames = visit(handler, visitor)
    assert [CLOSE] == [each.opcode for each in frames if each.opcode != BINARY]
    assert sorted([0, 1, 2, 3] * 3) == sorted(each.data[0] for each in frames[:-1])
    assert all(each.data == each.data[:1] * 200_000 for each in frames[:-1])


def test_a_ping_goes_between_the_fragments_of_a_message() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        def pieces() -> Any:
            yield "a" * 100_000
            task.append(coop.spawn(ws.ping()))
            for _ in range(60):
                yield "b" * 100_000

        task: list[coop.Task] = []
        yield from ws.send(pieces())
        task[0].cancel()

    def visitor(hall: Hall) -> Gen[list[int]]:
        peer = yield from enter(hall, receive_buffer_bytes=30_000)
        frames = yield from peer.hear_end()
        assert frames[-1].opcode == CLOSE
        return [each.opcode for each in frames]

    opcodes = visit(handler, visitor)
    assert (TEXT, True) == (opcodes[0], PING in opcodes)


def test_a_send_that_is_cancelled_half_way_breaks_the_connection() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        with coop.move_on_after(1) as patience:
            yield from ws.send(bytes(12_000_000))
        told.append((patience.caught, ws.state, ws.close_code))
        with pytest.raises(coop.ClosedError, match="has ended with close code 1006"):
            yield from ws.send("more")

    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall)
        yield from coop.sleep(2)
        with pytest.raises((OSError, coop.IncompleteError, AssertionError)):
            yield from peer.hear()

    visit(handler, visitor)
    assert [(True, WebSocketState.CLOSED, 1006)] == told


def test_a_send_that_is_cancelled_while_it_waits_in_line_breaks_nothing() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        big = coop.spawn(ws.send(bytes(10_000_000)))
        yield None
        with coop.move_on_after(1) as patience:
            yield from ws.send("never")
        assert patience.caught
        yield from big.join()
        yield from ws.send("after")

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        peer = yield from enter(hall)
        yield from coop.sleep(3)
        return (yield from peer.hear_end())

    frames = visit(handler, visitor)
    assert [10_000_000, 5, 2] == [len(each.data) for each in frames]


def test_a_receive_that_is_cancelled_takes_nothing() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        with coop.move_on_after(1) as patience:
            yield from ws.recv()
        assert patience.caught
        yield from ws_kit.echo(ws)

    def visitor(hall: Hall) -> Gen[bytes]:
        peer = yield from enter(hall)
        yield from peer.say(frame(TEXT, b"whole")[:5])
        yield from coop.sleep(2)
        yield from peer.say(frame(TEXT, b"whole")[5:])
        return (yield from peer.hear()).data

    assert b"whole" == visit(handler, visitor)


@pytest.mark.parametrize("wait", ["ping", "close"])
def test_other_waits_can_be_cancelled_and_what_came_is_kept(wait: str) -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        with coop.move_on_after(1) as patience:
            yield from getattr(ws, wait)()
        assert patience.caught
        if wait == "ping":
            yield from ws_kit.echo(ws)

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        peer = yield from enter(hall)
        yield from peer.say(frame(TEXT, b"kept"))
        yield from coop.sleep(2)
        yield from peer.say(close(1000))
        return (yield from peer.hear_end())

    frames = visit(handler, visitor)
    expected = {"ping": [PING, TEXT, CLOSE], "close": [CLOSE]}[wait]
    assert expected == [each.opcode for each in frames]


def test_a_flood_of_pings_from_who_never_reads_is_held_in_bounds() -> None:
    kept: list[int] = []

    def handler(ws: WebSocket) -> Gen[None]:
        yield from ws.recv()
        kept.append(len(ws._controls) + len(ws._frames or ()))

    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall, receive_buffer_bytes=30_000)
        pings = frame(PING, b"x" * 125) * 500
        for _ in range(30):
            yield from peer.conn.sendall(pings)
        yield from peer.say(frame(TEXT, b"done"))
        while not kept:
            yield from coop.sleep(1)

    visit(handler, visitor)
    assert kept[0] <= 1


# -- the end --------------------------------------------------------------------------------------


def test_the_end_of_the_handler_is_a_good_end() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        yield from ws.send("bye")

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        peer = yield from enter(hall)
        assert b"bye" == (yield from peer.hear()).data
        assert 1000 == (yield from peer.hear()).code
        yield from peer.say(close(1000))
        return (yield from peer.hear_end())

    assert [] == visit(handler, visitor)


def test_a_handler_that_fails_says_1011(caplog: pytest.LogCaptureFixture) -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        yield from ws.recv()
        raise KeyError("a mistake")

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from peer.say(frame(TEXT, b"go"))
        code = (yield from peer.hear_end())[0].code
        yield from kit.wait_until(lambda: not hall.server.active)
        assert 1 == hall.server.failed
        return code

    with caplog.at_level(logging.ERROR):
        assert 1011 == visit(handler, visitor)
    assert "a mistake" in caplog.text


def test_close_waits_for_the_peers_goodbye_and_drops_what_comes_before() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        yield from ws.close(4000, "enough")
        told.append((ws.state, ws.close_code, ws.close_reason))
        yield from ws.close()
        told.append((yield from ws.recv()))

    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall)
        assert (4000, b"enough") == ((heard := (yield from peer.hear())).code, heard.data[2:])
        yield from peer.say(frame(TEXT, b"dropped"), frame(PING, b"x"), close(4000))
        yield from peer.hear_end()

    visit(handler, visitor)
    assert [(WebSocketState.CLOSED, 4000, "enough"), coop.CLOSED] == told


def test_a_peer_that_never_says_goodbye_is_cut_off() -> None:
    seconds: list[float] = []

    def handler(ws: WebSocket) -> Gen[None]:
        begin = kit.now()
        yield from ws.close()
        seconds.append(kit.now() - begin)

    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall)
        yield from coop.sleep(5)
        yield from peer.hear_end()

    visit(handler, visitor, QUICK)
    assert [True] == [4 <= each <= 7 for each in seconds]


@pytest.mark.parametrize("last", [b"", frame(TEXT, b"half")[:4]])
def test_a_connection_that_just_ends_is_the_end(last: bytes) -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        told.append((yield from ws.recv()))
        told.append((ws.close_code, ws.is_closed))
        with pytest.raises(coop.ClosedError):
            yield from ws.send("anyone?")

    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall)
        yield from peer.say(last)
        peer.conn.close()
        yield from kit.wait_until(lambda: not hall.server.active)

    visit(handler, visitor)
    assert [coop.CLOSED, (1006, True)] == told


def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        told.append((yield from ws.recv()))
        told.append((ws.close_code, kit.now()))

    def visitor(hall: Hall) -> Gen[list[int]]:
        peer = yield from enter(hall)
        yield from coop.sleep(20)
        return [each.opcode for each in (yield from peer.hear_end())]

    assert [PING, CLOSE] == visit(handler, visitor, QUICK)
    assert (coop.CLOSED, 1011) == (told[0], told[1][0])
    assert 5 <= told[1][1] <= 12


def test_a_peer_that_is_gone_when_it_is_given_up_is_the_end_all_the_same() -> None:
    def body() -> Gen[tuple[Any, int | None]]:
        ours, theirs = yield from kit.tcp_pair()
        ws = WebSocket(ours, ws_kit.server_codec(), Rules(ping_interval=1, ping_timeout=1))
        with theirs, ws:
            ours.socket.shutdown_send()  # so that nothing can be sent any more
            return (yield from ws.recv()), ws.close_code

    assert coop.CLOSED is kit.play(body())[0]


def test_a_peer_that_answers_pings_stays() -> None:
    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        for _ in range(10):
            heard = yield from peer.hear()
            assert PING == heard.opcode
            yield from peer.say(frame(PONG, heard.data))
        yield from peer.say(close(1000))
        return (yield from peer.hear()).code

    assert 1000 == visit(ws_kit.echo, visitor, QUICK)


def test_a_close_is_seen_while_the_handler_does_not_receive() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        while not ws.is_closed:
            yield from coop.sleep(1)
        told.append(ws.close_code)

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from peer.say(close(3001))
        return (yield from peer.hear_end())[-1].code

    assert 3001 == visit(handler, visitor)
    assert [3001] == told


def test_a_server_that_stops_says_1001_to_who_waits() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        told.append((yield from ws.recv()))
        told.append(ws.close_code)

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from kit.passes(3)
        hall.server.stop()
        heard = yield from peer.hear()
        yield from peer.say(close(1001))
        assert [] == (yield from peer.hear_end())
        return heard.code

    assert 1001 == visit(handler, visitor)
    assert [coop.CLOSED, 1001] == told


def test_a_server_that_stops_says_1001_where_another_task_reads() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        yield from coop.sleep(30)  # meanwhile a task reads
        assert coop.CLOSED is (yield from ws.recv())

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from coop.sleep(40)
        hall.server.stop()
        heard = yield from peer.hear()
        yield from peer.say(close(1001))
        assert [] == (yield from peer.hear_end())
        return heard.code

    assert 1001 == visit(handler, visitor)


def test_the_end_of_a_group_of_tasks_is_a_good_end_too() -> None:
    def listen(ws: WebSocket) -> Gen[None]:
        for incoming in ws:
            yield from incoming

    def handler(ws: WebSocket) -> Gen[None]:
        def body(members: coop.Group) -> Gen[None]:
            members.spawn(listen(ws))
            yield from coop.sleep(1000)

        yield from coop.group(body)

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from peer.say(close(1000))
        yield from peer.hear_end()
        yield from kit.wait_until(lambda: not hall.server.active)
        return hall.server.failed

    assert 0 == visit(handler, visitor)


def test_a_sender_that_is_told_of_the_end_while_the_server_stops_has_not_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def tick(ws: WebSocket) -> Gen[None]:
        while True:
            yield from ws.send("tick")
            yield from coop.sleep(1)

    def handler(ws: WebSocket) -> Gen[None]:
        def body(members: coop.Group) -> Gen[None]:
            members.spawn(tick(ws))
            while (yield from ws.recv()) is not coop.CLOSED:
                pass

        yield from coop.group(body)

    def visitor(hall: Hall) -> Gen[tuple[list[int], int]]:
        peer = yield from enter(hall)
        yield from coop.sleep(1.5)
        hall.server.stop()
        yield from coop.sleep(1)  # it is told to tick no more
        yield from peer.say(close(1001))
        codes = [each.code for each in (yield from peer.hear_end()) if each.opcode == CLOSE]
        yield from kit.wait_until(lambda: not hall.server.active)
        return codes, hall.server.failed

    with caplog.at_level(logging.WARNING):
        assert ([1001], 0) == visit(handler, visitor)
    assert [] == caplog.records


def test_a_server_that_stops_lets_an_answer_be_finished() -> None:
    def handler(ws: WebSocket) -> Gen[None]:
        while (yield from ws.recv()) is not coop.CLOSED:
            yield from coop.sleep(5)
            yield from ws.send("the answer")

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        peer = yield from enter(hall)
        yield from peer.say(frame(TEXT, b"a question"))
        yield from coop.sleep(1)
        hall.server.stop()
        heard = [(yield from peer.hear()), (yield from peer.hear())]
        yield from peer.say(close(1001))
        yield from peer.hear_end()
        return heard

    heard = visit(handler, visitor)
    assert (b"the answer", 1001) == (heard[0].data, heard[1].code)


def test_a_handler_that_is_cut_off_says_1001() -> None:
    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from kit.passes(3)
        hall.server.abort()
        return (yield from peer.hear_end())[-1].code

    assert 1001 == visit(silent, visitor)


def test_a_broken_rule_ends_the_handlers_receiving() -> None:
    told: list[Any] = []

    def handler(ws: WebSocket) -> Gen[None]:
        told.append((yield from ws.recv()))
        told.append((ws.close_code, ws.close_reason))

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from peer.say(frame(TEXT, b"\xff"))
        return (yield from peer.hear_end())[-1].code

    assert 1007 == visit(handler, visitor)
    assert [coop.CLOSED, (1007, "not UTF-8 at byte 0")] == told


# -- posting --------------------------------------------------------------------------------------


def test_what_is_posted_waits_for_room_and_keeps_its_order() -> None:
    behind: list[int] = []

    def handler(ws: WebSocket) -> Gen[None]:
        behind.extend(ws.post(bytes([number]) * 400_000) for number in range(20))
        yield from ws.send("last")

    def visitor(hall: Hall) -> Gen[list[Frame]]:
        peer = yield from enter(hall, receive_buffer_bytes=30_000)
        return (yield from peer.hear_end())

    frames = visit(handler, visitor)
    assert (0, True) == (behind[0], behind[-1] > 400_000)
    assert list(range(20)) == [each.data[0] for each in frames[:20]]
    assert [b"last", 1000] == [frames[20].data, frames[21].code]


# -- its life -------------------------------------------------------------------------------------


def open_one(*_: Any) -> Gen[tuple[WebSocket, coop.Connection]]:
    ours, theirs = kit.pair()
    return WebSocket(ours, ws_kit.server_codec(), Rules(close_timeout=1)), theirs
    yield


def closing_one() -> Gen[tuple[WebSocket, coop.Connection]]:
    ws, theirs = yield from open_one()
    ws._put(ws._begin_close(1000, ""))
    return ws, theirs


def send_close(ws: WebSocket, theirs: coop.Connection) -> Gen[None]:
    with coop.move_on_after(0.5):
        yield from ws.close()


def hear_close(ws: WebSocket, theirs: coop.Connection) -> Gen[None]:
    yield from theirs.sendall(close(1000))
    yield from ws.recv()


def break_a_rule(ws: WebSocket, theirs: coop.Connection) -> Gen[None]:
    yield from theirs.sendall(frame(3))
    yield from ws.recv()


def leave(ws: WebSocket, theirs: coop.Connection) -> Gen[None]:
    theirs.close()
    yield from ws.recv()


EVENTS = {
    "close_sent": send_close,
    "close_received": hear_close,
    "failed": break_a_rule,
    "lost": leave,
}
MAKERS = {WebSocketState.OPEN: open_one, WebSocketState.CLOSING: closing_one}


@pytest.mark.parametrize(
    ("state", "event"),
    [(state, event) for state, row in WEBSOCKET_LIFE.items() for event in row],
)
def test_each_cell_of_its_life(state: WebSocketState, event: str) -> None:
    def body() -> Gen[tuple[WebSocketState, WebSocketState]]:
        ws, theirs = yield from MAKERS[state]()
        before = ws.state
        with theirs, ws._connection:
            yield from EVENTS[event](ws, theirs)
        return before, ws.state

    assert (state, WEBSOCKET_LIFE[state][event]) == kit.play(body())


def test_it_says_what_it_is() -> None:
    def body() -> Gen[str]:
        ws, theirs = yield from open_one()
        with theirs, ws._connection:
            return repr(ws)

    assert "<websocket / open>" == kit.play(body())
