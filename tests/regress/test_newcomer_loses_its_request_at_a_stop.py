"""A client that had only just connected lost its request when the server stopped.

Told to part at its next convenient point, a conversation that had not been spoken to yet parted at
once, like one that is kept alive between two requests.  But a client connects because it is about
to ask.  It gets half a second for its first word now, from when it was first listened to.
"""

from __future__ import annotations

import ssl
from collections import Counter
from typing import Any

import kit
import pytest
from http_kit import Client, Gen, Hall, get, hello, visit
from kit import now, passes

import coop
import coop.http
from coop.proxy_protocol import ProxyHeader, build_proxy_header
from coop.server import ServerState
from coop.sim import KINDS, Simulation, run

#: How long a client may think before its first word.
THINKS = 0.4


def until_stopped(hall: Hall) -> Gen[float]:
    """Wait until the server is no more; return when that was."""
    while hall.server.state is not ServerState.STOPPED:
        yield from coop.sleep(0.01)
    return now()


@pytest.mark.parametrize("turns", range(6))
def test_who_has_just_connected_is_heard(turns: int) -> None:
    def visitor(hall: Hall) -> Gen[tuple[int, str]]:
        client = yield from hall.enter()
        yield from passes(turns)  # not accepted yet, accepted, listened to
        hall.server.stop()
        yield from coop.sleep(THINKS)
        answer = yield from client.ask(get())
        return answer.status, answer.fields["connection"]

    assert (200, "close") == visit(hello, visitor)


def test_who_has_been_answered_is_parted_from_at_once() -> None:
    def visitor(hall: Hall) -> Gen[float]:
        client = yield from hall.enter()
        yield from client.ask(get())
        hall.server.stop()
        assert b"" == (yield from client.hear_end())
        return now()

    assert 0.0 == visit(hello, visitor)


@pytest.mark.parametrize(("waited", "expected"), [(0.0, 0.5), (0.3, 0.5), (2.0, 2.0)])
def test_who_says_nothing_holds_up_the_end_for_half_a_second(
    waited: float, expected: float
) -> None:
    def visitor(hall: Hall) -> Gen[float]:
        client = yield from hall.enter()
        yield from coop.sleep(waited)
        hall.server.stop()
        assert b"" == (yield from client.hear_end())
        when = now()
        assert expected <= (yield from until_stopped(hall)) < expected + 0.3
        return when

    assert expected == pytest.approx(visit(hello, visitor))


@pytest.mark.parametrize("way", ["drain", "abort"])
def test_an_end_that_is_sooner_is_no_later(way: str) -> None:
    def visitor(hall: Hall) -> Gen[float]:
        yield from hall.enter()
        yield from passes(5)
        hall.server.stop()
        yield from coop.sleep(0.1)
        if way == "abort":
            hall.server.abort()
        return (yield from until_stopped(hall))

    assert visit(hello, visitor, drain=0.1 if way == "drain" else 30) < 0.15


def test_who_begins_to_speak_in_time_may_finish() -> None:
    def visitor(hall: Hall) -> Gen[int]:
        client = yield from hall.enter()
        yield from passes(5)
        hall.server.stop()
        for piece in (get()[:5], get()[5:]):
            yield from coop.sleep(THINKS)
            yield from client.say(piece)
        return (yield from client.hear()).status

    assert 200 == visit(hello, visitor)


#: What a network may do that takes no time and breaks no connection.
HARMLESS = [
    "short_read", "partial_send", "recv_blocked", "send_blocked", "spurious", "split",
    "small_buffers", "task_order", "event_order", "host_order",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_whoever_has_connected_is_answered_in_whatever_order_things_happen(seed: int) -> None:
    ends: Counter[str] = Counter()
    servers: list[coop.Server] = []

    def program() -> Gen[None]:
        yield from coop.http.serve(hello, port=80, on_listening=servers.append)

    def visitor(sim: Simulation) -> Gen[None]:
        yield from coop.sleep(sim.random.random() * 0.5)
        try:
            conn = yield from coop.connect("server", 80)
        except ConnectionRefusedError:
            ends["refused"] += 1
            return
        with conn:
            yield from coop.sleep(sim.random.random() * THINKS)
            ends[str((yield from Client(conn).ask(get())).status)] += 1

    def main(sim: Simulation) -> Gen[None]:
        sim.host("server", program)

        def body(members: coop.Group) -> Gen[None]:
            for _ in range(20):
                members.spawn(visitor(sim))
            yield from coop.sleep(0.25)
            servers[0].stop()

        yield from coop.group(body)

    rates = {kind.name: kind.name in HARMLESS for kind in KINDS}
    run(main, seed, **rates)
    assert {"200", "refused"} == set(ends)


# -- what comes before the request --------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("has_begun", [False, True])
def test_who_is_about_to_shake_hands_is_heard(version: ssl.TLSVersion, has_begun: bool) -> None:
    context, trusting = kit.tls_contexts()
    trusting.maximum_version = version

    def visitor(hall: Hall) -> Gen[int]:
        plain = yield from hall.enter()
        yield from passes(5)
        if not has_begun:
            hall.server.stop()
            yield from coop.sleep(THINKS)
        secure = yield from coop.start_tls(plain.conn, trusting, server_hostname="localhost")
        if has_begun:
            hall.server.stop()
        yield from coop.sleep(THINKS)
        with secure:
            return (yield from Client(secure).ask(get())).status

    assert 200 == visit(hello, visitor, tls=context)


def test_whose_proxy_is_about_to_speak_is_heard() -> None:
    client = coop.parse_address("192.0.2.7:40000")
    head = build_proxy_header(ProxyHeader(client, client))

    def visitor(hall: Hall) -> Gen[int]:
        client = yield from hall.enter()
        yield from passes(5)
        hall.server.stop()
        yield from coop.sleep(THINKS)
        yield from client.say(head)
        yield from coop.sleep(THINKS)
        return (yield from client.ask(get())).status

    assert 200 == visit(hello, visitor, proxy_protocol=True)


# -- handlers of one's own ----------------------------------------------------------------------


def echo(conn: coop.Connection) -> Gen[None]:
    """Answer each word; let those go who have none."""
    waits: Any = coop.first_word()
    while True:
        with waits as idle:
            data = yield from conn.recv()
        if idle.caught or not data:
            return
        yield from conn.sendall(data)
        waits = coop.convenient()


@pytest.mark.parametrize("turns", range(6))
def test_a_handler_of_ones_own_waits_for_a_first_word(turns: int) -> None:
    servers: list[coop.Server] = []

    def main() -> Gen[None]:
        task = coop.spawn(
            coop.serve(echo, "127.0.0.1", 0, on_listening=servers.append, heed_signals=False)
        )
        yield from kit.wait_until(lambda: servers)
        spoken, silent, late = yield from coop.map(coop.connect, [servers[0].address] * 3)
        with spoken, silent, late:
            yield from spoken.sendall(b"x")
            assert b"x" == (yield from spoken.recv())
            yield from passes(turns)
            servers[0].stop()
            assert (b"", 0.0) == ((yield from spoken.recv()), now())
            yield from coop.sleep(THINKS)
            yield from late.sendall(b"y")
            assert b"y" == (yield from late.recv())
            assert (b"", 0.5) == ((yield from silent.recv()), now())
        yield from task.join()

    kit.play(main())
