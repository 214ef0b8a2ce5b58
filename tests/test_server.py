"""Servers: limits, back-off, errors that stay with their connection, and an orderly end.

What needs signals, limits of the process or real time runs in a process of its own:
test_server_process.py.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import kit
import pytest
from kit import Gen, World, play
from test_listener import TroubledNetwork

import coop
from coop.address import Address, ipv4
from coop.server import ServerState

pytestmark = pytest.mark.core

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


def echo(conn: coop.Connection) -> Gen[None]:
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def ask(address: Address, question: bytes = b"ping") -> Gen[bytes]:
    """Send a question, half-close, and return the whole answer."""
    with (yield from coop.connect(address)) as conn:
        yield from conn.sendall(question)
        conn.shutdown_send()
        answer = bytearray()
        try:
            while data := (yield from conn.recv()):
                answer += data
        except ConnectionResetError:
            pass  # a server that does not hear the question out
        return bytes(answer)


def serving(
    scenario: Callable[[coop.Server], Gen[Any]],
    handler: Any = echo,
    *where: Any,
    world: World | None = None,
    **options: Any,
) -> Any:
    """Run the scenario beside a server, which is stopped after it if it still runs."""
    servers: list[coop.Server] = []

    def main() -> Gen[Any]:
        task = coop.spawn(
            coop.serve(
                handler,
                *(where or ("127.0.0.1", 0)),
                on_listening=servers.append,
                heed_signals=False,
                **options,
            )
        )
        yield from kit.wait_until(lambda: servers or task.is_done)
        if not servers:
            return (yield from task.join())
        value = yield from scenario(servers[0])
        if not task.is_done:
            servers[0].stop()
            yield from task.join()
        return value

    return (world or World()).run(main())


# -- conversations --------------------------------------------------------------------------------


def test_an_echo() -> None:
    assert b"ping" == serving(lambda server: ask(server.address))


def test_a_handler_may_be_an_async_function() -> None:
    async def shout(conn: coop.Connection) -> None:
        while data := await conn.recv():
            await conn.sendall(data.upper())

    assert b"PING" == serving(lambda server: ask(server.address), shout)


def test_many_conversations_at_once() -> None:
    def scenario(server: coop.Server) -> Gen[int]:
        answers = yield from coop.gather(
            *(ask(server.address, str(number).encode()) for number in range(100))
        )
        assert [str(number).encode() for number in range(100)] == list(answers)
        return server.accepted

    assert 100 == serving(scenario)


def test_when_the_handler_returns_the_peer_gets_everything() -> None:
    def refuse(conn: coop.Connection) -> Gen[None]:
        yield from conn.sendall(bytes(1_000_000))  # and leaves the question unread

    assert bytes(1_000_000) == serving(lambda server: ask(server.address, b"x" * 1000), refuse)


def test_a_server_counts() -> None:
    def scenario(server: coop.Server) -> Gen[None]:
        assert (0, 0, ServerState.SERVING) == (server.accepted, server.active, server.state)
        with (yield from coop.connect(server.address)) as conn:
            yield from conn.sendall(b"x")
            yield from conn.recv()
            assert (1, 1) == (server.accepted, server.active)
            assert f"<server 127.0.0.1:{server.port} serving, 1 connections>" == repr(server)
        yield from kit.wait_until(lambda: server.active == 0)

    serving(scenario)


def test_a_listener_of_ones_own() -> None:
    def main() -> Gen[bytes]:
        listener = coop.listen("127.0.0.1", 0)
        server = coop.Server(echo, listener)
        task = coop.spawn(server.run(heed_signals=False))
        answer = yield from ask(listener.address)
        server.stop()
        yield from task.join()
        assert ServerState.STOPPED is server.state
        assert -1 != listener.port
        return answer

    assert b"ping" == play(main())


# -- errors ---------------------------------------------------------------------------------------


def test_a_handlers_error_is_its_connections_alone(caplog: pytest.LogCaptureFixture) -> None:
    def fragile(conn: coop.Connection) -> Gen[None]:
        data = yield from conn.recv()
        if data == b"bad":
            raise ValueError("cannot stand this")
        yield from conn.sendall(data)

    def scenario(server: coop.Server) -> Gen[tuple[bytes, bytes, int]]:
        bad = yield from ask(server.address, b"bad")
        good = yield from ask(server.address, b"good")
        return bad, good, server.failed

    with caplog.at_level(logging.ERROR, "coop.server"):
        assert (b"", b"good", 1) == serving(scenario, fragile)
    (record,) = caplog.records
    assert "the handler in <task" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert "fragile" in (caplog.text)


def test_a_reset_by_the_peer_is_counted_and_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def scenario(server: coop.Server) -> Gen[tuple[int, int]]:
        conn = yield from coop.connect(server.address)
        yield from conn.sendall(b"x")
        yield from conn.recv()
        conn.socket.set_linger(0)  # type: ignore[attr-defined]
        conn.close()
        yield from kit.wait_until(lambda: server.active == 0)
        return server.broken, server.failed

    with caplog.at_level(logging.WARNING, "coop.server"):
        assert (1, 0) == serving(scenario)
    assert [] == caplog.records


def test_a_refusal_that_the_handler_meets_elsewhere_is_its_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = ipv4("127.0.0.1", probe.getsockname()[1])

    def proxy(conn: coop.Connection) -> Gen[None]:
        yield from coop.connect(nobody)

    def scenario(server: coop.Server) -> Gen[tuple[int, int]]:
        yield from ask(server.address)
        return server.broken, server.failed

    with caplog.at_level(logging.ERROR, "coop.server"):
        assert (0, 1) == serving(scenario, proxy)
    assert "nobody listens there" in caplog.text


@pytest.mark.parametrize(("elsewhere", "expected"), [(False, (1, 0)), (True, (0, 1))])
def test_a_reset_that_comes_out_of_a_group_is_no_failure_either(
    elsewhere: bool, expected: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    def pump(conn: coop.Connection) -> Gen[None]:
        try:
            yield from conn.recv()
        finally:
            if elsewhere:
                raise LookupError("and that")

    def pumps(conn: coop.Connection) -> Gen[None]:
        yield from coop.gather(pump(conn), coop.sleep(1000))

    def scenario(server: coop.Server) -> Gen[tuple[int, int]]:
        conn = yield from coop.connect(server.address)
        yield from kit.wait_until(lambda: server.active)
        conn.socket.set_linger(0)  # type: ignore[attr-defined]
        conn.close()
        yield from kit.wait_until(lambda: server.active == 0)
        return server.broken, server.failed

    with caplog.at_level(logging.WARNING, "coop.server"):
        assert expected == serving(scenario, pumps)
    assert expected[1] == len(caplog.records)


def test_a_handler_that_is_no_generator_function_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def scenario(server: coop.Server) -> Gen[int]:
        yield from ask(server.address)
        return server.failed

    with caplog.at_level(logging.ERROR, "coop.server"):
        assert 1 == serving(scenario, lambda conn: None)
    assert "is a generator or a coroutine, not None" in caplog.text


def test_a_handler_that_takes_no_connection_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def nobody() -> Gen[None]:
        yield

    def scenario(server: coop.Server) -> Gen[tuple[int, int]]:
        yield from ask(server.address)
        return server.failed, server.active

    with caplog.at_level(logging.ERROR, "coop.server"):
        assert (1, 0) == serving(scenario, nobody)
    assert "takes 0 positional arguments but 1 was given" in caplog.text


def test_a_conversations_task_is_named_after_its_handler() -> None:
    names: list[str] = []

    def handler(conn: coop.Connection) -> Gen[None]:
        names.append(coop.current_task().name)
        yield

    serving(lambda server: ask(server.address), handler)
    assert ["handler"] == [name.rpartition("-")[0] for name in names]


def test_a_connection_counts_until_its_peer_has_finished_too() -> None:
    def silent(conn: coop.Connection) -> Gen[None]:
        yield

    def scenario(server: coop.Server) -> Gen[tuple[int, int]]:
        with (yield from coop.connect(server.address)) as conn:
            assert b"" == (yield from conn.recv())
            before = server.active
        yield from kit.wait_until(lambda: not server.active)
        return before, server.active

    assert (1, 0) == serving(scenario, silent)


def test_an_error_of_the_listener_ends_the_server() -> None:
    network = TroubledNetwork(errno.EINVAL)

    def scenario(server: coop.Server) -> Gen[None]:
        yield from coop.sleep(1)

    with pytest.raises(ExceptionGroup) as caught:
        serving(scenario, world=World(network=network))
    assert [errno.EINVAL] == [getattr(error, "errno", None) for error in caught.value.exceptions]


def test_an_error_of_the_listener_comes_as_it_is_and_ends_the_conversations() -> None:
    ended = []

    def note(conn: coop.Connection) -> Gen[None]:
        try:
            yield from conn.recv()
        finally:
            ended.append(conn)

    def main() -> Gen[None]:
        listener = coop.listen("127.0.0.1", 0)
        server = coop.Server(note, listener)
        task = coop.spawn(server.run(heed_signals=False))
        with (yield from coop.connect(listener.address)):
            yield from kit.wait_until(lambda: server.active)
            listener.close()
            with pytest.raises(coop.ClosedError):
                yield from task.join()
        assert ServerState.STOPPED is server.state
        assert 1 == len(ended)

    play(main())


def test_connections_that_were_gone_are_passed_over() -> None:
    network = TroubledNetwork(errno.ECONNABORTED, errno.EPROTO)
    scenario: Any = lambda server: ask(server.address)  # noqa: E731
    assert b"ping" == serving(scenario, world=World(network=network))


def test_short_of_descriptors_it_backs_off_and_recovers(caplog: pytest.LogCaptureFixture) -> None:
    world = World(network=TroubledNetwork(*[errno.EMFILE] * 3))

    def scenario(server: coop.Server) -> Gen[tuple[bytes, float]]:
        return (yield from ask(server.address)), kit.now()

    with caplog.at_level(logging.WARNING, "coop.server"):
        answer, when = serving(scenario, world=world)
    assert b"ping" == answer
    assert 0.2 <= when <= 0.5
    assert "cannot accept: EMFILE; 0 connections open" in caplog.text
    assert len(world.poller.timeouts) < 60


def test_a_back_off_ends_as_soon_as_a_connection_ends() -> None:
    network = TroubledNetwork()
    world = World(network=network)

    def scenario(server: coop.Server) -> Gen[float]:
        with (yield from coop.connect(server.address)) as conn:
            yield from conn.sendall(b"x")
            yield from conn.recv()
            network.troubled.codes.append(errno.EMFILE)  # type: ignore[union-attr]
            waiting = coop.spawn(ask(server.address))
            yield from kit.wait_until(lambda: not network.troubled.codes)  # type: ignore[union-attr]
        yield from waiting.join()
        return kit.now()

    assert 0.0 == serving(scenario, world=world)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_connections": 1.5}, "max_connections must be 1 or more, and a whole number"),
        ({"drain": -1}, "drain must be 0 seconds or more, or None for ever, not -1"),
        ({"drain": "30"}, "drain must be 0 seconds or more, or None for ever, not '30'"),
        ({"lame_duck": -1}, "lame_duck must be 0 seconds or more, not -1"),
        ({"handshake_timeout": -1}, "handshake_timeout must be 0 seconds or more, or None"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_served(
    options: dict[str, Any], message: str
) -> None:
    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as listener:
            with pytest.raises((ValueError, TypeError), match=message):
                coop.Server(echo, listener, **options)
        return
        yield

    play(main())


# -- limits ---------------------------------------------------------------------------------------


def test_beyond_max_connections_the_others_wait_in_the_backlog() -> None:
    def scenario(server: coop.Server) -> Gen[list[int]]:
        conns = []
        for _ in range(5):
            conn = yield from coop.connect(server.address)
            yield from conn.sendall(b"x")
            conns.append(conn)
        yield from coop.sleep(1)
        seen = [server.active]
        waiting = coop.spawn(conns[2].recv())
        yield from coop.sleep(1)
        assert not waiting.is_done
        conns[0].close()
        assert b"x" == (yield from waiting.join())
        seen.append(server.active)
        for conn in conns:
            conn.close()
        yield from kit.wait_until(lambda: server.accepted == 5 and not server.active)
        return seen

    assert [2, 2] == serving(scenario, max_connections=2)


def test_while_it_is_full_nothing_spins() -> None:
    world = World()

    def scenario(server: coop.Server) -> Gen[None]:
        first = yield from coop.connect(server.address)
        yield from kit.wait_until(lambda: server.active)
        second = yield from coop.connect(server.address)
        before = len(world.poller.timeouts)
        yield from coop.sleep(60)
        assert len(world.poller.timeouts) - before <= 3
        first.close()
        second.close()

    serving(scenario, world=world, max_connections=1)


@pytest.mark.parametrize("count", [0, -1])
def test_room_for_nobody_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="max_connections must be 1 or more"):
        serving(lambda server: ask(server.address), max_connections=count)


def test_an_accept_storm_lets_others_go_on() -> None:
    ticks = [0]

    def tick() -> Gen[None]:
        while True:
            ticks[0] += 1
            yield None

    def close_at_once(conn: coop.Connection) -> Gen[None]:
        conn.close()
        return
        yield

    def scenario(server: coop.Server) -> Gen[None]:
        ticker = coop.spawn(tick())
        for _ in range(10):
            storm = yield from coop.map(coop.connect, [server.address] * 200)
            for conn in storm:
                conn.close()
        yield from kit.wait_until(lambda: server.accepted == 2000)
        ticker.cancel()

    serving(scenario, close_at_once)
    assert ticks[0] > 2000 // 16


# -- the orderly end ------------------------------------------------------------------------------


def test_stop_lets_conversations_finish_and_accepts_no_more() -> None:
    def scenario(server: coop.Server) -> Gen[bytes]:
        with (yield from coop.connect(server.address)) as conn:
            yield from conn.sendall(b"first")
            yield from conn.recv()
            server.stop()
            server.stop()
            yield from kit.passes(3)
            assert ServerState.DRAINING is server.state
            with pytest.raises(ConnectionRefusedError):
                yield from coop.connect(server.address)
            yield from conn.sendall(b"second")
            return (yield from conn.recv())

    assert b"second" == serving(scenario)


def test_a_conversation_that_does_not_end_in_time_is_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def scenario(server: coop.Server) -> Gen[tuple[bytes, float]]:
        with (yield from coop.connect(server.address)) as conn:
            yield from kit.wait_until(lambda: server.active)
            server.stop()
            return (yield from conn.recv()), kit.now()

    with caplog.at_level(logging.WARNING, "coop.server"):
        assert (b"", 7.0) == serving(scenario, drain=7)
    assert "took over 7 s to end were cut off" in caplog.text


def test_without_a_time_to_drain_it_waits_for_ever() -> None:
    def scenario(server: coop.Server) -> Gen[float]:
        with (yield from coop.connect(server.address)):
            yield from kit.wait_until(lambda: server.active)
            server.stop()
            yield from coop.sleep(10**6)
            assert 1 == server.active
            return kit.now()

    assert 10.0**6 == serving(scenario, drain=None)


def test_a_drain_that_is_in_time_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "coop.server"):
        serving(lambda server: ask(server.address))
    assert [] == caplog.records


def test_abort_ends_every_conversation_at_once() -> None:
    def scenario(server: coop.Server) -> Gen[tuple[bytes, float]]:
        with (yield from coop.connect(server.address)) as conn:
            yield from kit.wait_until(lambda: server.active)
            server.abort()
            return (yield from conn.recv()), kit.now()

    assert (b"", 0.0) == serving(scenario)


def test_abort_while_it_drains_ends_now() -> None:
    def scenario(server: coop.Server) -> Gen[float]:
        with (yield from coop.connect(server.address)) as conn:
            yield from kit.wait_until(lambda: server.active)
            server.stop()
            yield from coop.sleep(3)
            server.abort()
            yield from conn.recv()
            return kit.now()

    assert 3.0 == serving(scenario)


def test_abort_before_it_runs_is_not_forgotten() -> None:
    def main() -> Gen[tuple[bytes, float]]:
        server = coop.Server(echo, coop.listen("127.0.0.1", 0))
        with (yield from coop.connect(server.address)) as conn:
            server.abort()
            yield from server.run(heed_signals=False)
            return (yield from conn.recv()), kit.now()

    assert (b"", 0.0) == play(main())


@pytest.mark.parametrize("before", [0.0, 1.0])
def test_a_parting_that_has_begun_holds_up_no_stop(before: float) -> None:
    def say(conn: coop.Connection) -> Gen[None]:
        yield from conn.sendall(b"bye")

    def scenario(server: coop.Server) -> Gen[float]:
        with (yield from coop.connect(server.address)) as conn:  # and does not look
            yield from kit.wait_until(lambda: server.active)
            yield from coop.sleep(before)
            server.stop()
            while server.state is not ServerState.STOPPED:
                yield from coop.sleep(0.01)
            assert b"bye" == conn.socket.recv(10)
            return kit.now() - before

    assert serving(scenario, say) < 0.3


def test_a_parting_in_a_stop_waits_for_who_goes_on_sending() -> None:
    def refuse(conn: coop.Connection) -> Gen[None]:
        yield from conn.sendall(bytes(1_000_000))

    def scenario(server: coop.Server) -> Gen[int]:
        with (yield from coop.connect(server.address)) as conn:
            yield from kit.wait_until(lambda: server.active)
            yield from kit.passes(10)
            server.stop()
            for _ in range(10):
                yield from conn.sendall(bytes(1000))
                yield from coop.sleep(0.1)
            return len((yield from conn.recv_exactly(1_000_000)))

    assert 1_000_000 == serving(scenario, refuse)


def test_a_stop_reaches_an_idle_conversation_at_a_convenient_point() -> None:
    def polite(conn: coop.Connection) -> Gen[None]:
        while True:
            with coop.convenient() as idle:
                data = yield from conn.recv()
            if idle.caught or not data:
                return
            yield from conn.sendall(data)

    def scenario(server: coop.Server) -> Gen[tuple[bytes, float]]:
        with (yield from coop.connect(server.address)) as conn:
            yield from conn.sendall(b"x")
            yield from conn.recv()
            server.stop()
            return (yield from conn.recv()), kit.now()

    assert (b"", 0.0) == serving(scenario, polite)


def test_a_server_may_be_stopped_as_soon_as_it_listens() -> None:
    def main() -> Gen[str]:
        yield from coop.serve(
            echo, "127.0.0.1", 0, on_listening=lambda server: server.stop(), heed_signals=False
        )
        return "over"

    assert "over" == play(main())


def test_a_stopped_server_can_be_stopped_again_but_not_run() -> None:
    def main() -> Gen[None]:
        server = coop.Server(echo, coop.listen("127.0.0.1", 0))
        server.stop()
        yield from server.run(heed_signals=False)
        server.stop()
        with pytest.raises(coop.MisuseError, match=r"<server .* stopped, .*> can run only once"):
            yield from server.run(heed_signals=False)

    play(main())


def test_cancelling_serve_ends_it_with_its_conversations() -> None:
    def main() -> Gen[bytes]:
        servers: list[coop.Server] = []
        task = coop.spawn(
            coop.serve(echo, "127.0.0.1", 0, on_listening=servers.append, heed_signals=False)
        )
        yield from kit.wait_until(lambda: servers)
        with (yield from coop.connect(servers[0].address)) as conn:
            yield from kit.wait_until(lambda: servers[0].active)
            task.cancel()
            data = yield from conn.recv()
        with pytest.raises(coop.TaskCancelled):
            yield from task.join()
        assert ServerState.STOPPED is servers[0].state
        return data

    assert b"" == play(main())


def test_a_server_that_cannot_listen_leaves_nothing_open() -> None:
    def main() -> Gen[None]:
        with coop.listen("127.0.0.1", 0) as taken:
            with pytest.raises(OSError, match="port in use"):
                yield from coop.serve(echo, "127.0.0.1", taken.port)

    play(main())


# -- where ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
def test_on_a_unix_path() -> None:
    with tempfile.TemporaryDirectory() as where:
        path = f"unix:{where}/s"
        assert b"ping" == serving(lambda server: ask(server.address), echo, path)
        assert [] == os.listdir(where)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_on_both_families_at_once() -> None:
    def scenario(server: coop.Server) -> Gen[tuple[bytes, bytes]]:
        return (yield from coop.gather(ask_at("127.0.0.1", server), ask_at("::1", server)))

    def ask_at(host: str, server: coop.Server) -> Gen[bytes]:
        (address,) = yield from coop.current_scheduler().network.resolve(host, server.port)
        return (yield from ask(address))

    assert (b"ping", b"ping") == serving(scenario, echo, None, 0)


@LINUX
def test_on_one_interface() -> None:
    pytest.importorskip("fcntl")

    def main() -> Gen[bytes]:
        server = coop.Server(echo, coop.listen(interface="lo"))
        task = coop.spawn(server.run(heed_signals=False))
        answer = yield from ask(server.address)
        server.stop()
        yield from task.join()
        return answer

    assert b"ping" == play(main())
