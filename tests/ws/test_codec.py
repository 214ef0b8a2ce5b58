"""The codec: which frames are messages, which end the WebSocket, however they are cut."""

from __future__ import annotations

import os
import random
import zlib
from itertools import pairwise
from typing import Any

import pytest
import ws_kit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ws_kit import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, close, frame, read_frames

from coop.http import NEED_DATA
from coop.ws.codec import ENDED, PASS, Codec
from coop.ws.rules import Rules

RULES = Rules(max_message_bytes=1000, max_fragments=40)


def read(codec: Codec, pieces: list[bytes]) -> tuple[list[Any], list[Frame], Any]:
    """What comes out of a codec: messages, frames to send, and code and reason of the end."""
    messages: list[Any] = []
    for piece in pieces:
        message = codec.next_message(piece)
        while message not in (NEED_DATA, ENDED):
            if message is not PASS:
                messages.append(message)
            message = codec.next_message()
    end = codec.failure or codec.close_received
    return messages, read_frames(b"".join(codec.replies)), end


def press(data: bytes) -> bytes:
    """Compress a message as permessage-deflate has it."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


E_ACUTE = "é".encode()
GOOD: dict[str, tuple[bytes, list[Any]]] = {
    "text": (frame(TEXT, b"hi"), ["hi"]),
    "empty text": (frame(TEXT), [""]),
    "binary": (frame(BINARY, b"\xff\0"), [b"\xff\0"]),
    "two in a row": (frame(TEXT, b"a") + frame(BINARY, b"b"), ["a", b"b"]),
    "a length in two bytes": (frame(TEXT, b"x" * 126), ["x" * 126]),
    "as long as may be": (frame(BINARY, b"x" * 1000), [b"x" * 1000]),
    "fragments": (
        frame(TEXT, b"a", fin=False) + frame(CONT, b"b", fin=False) + frame(CONT, b"c"),
        ["abc"],
    ),
    "a character cut in two": (
        frame(TEXT, E_ACUTE[:1], fin=False) + frame(CONT, E_ACUTE[1:]),
        ["é"],
    ),
    "empty fragments": (frame(BINARY, fin=False) + frame(CONT, fin=False) + frame(CONT), [b""]),
    "a ping between fragments": (
        frame(TEXT, b"a", fin=False) + frame(PING, b"?") + frame(CONT, b"b"),
        ["ab"],
    ),
    "a pong that nobody asked for": (frame(PONG, b"!") + frame(TEXT, b"a"), ["a"]),
    "a message after fragments": (
        frame(TEXT, b"a", fin=False) + frame(CONT, b"b") + frame(BINARY, b"c"),
        ["ab", b"c"],
    ),
    "more pings than are read at once": (frame(PING) * 100 + frame(TEXT, b"a"), ["a"]),
}

FAULTS: dict[str, tuple[bytes, int]] = {
    "not masked": (frame(TEXT, b"hi", mask=None), 1002),
    "first reserved bit": (frame(TEXT, b"hi", rsv=4), 1002),
    "second reserved bit": (frame(TEXT, b"hi", rsv=2), 1002),
    "third reserved bit": (frame(PING, rsv=1), 1002),
    **{f"opcode {code}": (frame(code), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a ping in fragments": (frame(PING, fin=False), 1002),
    "a Close in fragments": (frame(CLOSE, fin=False), 1002),
    "a continuation of nothing": (frame(CONT, b"a"), 1002),
    "a message inside another": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "a Close inside a message": (frame(TEXT, b"a", fin=False) + close(1000), 1002),
    "a short length in two bytes": (frame(TEXT, b"a" * 125, width=2), 1002),
    "a short length in eight bytes": (frame(TEXT, b"a" * 65535, width=8), 1002),
    "a length of 2 to the 63rd": (frame(BINARY, length=1 << 63), 1002),
    "a length of 2 to the 62nd": (frame(BINARY, length=1 << 62), 1009),
    "one byte too long": (frame(BINARY, b"x" * 1001), 1009),
    "fragments too long together": (
        frame(BINARY, b"x" * 600, fin=False) + frame(CONT, b"x" * 401),
        1009,
    ),
    "too many fragments": (frame(TEXT, fin=False) + frame(CONT, fin=False) * 40, 1009),
    "text that is not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "text that ends inside a character": (frame(TEXT, E_ACUTE[:1]), 1007),
    "fragments that end inside a character": (
        frame(TEXT, b"a", fin=False) + frame(CONT, E_ACUTE[:1]),
        1007,
    ),
    "a fragment that cannot become UTF-8": (frame(TEXT, b"\xff", fin=False), 1007),
    "a Close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a reason that is not UTF-8": (close(1000, b"\xff"), 1007),
    **{f"code {code}": (close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016)},
    **{f"code {code}": (close(code), 1002) for code in (1100, 2000, 2999, 5000, 65535)},
}


@pytest.mark.parametrize("name", GOOD)
def test_good_frames_are_messages(name: str) -> None:
    data, expected = GOOD[name]
    messages, _, end = read(ws_kit.server_codec(rules=RULES), [data])
    assert expected == messages
    assert None is end


@pytest.mark.parametrize("name", FAULTS)
def test_what_breaks_a_rule_is_told_so(name: str) -> None:
    data, code = FAULTS[name]
    messages, replies, end = read(ws_kit.server_codec(rules=RULES), [data + frame(TEXT, b"no")])
    assert [] == messages
    assert code == end[0]
    assert code == replies[-1].code


@pytest.mark.parametrize("name", [*GOOD, *FAULTS])
def test_one_byte_at_a_time_means_the_same(name: str) -> None:
    data = (GOOD.get(name) or FAULTS[name])[0]
    whole = read(ws_kit.server_codec(rules=RULES), [data])
    assert whole == read(ws_kit.server_codec(rules=RULES), [bytes([byte]) for byte in data])


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
def test_a_good_close_is_answered_with_its_code(code: int) -> None:
    messages, replies, end = read(ws_kit.server_codec(), [close(code, b"bye")])
    assert ([], [code], (code, "bye")) == (messages, [replies[0].code], end)


def test_a_close_without_code_is_answered_with_none() -> None:
    assert ([], [Frame(CLOSE, b"")], (1005, "")) == read(ws_kit.server_codec(), [frame(CLOSE)])


def test_nothing_behind_a_close_is_read() -> None:
    codec = ws_kit.server_codec()
    assert [] == read(codec, [close(1000) + frame(TEXT, b"more"), frame(PING)])[0]
    assert 1 == len(codec.replies)


def test_a_ping_is_answered_with_what_it_carried() -> None:
    _, replies, _ = read(ws_kit.server_codec(), [frame(PING, b"a") + frame(PING, b"b")])
    assert [Frame(PONG, b"a"), Frame(PONG, b"b")] == replies


@pytest.mark.parametrize("cut", [1, 2, 6])
def test_a_control_frame_is_judged_before_it_has_come(cut: int) -> None:
    head = frame(PING, b"x" * 126)[: max(2, cut)]
    assert 1002 == read(ws_kit.server_codec(), [head])[2][0]


def test_a_length_is_judged_before_the_message_has_come() -> None:
    head = frame(BINARY, length=1 << 40)[:10]
    assert 1009 == read(ws_kit.server_codec(), [head])[2][0]


# -- compression ----------------------------------------------------------------------------------


def test_a_compressed_message_is_inflated() -> None:
    data = frame(TEXT, press(b"ha" * 300), rsv=4) + frame(TEXT, b"plain")
    assert ["ha" * 300, "plain"] == read(ws_kit.server_codec(deflate=True), [data])[0]


def test_a_compressed_message_may_come_in_fragments() -> None:
    pressed = press(b"hello" * 100)
    data = frame(BINARY, pressed[:3], fin=False, rsv=4) + frame(CONT, pressed[3:])
    assert [b"hello" * 100] == read(ws_kit.server_codec(deflate=True), [data])[0]


@pytest.mark.parametrize("fragments", [1, 2, 5])
def test_a_message_must_not_be_too_long_after_inflation(fragments: int) -> None:
    pressed = press(bytes(1_000_000))
    step = -(-len(pressed) // fragments)
    pieces = [pressed[at : at + step] for at in range(0, len(pressed), step)]
    data = b"".join(
        frame(
            CONT if number else BINARY,
            piece,
            fin=number == len(pieces) - 1,
            rsv=0 if number else 4,
        )
        for number, piece in enumerate(pieces)
    )
    codec = ws_kit.server_codec(rules=Rules(max_message_bytes=10_000), deflate=True)
    assert ([], 1009) == (read(codec, [data])[0], codec.failure and codec.failure[0])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(BINARY, b"\xff\xff\xff", rsv=4), 1002),
        (frame(BINARY, fin=False) + frame(CONT, press(b"a"), rsv=4), 1002),
        (frame(PING, press(b"a"), rsv=4), 1002),
        (frame(TEXT, press(b"\xff"), rsv=4), 1007),
    ],
)
def test_bad_compression_is_told_so(data: bytes, code: int) -> None:
    assert code == read(ws_kit.server_codec(deflate=True), [data])[2][0]


def test_short_messages_are_not_compressed() -> None:
    codec = ws_kit.server_codec(rules=Rules(compress_from_bytes=10), deflate=True)
    assert [0, 4] == [read_frames(codec.encode(text))[0].rsv for text in ("short", "x" * 10)]


def test_a_frame_for_many_can_be_inflated_by_each() -> None:
    codec = ws_kit.server_codec(deflate=True)
    shared: dict[int, bytes] = {}
    one = codec.encode_alone("ha" * 1000, shared)
    assert one is ws_kit.server_codec(deflate=True).encode_alone("ha" * 1000, shared)
    sent = read_frames(one)[0]
    inflate = zlib.decompressobj(wbits=-15)
    assert b"ha" * 1000 == inflate.decompress(sent.data + b"\0\0\xff\xff")


# -- what goes out --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 100_000])
def test_a_message_of_any_length_is_one_good_frame(size: int) -> None:
    codec = ws_kit.server_codec()
    assert [Frame(BINARY, bytes(size))] == read_frames(codec.encode(bytes(size)))
    assert [Frame(TEXT, b"a" * size)] == read_frames(codec.encode("a" * size))


def test_fragments_are_frames_of_one_message() -> None:
    frames = list(ws_kit.server_codec().encode_fragments(iter(["a", "b"])))
    assert [
        Frame(TEXT, b"a", fin=False),
        Frame(CONT, b"b", fin=False),
        Frame(CONT, b""),
    ] == read_frames(b"".join(frames))


def test_no_fragments_at_all_are_an_empty_message() -> None:
    assert [Frame(BINARY, b"")] == read_frames(b"".join(ws_kit.server_codec().encode_fragments([])))


@pytest.mark.parametrize("wrong", [5, None, object(), ["a"]])
def test_what_is_no_message_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="a message is str or bytes"):
        ws_kit.server_codec().encode(wrong)


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (999, ""), (2500, ""), (1000, "x" * 124)])
def test_a_close_that_may_not_be_sent_is_refused(code: int, reason: str) -> None:
    with pytest.raises(ValueError, match=r"close|reason"):
        ws_kit.server_codec().encode_close(code, reason)


# -- any bytes at all -----------------------------------------------------------------------------

opcodes = st.sampled_from([CONT, TEXT, BINARY, CLOSE, PING, PONG, 3, 11])
payloads = st.one_of(
    st.binary(max_size=140),
    st.sampled_from([b"", E_ACUTE, E_ACUTE[:1], b"\x03\xe8", b"\x03\xe8bye", press(b"ha" * 900)]),
)
frames = st.builds(
    frame,
    opcodes,
    payloads,
    fin=st.sampled_from([True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 4, 1]),
    mask=st.sampled_from([ws_kit.MASK, ws_kit.MASK, ws_kit.MASK, None]),
    width=st.none() | st.sampled_from([2, 8]),
)
streams = st.lists(st.one_of(frames, frames, st.binary(max_size=9)), max_size=8).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(streams, st.lists(st.integers(0, 2000), max_size=8), st.booleans())
@example(frame(TEXT, b"a" * 130), [1, 3, 5], False)
@settings(max_examples=150, deadline=None)
def test_the_result_does_not_depend_on_the_cuts(
    data: bytes, places: list[int], deflate: bool
) -> None:
    whole = read(ws_kit.server_codec(rules=RULES, deflate=deflate), [data])
    assert whole == read(ws_kit.server_codec(rules=RULES, deflate=deflate), cut(data, places))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_campaign_of_mutated_frames() -> None:
    seeds = [data for data, _ in [*GOOD.values(), *FAULTS.values()]]
    luck = random.Random(int(os.environ.get("COOP_SEED", "1")))
    for _ in range(int(os.environ.get("COOP_EXAMPLES", "300000"))):
        data = bytearray(b"".join(luck.choices(seeds, k=luck.randint(1, 3))))
        for _ in range(luck.choice([0, 1, 1, 2, 5])):
            data[luck.randrange(len(data))] = luck.randrange(256)
        places = [luck.randrange(len(data) + 1) for _ in range(luck.randint(0, 6))]
        deflate = luck.random() < 0.5
        whole = read(ws_kit.server_codec(rules=RULES, deflate=deflate), [bytes(data)])
        parts = cut(bytes(data), places)
        assert whole == read(ws_kit.server_codec(rules=RULES, deflate=deflate), parts), data.hex()
