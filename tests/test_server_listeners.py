"""Servers with several listeners, and those who wait in the backlog when a server stops."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import kit
import pytest
from kit import Gen, play
from test_listener import TroubledNetwork
from test_server import ask, echo

import coop

pytestmark = pytest.mark.core


def run_server(server: coop.Server) -> Gen[None]:
    yield from server.run(heed_signals=False)


def listeners(count: int, **options: Any) -> list[coop.Listener]:
    return [coop.listen("127.0.0.1", 0, **options) for _ in range(count)]


def test_one_server_listens_in_several_places_and_closes_them_all() -> None:
    def main() -> Gen[None]:
        server = coop.Server(echo, listeners(3))
        task = coop.spawn(run_server(server))
        for listener in server.listeners:
            assert b"ping" == (yield from ask(listener.address))
        assert 3 == server.accepted
        server.stop()
        yield from task.join()
        assert all(listener.state.value == "closed" for listener in server.listeners)

    play(main())


def test_serve_takes_a_list_of_listeners() -> None:
    def main() -> Gen[None]:
        servers: list[coop.Server] = []
        task = coop.spawn(
            coop.serve(echo, listener=listeners(2), on_listening=servers.append, heed_signals=False)
        )
        yield from kit.wait_until(lambda: servers)
        assert b"ping" == (yield from ask(servers[0].listeners[1].address))
        assert servers[0].address == servers[0].listener.address
        servers[0].stop()
        yield from task.join()

    play(main())


def test_a_server_without_a_listener_is_refused() -> None:
    with pytest.raises(ValueError, match="a server needs a listener"):
        coop.Server(echo, [])


def test_an_error_of_one_listener_ends_the_server_with_that_error() -> None:
    def main() -> Gen[None]:
        server = coop.Server(echo, listeners(2))
        task = coop.spawn(run_server(server))
        yield from kit.passes(3)
        server.listeners[1].close()
        with pytest.raises(coop.ClosedError):
            yield from task.join()

    play(main())


def test_when_there_is_room_again_every_listener_has_it() -> None:
    def main() -> Gen[None]:
        server = coop.Server(echo, listeners(2), max_connections=1)
        task = coop.spawn(run_server(server))
        one, other = server.listeners
        yield from kit.passes(5)  # both wait for somebody to come
        with (yield from coop.connect(one.address)) as first:
            with (yield from coop.connect(other.address)) as second:
                yield from kit.wait_until(lambda: server.active == 2)  # one more, as it may be
            yield from kit.wait_until(lambda: server.active == 1)
        yield from kit.wait_until(lambda: server.active == 0)
        assert first.is_closed
        assert second.is_closed
        for listener in (one, other, one, other):
            assert b"ping" == (yield from ask(listener.address))
            yield from kit.wait_until(lambda: server.active == 0)
        server.stop()
        yield from task.join()

    play(main())


def stop_among_fifty(just_before: Callable[[], object] = lambda: None) -> Gen[None]:
    """Stop a server of which fifty wait, most of them not accepted yet: each is answered."""
    server = coop.Server(echo, coop.listen("127.0.0.1", 0))
    task = coop.spawn(run_server(server))
    yield from kit.passes(3)
    dialled = yield from coop.gather(*(coop.connect(server.address) for _ in range(50)))
    just_before()
    server.stop()
    for conn in dialled:
        with conn:
            yield from conn.sendall(b"ping")
            assert b"ping" == (yield from conn.recv())
    yield from task.join()
    assert 50 == server.accepted


def test_who_waits_in_the_backlog_when_the_server_stops_is_served() -> None:
    """Closing the listener would reset them, though they have connected and perhaps asked."""
    play(stop_among_fifty())


def test_one_that_is_gone_does_not_hide_those_behind_it_in_the_backlog() -> None:
    network = TroubledNetwork()

    def trouble() -> None:
        assert network.troubled is not None
        network.troubled.codes += [errno.ECONNABORTED, errno.EPROTO] * 2

    kit.World(network=network).run(stop_among_fifty(trouble))


def test_a_full_server_takes_nobody_in_when_it_stops() -> None:
    def main() -> Gen[None]:
        server = coop.Server(echo, coop.listen("127.0.0.1", 0), max_connections=1, drain=1)
        task = coop.spawn(run_server(server))
        yield from kit.passes(3)
        one = yield from coop.connect(server.address)
        other = yield from coop.connect(server.address)
        yield from kit.wait_until(lambda: server.active)
        server.stop()
        yield from task.join()
        assert 1 == server.accepted
        one.close()
        other.close()

    play(main())


def test_a_client_of_tls_whose_hello_has_come_is_served_though_the_server_stops() -> None:
    context, trusting = kit.tls_contexts()

    def main() -> Gen[None]:
        server = coop.Server(echo, coop.listen("127.0.0.1", 0, tls=context))
        task = coop.spawn(run_server(server))
        yield from kit.passes(3)
        with socket.create_connection(server.address.sockaddr) as plain:
            engine_in, engine_out = ssl.MemoryBIO(), ssl.MemoryBIO()
            engine = trusting.wrap_bio(engine_in, engine_out, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                engine.do_handshake()
            plain.sendall(engine_out.read())
            server.stop()  # before the connection is accepted
            yield from coop.wait_readable(plain)
            assert b"\x16" == plain.recv(1), "a record of a handshake"
        yield from task.join()
        assert (1, 1) == (server.accepted, server.unshaken)

    play(main())
