"""The modes: where an application runs, how it waits, and what streams meanwhile."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from http_kit import Client, Hall, get, post
from kit import Gen, no_collector, wait_until
from wsgi_kit import ask, each_mode, each_waiting_mode, text, visit

import coop
import coop.wsgi
from coop.http import Limits
from coop.wsgi import body as bodies
from coop.wsgi import greenlet_stage

BIG = bytes(range(256)) * 4096  # 1 MiB
ROOMY = {"limits": Limits(body_bytes=64 * 1024 * 1024)}


def count(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Tell after each piece of the body how much has come."""
    start_response("200 OK", [])
    total = 0
    while piece := environ["wsgi.input"].read(100_000):
        total += len(piece)
        yield b"%d\n" % total


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def chunked(*pieces: bytes) -> bytes:
    head = get("/", "Transfer-Encoding: chunked\r\n", "POST")
    return head + b"".join(map(chunk, pieces)) + b"0\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


# -- the body comes in --------------------------------------------------------------------------


@each_mode
@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 300_000, len(BIG)])
def test_a_body_of_any_size_is_read(mode: str, size: int) -> None:
    answers = ask(echo, post(BIG[:size]), mode=mode, serving=ROOMY)
    answers += ask(echo, chunked(*filter(None, [BIG[:size]])), mode=mode, serving=ROOMY)
    assert [BIG[:size]] * 2 == [answer.body for answer in answers]


@each_mode
def test_a_body_is_read_in_pieces_and_lines(mode: str) -> None:
    lines = [b"%100d\n" % number for number in range(1000)]

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        source = environ["wsgi.input"]
        start_response("200 OK", [])
        yield source.readline()
        yield source.readline(1)
        yield from source.readlines(10)
        yield source.read(5)
        yield from source
        assert b"" == source.read() == source.read(5) == source.readline()

    (answer,) = ask(application, post(b"".join(lines)), mode=mode)
    assert b"".join(lines) == answer.body


@each_mode
def test_the_limit_of_a_body_is_the_servers_or_the_adapters(mode: str) -> None:
    def asking(size: int, **options: Any) -> int:
        serving = {"limits": Limits(body_bytes=100_000)}
        (answer,) = ask(echo, post(bytes(size)), mode=mode, serving=serving, **options)
        return answer.status  # type: ignore[no-any-return]

    assert (200, 413) == (asking(100_000), asking(100_001))
    assert (200, 413) == (
        asking(200_000, max_body_bytes=200_000),
        asking(200_001, max_body_bytes=200_000),
    )
    assert 413 == asking(1001, max_body_bytes=1000)


