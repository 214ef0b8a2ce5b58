"""Rooms: everybody hears, and nobody can hold up the others."""

from __future__ import annotations

from typing import Any

import kit
import pytest
import ws_kit
from http_kit import Gen, Hall
from ws_kit import CLOSE, DEFLATE, TEXT, enter, frame, visit

import coop
from coop.ws import Room, Rules, WebSocket


class Chat:
    """A room with a door."""

    def __init__(self, **options: Any) -> None:
        self.room = Room(**options)
        self.ended: list[int | None] = []

    def __call__(self, ws: WebSocket) -> Gen[None]:
        with self.room.joined(ws):
            while (message := (yield from ws.recv())) is not coop.CLOSED:
                self.room.broadcast(message)
        self.ended.append(ws.close_code)


def test_all_members_hear_what_one_says() -> None:
    chat = Chat()

    def visitor(hall: Hall) -> Gen[list[bytes]]:
        peers = []
        for fields in (b"", DEFLATE, b""):
            peers.append((yield from enter(hall, fields)))  # noqa: PERF401
        yield from kit.wait_until(lambda: len(chat.room) == 3)
        yield from peers[0].say(frame(TEXT, b"hello"))
        heard = []
        for peer in peers:
            heard.append((yield from peer.hear()).data)  # noqa: PERF401
        assert "<room of 3>" == repr(chat.room)
        return heard

    assert [b"hello"] * 3 == visit(chat, visitor)
    assert 0 == len(chat.room)


def test_who_is_found_to_be_gone_is_not_counted_and_leaves() -> None:
    chat = Chat()

    def visitor(hall: Hall) -> Gen[tuple[int, int]]:
        for _ in range(2):
            yield from enter(hall)
        yield from kit.wait_until(lambda: len(chat.room) == 2)
        gone = hall.clients[0].conn
        gone.socket.set_linger(0)  # type: ignore[attr-defined]
        gone.close()
        return chat.room.broadcast("is anybody here?"), len(chat.room)

    assert (1, 1) == visit(chat, visitor)


def test_one_may_be_left_out() -> None:
    told: list[Any] = []
    room = Room()

    def handler(ws: WebSocket) -> Gen[None]:
        room.add(ws)
        assert ws in room
        assert [ws] == list(room)
        told.append((room.broadcast("all"), room.broadcast("the others", but=ws)))
        yield from ws.recv()

    def visitor(hall: Hall) -> Gen[bytes]:
        peer = yield from enter(hall)
        return (yield from peer.hear()).data

    assert b"all" == visit(handler, visitor)
    assert [(1, 0)] == told


def test_a_slow_reader_is_put_out_and_holds_up_nobody() -> None:
    chat = Chat(max_behind_bytes=500_000)
    message = b"x" * 100_000

    def visitor(hall: Hall) -> Gen[tuple[int, list[int]]]:
        slow = yield from enter(hall, receive_buffer_bytes=30_000)
        quick = yield from enter(hall)
        yield from kit.wait_until(lambda: len(chat.room) == 2)
        heard = 0
        for _ in range(60):
            yield from quick.say(frame(TEXT, message))
            heard += len((yield from quick.hear()).data)
        assert 1 == len(chat.room)
        return heard, [each.opcode for each in (yield from slow.hear_end())]

    heard, slow = visit(chat, visitor)
    assert 60 * len(message) == heard
    assert [CLOSE] == [opcode for opcode in slow if opcode != TEXT]
    assert len(slow) < 60
    assert 1013 in chat.ended


def test_who_never_reads_is_cut_off_in_the_end() -> None:
    chat = Chat(max_behind_bytes=1000, close_code=1008)

    def visitor(hall: Hall) -> Gen[None]:
        yield from enter(hall, receive_buffer_bytes=30_000)
        yield from kit.wait_until(lambda: len(chat.room) == 1)
        while len(chat.room):
            chat.room.broadcast(b"x" * 100_000)
        yield from coop.sleep(10)
        assert [1008] == chat.ended

    visit(chat, visitor, {"rules": Rules(close_timeout=3)})


def test_members_who_have_ended_leave() -> None:
    room = Room()

    def handler(ws: WebSocket) -> Gen[None]:
        room.add(ws)
        yield from ws.recv()

    def visitor(hall: Hall) -> Gen[int]:
        peer = yield from enter(hall)
        yield from kit.wait_until(lambda: len(room))
        yield from peer.say(ws_kit.close(1000))
        yield from peer.hear_end()
        yield from kit.wait_until(lambda: not hall.server.active)
        return room.broadcast("anyone?")

    assert 0 == visit(handler, visitor)
    assert 0 == len(room)


def test_a_room_keeps_no_negative_distance() -> None:
    with pytest.raises(ValueError, match="max_behind_bytes"):
        Room(max_behind_bytes=0)
