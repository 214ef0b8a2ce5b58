"""Every sample runs, serves a real client, and ends by itself."""

import http.client
import os
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from browser import Browser

SAMPLES = Path(__file__).parent.parent / "samples"
SERVED_ELSEWHERE = {"http_server.py"}  # tests/http/test_sample.py


@contextmanager
def running(name, *arguments):
    """Run a sample that serves; give its process and the port it says it listens on."""
    process = subprocess.Popen(
        [sys.executable, str(SAMPLES / name), "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SAMPLES.parent)},
    )
    try:
        first = process.stdout.readline()
        assert first.startswith("listening on "), first + process.stderr.read()
        yield process, int(first.strip().rstrip("/").rpartition(":")[2])
        _, errors = process.communicate(timeout=30)
        assert (0, "") == (process.returncode, errors)
    finally:
        process.kill()
        process.communicate()


def dial(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def converse(client, text):
    client.sendall(text)
    with client.makefile("rb") as answers:
        return answers.readline()


@pytest.mark.parametrize(
    "name",
    ["01_main_loop.py", "02_blocking.py", "03_stopwatch_timeout.py", "04_echo.py"],
)
def test_an_echo_sample_echoes_and_ends(name):
    with running(name, "--once") as (_, port), dial(port) as client:
        assert b"hello\n" == converse(client, b"hello\n")


def test_the_chat_passes_on_what_is_said():
    with (
        running("05_line_chat.py", "--once") as (_, port),
        dial(port) as ann,
        dial(port) as bob,
        ann.makefile("rb") as from_ann,
        bob.makefile("rb") as from_bob,
    ):
        assert b"Your name?\n" == from_ann.readline()
        ann.sendall(b"Ann\n")
        assert b"Ann comes in\n" == from_ann.readline()
        bob.sendall(b"Bob\n")
        assert b"Bob comes in\n" == from_ann.readline()
        bob.sendall(b"hello\n")
        assert b"Bob: hello\n" == from_ann.readline()
        bob.shutdown(socket.SHUT_WR)
        assert b"Bob has gone\n" == from_ann.readline()
        assert b"Your name?\n" == from_bob.readline()


def test_the_time_is_told_to_who_asks():
    with running("06_udp_time.py", "--once") as (_, port):
        asked = subprocess.run(
            [sys.executable, str(SAMPLES / "06_udp_time.py"), "--ask", str(port)],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "PYTHONPATH": str(SAMPLES.parent)},
        )
        assert asked.stdout[:2] == "20", asked.stderr


def test_the_timeouts_time_out():
    shown = subprocess.run(
        [sys.executable, str(SAMPLES / "07_timeout.py")],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(SAMPLES.parent)},
    )
    assert "" == shown.stderr
    outcomes = [line for line in shown.stdout.splitlines() if not line.startswith(" ")]
    assert ["an_error", "no_error", "nested", "idle", "cleaning_up"] == [
        line.partition(":")[0] for line in outcomes
    ]
    assert 5 == sum("timed out" in line or "True" in line or "said" in line for line in outcomes)


def test_the_encrypted_echo_shows_its_certificate(tmp_path):
    issuer = trustme.CA()
    certfile = tmp_path / "me.pem"
    issuer.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certfile))
    context = ssl.create_default_context()
    issuer.configure_trust(context)
    with (
        running("08_tls_echo.py", str(certfile), "--once") as (_, port),
        dial(port) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        client.sendall(b"hello\n")
        assert b"hello\n" == client.recv(100)
        client.unwrap()


def test_the_guest_book_is_signed_and_read():
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    asked = [
        ("POST", "/", "name=Ann%20B&text=hello", form),
        ("POST", "/entries", '{"text": "<hi>"}', {"Content-Type": "application/json"}),
        ("GET", "/", None, {"Cookie": "name=Ann%20B"}),
        ("GET", "/entries", None, {"Accept-Encoding": "identity"}),
        ("GET", "/entries", None, {"If-None-Match": '"2"'}),
        ("GET", "/entries/1", None, {}),
        ("POST", "/entries", "{", {"Content-Type": "application/json"}),
        ("GET", "/entries/99", None, {}),
    ]
    with running("10_http_app.py") as (process, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        follower = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        follower.request("GET", "/events")
        told = follower.getresponse()
        answers = []
        for method, path, body, fields in asked:
            client.request(method, path, body, fields)
            answer = client.getresponse()
            answers.append((answer.status, answer.read().decode(), answer.headers))
        assert [303, 201, 200, 200, 304, 200, 400, 404] == [each[0] for each in answers]
        assert (
            "name=Ann%20B; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax"
            == (answers[0][2]["Set-Cookie"])
        )
        assert "<li>Ann B: hello</li><li>somebody: &lt;hi&gt;</li>" in answers[2][1]
        assert 'value="Ann B"' in answers[2][1]
        assert '[["Ann B","hello"],["somebody","<hi>"]]' == answers[3][1]
        assert '{"status":404}' == answers[7][1]
        process.terminate()  # which ends the events in order
        assert b"data: Ann B: hello\n\ndata: somebody: <hi>\n\n" == told.read()
        client.close()
        follower.close()


def test_two_pages_chat_with_each_other(tool, tmp_path):
    with (
        running("09_websocket_chat.py", "--once") as (_, port),
        Browser(tool("chromium"), tmp_path / "profile") as browser,
    ):
        ann, bob = (browser.open(f"http://localhost:{port}/") for _ in range(2))
        for page, name in ((ann, "Ann"), (bob, "Bob <b>")):
            page.wait_for("!go.disabled")
            say(page, name)
            page.wait_for(f"who.textContent.includes({name!r})")
        say(bob, "Is <i>anybody</i> there? ☺")
        assert "Is <i>anybody</i> there? ☺" == ann.wait_for(
            "document.querySelector('.said p')?.textContent"
        )
        say(ann, "I am!")
        say(ann, "Welcome.")
        assert ["I am!", "Welcome."] == bob.wait_for(
            "(words => words.length == 2 && words)"
            "([...document.querySelectorAll('.said:not(.mine) p')].map(each => each.textContent))"
        )
        assert ["AAnn", "BBob <b>"] == bob.evaluate(
            "[...who.children].map(each => each.textContent)"
        )
        ann.take_picture(tmp_path / "chat.png")
        assert (tmp_path / "chat.png").stat().st_size > 5000
        bob.evaluate("ws.close()")
        ann.wait_for(
            "document.querySelector('.note:last-child')?.textContent == 'Bob <b> has left'"
        )
        ann.evaluate("ws.close()")


def say(page, words):
    page.evaluate(f"text.value = {words!r}; form.requestSubmit()")


def test_every_sample_is_run_by_the_suite():
    names = {path.name for path in SAMPLES.glob("*.py")}
    tested = Path(__file__).read_text()
    assert [] == sorted(name for name in names - SERVED_ELSEWHERE if name not in tested)


def test_every_sample_is_on_their_page():
    told = (SAMPLES / "README.md").read_text()
    assert [] == sorted(path.name for path in SAMPLES.glob("*.py") if path.name not in told)
