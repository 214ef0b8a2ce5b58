"""``coop serve``: what it finds, where it listens, how it ends, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from observe.programs import coop_command, environment

pytest.importorskip("httptools")

from coop.commands import options, reload, target
from coop.commands.binding import Binding, read_binding
from coop.commands.refusal import Refusal
from coop.commands.serve import main
from coop.commands.target import Wishes, find_target

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and descriptors as on Unix")

APP = """
import time
import coop
import coop.http
from pathlib import Path

def app(request):
    if request.path == "/slow":
        yield from coop.sleep(0.2)
    if request.path == "/hang":
        yield from coop.sleep(600)
    return coop.http.Response(f"one, asked by {request.peer}")

def make():
    return app

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        time.sleep(600)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]

class Old:
    def __init__(self, environ, start_response): pass

async def asgi(scope, receive, send): pass
def any_number(*words): pass
number = 5
"""

Process = subprocess.Popen[str]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with an application in it, and others that are none."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "broken.py").write_text("import nowhere\n")
    (tmp_path / "crash.py").write_text("1 / 0\n")
    (tmp_path / "quits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "page.txt").write_text("a page")
    return tmp_path


@pytest.fixture
def importable(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wishes]:
    """The same, for imports into this process, which are undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield Wishes(app_dir=str(place))
    for name in set(sys.modules) & {"shop", "broken", "crash", "quits"} - before:
        del sys.modules[name]


@contextmanager
def serving(place: Path, *arguments: str, **changes: str) -> Iterator[tuple[Process, str]]:
    """Run the command; give the process, and the URL that it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", "coop", "serve", *arguments],
        cwd=place,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, wait_for(process, r"serving .* on (\S+)")
        finally:
            process.kill()


def wait_for(process: Process, pattern: str) -> str:
    """Read what it says until a line has this in it; return the group, or the line."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[found.re.groups and 1].rstrip(",")
        said.append(line)
    raise AssertionError(f"it never said {pattern}, but {''.join(said)}")


def end(process: Process, number: int = signal.SIGTERM) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def dial(url: str) -> socket.socket:
    host, _, port = url.partition("//")[2].strip("/").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=20)


def hear(conn: socket.socket) -> str:
    answer = b""
    while data := conn.recv(65536):
        answer += data
    return answer.decode()


def ask(url: str, path: str = "/", before: bytes = b"", fields: str = "") -> str:
    """Ask for a path; return the whole answer."""
    with dial(url) as conn:
        head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"
        conn.sendall(before + head.encode())
        return hear(conn)


# -- targets ------------------------------------------------------------------------------------


def test_a_directory_is_a_target(place: Path) -> None:
    found = find_target(str(place))
    assert f"the files of {place.resolve()}" == found.title


@pytest.mark.parametrize(
    ("name", "interface"),
    [("app", "native"), ("wsgi", "wsgi"), ("Old", "wsgi"), ("make", None)],
)
def test_an_interface_is_told_by_the_parameters(
    name: str, interface: str | None, importable: Wishes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("coop.wsgi")
    wishes = importable._replace(factory=interface is None, wsgi_mode="inline")
    found = find_target(f"shop:{name}", wishes)
    shop: Any = sys.modules["shop"]
    assert (interface == "wsgi") != (found.app is shop.app)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "there is no directory 'nowhere'; for an application write module:attribute"),
        ("shop.py:app", "there is no module 'shop.py'"),
        ("./shop:app", "cannot read './shop:app': write module:attribute"),
        ("shop:", "cannot read 'shop:'"),
        ("shpo:app", "did you mean shop?"),
        ("shop:ap", "there is no 'ap' in shop:ap: did you mean app?"),
        ("shop:app.x", "there is no 'x' in shop:app.x: shop is /"),
        ("shop:number", "shop:number is int, which cannot be called"),
        ("shop:make", "shop:make takes no parameters: is it a factory (--factory)?"),
        ("shop:asgi", "shop:asgi is an ASGI application"),
        ("shop:any_number", "say which, --native or --wsgi"),
        ("quits:app", "quits ends the program when it is imported (exit 3)"),
    ],
)
def test_what_cannot_be_found_is_told_with_its_remedy(
    text: str, message: str, importable: Wishes, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refusal) as caught:
        find_target(text, importable)
    assert message in str(caught.value)
    assert "" == capsys.readouterr().err, "no traceback"


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("broken", "import nowhere", "No module named 'nowhere'"),
        ("crash", "1 / 0", "ZeroDivisionError"),
    ],
)
def test_the_applications_own_error_is_shown_from_its_own_first_line_on(
    name: str, first: str, last: str, importable: Wishes, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refusal, match=name):
        find_target(f"{name}:app", importable)
    shown = capsys.readouterr().err.splitlines()
    assert f'{name}.py", line 1' in shown[1]
    assert first == shown[2].strip()
    assert last in shown[-1]
    assert target.__file__ not in "".join(shown)