@each_mode
def test_a_client_that_leaves_in_mid_body_is_not_taken_for_one_that_has_finished(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[bytes] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        done.append(environ["wsgi.input"].read())
        return [b""]

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.say(post(bytes(100_000))[:-1])
        client.conn.close()
        while hall.server.active:
            yield from coop.sleep(0.001)

    visit(application, visitor, mode)
    assert [] == done
    assert [] == [each for each in caplog.records if each.levelno >= logging.ERROR]


@each_mode
def test_a_body_that_nobody_reads_does_not_hold_up_the_next_request(mode: str) -> None:
    answers = ask(text(b"hello"), post(bytes(50_000)), post(b"b"), get(), mode=mode)
    assert [b"hello"] * 3 == [answer.body for answer in answers]


@each_waiting_mode
def test_a_body_streams_in_and_the_answer_out(mode: str) -> None:
    def visitor(hall: Hall) -> Gen[list[bytes]]:
        client = yield from hall.enter()
        yield from client.say(post(BIG[:400_000])[:-200_000])
        yield from client.conn.recv_until(b"\r\n\r\n")
        heard = []
        for _ in range(2):
            yield from client.conn.recv_until(b"\r\n")
            heard.append((yield from client.conn.recv_until(b"\r\n")))
        yield from client.say(bytes(200_000))  # only now does the rest leave us
        return [*heard, (yield from client.conn.recv_until(b"\r\n0\r\n\r\n"))]

    first, second, rest = visit(count, visitor, mode)
    assert (b"100000\n\r\n", b"200000\n\r\n") == (first, second)
    assert rest.endswith(b"400000\n\r\n0\r\n\r\n")


@each_waiting_mode
def test_chunks_may_stream_in_too(mode: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        while line := environ["wsgi.input"].readline():
            yield line.upper()

    def visitor(hall: Hall) -> Gen[list[bytes]]:
        client = yield from hall.enter()
        yield from client.say(get("/", "Transfer-Encoding: chunked\r\n", "POST"))
        heard = []
        for word in (b"one\n", b"two\n"):  # a dialogue: each answer before the next word
            yield from client.say(chunk(word))
            heard.append((yield from client.conn.recv_until(chunk(word.upper()))))
        yield from client.say(b"0\r\n\r\n")
        return heard

    first, second = visit(application, visitor, mode, stream_chunked=True)
    assert b"Transfer-Encoding: chunked" in first
    assert chunk(b"TWO\n") == second


@each_mode
def test_only_who_may_send_a_great_body_is_told_to_go_on(mode: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("403 Forbidden", [])
        return [b"no"]

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(post(BIG, "Expect: 100-continue\r\n").removesuffix(BIG))
        return (yield from client.conn.recv_until(b"\r\n"))

    first = visit(application, visitor, mode, serving=ROOMY)
    told = b"100 Continue" if mode == "inline" else b"403 Forbidden"
    assert b"HTTP/1.1 %b\r\n" % told == first


def test_a_great_body_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    files = []

    def spool(size: int) -> Any:
        files.append(original(size))
        return files[-1]

    original = bodies.tempfile.SpooledTemporaryFile
    monkeypatch.setattr(bodies.tempfile, "SpooledTemporaryFile", spool)
    seen: list[bool] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["wsgi.input"]._rolled)
        start_response("200 OK", [])
        return []

    ask(application, post(bytes(1001)), chunked(bytes(1001)), chunked(b"a"), memory_bytes=1000)
    assert [True, True, False] == seen
    assert [True] * 3 == [file.closed for file in files]


# -- the answer goes out ------------------------------------------------------------------------


@each_mode
def test_each_piece_is_sent_before_the_next_is_asked_for(mode: str) -> None:
    heard: list[bytes] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        while not heard:
            yield b""
        yield b"second"

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get())
        heard.append((yield from client.conn.recv_until(b"first\r\n")))
        return (yield from client.conn.recv_until(b"second\r\n"))

    assert chunk(b"second") == visit(application, visitor, mode)


@each_mode
def test_a_slow_client_holds_back_the_application_alone(mode: str) -> None:
    made = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(100 if environ["PATH_INFO"] == "/big" else 0):
            made.append(len(BIG))
            yield BIG

    def visitor(hall: Hall) -> Gen[int]:
        slow = yield from hall.enter(receive_buffer_bytes=4096)
        yield from slow.say(get("/big"))
        yield from slow.conn.recv_until(b"\r\n\r\n")
        quick = yield from hall.enter()
        for _ in range(5):
            assert 200 == (yield from quick.ask(get("/"))).status
        return sum(made)

    assert visit(application, visitor, mode) < 20 * len(BIG)


@each_mode
def test_two_answers_are_streamed_in_turn(mode: str) -> None:
    order: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(20):
            order.append(environ["PATH_INFO"])
            yield BIG

    def fetch(client: Client, path: str) -> Gen[int]:
        return len((yield from client.ask(get(path))).body)

    def visitor(hall: Hall) -> Gen[tuple[int, ...]]:
        one, other = (yield from hall.enter()), (yield from hall.enter())
        return (yield from coop.gather(fetch(one, "/1"), fetch(other, "/2")))

    assert (20 * len(BIG), 20 * len(BIG)) == visit(application, visitor, mode)
    assert order != sorted(order), "one was served after the other"


@each_mode
def test_what_a_call_sets_in_its_context_no_other_call_sees(mode: str) -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield name.get().encode()
        name.set(environ["PATH_INFO"])
        yield b" " * 200_000
        yield name.get().encode()

    def fetch(client: Client, path: str) -> Gen[list[bytes]]:
        first = yield from client.ask(get(path))
        second = yield from client.ask(get(path))
        return [first.body.replace(b" ", b""), second.body.replace(b" ", b"")]

    def visitor(hall: Hall) -> Gen[Any]:
        one, other = (yield from hall.enter()), (yield from hall.enter())
        return (yield from coop.gather(fetch(one, "/1"), fetch(other, "/2")))

    assert ([b"nobody/1"] * 2, [b"nobody/2"] * 2) == visit(application, visitor, mode)


@pytest.mark.parametrize("mode", ["inline", "greenlet"])
def test_an_application_that_has_nothing_yet_lets_others_go_on(mode: str) -> None:
    seen: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        seen.append(environ["PATH_INFO"])
        while "/go" not in seen:
            yield b""
        yield b"at last"

    def visitor(hall: Hall) -> Gen[bytes]:
        first, second = (yield from hall.enter()), (yield from hall.enter())
        yield from first.say(get("/wait"))
        yield from wait_until(lambda: seen)
        yield from second.ask(get("/go"))
        return (yield from first.hear()).body  # type: ignore[no-any-return]

    assert b"at last" == visit(application, visitor, mode)


# -- waits of the application's own ---------------------------------------------------------------


def waiting(function: Any, *args: Any) -> Any:
    """Return an application that waits by ``coop.wsgi.wait``, and answers with the result."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield str(coop.wsgi.wait(function, *args)).encode()

    return application


def double(number: int) -> Gen[int]:
    yield from coop.sleep(0)
    return 2 * number


async def double_later(number: int) -> int:
    await coop.sleep(0)
    return 2 * number


@each_waiting_mode
@pytest.mark.parametrize("function", [double, double_later])
def test_an_application_may_wait_for_what_a_task_does(mode: str, function: Any) -> None:
    (answer,) = ask(waiting(function, 21), get(), mode=mode)
    assert b"42" == answer.body


@each_waiting_mode
def test_the_error_of_what_it_waits_for_is_raised_in_it(mode: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            coop.wsgi.wait(double, "a", "b")
        except TypeError as error:
            return [str(error).encode()]
        return []

    (answer,) = ask(application, get(), mode=mode)
    assert b"takes 1 positional argument" in answer.body


@each_waiting_mode
def test_many_wait_at_once(mode: str) -> None:
    arrived: list[int] = []
    gate = coop.Event()

    def arrive() -> Gen[None]:
        arrived.append(1)
        if len(arrived) == 5:
            gate.set()
        yield from gate.wait()

    def fetch(hall: Hall) -> Gen[int]:
        client = yield from hall.enter()
        return (yield from client.ask(get())).status  # type: ignore[no-any-return]

    def visitor(hall: Hall) -> Gen[Any]:
        return (yield from coop.gather(*[fetch(hall) for _ in range(5)]))

    executor = ThreadPoolExecutor(5) if mode == "executor" else None
    assert (200,) * 5 == visit(waiting(arrive), visitor, mode, executor=executor)
    if executor is not None:
        executor.shutdown()


def test_inline_nothing_can_be_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    (answer,) = ask(waiting(double, 1), get())
    assert 500 == answer.status
    assert "mode='greenlet'" in caplog.text


def test_outside_an_application_there_is_nobody_to_wait() -> None:
    with pytest.raises(coop.MisuseError, match="inside an application"):
        coop.wsgi.wait(double, 1)


@each_waiting_mode
def test_a_task_that_an_application_has_spawned_waits_by_itself(mode: str) -> None:
    caught: list[str] = []

    def spawned() -> Gen[None]:
        try:
            coop.wsgi.wait(double, 1)
        except coop.MisuseError as error:
            caught.append(str(error))
        yield None

    def spawn() -> Gen[None]:
        yield from coop.spawn(spawned()).join()

    (answer,) = ask(waiting(spawn), get(), mode=mode)
    assert (200, 1) == (answer.status, len(caught))


def test_a_scope_bounds_what_a_greenlet_waits_for() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        with coop.move_on_after(0.001) as patience:
            coop.wsgi.wait(coop.Event().wait)
        return [str(patience.caught).encode()]

    (answer,) = ask(application, get(), mode="greenlet")
    assert b"True" == answer.body


def test_greenlets_of_its_own_cannot_wait(caplog: pytest.LogCaptureFixture) -> None:
    greenlet = pytest.importorskip("greenlet")

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        inner = greenlet.greenlet(lambda: coop.wsgi.wait(double, 1))
        inner.gr_context = greenlet.getcurrent().gr_context
        return [inner.switch()]

    (answer,) = ask(application, get(), mode="greenlet")
    assert 500 == answer.status


# -- clients that leave -------------------------------------------------------------------------


def leave(hall: Hall, begun: list[Any]) -> Gen[None]:
    client = yield from hall.enter()
    yield from client.say(get())
    while not begun:
        yield from coop.sleep(0.001)
    client.conn.socket.set_linger(0)
    client.conn.close()
    while hall.server.active:
        yield from coop.sleep(0.001)


@each_waiting_mode
def test_an_application_hears_that_its_client_has_left(mode: str) -> None:
    begun: list[int] = []
    ended: list[type[BaseException] | None] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        try:
            while True:
                begun.append(1)
                write(BIG)
        except BaseException as error:
            ended.append(type(error))
            raise
        yield b""

    visit(application, lambda hall: leave(hall, begun), mode)
    assert [coop.ClosedError] == ended


@pytest.mark.parametrize(
    ("mode", "told"), [("executor", coop.ClosedError), ("greenlet", coop.Cancelled)]
)
def test_a_client_that_leaves_ends_a_wait(mode: str, told: type[BaseException]) -> None:
    begun: list[int] = []
    ended: list[type[BaseException]] = []

    def wait_for_ever() -> Gen[None]:
        begun.append(1)
        yield from coop.Event().wait()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            coop.wsgi.wait(wait_for_ever)
        except BaseException as error:
            ended.append(type(error))
            raise
        return []

    visit(application, lambda hall: leave(hall, begun), mode)
    assert [told] == ended


def test_one_that_does_not_mind_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [])
        while True:
            begun.append(1)
            try:
                write(BIG)
            except OSError:
                pass

    visit(application, lambda hall: leave(hall, begun), "greenlet")
    assert "does not end, though its client has left" in caplog.text
    assert len(begun) > greenlet_stage.PATIENCE


@each_waiting_mode
def test_an_error_after_the_client_has_left_is_logged(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                begun.append(1)
                yield BIG
        finally:
            raise LookupError("too bad")

    visit(application, lambda hall: leave(hall, begun), mode)
    assert "failed after its client had left" in caplog.text
    assert "too bad" in caplog.text


@each_waiting_mode
def test_the_end_of_the_server_ends_the_application(mode: str) -> None:
    ended: list[bool] = []
    begun: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            begun.append(1)
            coop.wsgi.wait(coop.Event().wait)
            yield b""
        finally:
            ended.append(True)

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.say(get())
        while not begun:
            yield from coop.sleep(0.001)
        hall.server.abort()

    visit(application, visitor, mode)
    assert [True] == ended


@each_mode
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_call_is_freed_when_it_is_over(mode: str, pieces: int) -> None:
    calls: list[weakref.ref[Any]] = []

    class Noted(dict[str, Any]):
        """An environ that can be referred to weakly."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        noted = environ["noted"] = Noted()
        calls.append(weakref.ref(noted))
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"piece"] if pieces == 1 else iter([b"piece"] * pieces)

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        with no_collector():
            for size in (0, 10, 70_000):
                yield from client.ask(post(bytes(size)))
            yield from client.ask(get())  # the connection may keep the last one
            for _ in range(1000):
                yield from coop.sleep(0.001)
                if all(call() is None for call in calls[:-1]):
                    return
            raise AssertionError("they are left to the collector")

    visit(application, visitor, mode)


