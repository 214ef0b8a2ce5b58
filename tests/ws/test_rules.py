"""The tables of good and of bad frames over real connections, cut in every way; and the rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ws_kit
from http_kit import Gen, Hall
from hypothesis import given, settings
from hypothesis import strategies as st
from ws.test_codec import FAULTS, GOOD, RULES
from ws_kit import CLOSE, PONG, Frame, close, enter, visit

from coop.ws import Rules

OPTIONS = {"rules": RULES}


def converse(cases: list[bytes], cut: int | None) -> list[list[Frame]]:
    """Say each of these on a connection of its own; return what came back, up to the end."""

    def visitor(hall: Hall) -> Gen[list[list[Frame]]]:
        heard = []
        for data in cases:
            peer = yield from enter(hall)
            yield from peer.say(data, cut=cut)
            heard.append((yield from peer.hear_end()))
        return heard

    return visit(ws_kit.echo, visitor, OPTIONS)


@pytest.mark.parametrize("cut", [None, 1])
def test_what_breaks_a_rule_is_told_so_over_the_wire(cut: int | None) -> None:
    cases = {name: case for name, case in FAULTS.items() if not cut or len(case[0]) < 2000}
    heard = converse([data for data, _ in cases.values()], cut)
    assert {name: code for name, (_, code) in cases.items()} == {
        name: frames[-1].code for name, frames in zip(cases, heard, strict=True)
    }


@pytest.mark.parametrize("cut", [None, 1])
def test_good_frames_are_echoed_over_the_wire(cut: int | None) -> None:
    heard = converse([data + close(1000) for data, _ in GOOD.values()], cut)
    for (_, expected), frames in zip(GOOD.values(), heard, strict=True):
        assert (CLOSE, 1000) == (frames[-1].opcode, frames[-1].code)
        echoed: list[Any] = [
            each.data.decode() if each.opcode == ws_kit.TEXT else each.data
            for each in frames[:-1]
            if each.opcode != PONG
        ]
        assert expected == echoed


@given(st.binary(min_size=1, max_size=300), st.sampled_from([None, 1, 3]))
@settings(max_examples=25, deadline=None)
def test_any_bytes_at_all_end_in_a_close_or_are_waited_for(data: bytes, cut: int | None) -> None:
    def visitor(hall: Hall) -> Gen[None]:
        peer = yield from enter(hall)
        yield from peer.say(data, cut=cut)
        peer.conn.shutdown_send()
        for each in (yield from peer.hear_end()):
            assert each.opcode in (0, 1, 2, CLOSE, PONG)

    visit(ws_kit.echo, visitor, OPTIONS)


@pytest.mark.parametrize("name", ["max_message_bytes", "ping_interval", "close_timeout"])
def test_a_rule_is_a_positive_number(name: str) -> None:
    with pytest.raises(ValueError, match=f"rule {name}=0 must be greater than zero"):
        Rules(**{name: 0})


def test_a_missing_package_is_named_with_its_remedy() -> None:
    program = (
        "import sys; sys.modules['websockets'] = None\n"
        "try: import coop.ws\n"
        "except ImportError as error: print(error)"
    )
    root = str(Path(__file__).parent.parent.parent)
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert "coop.ws needs websockets: pip install 'coop-net[ws]'\n" == told
