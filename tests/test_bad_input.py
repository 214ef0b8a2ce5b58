"""Wrong calls: each gives one clear error, which names the object and the remedy."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import kit
import pytest
from kit import Gen, World

import coop
from coop.address import ipv4
from coop.network import SystemNetwork
from coop.remedies import fail

pytestmark = pytest.mark.core


def echo(conn: coop.Connection) -> Gen[None]:
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def work() -> Gen[None]:
    yield None


# Each is a program that does it wrong.


def second_reader() -> Gen[None]:
    a, b = kit.pair()
    with a, b:
        first = coop.spawn(a.recv())
        yield from kit.passes(2)
        try:
            yield from a.recv()
        finally:
            first.cancel()


def second_writer() -> Gen[None]:
    a, b = kit.pair()
    with a, b:
        kit.fill(a)
        first = coop.spawn(a.sendall(b"x"))
        yield from kit.passes(2)
        try:
            yield from a.sendall(b"x")
        finally:
            first.cancel()


def second_accepter() -> Gen[None]:
    with coop.listen("127.0.0.1", 0) as listener:
        first = coop.spawn(listener.accept())
        yield from kit.passes(2)
        try:
            yield from listener.accept()
        finally:
            first.cancel()


def closed_connection() -> Gen[None]:
    a, b = kit.pair()
    with b:
        a.close()
        yield from a.sendall(b"x")


def closed_listener() -> Gen[None]:
    listener = coop.listen("127.0.0.1", 0)
    listener.close()
    yield from listener.accept()


def closed_socket() -> Gen[None]:
    closed = socket.socket()
    closed.close()
    yield from coop.wait_readable(closed)


def port_in_use() -> Gen[None]:
    with coop.listen("127.0.0.1", 0) as taken:
        coop.listen("127.0.0.1", taken.port)
    yield


def privileged_port() -> Gen[None]:
    coop.listen("127.0.0.1", 1)
    yield


def nobody_listens() -> Gen[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield from coop.connect("127.0.0.1", port)


def no_such_name() -> Gen[None]:
    yield from coop.connect("no.such.name.invalid", 80)


def no_such_name_to_listen_on() -> Gen[None]:
    coop.listen("no.such.name.invalid", 80)
    yield


def negative_timeout() -> Gen[None]:
    with coop.timeout(-1):
        yield None


def negative_connect_timeout() -> Gen[None]:
    yield from coop.connect("127.0.0.1", 1, timeout=-1)


def foreign_yield() -> Gen[None]:
    yield 42  # a number


def yielded_generator() -> Gen[None]:
    yield work()  # without "from"


def yielded_operation() -> Gen[None]:
    sleeping = coop.sleep(1)
    try:
        yield sleeping
    finally:
        sleeping.close()  # type: ignore[attr-defined]


def spawned_function() -> Gen[None]:
    coop.spawn(work)  # type: ignore[arg-type]
    yield


def run_in_a_run() -> Gen[None]:
    inner = work()
    try:
        coop.run(inner)
    finally:
        inner.close()
    yield


def spawn_into_the_past() -> Gen[None]:
    groups = []

    def body(group: coop.Group) -> Gen[None]:
        groups.append(group)
        yield None

    yield from coop.group(body)
    late = work()
    try:
        groups[0].spawn(late)
    finally:
        late.close()


def join_oneself() -> Gen[None]:
    yield from coop.current_task().join()


def result_too_soon() -> Gen[None]:
    task = coop.spawn(work(), name="slow")
    assert task.result is None
    yield


def scope_again() -> Gen[None]:
    scope = coop.timeout(1)
    with scope:
        yield None
    with scope:
        yield None


def nothing_to_receive() -> Gen[None]:
    a, b = kit.pair()
    with a, b:
        yield from a.recv(0)


def address_without_port() -> Gen[None]:
    yield from coop.connect("localhost")


def port_too_big() -> Gen[None]:
    coop.listen("127.0.0.1", 70_000)
    yield


def bad_address() -> Gen[None]:
    coop.listen("300.1.2.3", 80)
    yield


def no_connections_at_all() -> Gen[None]:
    yield from coop.serve(echo, "127.0.0.1", 0, max_connections=0)


def handler_that_was_called() -> Gen[None]:
    yield from coop.serve(work(), "no.such.name.invalid", 0)  # type: ignore[arg-type]


def handler_that_was_called_with_await() -> Gen[None]:
    async def talk() -> None: ...

    yield from coop.serve(talk(), "no.such.name.invalid", 0)  # type: ignore[arg-type]


def handler_that_is_an_operation() -> Gen[None]:
    yield from coop.serve(coop.sleep(1), "no.such.name.invalid", 0)  # type: ignore[arg-type]


def server_of_no_handler() -> Gen[None]:
    with coop.listen("127.0.0.1", 0) as listener:
        coop.Server("echo", listener)  # type: ignore[arg-type]
    yield


def spawned_twice() -> Gen[None]:
    generator = work()
    coop.spawn(generator)
    yield None
    coop.spawn(generator)


def spawned_at_its_end() -> Gen[None]:
    generator = work()
    yield from generator
    coop.spawn(generator)


def spawned_by_itself() -> Gen[None]:
    def narcissus() -> Gen[None]:
        coop.spawn(generators[0])
        yield

    generators = [narcissus()]
    yield from generators[0]


def awaited_before() -> Gen[None]:
    async def answer() -> int:
        return 42

    coroutine: Any = answer()
    yield from coop.gather(coroutine)
    coop.spawn(coroutine)


def gathered_twice() -> Gen[None]:
    generator = work()
    yield from coop.gather(generator, generator)


def operation_instead_of_its_object() -> Gen[None]:
    yield from coop.first(coop.Event().wait())  # type: ignore[arg-type]


def text_sent() -> Gen[None]:
    a, b = kit.pair()
    with a, b:
        yield from a.sendall("hello")  # type: ignore[arg-type]


def operation_sent() -> Gen[None]:
    a, b = kit.pair()
    forgotten: Any = b.recv()
    with a, b:
        try:
            yield from a.sendall(forgotten)
        finally:
            forgotten.close()  # or debug mode would tell of it, too


def race_of_nobody() -> Gen[None]:
    yield from coop.race()


class Case(NamedTuple):
    """A wrong program, and the error: its class, and what its one line must say."""

    program: Callable[[], Gen[None]]
    error: type[BaseException]
    says: list[str]


CASES = [
    Case(second_reader, coop.BusyError, ["another task", "readable fd", "one operation per"]),
    Case(second_writer, coop.BusyError, ["another task", "writable fd", "one operation per"]),
    Case(second_accepter, coop.BusyError, ["another task", "readable fd", "one operation per"]),
    Case(closed_connection, coop.ClosedError, ["Socket (it was fd", "is closed: open another"]),
    Case(closed_listener, coop.ClosedError, ["Socket (it was fd", "is closed: open another"]),
    Case(closed_socket, coop.ClosedError, ["[closed]", "is closed: there is nothing to wait for"]),
    Case(port_in_use, OSError, ["cannot bind to 127.0.0.1:", "port in use", "take another"]),
    Case(privileged_port, PermissionError, ["127.0.0.1:1:", "privileged port: take one from 1024"]),
    Case(nobody_listens, ConnectionRefusedError, ["127.0.0.1:", "is the server up"]),
    Case(no_such_name, coop.ResolveError, ["'no.such.name.invalid' has no address", "spelling"]),
    Case(no_such_name_to_listen_on, coop.ResolveError, ["'no.such.name.invalid'", "give an addr"]),
    Case(negative_timeout, ValueError, ["0 or more, not -1", "None means for ever"]),
    Case(negative_connect_timeout, ValueError, ["0 or more, not -1", "None means for ever"]),
    Case(foreign_yield, TypeError, ["'main' yielded 42", "test_bad_input.py:", "# a number"]),
    Case(yielded_generator, TypeError, ["<generator object work", "'yield from'?", "# without"]),
    Case(yielded_operation, TypeError, ["'yield from'?", "yield sleeping"]),
    Case(spawned_function, TypeError, ["the function work", "did you mean spawn(work(...))?"]),
    Case(run_in_a_run, coop.MisuseError, ["already running", "'yield from'", "coop.spawn"]),
    Case(spawn_into_the_past, coop.MisuseError, ["<group over> is over", "spawn into it while"]),
    Case(join_oneself, coop.MisuseError, ["<task 'main' running> cannot join itself"]),
    Case(result_too_soon, coop.MisuseError, ["<task 'slow' ready>", "yield from task.join()"]),
    Case(scope_again, coop.MisuseError, ["<timeout open>", "make a new one for each 'with'"]),
    Case(nothing_to_receive, ValueError, ["max_bytes must be 1 or more, not 0"]),
    Case(address_without_port, ValueError, ["no port in 'localhost'", "host:port"]),
    Case(port_too_big, ValueError, ["70000"]),
    Case(bad_address, coop.ResolveError, ["'300.1.2.3'", "give an address of this machine"]),
    Case(no_connections_at_all, ValueError, ["max_connections must be 1 or more, not 0"]),
    Case(handler_that_was_called, TypeError, ["call with a connection, not <", "mean work, with"]),
    Case(handler_that_was_called_with_await, TypeError, ["did you mean talk, without the call?"]),
    Case(handler_that_is_an_operation, TypeError, ["<operation sleep>", "mean sleep, without"]),
    Case(server_of_no_handler, TypeError, ["something to call with a connection, not 'echo'"]),
    Case(spawned_twice, coop.MisuseError, ["<generator object work", "has begun already: call"]),
    Case(spawned_at_its_end, coop.MisuseError, ["<generator object work", "has ended already"]),
    Case(spawned_by_itself, coop.MisuseError, ["narcissus at", "is running already"]),
    Case(awaited_before, coop.MisuseError, ["<coroutine object", "has ended already: call its"]),
    Case(gathered_twice, coop.MisuseError, ["gather was given the same generator twice"]),
    Case(operation_instead_of_its_object, TypeError, ["<operation Event.wait>: give the object"]),
    Case(text_sent, TypeError, ["bytes, not 'hello': encode() it"]),
    Case(operation_sent, TypeError, ["did you mean 'yield from'?"]),
    Case(race_of_nobody, ValueError, ["race needs at least one generator"]),
]


class Common(SystemNetwork):
    """The system's network as it is to those who are not root: port 1 needs a privilege."""

    def listen(self, address: Any, port: int, **options: Any) -> Any:
        if port == 1:
            fail(f"bind to {address}", PermissionError(13, "Permission denied"), address)
        return super().listen(address, port, **options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.program.__name__)