# -- executors ----------------------------------------------------------------------------------


def test_an_executor_runs_a_call_in_one_thread_from_begin_to_end() -> None:
    threads: set[int] = set()

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        threads.add(threading.get_ident())
        start_response("200 OK", [])
        for _ in range(5):
            threads.add(threading.get_ident())
            yield BIG
        threads.add(threading.get_ident())

    ask(application, get(), mode="executor")
    assert 1 == len(threads)
    assert threading.get_ident() not in threads


def test_a_client_is_not_waited_for_when_all_its_answer_is_made() -> None:
    ended: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(10):
            yield b"a" * 10_000
        ended.append(environ["PATH_INFO"])

    def visitor(hall: Hall) -> Gen[None]:
        slow = yield from hall.enter(receive_buffer_bytes=4096)
        yield from slow.say(get("/slow"))
        while not ended:
            yield from coop.sleep(0.001)

    visit(application, visitor, "executor")


def test_an_executor_of_the_programs_own_is_used_and_left_to_it() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:

        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [threading.current_thread().name.encode()]

        for _ in range(2):
            (answer,) = ask(application, get(), mode="executor", executor=executor)
            assert answer.body.startswith(b"mine")


class Shut(Executor):
    """An executor that begins nothing, and cancels what it was given."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


def test_an_executor_that_ends_first_is_an_error_of_the_server() -> None:
    (answer,) = ask(text(), get(), mode="executor", executor=Shut())
    assert 500 == answer.status


def test_a_call_that_waits_for_a_thread_is_forgotten_with_its_client() -> None:
    release = threading.Event()
    paths: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        release.wait(20)
        start_response("200 OK", [])
        return []

    def visitor(hall: Hall) -> Gen[None]:
        first, second = (yield from hall.enter()), (yield from hall.enter())
        yield from first.say(get("/first"))
        while not paths:
            yield from coop.sleep(0.001)
        yield from second.say(get("/second"))
        while hall.server.accepted < 2:
            yield from coop.sleep(0.001)
        yield from coop.sleep(0.01)
        second.conn.socket.set_linger(0)
        second.conn.close()
        while hall.server.active > 1:
            yield from coop.sleep(0.001)
        release.set()
        yield from first.hear()

    with ThreadPoolExecutor(1) as executor:
        visit(application, visitor, "executor", executor=executor)
    assert ["/first"] == paths


# -- adapt --------------------------------------------------------------------------------------


def test_what_cannot_be_called_is_no_application() -> None:
    with pytest.raises(TypeError, match="something to call, not 'shop:app'"):
        coop.wsgi.adapt("shop:app")  # type: ignore[arg-type]


def test_a_mode_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'inline', 'executor' or 'greenlet', not 'async'"):
        coop.wsgi.adapt(text(), mode="async")  # type: ignore[arg-type]


def test_an_executor_without_its_mode_is_refused() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="mode='executor'"):
        coop.wsgi.adapt(text(), executor=executor)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greenlet_stage, "greenlet", None)
    with pytest.raises(ImportError, match=r"pip install 'coop-net\[greenlet\]'"):
        coop.wsgi.adapt(text(), mode="greenlet")


def test_the_context_of_the_server_is_seen() -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")
    name.set("the server")

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [name.get().encode()]

    for mode in ("inline", "executor", "greenlet"):
        (answer,) = ask(application, get(), mode=mode)
        assert b"the server" == answer.body
