"""Every attack of the table, by four ways: whole, byte by byte, cut at random, and simulated.

The first is against a server in a process of its own; the next two against one in this process,
over real sockets; the last over a network that cuts, delays and reorders whatever may be.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from http_attack_table import ATTACKS
from http_attacks import LAST, LIMITS, Attack, app, chunks, get, judge, stream
from http_fuzz import transcript
from http_kit import Gen, Hall, visit
from http_process import ROOT, dial, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import passes
from promises import EFFORT

import coop
from coop.http import Deadlines, Limits, serve
from coop.http.limits import DEFAULT_LIMITS
from coop.sim import KINDS, run

#: The verdict is on bytes; how long they may take is tested elsewhere.
PATIENT = Deadlines(idle=1e6, head=1e6, body=1e6, stall=1e6)
NAMES = [f"{attack.rule}: {attack.name}" for attack in ATTACKS]
#: More than this is not sent byte by byte in its middle, where nothing new can happen.
LONG = 120

PROGRAM = """
import coop, coop.http
from http_attacks import LIMITS, app

coop.run(coop.http.serve(app, "127.0.0.1", 0, limits=LIMITS, on_listening=tell))
"""


def test_each_attack_has_a_name_of_its_own() -> None:
    assert len(NAMES) == len(set(NAMES))


# -- whole ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(PROGRAM) as (_, port):
        yield port


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_in_one_go(attack: Attack, port: int) -> None:
    said = b""
    with dial(port) as conn:
        conn.sendall(stream(attack))
        if attack.ends:
            conn.shutdown(socket.SHUT_WR)
        while piece := conn.recv(65536):
            said += piece
    judge(attack, said)


def test_a_client_that_is_reset_at_once_harms_nobody(port: int) -> None:
    """CVE-2024-49769: by then the server may not be able to ask for its name."""
    for data in (b"", b"GET / HT", get()) * 30:
        with dial(port) as conn:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conn.sendall(data)
    with dial(port) as conn:
        conn.sendall(LAST)
        assert b"GET /last 0" in conn.recv(65536)


# -- in pieces ------------------------------------------------------------------------------------


def send_pieces(attack: Attack, cuts: list[int]) -> None:
    """Send it in pieces of these lengths, over and over, and judge the answers."""
    data = stream(attack)

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        at = 0
        while at < len(data):
            for size in cuts:
                yield from client.say(data[at : at + size])
                yield from passes(2)
                at += size
        if attack.ends:
            client.conn.shutdown_send()
        return (yield from client.hear_end())

    judge(attack, visit(app, visitor, limits=LIMITS, deadlines=PATIENT))


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_byte_by_byte(attack: Attack) -> None:
    middle = max(0, len(stream(attack)) - LONG)
    half = LONG // 2
    cuts = [1] * half + [1009] * (middle // 1009) + [1] * LONG if middle else [1]
    send_pieces(attack, cuts)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_byte_by_byte_to_the_last(attack: Attack) -> None:
    send_pieces(attack, [1])


COSTLY = {
    **dict(zip(NAMES, (attack.data for attack in ATTACKS), strict=True)),
    "twenty thousand chunks of one octet": chunks(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n"),
    "a body of chunks with extensions": chunks(b"1;a=b\r\nx\r\n" * 5000 + b"0\r\n\r\n"),
    "a hundred long fields": get(b"".join(b"X: %b\r\n" % (b" a" * 150) for _ in range(98))),
}


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_no_attack_takes_the_parser_long() -> None:
    """CVE-2020-5236, CVE-2025-67725, CVE-2025-69229: seconds of a processor for one request."""
    took = {}
    for name, data in COSTLY.items():
        for size in (1, len(data)):
            start = time.process_time()
            transcript(
                DEFAULT_LIMITS, [data[at : at + size] for at in range(0, len(data), size or 1)]
            )
            took[name, size] = time.process_time() - start
    (name, size), seconds = max(took.items(), key=lambda item: item[1])
    print(f"\nthe costliest, in pieces of {size}: {seconds:.2f} s, {name}")
    assert seconds < 0.8


@pytest.mark.timeout(60 * EFFORT)
@settings(max_examples=150 * EFFORT)
@given(st.sampled_from(ATTACKS), st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_in_any_pieces(attack: Attack, cuts: list[int]) -> None:
    send_pieces(attack, [*cuts, *([2003] * (len(attack.data) > LONG))])


# -- simulated ------------------------------------------------------------------------------------

#: What a network may do to a connection without ending it.
ROUGH = [
    "short_read", "partial_send", "recv_blocked", "send_blocked", "spurious", "split", "delay",
    "stop_reading", "small_buffers", "task_order", "event_order", "host_order",
]  # fmt: skip


def simulate(attack: Attack, seed: int) -> None:
    def scenario(sim: coop.sim.Simulation) -> Gen[bytes]:
        sim.host("server", lambda: serve(app, port=80, limits=LIMITS, deadlines=PATIENT))
        with (yield from coop.connect("server", 80)) as conn:
            speaker = coop.spawn(speak(conn))
            said = b""
            while piece := (yield from conn.recv()):
                said += piece
            yield from speaker.join()
        return said

    def speak(conn: coop.Connection) -> Gen[None]:
        try:
            yield from conn.sendall(stream(attack))
            if attack.ends:
                conn.shutdown_send()
        except OSError:
            pass  # it has heard enough

    kinds = {kind.name: kind.name in ROUGH for kind in KINDS}
    judge(attack, run(scenario, seed, **kinds))


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_over_a_rough_network(attack: Attack) -> None:
    simulate(attack, 1 + NAMES.index(f"{attack.rule}: {attack.name}"))


# -- told -----------------------------------------------------------------------------------------


def test_the_page_names_each_limit_with_its_default() -> None:
    page = (ROOT / "docs" / "hardening.md").read_text()
    told = dict(re.findall(r"(?m)^\| `(\w+)` \| (\S+) \|", page))
    limits = {**asdict(Limits()), **asdict(Deadlines())}
    assert {name: str(value) for name, value in limits.items()} == told
