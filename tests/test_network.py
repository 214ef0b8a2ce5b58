"""The system's network: what is answered without blocking, and what says that it blocks."""

from __future__ import annotations

import logging
import socket
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

import pytest
from kit import Gen, play

import coop
from coop import network as network_module
from coop.address import ipv4, ipv6
from coop.network import SystemNetwork, in_hosts_file, literal

pytestmark = pytest.mark.core

HOSTS = """
127.0.0.1   localhost loghost   # the machine itself
::1         localhost ip6-localhost
10.0.0.7    Printer printer.example.  # upper case
fe80::1%no-such-interface broken
not-an-address oops
10.0.0.8
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text(HOSTS)
    return path


def forbid(*_: Any, **__: Any) -> Any:
    raise AssertionError("this blocks")


def resolve(host: str, port: int = 80) -> Any:
    return play(SystemNetwork().resolve(host, port))


def test_literals_are_no_names() -> None:
    assert [ipv4("192.0.2.1", 80)] == literal("192.0.2.1", 80)
    assert [ipv6("2001:db8::1", 80)] == literal("2001:db8::1", 80)
    assert [ipv6("2001:db8::1", 80)] == literal("[2001:db8::1]", 80)
    assert [] == literal("example.com", 80)
    assert [] == literal("1.2.3", 80)


def test_the_hosts_file_is_asked_by_any_name_in_it(hosts: Path) -> None:
    assert [ipv4("10.0.0.7", 80)] == in_hosts_file("printer", 80, hosts)
    assert [ipv4("10.0.0.7", 80)] == in_hosts_file("PRINTER.example", 80, hosts)
    assert [ipv4("127.0.0.1", 80)] == in_hosts_file("loghost", 80, hosts)


def test_of_several_addresses_ipv4_comes_first(hosts: Path) -> None:
    assert [ipv4("127.0.0.1", 1), ipv6("::1", 1)] == in_hosts_file("localhost", 1, hosts)


@pytest.mark.parametrize("name", ["unknown", "oops", "#", "the"])
def test_what_is_not_in_the_hosts_file_is_not_found(hosts: Path, name: str) -> None:
    assert [] == in_hosts_file(name, 80, hosts)


def test_localhost_needs_no_hosts_file(tmp_path: Path) -> None:
    assert [ipv4("127.0.0.1", 80)] == in_hosts_file("localhost", 80, tmp_path / "none")
    assert [] == in_hosts_file("other", 80, tmp_path / "none")


@pytest.mark.parametrize("host", ["192.0.2.1", "::1", "localhost", "LOCALHOST."])
def test_literals_and_known_names_do_not_block_and_warn_nobody(
    host: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", forbid)
    assert 80 == resolve(host)[0].port
    assert [] == caplog.records


def test_any_other_name_warns_that_it_blocks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 80)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::7", 80, 0, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
    with caplog.at_level(logging.WARNING, "coop"):
        assert [ipv4("192.0.2.7", 80), ipv6("2001:db8::7", 80)] == resolve("some.example")
    (record,) = caplog.records
    assert "looking up 'some.example' blocks every task" in record.getMessage()


def test_an_executor_looks_names_up_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def look_up(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host != "some.example":
            return known(host, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port))]

    known = socket.getaddrinfo

    class AtOnce:
        """An executor without a thread."""

        asked: ClassVar[list[Any]] = []

        def submit(self, function: Any, /, *args: Any) -> Future[Any]:
            self.asked.append(args)
            future: Future[Any] = Future()
            future.set_result(function(*args))
            return future

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    network = coop.SystemNetwork(AtOnce())
    with caplog.at_level(logging.WARNING, "coop"):
        assert [ipv4("192.0.2.7", 80)] == coop.run(network.resolve("some.example", 80))
    assert [("some.example", 80)] == AtOnce.asked
    assert [] == caplog.records


def test_a_name_that_does_not_resolve_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(coop.ResolveError, match=r"'no.such.name' has no address: check") as caught:
        resolve("no.such.name")
    assert socket.EAI_NONAME == caught.value.errno


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "x..y", "\0", "ex\u00e4mple..com"])
def test_a_name_that_cannot_be_one_is_a_resolve_error(host: str) -> None:
    with pytest.raises(coop.ResolveError, match="has no address"):
        resolve(host)


def test_to_listen_on_an_unknown_name_is_refused_without_a_look_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_module.system, "getaddrinfo", forbid)

    def main() -> Gen[None]:
        coop.listen("elsewhere.example", 0)
        yield

    with pytest.raises(coop.ResolveError, match=r"cannot listen on 'elsewhere.example': give"):
        play(main())


def test_another_network_can_be_handed_in() -> None:
    class Recording(SystemNetwork):
        def __init__(self) -> None:
            self.asked: list[str] = []

        def own_address(self, host: str, port: int) -> Any:
            self.asked.append(host)
            return ipv4("127.0.0.1", port)

    network = Recording()

    def main() -> Gen[None]:
        coop.listen("me", 0).close()
        yield

    coop.run(main(), network=network)
    assert ["me"] == network.asked