def test_a_wrong_call_gives_one_clear_error(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, *rest: Any, **options: Any) -> Any:
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known(host, *rest, **options)

    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(case.error) as caught:
        World(network=Common()).run(case.program())
    message = str(caught.value)
    assert [] == [part for part in case.says if part not in message], message
    assert "\n" not in message


# -- outside a run --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        coop.current_scheduler,
        coop.current_task,
        lambda: coop.listen("127.0.0.1", 0),
        lambda: coop.timeout(1).__enter__(),
        coop.convenient,
        lambda: coop.Signals(2),
    ],
)
def test_what_belongs_inside_a_run_says_so(call: Callable[[], Any]) -> None:
    with pytest.raises(coop.MisuseError, match=r"no scheduler runs in this thread.*coop\.run\("):
        call()


def test_a_generator_is_run_once() -> None:
    """The second run of one that had ended returned None, without a word."""
    generator = work()
    coop.run(generator)
    with pytest.raises(coop.MisuseError, match="has ended already: call its function again"):
        coop.run(generator)


def test_spawn_outside_a_run() -> None:
    generator = work()
    with pytest.raises(coop.MisuseError, match=r"no scheduler runs in this thread.*coop\.run\("):
        coop.spawn(generator)
    generator.close()


def test_an_operation_of_a_run_that_is_over() -> None:
    """A connection kept beyond its run fails, and does not hang."""
    kept = []

    def main() -> Gen[None]:
        kept.extend(kit.pair())
        yield None

    coop.run(main())
    a, b = kept
    with a, b:

        def later() -> Gen[None]:
            with coop.timeout(0.05):
                yield from a.recv()

        with pytest.raises(coop.MisuseError, match=r"opened in another run.*open it in the run"):
            coop.run(later())


def test_an_address_that_is_not_ours() -> None:
    def main() -> Gen[None]:
        coop.listen(ipv4("192.0.2.1", 0))
        yield

    with pytest.raises(OSError, match=r"bind to 192\.0\.2\.1:0: .*: no interface of this machine"):
        kit.play(main())
