"""Inherited sockets: those of systemd, those of any number, and what is none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import Gen, play
from observe.programs import environment

import coop
from coop.inherited import InheritedDescriptor, inherited_descriptors

ROOT = Path(__file__).parent.parent

needs_unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")


@pytest.fixture
def opened() -> Iterator[socket.socket]:
    """A socket that listens, of which a test takes a copy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def activated(**changes: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "OTHER": "x", **changes}


# -- one descriptor -----------------------------------------------------------------------------


def test_an_inherited_listener_serves(opened: socket.socket) -> None:
    def main() -> Gen[bytes]:
        with coop.listen_inherited(os.dup(opened.fileno())) as listener:
            assert opened.getsockname()[1] == listener.port
            calling = yield from coop.connect(listener.address)
            called = yield from listener.accept()
            with calling, called:
                yield from calling.sendall(b"ping")
                return (yield from called.recv())

    assert b"ping" == play(main())


def refusal(fd: int) -> str:
    def main() -> Gen[str]:
        with pytest.raises((OSError, ValueError)) as caught:
            coop.listen_inherited(fd)
        return str(caught.value)
        yield

    return play(main())


def test_a_number_that_is_not_open_is_refused() -> None:
    assert "cannot listen on fd 9999: Bad file descriptor: hand over one that" in refusal(9999)


def test_a_file_is_refused_and_stays_open(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        assert f"cannot listen on fd {file.fileno()}: Socket operation on" in refusal(file.fileno())
        file.write("still open")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_does_not_listen_is_refused_and_stays_open(kind: Any) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        assert "it is a socket that does not listen" in refusal(other.fileno())
        assert 0 == other.getsockname()[1]


@needs_unix
def test_a_kind_that_yields_no_streams_is_refused_and_stays_open() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        assert f"cannot listen on fd {other.fileno()}: " in refusal(other.fileno())
        assert "" == other.getsockname()


# -- systemd's ----------------------------------------------------------------------------------


def test_what_systemd_hands_over_is_taken_once() -> None:
    variables = activated(LISTEN_FDNAMES="http:admin")
    expected = [InheritedDescriptor(3, "http"), InheritedDescriptor(4, "admin")]
    assert expected == inherited_descriptors(variables)
    assert {"OTHER": "x"} == variables
    assert [] == inherited_descriptors(variables)


def test_without_names_all_are_unknown() -> None:
    assert [(3, "unknown"), (4, "unknown")] == inherited_descriptors(activated())


@pytest.mark.parametrize(
    "variables",
    [{}, {"LISTEN_FDS": "1"}, activated(LISTEN_PID="1"), activated(LISTEN_PID="")],
)
def test_what_is_another_processes_is_left_alone(variables: dict[str, str]) -> None:
    before = dict(variables)
    assert [] == inherited_descriptors(variables)
    assert before == variables


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LISTEN_FDS": "two"}, "LISTEN_FDS is 'two'"),
        ({"LISTEN_FDS": "-1"}, "LISTEN_FDS is '-1'"),
        ({"LISTEN_FDS": "99999"}, "LISTEN_FDS is '99999'"),
        ({"LISTEN_FDS": ""}, "LISTEN_FDS is ''"),
        ({"LISTEN_FDNAMES": "one"}, "there must be 2 names"),
    ],
)
def test_variables_that_make_no_sense_are_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inherited_descriptors(activated(**changes))


PROGRAM = """
import coop, os
def main():
    listeners = coop.listeners_from_environment("http")
    print(len(listeners), listeners[0].port, os.environ.get("LISTEN_FDS"))
    connection = yield from listeners[0].accept()
    print((yield from connection.recv()).decode())
    listeners[0].close(); connection.close()
coop.run(main())
"""

#: What the manager does between fork and exec, which leaves the number of the process as it is.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.skipif(os.name == "nt", reason="descriptors are inherited by number")
def test_a_program_that_is_started_as_systemd_does_serves(opened: socket.socket) -> None:
    variables = environment(LISTEN_FDS="1", LISTEN_FDNAMES="http")
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(opened.fileno()), sys.executable, "-c", PROGRAM],
        env=variables,
        pass_fds=[opened.fileno()],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            with socket.create_connection(opened.getsockname(), timeout=20) as conn:
                conn.sendall(b"ping")
                out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert ["1", str(opened.getsockname()[1]), "None", "ping"] == out.split()


# -- notices ------------------------------------------------------------------------------------


@needs_unix
@pytest.mark.parametrize("prefix", ["", "@"])
def test_the_manager_is_told(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if prefix and sys.platform != "linux":
        pytest.skip("abstract names are Linux's")
    path = f"{prefix}{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        assert coop.notify_manager("READY=1\nSTATUS=well")
        assert b"READY=1\nSTATUS=well" == manager.recv(100)


@pytest.mark.parametrize("path", ["", "relative", "/no/such/socket"])
def test_without_a_manager_nobody_is_told(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert not coop.notify_manager("READY=1")