def test_a_factory_that_fails_or_makes_nothing_is_told(importable: Wishes) -> None:
    wishes = importable._replace(factory=True)
    with pytest.raises(Refusal, match="the factory shop:wsgi failed"):
        find_target("shop:wsgi", wishes)
    with pytest.raises(Refusal, match="which cannot be called"):
        find_target("shop:number.conjugate", wishes)


# -- the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "binding"),
    [
        ("127.0.0.1:80", Binding("127.0.0.1", 80)),
        ("[::1]:80", Binding("::1", 80)),
        ("[::1]", Binding("::1", 8000)),
        ("localhost", Binding("localhost", 8000)),
        (":80", Binding("", 80)),
        ("*:80", Binding("*", 80)),
        ("fd://3", Binding(fd=3)),
        ("fd:3", Binding(fd=3)),
    ],
)
def test_a_place_to_listen_is_read(text: str, binding: Binding) -> None:
    assert binding == read_binding(text)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")
def test_a_unix_socket_may_be_written_as_a_url() -> None:
    assert read_binding("unix:/run/x") == read_binding("unix:///run/x")
    assert "unix:/run/x" == str(read_binding("unix:/run/x").address)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: TARGET"),
        ([".", "--nonsense"], "unrecognized arguments: --nonsense"),
        ([".", "--relo"], "unrecognized arguments: --relo"),
        ([".", "-b", "a:b:c"], "cannot read 'a:b:c'"),
        ([".", "-b", "fd://x"], "write fd://3, say"),
        ([".", "-b", "a:99999"], "99999 is not a port"),
        ([".", "-b", ":1", "-p", "2"], "say either --bind or --host and --port"),
        ([".", "-p", "-1"], "-1 is no port"),
        ([".", "--tls-key", "x"], "--tls-key goes with --tls-cert"),
        ([".", "--tls-client-ca", "x"], "--tls-client-ca goes with --tls-cert"),
        ([".", "--workers", "4"], "gunicorn -k coop.ext.gunicorn.Worker"),
        ([".", "--health", "x"], "'x' is no path"),
        ([".", "--proxy-protocol", "x"], "give addresses, networks, 'unix' or '*'"),
        ([".", "--forwarded-by", "x"], "give addresses, networks, 'unix' or '*'"),
        ([".", "--forwarded-by", "*", "--forwarded-fields", "x"], "or 'Forwarded' alone"),
        ([".", "--forwarded-fields", "Forwarded"], "goes with --forwarded-by"),
        ([".", "--drain", "-1"], "must be 0 seconds or more"),
        ([".", "--timeout-idle", "0"], "must be greater than 0"),
        ([".", "--limit-body", "x"], "'x' is no number, such as 64k or 10M"),
        ([".", "--backlog", "0"], "0 must be 1 or more"),
    ],
)
def test_wrong_arguments_end_with_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    shown = capsys.readouterr().err
    assert 2 == caught.value.code
    assert message in shown
    assert 2 == len(shown.splitlines()), "one line, and one of usage"


def test_the_names_of_other_servers_are_understood() -> None:
    words = """. --timeout-keep-alive 7 --limit-body 2M --limit-concurrency 9 --no-access-log
        --timeout-graceful-shutdown 4 --ssl-certfile c --ssl-keyfile k"""
    parsed = options.parse(words.split())
    assert 7 == options.deadlines_of(parsed).idle
    assert 2 << 20 == options.limits_of(parsed).body_bytes
    assert (9, 4, "off") == (parsed.max_connections, parsed.drain, parsed.access_log)
    assert ("c", "k") == (parsed.tls_cert, parsed.tls_key)


def test_what_is_not_said_is_as_in_the_library() -> None:
    parsed = options.parse(["."])
    assert options.DEFAULT_LIMITS == options.limits_of(parsed)
    assert options.DEFAULT_DEADLINES == options.deadlines_of(parsed)
    assert options.bindings_of(parsed) is None
    assert 0 == parsed.lame_duck
    assert 5 == options.parse([".", "--health", "/healthz"]).lame_duck


# -- serving ------------------------------------------------------------------------------------


