"""Gunicorn's workers: a real arbiter, real signals, and nobody loses a request."""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import http_kit
import pytest
import trustme
from kit import Gen

import coop

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gunicorn needs fork")
gunicorn = pytest.importorskip("gunicorn")

TESTS = Path(__file__).parent.parent
WORKER = "coop.ext.gunicorn.Worker"
GREENLETS = "coop.ext.gunicorn.GreenletWorker"
NATIVE = "coop.ext.gunicorn.NativeWorker"


class Gunicorn:
    """A gunicorn at work, and what it has logged so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log = ""
        self.clients: list[http.client.HTTPConnection] = []
        self.port = 0
        #: The numbers of the first workers.
        self.workers: list[int] = []

    def start(self, workers: int) -> None:
        """Wait until it has started."""
        (self.port,) = self.wait_for(r"Listening at: https?://127.0.0.1:(\d+)")
        self.workers = self.wait_for(r"Booting worker with pid: (\d+)", workers)

    def wait_for(self, pattern: str, count: int = 1) -> list[int]:
        """Read the log until the pattern was there so many times; return the numbers in it."""
        assert self.process.stderr is not None
        while len(found := re.findall(pattern, self.log)) < count:
            line = self.process.stderr.readline()
            assert line, f"gunicorn has ended:\n{self.log}"
            self.log += line
        return [int(each) for each in found if each.isdigit()]

    @property
    def errors(self) -> list[str]:
        """What it has logged as an error, but for the second TERM of gunicorn 23, which is late."""
        return re.findall(r".*\[ERROR\] (?!Worker .* was sent SIGTERM).*", self.log)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; return its exit code."""
        assert self.process.stderr is not None
        self.log += self.process.stderr.read()
        return self.process.wait(timeout=20)

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """Return a client, which is closed with the rest."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if context is not None:
            client = http.client.HTTPSConnection(
                "localhost", self.port, timeout=20, context=context
            )
        self.clients.append(client)
        return client

    def stop(self) -> None:
        """Have it end in good order, now that nobody wants anything."""
        for client in self.clients:
            client.close()
        self.signal(signal.SIGTERM)
        assert 0 == self.end()

    def close(self) -> None:
        """End it by force if it has not ended, and close all clients."""
        self.process.kill()
        for client in self.clients:
            client.close()


@contextmanager
def serving(
    *options: str, worker: str = WORKER, workers: int = 2, app: str = "app"
) -> Iterator[Gunicorn]:
    """Start gunicorn with these options."""
    command = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "-w", str(workers)]
    if "control_socket_disable" in {each.name for each in _settings()}:
        command.append("--no-control-socket")
    with subprocess.Popen(
        [*command, "-k", worker, *options, f"wsgi_apps.under_gunicorn:{app}"],
        env=os.environ | {"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "COOP_DEBUG": ""},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        with closing(Gunicorn(process)) as arbiter:
            try:
                arbiter.start(workers)
                yield arbiter
            except BaseException as error:
                process.kill()
                error.add_note(arbiter.log + process.communicate()[1])
                raise


def _settings() -> Any:
    return importlib.import_module("gunicorn.config").KNOWN_SETTINGS


def ask(conn: http.client.HTTPConnection, path: str = "/", body: Any = None) -> tuple[int, bytes]:
    """Send a request; return the number of the worker that answered, and the body."""
    conn.request("POST" if body else "GET", path, body)
    return hear(conn)


def hear(conn: http.client.HTTPConnection) -> tuple[int, bytes]:
    answer = conn.getresponse()
    data = answer.read()
    assert 200 == answer.status, data
    return int(answer.headers["X-Pid"]), data


def wait_until(condition: Callable[[], object]) -> Any:
    """Signals and processes take their time."""
    deadline = time.monotonic() + 20
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionError:
        return True
    return False


def test_it_serves_whatever_is_bound_and_logs_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    options = ["-b", f"unix:{path}", "--access-logfile", str(tmp_path / "access")]
    options += ["--error-logfile", "-", "--access-logformat", '%(r)s %(s)s %(b)s "%(a)s" %({x}i)s']
    with serving(*options, workers=1) as arbiter:
        conn = arbiter.connect()
        told = "/?tell=wsgi.multiprocess&tell=wsgi.multithread&tell=REMOTE_ADDR"
        assert (arbiter.workers[0], b"|False|False|127.0.0.1") == ask(conn, told)
        assert bytes(2_000_000) == ask(conn, "/", bytes(2_000_000))[1], "it has no limit of a body"
        ask(conn, "/complain")
        conn.request("GET", "/fail")
        assert 500 == conn.getresponse().status
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /unix HTTP/1.0\r\nX: y\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        with socket.create_connection(("127.0.0.1", arbiter.port)) as client:
            client.sendall(b"NONSENSE\x01\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")
        arbiter.stop()
    lines = (tmp_path / "access").read_text().splitlines()
    assert f'GET {told} HTTP/1.1 200 22 "-" -' == lines[0]
    assert 'GET /fail HTTP/1.1 500 26 "-" -' in lines
    assert 'GET /unix HTTP/1.0 200 0 "-" y' in lines
    assert 'NONSENSE\\x01 - - 400 16 "-" -' in lines
    assert "this is what went wrong" in arbiter.log
    assert "LookupError: too bad" in arbiter.log


def test_a_reload_loses_no_request_and_no_answer(tmp_path: Path) -> None:
    held = tmp_path / "held"
    with serving(worker=GREENLETS, workers=1) as arbiter:
        conn, slow = arbiter.connect(), arbiter.connect()
        assert ask(conn)[0] in arbiter.workers
        slow.request("GET", f"/hold?{held}")
        wait_until(lambda: list(tmp_path.iterdir()))
        arbiter.signal(signal.SIGHUP)
        seen = set()
        while len(seen) < 2:  # a client that goes on all the time
            seen.add(ask(conn)[0])
        held.touch()
        assert hear(slow)[0] in arbiter.workers, "the old worker has answered"
        assert 2 == len(set(arbiter.wait_for(r"Booting worker with pid: (\d+)", 2)))
        arbiter.wait_for(rf"Worker exiting \(pid: ({arbiter.workers[0]})\)")
        assert ask(conn)[0] not in arbiter.workers
        arbiter.stop()
    assert [] == arbiter.errors


def test_one_worker_is_killed_and_the_others_go_on() -> None:
    with serving() as arbiter:
        conns = [arbiter.connect() for _ in range(20)]
        ours = {conn: ask(conn)[0] for conn in conns}
        victim = ours[conns[0]]
        os.kill(victim, signal.SIGKILL)
        for conn, pid in ours.items():
            if pid != victim:
                assert pid == ask(conn)[0]
        arbiter.wait_for(r"Booting worker with pid: (\d+)", 3)
        os.kill(next(pid for pid in arbiter.workers if pid != victim), signal.SIGKILL)
        conn = arbiter.connect()
        assert ask(conn)[0] not in arbiter.workers, "there is another in its place"
        arbiter.stop()


def test_workers_that_have_answered_enough_are_replaced() -> None:
    with serving("--max-requests", "5", "--max-requests-jitter", "3") as arbiter:
        conn = arbiter.connect()  # which is closed between two answers, and opened again
        pids = {ask(conn)[0] for _ in range(40)}
        arbiter.stop()
    assert len(pids) >= 2
    assert "Autorestarting worker" in arbiter.log
    assert [] == arbiter.errors


@pytest.mark.parametrize("threads", [1, 8])
def test_term_loses_nothing_that_was_accepted(tmp_path: Path, threads: int) -> None:
    held = tmp_path / "held"
    worker = GREENLETS if threads == 1 else WORKER
    with serving("--threads", str(threads), worker=worker, workers=2) as arbiter:
        conns = [arbiter.connect() for _ in range(4)]
        for conn in conns:
            conn.request("GET", f"/hold?{held}")
        wait_until(lambda: list(tmp_path.iterdir()))
        idle = arbiter.connect()
        ask(idle) if threads == 1 else idle.connect()
        arbiter.signal(signal.SIGTERM)
        arbiter.wait_for("Handling signal: term")
        ask(idle)  # whoever has a connection may not know, and is answered
        held.touch()
        assert set(arbiter.workers) >= {hear(conn)[0] for conn in conns}
        assert 0 == arbiter.end()
        assert is_refused(arbiter.port)
    assert [] == arbiter.errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_end_it_now(tmp_path: Path, number: int) -> None:
    with serving("--graceful-timeout", "1000", worker=GREENLETS, workers=1) as arbiter:
        conn = arbiter.connect()
        conn.request("GET", f"/hold?{tmp_path / 'held'}")
        wait_until(lambda: list(tmp_path.iterdir()))
        arbiter.signal(number)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            conn.getresponse()
        assert 0 == arbiter.end()


def test_a_worker_without_a_heartbeat_is_replaced() -> None:
    with serving("--timeout", "1", workers=1) as arbiter:
        conn = arbiter.connect()
        conn.request("GET", "/block?30")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            conn.getresponse()
        assert 2 == len(arbiter.wait_for(r"Booting worker with pid: (\d+)", 2))
        arbiter.stop()
    assert "WORKER TIMEOUT" in arbiter.log


def test_handlers_of_coops_own_are_served_over_tls(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "server.pem"
    identity = authority.issue_cert("localhost")
    identity.private_key_and_cert_chain_pem.write_to_path(str(file))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = ["--certfile", str(file), "--keyfile", str(file), "--keep-alive", "0"]
    with serving(*options, worker=NATIVE, workers=1, app="native") as arbiter:
        conn = arbiter.connect(context)
        assert (arbiter.workers[0], b"https /a\n") == ask(conn, "/a")
        conn.request("GET", "/")
        assert "close" == conn.getresponse().headers["Connection"]
        arbiter.stop()


def test_limits_of_gunicorn_hold(tmp_path: Path) -> None:
    options = ["--limit-request-line", "100", "--limit-request-fields", "5"]
    options += ["--limit-request-field_size", "50", "--forwarded-allow-ips", "127.0.0.1"]
    with serving(*options, workers=1) as arbiter:

        def status(path: str = "/", **headers: str) -> int:
            conn = arbiter.connect()
            conn.request("GET", path, headers=headers)
            return conn.getresponse().status

        assert [200, 414] == [status("/" + "a" * size) for size in (80, 100)]
        assert [200, 431] == [status(A="b" * size) for size in (40, 50)]
        assert [200, 431] == [status(**dict.fromkeys("ABCDEF"[:count], "1")) for count in (2, 6)]
        conn = arbiter.connect()
        conn.request("GET", "/?tell=wsgi.url_scheme", headers={"X-Forwarded-Proto": "https"})
        assert b"|https" == hear(conn)[1]
        arbiter.stop()


# -- in mid-load ----------------------------------------------------------------------------------


class Load:
    """Clients that ask all the time, and what became of their requests."""

    def __init__(self, port: int, *, keep: bool) -> None:
        self.port = port
        #: Whether a connection serves for more than one request.
        self.keep = keep
        self.is_over = False
        self.answered = 0
        #: Connections that nobody accepted: refused, or reset before a request was sent.
        self.refused = 0
        self.lost: list[str] = []

    def run(self, act: Callable[[Load], Gen[None]]) -> None:
        """Ask with many clients while ``act`` does what it does."""

        def body(members: coop.Group) -> Gen[None]:
            for _ in range(16):
                members.spawn(self._ask_all_the_time())
            yield from act(self)
            self.is_over = True

        coop.run(coop.group(body))

    def wait_for(self, answers: int) -> Gen[None]:
        """Wait until so many more are answered."""
        wanted = self.answered + answers
        while self.answered < wanted:
            yield from coop.sleep(0.01)

    def _ask_all_the_time(self) -> Gen[None]:
        while not self.is_over:
            try:
                conn = yield from coop.connect("127.0.0.1", self.port)
            except OSError:
                self.refused += 1
                yield from coop.sleep(0.01)
                continue
            with conn:
                try:
                    while (yield from self._ask(http_kit.Client(conn))) and self.keep:
                        pass
                except (OSError, EOFError) as error:
                    self.lost.append(repr(error))

    def _ask(self, client: http_kit.Client) -> Gen[bool]:
        fields = "" if self.keep else "Connection: close\r\n"
        answer = yield from client.ask(http_kit.get("/", fields))
        assert 200 == answer.status
        self.answered += 1
        return not self.is_over and "connection" not in answer.fields


@pytest.mark.campaign
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "options",
    [["-k", WORKER], ["-k", GREENLETS], ["-k", WORKER, "--threads", "4"]],
    ids=["inline", "greenlet", "executor"],
)
def test_no_signal_in_mid_load_loses_a_request(options: list[str], number: int, keep: bool) -> None:
    with serving(*options) as arbiter:
        load = Load(arbiter.port, keep=keep)

        def act(load: Load) -> Gen[None]:
            yield from load.wait_for(1000)
            arbiter.signal(number)
            if number == signal.SIGHUP:
                assert 0 == load.refused
                for _ in range(3):
                    yield from load.wait_for(1000)
                    arbiter.signal(number)
                yield from load.wait_for(1000)
                assert 0 == load.refused
            else:
                while not load.refused:
                    yield from coop.sleep(0.01)

        load.run(act)
        assert [] == load.lost
        arbiter.signal(signal.SIGTERM)
        assert 0 == arbiter.end()
    assert [] == arbiter.errors


@pytest.mark.campaign
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "fresh"])
def test_workers_are_replaced_in_mid_load(keep: bool) -> None:
    with serving("--max-requests", "300", "--max-requests-jitter", "100") as arbiter:
        load = Load(arbiter.port, keep=keep)
        load.run(lambda load: load.wait_for(20_000))
        assert [] == load.lost
        assert 0 == load.refused
        arbiter.stop()
    assert len(re.findall("Autorestarting", arbiter.log)) > 3


@pytest.mark.campaign
def test_a_worker_that_is_killed_in_mid_load_takes_its_own_connections_alone() -> None:
    with serving(workers=3) as arbiter:
        load = Load(arbiter.port, keep=True)

        def act(load: Load) -> Gen[None]:
            yield from load.wait_for(1000)
            os.kill(arbiter.workers[0], signal.SIGKILL)
            yield from load.wait_for(2000)

        load.run(act)
        assert len(load.lost) < 16
        assert 0 == load.refused
        arbiter.stop()
