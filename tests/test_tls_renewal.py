"""Renewal: a certificate that changes under a server that goes on serving."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import kit
import pytest
from kit import Gen, play
from test_server import echo

import coop

trustme = pytest.importorskip("trustme")


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


def write(authority: Any, path: Path) -> int:
    """Write a new certificate of localhost, with its key; return its serial number."""
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    shown = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    return int(shown["serialNumber"], 16)


def test_connections_that_begin_later_see_the_new_one(authority: Any, tmp_path: Path) -> None:
    path = tmp_path / "localhost.pem"
    first = write(authority, path)
    context = coop.tls_server_context(path)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def dial(server: coop.Server) -> Gen[tuple[Any, int]]:
        conn: Any = yield from coop.connect(
            server.address, tls=trusting, server_hostname="localhost"
        )
        return conn, int(conn.peer_certificate()["serialNumber"], 16)

    def main() -> Gen[None]:
        servers: list[coop.Server] = []
        task = coop.spawn(
            coop.serve(
                echo, "127.0.0.1", 0, tls=context, heed_signals=False, on_listening=servers.append
            )
        )
        yield from kit.wait_until(lambda: servers)
        old, serial = yield from dial(servers[0])
        assert first == serial
        second = write(authority, path)
        coop.renew_certificate(context, path)
        new, serial = yield from dial(servers[0])
        assert second == serial
        path.write_text("nonsense")
        with pytest.raises(ssl.SSLError, match="cannot use the certificate"):
            coop.renew_certificate(context, path)
        newer, serial = yield from dial(servers[0])
        assert second == serial, "the one in use stays"
        for conn in (old, new, newer):
            yield from conn.sendall(b"ping")
            assert b"ping" == (yield from conn.recv())
            yield from conn.aclose()
        servers[0].stop()
        yield from task.join()

    play(main())


def test_a_key_that_does_not_fit_changes_nothing(authority: Any, tmp_path: Path) -> None:
    one, other = tmp_path / "one.pem", tmp_path / "other.pem"
    write(authority, one)
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(other))
    context = coop.tls_server_context(one)
    with pytest.raises(ssl.SSLError, match=r"cannot use the certificate of .*one.pem"):
        coop.renew_certificate(context, one, other)
    with pytest.raises(FileNotFoundError, match="gone"):
        coop.renew_certificate(context, tmp_path / "gone.pem")