def test_it_serves_in_several_places_logs_and_ends_in_order(place: Path) -> None:
    arguments = ["shop:app", "-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "--access-log", "json"]
    with serving(place, *arguments) as (process, url), dial(url) as slow:
        assert "one, asked by 127.0.0.1:" in ask(url)
        assert process.stdout is not None
        assert "GET / HTTP/1.1" == json.loads(process.stdout.readline())["request"]
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        ask(url)  # and so it has been read
        process.terminate()
        assert "one, asked by" in hear(slow)
        out, err = process.communicate(timeout=20)
    assert (0, 2) == (process.returncode, len(out.splitlines()))
    assert "INFO coop.serve: stopping: 1 connection may finish within 30 s\n" == err


def test_a_second_signal_ends_it_now(place: Path) -> None:
    with serving(place, "shop:app", "-p", "0") as (process, url), dial(url) as conn:
        conn.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        ask(url)
        process.send_signal(signal.SIGINT)
        wait_for(process, "stopping: 1 connection may")
        assert 130 == end(process, signal.SIGINT)[0]


def test_a_wsgi_application_in_threads_serves_and_ends(place: Path) -> None:
    pytest.importorskip("coop.wsgi")
    with serving(place, "shop:wsgi", "-p", "0", "--threads", "2") as (process, url):
        assert ask(url, "/path").endswith("/path")
        assert 0 == end(process)[0]


def test_a_thread_that_never_ends_does_not_keep_the_process(place: Path) -> None:
    pytest.importorskip("coop.wsgi")
    arguments = ["shop:wsgi", "-p", "0", "--threads", "2", "--drain", "0.05"]
    with serving(place, *arguments) as (process, url), dial(url) as conn:
        conn.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        assert ask(url, "/path").endswith("/path")
        code, _, err = end(process)
    assert 0 == code
    assert err.endswith("the application's threads go on after their time: they are cut off\n")


def test_a_directory_listens_where_systemd_says(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        launch = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); "
            "os.environ['LISTEN_PID'] = str(os.getpid()); "
            "os.execv(sys.executable, [sys.executable, '-m', 'coop', 'serve', '.'])"
        )
        with subprocess.Popen(
            [sys.executable, "-c", launch, str(listener.fileno())],
            cwd=place,
            env=environment(LISTEN_FDS="1"),
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                url = wait_for(process, r"serving the files of .* on (\S+)")
                assert f"http://127.0.0.1:{listener.getsockname()[1]}/" == url
                assert ask(url, "/page.txt").endswith("a page")
                assert 0 == end(process)[0]
            finally:
                process.kill()


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT")
def test_two_processes_share_a_port(place: Path) -> None:
    with serving(place, ".", "-p", "0", "--reuse-port") as (first, url):
        port = url.strip("/").rpartition(":")[2]
        with serving(place, ".", "-p", port, "--reuse-port") as (second, same):
            assert url == same
            assert 0 == end(first)[0]
            assert ask(url, "/page.txt").endswith("a page"), "the other serves on"
            assert 0 == end(second)[0]


def test_the_health_fails_first_and_a_proxy_names_its_client(place: Path) -> None:
    arguments = "shop:app -p 0 --health /healthz --lame-duck 600 --proxy-protocol 127.0.0.0/8"
    said = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n"
    with serving(place, *arguments.split()) as (process, url):
        assert "one, asked by 192.0.2.7:5000" in ask(url, "/", said)
        assert "HTTP/1.1 200 " in ask(url, "/healthz", said)
        process.terminate()
        wait_for(process, "stopping in 600 s: not ready from now on")
        assert "HTTP/1.1 503 " in ask(url, "/healthz", said)
        assert "one, asked by" in ask(url, "/", said), "all else goes on"
        code, out, _ = end(process)
    assert 143 == code
    expected = [("/", 200), ("/healthz", 503), ("/", 200)]  # a health that is well is not logged
    assert [f'192.0.2.7 "GET {path} HTTP/1.1" {status}' for path, status in expected] == [
        re.sub(r" - - \[.*?\]| \d+$", "", line) for line in out.splitlines()
    ]


@pytest.mark.parametrize(("trusted", "client"), [("127.0.0.1", "192.0.2.7:0"), ("::1", "127.")])
def test_it_believes_the_proxies_that_it_is_told(trusted: str, client: str, place: Path) -> None:
    said = "X-Forwarded-For: 10.0.0.1, 192.0.2.7\r\n"
    with serving(place, "shop:app", "-p", "0", "--forwarded-by", trusted) as (process, url):
        assert f"one, asked by {client}" in ask(url, fields=said)
        code, out, _ = end(process)
    assert 0 == code
    assert out.startswith(client.removesuffix(":0"))


def test_a_sighup_reads_the_certificate_again(place: Path) -> None:
    trustme = pytest.importorskip("trustme")
    path = place / "cert.pem"
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    with serving(place, ".", "-p", "0", "--tls-cert", str(path)) as (process, url):
        assert url.startswith("https://")
        process.send_signal(signal.SIGHUP)
        wait_for(process, "SIGHUP: new connections get the certificate of")
        path.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        wait_for(process, "SIGHUP: the certificate stays as it is: cannot use the certificate")
        assert 0 == end(process)[0]


@pytest.mark.parametrize("more", [[], ["--reload"]])
def test_when_its_terminal_is_closed_it_ends(more: list[str], place: Path) -> None:
    ours, theirs = os.openpty()
    launch = (
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.executable, [sys.executable, '-m', 'coop', 'serve', *sys.argv[1:]])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launch, "shop:app", "-p", "0", *more],
        cwd=place,
        env=environment(),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(theirs)
        try:
            url = wait_for(process, r"serving .* on (\S+)")
            process.send_signal(signal.SIGHUP)
            wait_for(process, "there is no certificate to read again")
            assert "one, asked by" in ask(url)
            os.close(ours)
            process.communicate(timeout=20)
            assert 0 == process.returncode
        finally:
            process.kill()


# -- when it cannot be --------------------------------------------------------------------------


@pytest.fixture
def said(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command in this process; return the one line it says when it ends with 1."""

    def run(*words: str) -> str:
        assert 1 == main([str(place), *words])
        shown = capsys.readouterr().err
        assert 1 == shown.count("\n"), shown
        return shown.removeprefix("coop serve: ")

    return run


def test_what_cannot_be_opened_is_told_in_one_line(said: Any, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert "port in use: end the program that has it" in said("-p", port)
    assert said("-b", "fd://9999").startswith("cannot listen on fd 9999: Bad file descriptor")
    assert "no TLS: cannot read nope: No such" in said("--tls-cert", "nope")
    cert = str(place / "page.txt")
    assert "are both PEM, do they belong together" in said("--tls-cert", cert)
    assert "its files are read anew at each request" in said("--reload")


def test_without_the_extra_it_says_what_to_install(place: Path) -> None:
    (place / "httptools.py").write_text("raise ImportError('not here')\n")
    (place / "sitecustomize.py").write_text(f"import sys; sys.path.insert(0, {str(place)!r})\n")
    path = os.pathsep.join([str(place), environment()["PYTHONPATH"]])
    shown = coop_command("serve", ".", PYTHONPATH=path)
    assert (1, "coop: coop.http needs httptools: pip install 'coop-net[http]'\n") == (
        shown.returncode,
        shown.stderr,
    )


# -- reloading ----------------------------------------------------------------------------------


def test_a_changed_file_starts_it_anew_and_nobody_is_refused(place: Path) -> None:
    with serving(place, "shop:app", "-p", "0", "--reload") as (process, url):
        assert "one, asked by" in ask(url)
        (place / "shop.py").write_text(APP.replace("one,", "two,"))
        wait_for(process, r"shop\.py changed: starting anew")
        assert "two, asked by" in wait_for_answer(url, "two,")
        (place / "shop.py").write_text("nonsense (")
        wait_for(process, "it ended with exit code 1: waiting for a change")
        (place / "shop.py").write_text(APP)
        assert "one, asked by" in ask(url), "it has waited in the backlog"
        assert 0 == end(process)[0]


def wait_for_answer(url: str, word: str) -> str:
    for _ in range(100):
        if word in (answer := ask(url)):
            return answer
    raise AssertionError(f"it never answered {word}")


def test_a_watcher_sees_what_comes_changes_and_goes(tmp_path: Path) -> None:
    for name in (".hidden", "__pycache__", "node_modules", "inner", "venv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text("")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    watcher = reload.Watcher([str(tmp_path)])
    assert 1 == len(watcher)
    inner, new = str(tmp_path / "inner" / "x.py"), str(tmp_path / "new.py")
    Path(inner).write_text("1")
    Path(new).write_text("")
    (tmp_path / "page.html").write_text("")
    assert [inner, new] == watcher.changed()
    os.unlink(inner)
    assert [inner] == watcher.changed()
    assert [] == watcher.changed()
