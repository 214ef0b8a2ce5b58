"""TLS: handshakes and how they fail, ends that are honest, records cut anywhere, real clients."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import re
import ssl
import struct
import subprocess
from contextlib import suppress

import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import World, fill, pair, passes, play, wait_until

import coop
from coop import sim
from coop.address import AF_UNIX
from coop.outcomes import WOULDBLOCK
from coop.sockets import UnixSocket, socket_pair
from coop.tls_context import default_client_context
from coop.tls_socket import PIECE_BYTES, TLS_LIFE, TlsSocket, TlsState

# -- who is who ---------------------------------------------------------------------------------


class Identities:
    """An issuer, files of certificates that it made, and contexts with them."""

    def __init__(self, folder):
        self.folder = folder
        self.issuer = trustme.CA()
        self.ca = folder / "ca.pem"
        self.issuer.cert_pem.write_to_path(str(self.ca))
        self.certfile = self.make("localhost", "127.0.0.1", "server")

    def make(self, *names, issuer=None, file=None):
        path = self.folder / f"{file or names[0]}.pem"
        certificate = (issuer or self.issuer).issue_cert(*names)
        certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def server(self, **options):
        return coop.tls_server_context(self.certfile, **options)

    def client(self, **options):
        return coop.tls_client_context(self.ca, **options)


@pytest.fixture(scope="module")
def who(tmp_path_factory):
    return Identities(tmp_path_factory.mktemp("tls"))


def secure(ours, theirs, who, *, client=None, server=None):
    """Shake hands over two connections with each other; return the client's side first."""
    return (
        yield from coop.gather(
            coop.start_tls(ours, client or who.client(), server_hostname="localhost"),
            coop.start_tls(theirs, server or who.server()),
        )
    )


def secure_pair(who, **contexts):
    return (yield from secure(*pair(), who, **contexts))


def talk(who, ours_says, theirs_says, **contexts):
    """Play both sides of a secure connection; return what each has returned."""

    def main():
        ours, theirs = yield from secure_pair(who, **contexts)
        with ours, theirs:
            return (yield from coop.gather(ours_says(ours), theirs_says(theirs)))

    return play(main())


def receive_all(conn):
    data = bytearray()
    while piece := (yield from conn.recv()):
        data += piece
    return bytes(data)


def echo(conn):
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def say(*words):
    def speak(conn):
        for word in words:
            yield from conn.sendall(word)
        yield from conn.aclose()

    return speak


class Serving:
    """A server in the running scheduler, for the length of a with-block."""

    def __init__(self, handler, context, **options):
        self.server = None
        self.task = coop.spawn(
            coop.serve(handler, "127.0.0.1", 0, tls=context, on_listening=self.note, **options)
        )

    def note(self, server):
        self.server = server

    def ready(self):
        yield from wait_until(lambda: self.server)
        return self.server

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.abort()


# -- contexts -----------------------------------------------------------------------------------


def test_contexts_are_strict_from_the_start(who):
    server, client = who.server(), who.client()
    assert (ssl.TLSVersion.TLSv1_2,) * 2 == (server.minimum_version, client.minimum_version)
    assert (True, ssl.CERT_REQUIRED) == (client.check_hostname, client.verify_mode)
    assert server.options & ssl.OP_NO_RENEGOTIATION
    assert client.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("missing", ["certfile", "keyfile", "client_ca"])
def test_a_missing_file_is_named(who, missing):
    files = {"certfile": who.certfile, missing: who.folder / "nowhere.pem"}
    with pytest.raises(FileNotFoundError) as caught:
        coop.tls_server_context(**files)
    assert str(who.folder / "nowhere.pem") == str(caught.value.filename)


def test_a_missing_issuer_file_is_named(who):
    with pytest.raises(FileNotFoundError) as caught:
        coop.tls_client_context(who.folder / "nowhere.pem")
    assert str(who.folder / "nowhere.pem") == str(caught.value.filename)


def test_a_key_of_another_certificate_is_refused_by_name(who):
    other = who.make("other")
    with pytest.raises(ssl.SSLError) as caught:
        coop.tls_server_context(who.certfile, other)
    assert str(other) in str(caught.value)
    assert "belong together" in str(caught.value)


def test_an_encrypted_key_asks_no_terminal(who, tool):
    locked = who.folder / "locked.pem"
    command = [tool("openssl"), "pkey", "-in", who.certfile, "-aes128", "-passout", "pass:hush"]
    locked.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    with pytest.raises(ssl.SSLError):
        coop.tls_server_context(who.certfile, locked)
    coop.tls_server_context(who.certfile, locked, password="hush")


def test_a_protocol_name_alone_is_no_list_of_them(who):
    with pytest.raises(TypeError):
        who.server(alpn="http/1.1")


def test_a_clients_context_cannot_listen(who):
    def main():
        with pytest.raises(ValueError):
            coop.listen("127.0.0.1", tls=who.client())
        yield

    play(main())


# -- conversations ------------------------------------------------------------------------------


def test_a_served_connection_echoes(who):
    def main():
        serving = Serving(echo, who.server())
        server = yield from serving.ready()
        with serving:
            context = who.client()
            with (yield from coop.connect("localhost", server.port, tls=context)) as conn:
                yield from conn.sendall(b"hello\n")
                answer = yield from conn.readline()
                version = conn.tls_version
                yield from conn.aclose()
        return answer, version, server.unshaken, server.broken

    assert (b"hello\n", "TLSv1.3", 0, 0) == play(main())


def test_an_async_handler_may_be_served(who):
    async def shout(conn):
        await conn.sendall((await conn.readline()).upper())

    def main():
        serving = Serving(shout, who.server())
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port, tls=who.client())) as conn:
            yield from conn.sendall(b"hello\n")
            return (yield from receive_all(conn))

    assert b"HELLO\n" == play(main())


def test_true_trusts_whom_the_system_trusts(who, monkeypatch):
    def ask():
        serving = Serving(say(b"hello"), who.server())
        server = yield from serving.ready()
        with serving, (yield from coop.connect(f"localhost:{server.port}", tls=True)) as conn:
            return (yield from receive_all(conn))

    try:
        default_client_context.cache_clear()
        with pytest.raises(ssl.SSLCertVerificationError):
            play(ask())
        default_client_context.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(who.ca))
        assert b"hello" == play(ask())
    finally:
        default_client_context.cache_clear()


def test_megabytes_go_both_ways_at_once(who):
    size = 3_000_000
    there, back = os.urandom(size), os.urandom(size)

    def converse(data):
        def speak(conn):
            yield from conn.sendall(data)
            conn.shutdown_send()

        def both(conn):
            return (yield from coop.gather(speak(conn), receive_all(conn)))[1]

        return both

    got_back, got_there = talk(who, converse(there), converse(back))
    assert back == got_back
    assert there == got_there


def test_a_file_is_sent(who, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(500_000))

    def send(conn):
        with path.open("rb") as file:
            sent = yield from conn.sendfile(file, 1000, 400_000)
            sent += yield from conn.sendfile(file, 499_000)
            sent += yield from conn.sendfile(file, 600_000)
        conn.shutdown_send()
        return sent

    received, sent = talk(who, receive_all, send)
    content = path.read_bytes()
    assert 401_000 == sent
    assert content[1000:401_000] + content[499_000:] == received


def test_the_reading_verbs_work(who):
    def ask(conn):
        yield from conn.sendall(b"one\ntwo" + bytes(40_000) + b"the end")

    def answer(conn):
        line = yield from conn.readline()
        conn.unread(line)
        assert b"one\n" == (yield from conn.recv_until(b"\n"))
        assert b"two" == (yield from conn.recv_exactly(3))
        zeros = yield from conn.recv_exactly(40_000)
        buffer = bytearray(4)
        assert 4 == (yield from conn.recv_into(buffer))
        rest = yield from conn.recv(2)
        return bytes(zeros), bytes(buffer), rest + (yield from conn.recv())

    assert (bytes(40_000), b"the ", b"end") == talk(who, ask, answer)[1]


def test_many_records_in_one_segment_are_received_as_one(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            for number in range(50):
                yield from ours.sendall(bytes([number]) * 100)
            return (yield from theirs.recv(250)), (yield from theirs.recv())

    several, rest = play(main())
    assert b"".join(bytes([number]) * 100 for number in range(50)) == several + rest
    assert 250 == len(several)


@pytest.mark.parametrize("length", [5, 20])
def test_the_half_of_a_record_behind_whole_ones_is_waited_for(who, length):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            yield from theirs.sendall(b"whole")
            theirs.socket.engine.write(b"halved")
            record = theirs.socket._outgoing.read()
            theirs.socket.raw.send(record[:length])
            assert b"whole" == (yield from ours.recv())
            with coop.move_on_after(1) as scope:
                yield from ours.recv()
            theirs.socket.raw.send(record[length:])
            return scope.caught, (yield from ours.recv())

    assert (True, b"halved") == play(main())


def test_what_came_before_a_forged_record_is_received(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            yield from theirs.sendall(b"one")
            yield from theirs.sendall(b"two")
            theirs.socket.raw.send(b"\x17\x03\x03\x00\x20" + bytes(32))
            received = yield from ours.recv()
            with pytest.raises(coop.TlsError) as caught:
                yield from ours.recv()
            return received, caught.value.reason

    assert (b"onetwo", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC") == play(main())


def test_the_end_behind_whole_records_is_received_after_them(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            yield from theirs.sendall(b"one")
            yield from theirs.sendall(b"two")
            theirs.socket._notify()
            theirs.socket.flush()
            with coop.timeout(1):
                return (yield from ours.recv()), (yield from ours.recv())

    assert (b"onetwo", b"") == play(main())


def test_what_is_left_of_a_record_is_received_without_the_pollers_word(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            yield from ours.sendall(b"abc")
            letters = []
            with coop.timeout(1):
                for _ in range(3):
                    letters += [(yield from theirs.recv(1))]
            return letters

    assert [b"a", b"b", b"c"] == play(main())


def test_what_a_raw_recv_leaves_inside_is_found_by_the_next_one(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            with coop.move_on_after(1):  # so that a recv has parked, and believes it is drained
                yield from theirs.recv()
            yield from ours.sendall(b"a")
            yield from ours.sendall(b"b")
            one = theirs.socket.recv(1)
            with coop.timeout(1):
                return one, (yield from theirs.recv())

    assert (b"a", b"b") == play(main())


def test_an_idle_connection_costs_no_turns(who):
    world = World()

    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            waiting = coop.spawn(theirs.recv())
            yield from passes(5)
            before = len(world.poller.timeouts)
            yield from coop.sleep(10)
            polls = len(world.poller.timeouts) - before
            yield from ours.sendall(b"x")
            yield from waiting.join()
            return polls

    assert world.run(main()) <= 2


# -- handshakes ---------------------------------------------------------------------------------


def test_nothing_goes_before_the_handshake(who):
    def main():
        with coop.listen("127.0.0.1", tls=who.server()) as listener:
            with (yield from coop.connect(listener.address)) as client:
                with (yield from listener.accept()) as conn:
                    yield from client.sendall(b"hello")
                    with pytest.raises(coop.MisuseError):
                        yield from conn.recv()
                    with pytest.raises(coop.MisuseError):
                        yield from conn.sendall(b"hello")
                    yield from conn.aclose()
                return (yield from client.recv())

    assert b"" == play(main())


def test_a_handshake_may_be_asked_for_again(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            yield from ours.handshake()
            yield from ours.sendall(b"x")
            return (yield from theirs.recv())

    assert b"x" == play(main())


def test_a_silent_client_blocks_nobody_and_is_closed_in_time(who):
    def main():
        serving = Serving(echo, who.server(), handshake_timeout=10)
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port)) as silent:
            with (yield from coop.connect("127.0.0.1", server.port, tls=who.client())) as conn:
                yield from conn.sendall(b"x")
                assert b"x" == (yield from conn.recv())
            before = coop.current_scheduler().clock.now()
            assert b"" == (yield from silent.recv())
            return before, coop.current_scheduler().clock.now(), server.unshaken

    before, after, unshaken = play(main())
    assert before < 1
    assert 10 <= after < 11
    assert 1 == unshaken


@pytest.mark.parametrize("count", [1, 5, 50, 200])
def test_a_handshake_that_stalls_in_the_middle_is_closed_in_time(who, count):
    hello = client_hello(who)

    def main():
        handled = []
        serving = Serving(lambda conn: handled.append(conn), who.server(), handshake_timeout=3)
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port)) as client:
            yield from client.sendall(hello[:count])
            yield from client.recv()
            return handled, server.unshaken, coop.current_scheduler().clock.now()

    handled, unshaken, time = play(main())
    assert ([], 1) == (handled, unshaken)
    assert 3 <= time < 4


def client_hello(who):
    ours, theirs = socket_pair()
    with (
        theirs,
        TlsSocket(ours, who.client(), server_side=False, server_hostname="localhost") as client,
    ):
        assert client.shake_hands() is WOULDBLOCK
        return theirs.recv(65536)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"hello\n" * 1000,
        bytes(100),
        b"\x16\x03\x01\x02\x00" + b"\xff" * 600,
        b"\x17\x03\x03\x00\x05hello",
        b"\x80" * 20,
    ],
)
@pytest.mark.parametrize("ends", [False, True])
def test_plaintext_is_never_handled_and_never_answered_in_plaintext(who, nonsense, ends, caplog):
    handled = []

    def handler(conn):
        handled.append(conn)
        yield from conn.sendall(b"in the clear")

    def main():
        serving = Serving(handler, who.server())
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port)) as client:
            yield from client.sendall(nonsense)
            if ends:  # CVE-2023-40217: what came before the handshake, and the end behind it
                client.shutdown_send()
            try:
                answer = yield from receive_all(client)
            except ConnectionResetError:
                answer = b""
            yield from wait_until(lambda: not server.active)
            return answer, server.unshaken, server.failed

    with caplog.at_level(logging.INFO):
        answer, unshaken, failed = play(main())
    assert ([], 1, 0) == (handled, unshaken, failed)
    assert answer == b"" or (21, 3) == struct.unpack_from("BB", answer)  # an alert of TLS
    assert [] == caplog.records


def test_why_a_handshake_failed_is_told_to_a_peer_that_has_said_much(who):
    def main():
        serving = Serving(echo, who.server())
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port)) as client:
            nonsense = b"\x16\x03\x01\x02\x00" + b"\xff" * 300_000
            yield from client.sendall(nonsense)
            client.shutdown_send()
            return (yield from receive_all(client))

    assert (21, 3) == struct.unpack_from("BB", play(main()))  # an alert


def test_a_failed_handshake_is_explained(who):
    def main():
        ours, theirs = pair()
        with ours, theirs:
            yield from theirs.sendall(b"220 smtp.example.org ESMTP\r\n")
            with pytest.raises(coop.TlsError) as caught:
                yield from coop.start_tls(ours, who.client(), server_hostname="localhost")
            assert ours.is_closed
            return caught.value

    error = play(main())
    assert "WRONG_VERSION_NUMBER" == error.reason
    assert "right port" in str(error)
    assert errno.ECONNABORTED == error.errno
    assert isinstance(error, ssl.SSLError)
    assert isinstance(error, ConnectionError)


def test_an_end_in_the_handshake_is_a_truncation(who):
    def main():
        ours, theirs = pair()
        theirs.shutdown_send()
        with ours, theirs, pytest.raises(coop.TruncatedError):
            yield from coop.start_tls(ours, who.client(), server_hostname="localhost")

    play(main())


def test_the_wrong_name_is_refused_and_the_server_told(who):
    def main():
        serving = Serving(echo, who.server())
        server = yield from serving.ready()
        with serving:
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                yield from coop.connect(
                    "127.0.0.1", server.port, tls=who.client(), server_hostname="elsewhere"
                )
            assert "server_hostname=" in caught.value.__notes__[0]
            yield from wait_until(lambda: not server.active)
            return server.unshaken, server.failed

    assert (1, 0) == play(main())


def test_an_unknown_issuer_is_refused(who):
    stranger = who.make("localhost", issuer=trustme.CA(), file="stranger")

    def main():
        serving = Serving(echo, coop.tls_server_context(stranger))
        server = yield from serving.ready()
        with serving, pytest.raises(ssl.SSLCertVerificationError) as caught:
            yield from coop.connect("localhost", server.port, tls=who.client())
        assert "coop.tls_client_context('issuer.pem')" in caught.value.__notes__[0]

    play(main())


def test_a_server_without_a_certificate_fails_every_handshake_alone(who):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def main():
        serving = Serving(echo, context)
        server = yield from serving.ready()
        with serving:
            for _ in range(2):
                with pytest.raises(coop.TlsError):
                    yield from coop.connect("127.0.0.1", server.port, tls=who.client())
            return server.unshaken

    assert 2 == play(main())


def test_the_client_sees_the_timeout_of_its_own_handshake(who):
    def main():
        with coop.listen("127.0.0.1") as listener:
            with pytest.raises(TimeoutError):
                yield from coop.connect(listener.address, tls=who.client())
            with pytest.raises(TimeoutError):
                yield from coop.connect(listener.address, tls=who.client(), timeout=3)
            return coop.current_scheduler().clock.now()

    assert 13 <= play(main()) < 14


def test_a_stop_waits_for_the_silent_as_for_any_newcomer(who):
    def main():
        serving = Serving(echo, who.server())
        server = yield from serving.ready()
        with (yield from coop.connect("127.0.0.1", server.port)):
            yield from wait_until(lambda: server.active)
            server.stop()
            yield from serving.task.join()
            return coop.current_scheduler().clock.now(), server.unshaken

    assert (0.5, 0) == play(main())


def test_a_stop_lets_a_handshake_finish_that_has_begun(who):
    def main():
        serving = Serving(say(b"bye"), who.server())
        server = yield from serving.ready()
        with (yield from coop.connect("127.0.0.1", server.port)) as raw:
            hello = coop.spawn(coop.start_tls(raw, who.client(), server_hostname="localhost"))
            yield from wait_until(lambda: server.active)
            yield from passes(2)
            server.stop()
            with (yield from hello.join()) as conn:
                answer = yield from receive_all(conn)
                yield from conn.aclose()
            yield from serving.task.join()
            return answer

    assert b"bye" == play(main())


# -- names, protocols, certificates -------------------------------------------------------------


def names(conn):
    return sorted(value for _, value in conn.peer_certificate()["subjectAltName"])


def test_the_name_asked_for_chooses_the_certificate(who):
    other = coop.tls_server_context(who.make("other.example"))
    context = who.server()
    asked = []

    def choose(engine, name, _):
        asked.append(name)
        if name == "other.example":
            engine.context = other

    context.sni_callback = choose

    def main():
        serving = Serving(echo, context)
        server = yield from serving.ready()
        found = []
        with serving:
            for name in ("localhost", "other.example"):
                with (
                    yield from coop.connect(
                        "127.0.0.1", server.port, tls=who.client(), server_hostname=name
                    )
                ) as conn:
                    found.append(names(conn))
        return found

    assert [["127.0.0.1", "localhost", "server"], ["other.example"]] == play(main())
    assert ["localhost", "other.example"] == asked


def test_a_name_that_is_not_served_is_refused(who):
    context = who.server()
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def main():
        serving = Serving(echo, context)
        server = yield from serving.ready()
        with serving, pytest.raises(coop.TlsError) as caught:
            yield from coop.connect("127.0.0.1", server.port, tls=who.client())
        return caught.value.reason

    assert "UNRECOGNIZED_NAME" in play(main())


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        (["h2", "http/1.1"], ["http/1.1"], "http/1.1"),
        (["http/1.1"], ["h2", "http/1.1"], "http/1.1"),
        ([], ["http/1.1"], None),
        (["spdy/3"], ["http/1.1"], None),
    ],
)
def test_both_sides_know_the_protocol_agreed_on(who, ours, theirs, agreed):
    def protocol(conn):
        yield
        return conn.alpn_protocol

    contexts = {"client": who.client(alpn=ours), "server": who.server(alpn=theirs)}
    assert [agreed, agreed] == list(talk(who, protocol, protocol, **contexts))


def test_a_client_shows_its_certificate(who):
    client = who.client(certfile=who.make("ann@example.org", file="ann"))
    server = who.server(client_ca=who.ca)

    def shown(conn):
        yield from conn.sendall(b"x")
        yield from conn.recv()
        return names(conn)

    seen = talk(who, shown, shown, client=client, server=server)
    assert [["127.0.0.1", "localhost", "server"], ["ann@example.org"]] == list(seen)


def test_a_client_without_a_certificate_is_not_handled(who):
    handled = []

    def main():
        serving = Serving(lambda conn: handled.append(conn), who.server(client_ca=who.ca))
        server = yield from serving.ready()
        with serving:
            with (yield from coop.connect("127.0.0.1", server.port, tls=who.client())) as conn:
                # With TLS 1.3 our side is done before the server has looked at what we showed.
                with pytest.raises(coop.TlsError) as caught:
                    yield from conn.recv()
            return server.unshaken, caught.value.reason

    assert (1, "TLSV13_ALERT_CERTIFICATE_REQUIRED") == play(main())
    assert [] == handled


def test_a_certificate_unasked_for_is_none(who):
    def shown(conn):
        yield
        return conn.peer_certificate()

    assert talk(who, shown, shown)[1] is None


def test_a_renewed_certificate_goes_to_new_connections_and_disturbs_no_old_one(who):
    context = who.server()
    renewed = who.make("localhost", "127.0.0.1", file="renewed")

    def main():
        serving = Serving(echo, context)
        server = yield from serving.ready()
        with serving:
            address, client = ("127.0.0.1", server.port), who.client()
            with (yield from coop.connect(*address, tls=client)) as old:
                before = old.socket.engine.getpeercert(binary_form=True)
                context.load_cert_chain(renewed)
                with (yield from coop.connect(*address, tls=client)) as new:
                    after = new.socket.engine.getpeercert(binary_form=True)
                yield from old.sendall(b"still here")
                return before != after, (yield from old.recv())

    assert (True, b"still here") == play(main())


# -- ends ---------------------------------------------------------------------------------------


def test_the_end_is_the_end_however_often_it_is_asked_for(who):
    def hear(conn):
        ends = [(yield from conn.recv())]
        ends.append((yield from conn.recv()))
        conn.shutdown_send()
        ends.append((yield from conn.recv()))
        ends.append((yield from conn.recv_into(bytearray(9))))
        return ends

    def end(conn):
        conn.shutdown_send()
        yield from passes(20)

    assert [b"", b"", b"", 0] == talk(who, hear, end)[0]


def test_close_notify_alone_is_the_end(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            with coop.move_on_after(1):
                yield from ours.recv()
            theirs.socket._notify()
            theirs.socket.flush()
            with coop.timeout(1):
                return (yield from ours.recv()), (yield from ours.recv())

    assert (b"", b"") == play(main())


def test_behind_close_notify_the_socket_below_ends_too(who):
    client, server = shaken_sockets(who)
    with client, server:
        client.shutdown_send()
        assert b"" == server.recv(1)
        assert b"" == server.raw.recv(1)


def test_an_end_without_close_notify_is_an_error(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            yield from theirs.sendall(b"some")
            theirs.socket.raw.shutdown_send()
            assert b"some" == (yield from ours.recv())
            for _ in range(2):
                with pytest.raises(coop.TruncatedError):
                    yield from ours.recv()
            yield from ours.sendall(b"you have cut me off")  # the other direction is whole
            return (yield from theirs.recv())

    assert b"you have cut me off" == play(main())


def test_a_record_cut_short_is_a_truncation(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            send_half_a_record(theirs.socket)
            theirs.close()
            with pytest.raises(coop.TruncatedError):
                yield from ours.recv()

    play(main())


def send_half_a_record(socket):
    socket.engine.write(b"x" * 1000)
    record = socket._outgoing.read()
    assert 500 == socket.raw.send(record[:500])


def test_an_end_without_close_notify_can_be_accepted(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            ours.suppress_ragged_eofs = True
            yield from theirs.sendall(b"some")
            theirs.close()
            return (yield from receive_all(ours)), ours.suppress_ragged_eofs

    assert (b"some", True) == play(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_has_ended_still_receives(who, version):
    context = who.server()
    context.maximum_version = version

    def ask(conn):
        yield from conn.sendall(b"a question")
        conn.shutdown_send()
        return (yield from receive_all(conn))

    def answer(conn):
        question = yield from receive_all(conn)
        yield from conn.sendall(question * 10_000)
        yield from conn.aclose()

    assert b"a question" * 10_000 == talk(who, ask, answer, server=context)[0]


@pytest.mark.parametrize("read_before", [0, 1, 20_000])
def test_ending_loses_nothing_that_has_come_already(who, read_before):
    data = os.urandom(100_000)

    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            sending = coop.spawn(theirs.sendall(data))
            yield from passes(3)
            received = yield from ours.recv_into(buffer := bytearray(max(read_before, 1)))
            ours.shutdown_send()
            ours.shutdown_send()
            yield from ours.recv_into(more := bytearray(10))
            # All that can come has; the verbs that follow must not wait for the poller.
            rest = bytearray()
            while received + 10 + len(rest) < len(data):
                rest += yield from ours.recv()
            yield from sending.join()
            assert b"" == (yield from theirs.recv())
            return bytes(buffer[:received]) + more + rest

    assert data == play(main())


def test_nothing_is_sent_after_the_end(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            ours.shutdown_send()
            for _ in range(2):
                with pytest.raises(BrokenPipeError):
                    yield from ours.sendall(b"one more thing")

    play(main())


def test_a_closed_connection_refuses_what_it_had_decrypted(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            yield from theirs.sendall(b"abc")
            assert b"a" == (yield from ours.recv(1))
            ours.close()
            with pytest.raises(coop.ClosedError):
                yield from ours.recv()
            with pytest.raises(coop.ClosedError):
                yield from ours.sendall(b"x")
            with pytest.raises(coop.ClosedError):
                ours.socket.shutdown_send()
            with pytest.raises(coop.ClosedError):
                yield from ours.handshake()

    play(main())


def test_closing_wakes_who_waits(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with theirs:
            waiting = coop.spawn(expect_closed(ours))
            yield from passes(3)
            ours.close()
            return (yield from waiting.join())

    assert play(main())


def expect_closed(conn):
    with pytest.raises(coop.ClosedError):
        yield from conn.recv()
    return True


def test_close_says_nothing_since_it_may_cut_something_off(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        ours.close()
        with theirs, pytest.raises(ConnectionError):  # cut off, or reset
            yield from theirs.recv()

    play(main())


def test_a_handler_that_fails_leaves_no_honest_end(who, caplog):
    def fail(conn):
        yield from conn.sendall(b"half of the")
        raise ZeroDivisionError

    def main():
        serving = Serving(fail, who.server())
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port, tls=who.client())) as conn:
            assert b"half of the" == (yield from conn.recv())
            with pytest.raises(coop.TruncatedError):
                yield from conn.recv()

    play(main())


def test_aclose_delivers_all_and_an_honest_end(who):
    data = os.urandom(1_000_000)

    def main():
        serving = Serving(say(data), who.server())
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port, tls=who.client())) as conn:
            yield from conn.sendall(b"unread" * 1000)
            received = yield from receive_all(conn)
            yield from conn.aclose()
            return received

    assert data == play(main())


def test_aclose_is_bounded_when_the_peer_takes_nothing(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            fill(ours)
            yield from ours.aclose(timeout=2)
            return coop.current_scheduler().clock.now(), ours.is_closed

    assert (2.0, True) == play(main())


def test_aclose_beside_a_sender_closes_and_the_sender_learns_of_it(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            sending = coop.spawn(expect_oserror(ours.sendall(bytes(10_000_000))))
            yield from passes(3)
            yield from ours.aclose(timeout=2)
            return (yield from sending.join())

    assert play(main())


def expect_oserror(operation):
    with pytest.raises(OSError):
        yield from operation
    return True


def test_the_raw_close_down_says_an_honest_end(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with theirs:
            ours.detach().close_down()
            return (yield from theirs.recv())

    assert b"" == play(main())


# -- what breaks --------------------------------------------------------------------------------


def test_a_forged_record_breaks_the_connection_for_good(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            theirs.socket.raw.send(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises(coop.TlsError) as caught:
                yield from ours.recv()
            assert ours.socket.state is TlsState.BROKEN
            with pytest.raises(coop.TlsError) as theirs_caught:
                yield from theirs.recv()
            with pytest.raises(coop.TlsError):
                yield from ours.recv()
            with pytest.raises(coop.TlsError):
                yield from ours.sendall(b"x")
            ours.unread(b"whatever")
            yield from ours.aclose()
            yield from ours.aclose()
            return caught.value.reason, theirs_caught.value.reason

    ours, theirs = play(main())
    assert "DECRYPTION_FAILED_OR_BAD_RECORD_MAC" == ours
    assert "BAD_RECORD_MAC" in theirs  # the alert


def test_a_broken_connection_is_counted_and_not_logged_as_an_error(who, caplog):
    def main():
        serving = Serving(echo, who.server())
        server = yield from serving.ready()
        with serving, (yield from coop.connect("127.0.0.1", server.port, tls=who.client())) as conn:
            conn.socket.raw.send(b"rubbish" * 100)
            yield from wait_until(lambda: server.broken)
            return server.broken, server.failed

    with caplog.at_level(logging.INFO):
        assert (1, 0) == play(main())
    assert [] == caplog.records


EVENTS = {event for row in TLS_LIFE.values() for event in row}


@pytest.mark.parametrize("state", TLS_LIFE)
@pytest.mark.parametrize("event", sorted(EVENTS))
def test_the_life_of_a_tls_socket(who, state, event):
    client, server = shaken_sockets(who) if state is not TlsState.HANDSHAKE else fresh_sockets(who)
    with client, server:
        if state is TlsState.BROKEN:
            do_fail(client, server)
        elif state is TlsState.CLOSED:
            client.close()
        assert state is client.state
        LIVING[event](client, server)
        assert client.state is TLS_LIFE[state].get(event, state)


def fresh_sockets(who):
    ours, theirs = socket_pair()
    client = TlsSocket(ours, who.client(), server_side=False, server_hostname="localhost")
    return client, TlsSocket(theirs, who.server(), server_side=True)


def shaken_sockets(who):
    client, server = fresh_sockets(who)
    do_agree(client, server)
    return client, server


def do_agree(client, server):
    try:
        for _ in range(10):
            client.shake_hands()
            server.shake_hands()
    except (coop.ClosedError, coop.TlsError):
        assert client.state in (TlsState.BROKEN, TlsState.CLOSED)


def do_fail(client, server):
    with suppress(OSError):  # it may be closed already
        server.raw.send(b"rubbish" * 100)
    with pytest.raises((coop.TlsError, coop.ClosedError)):
        client.shake_hands() if client.state is TlsState.HANDSHAKE else client.recv(100)


LIVING = {"agree": do_agree, "fail": do_fail, "close": lambda client, _: client.close()}


# -- cuts of every kind -------------------------------------------------------------------------


class Dribbling(UnixSocket):
    """A socket that takes and gives few bytes at a time, and now and then none."""

    __slots__ = ("sizes",)

    def next_size(self):
        self.sizes.append(self.sizes.pop(0))
        return self.sizes[-1]

    def recv(self, max_bytes):
        size = self.next_size()
        return super().recv(min(size, max_bytes)) if size else WOULDBLOCK

    def send(self, data):
        size = self.next_size()
        return super().send(data[:size]) if size else WOULDBLOCK


def dribbling_pair(sizes):
    for socket in socket_pair():
        dribbling = Dribbling(socket.detach())
        dribbling.sizes = list(sizes)
        yield coop.Connection(dribbling)


def converse_dribbling(who, sizes, *, size=70_000):
    """Send data through an echo; each side shakes hands for itself, since buffers are small."""
    data = os.urandom(size)

    def answer(conn):
        with (yield from coop.start_tls(conn, who.server())) as secured:
            yield from echo(secured)
            yield from secured.aclose()

    def ask(conn):
        context = who.client()
        with (yield from coop.start_tls(conn, context, server_hostname="localhost")) as secured:
            sending = coop.spawn(send_and_end(secured))
            received = yield from receive_all(secured)
            yield from sending.join()
            return received

    def send_and_end(conn):
        yield from conn.sendall(data)
        conn.shutdown_send()

    def main():
        ours, theirs = dribbling_pair(sizes)
        with ours, theirs:
            return (yield from coop.gather(ask(ours), answer(theirs)))[0]

    return data == play(main())


def test_records_may_come_and_go_byte_by_byte(who):
    assert converse_dribbling(who, [1], size=3000)


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=8).filter(any))
@example([0, 8])  # the end of what is sent finds no room
@settings(max_examples=40)
def test_records_may_be_cut_anywhere(who, sizes):
    assert converse_dribbling(who, sizes)


def test_a_handshake_is_not_done_before_the_peer_has_all_of_it(who):
    ours, theirs = socket_pair()
    ours = Dribbling(ours.detach())
    ours.sizes = [65536]
    context = who.client()
    server = TlsSocket(theirs, who.server(), server_side=True)
    with (
        server,
        TlsSocket(ours, context, server_side=False, server_hostname="localhost") as client,
    ):
        assert client.shake_hands() is WOULDBLOCK
        assert server.shake_hands() is WOULDBLOCK
        ours.sizes = [65536, 0]  # it receives all, and can send nothing
        assert client.shake_hands() is False
        assert client.has_unsent
        ours.sizes = [65536]
        assert client.flush() is True
        assert client.shake_hands() is True
        assert server.shake_hands() is True


# -- one at a time, and cancelled ---------------------------------------------------------------


def test_a_second_one_in_the_same_direction_gets_busy(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            tasks = [coop.spawn(ours.recv()), coop.spawn(ours.sendall(bytes(10_000_000)))]
            yield from passes(3)
            for operation in (ours.recv(), ours.sendall(b"x"), coop.start_tls(ours, True)):
                with pytest.raises(coop.BusyError):
                    yield from operation
            for task in tasks:
                task.cancel()

    play(main())


def test_a_cancelled_handshake_can_go_on(who):
    def main():
        with coop.listen("127.0.0.1", tls=who.server()) as listener:
            with (yield from coop.connect(listener.address)) as raw:
                with (yield from listener.accept()) as conn:
                    with coop.move_on_after(5) as scope:
                        yield from conn.handshake(timeout=None)
                    assert scope.caught
                    client, _ = yield from coop.gather(
                        coop.start_tls(raw, who.client(), server_hostname="localhost"),
                        conn.handshake(),
                    )
                    with client:
                        yield from conn.sendall(b"here we are")
                        return (yield from client.recv())

    assert b"here we are" == play(main())


def test_a_cancelled_connect_leaves_nothing_open(who):
    def main():
        with coop.listen("127.0.0.1") as listener:
            with coop.move_on_after(5) as scope:
                yield from coop.connect(listener.address, tls=who.client())
            return scope.caught

    assert play(main())


def test_a_cancelled_recv_has_taken_nothing(who):
    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            send_half = theirs.socket
            send_half.engine.write(b"x" * 1000)
            record = send_half._outgoing.read()
            send_half.raw.send(record[:500])
            with coop.move_on_after(1) as scope:
                yield from ours.recv()
            send_half.raw.send(record[500:])
            return scope.caught, (yield from ours.recv())

    assert (True, b"x" * 1000) == play(main())


def test_after_a_cancelled_sendall_the_stream_is_cut_but_not_confused(who):
    piece = os.urandom(50_000)

    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            whole = fill_with(ours.socket, piece)
            with coop.move_on_after(1) as scope:
                yield from ours.sendall(piece)
            assert scope.caught
            receiving = coop.spawn(receive_all(theirs))
            yield from ours.sendall(b"and so on")
            yield from ours.aclose()
            return whole, (yield from receiving.join())

    whole, received = play(main())
    assert piece * (whole // len(piece) + 1) + b"and so on" == received


def test_a_raw_send_that_would_block_is_finished_by_sendall(who):
    """As the server of HTTP does it: try at once, and only then wait."""
    data = bytes(50_000)

    def main():
        ours, theirs = yield from secure_pair(who)
        with ours, theirs:
            total = fill_with(ours.socket, data)
            assert ours.socket.send(data) is WOULDBLOCK
            receiving = coop.spawn(receive_all(theirs))
            yield from ours.sendall(memoryview(data))
            ours.shutdown_send()
            return total + len(data) == len((yield from receiving.join()))

    assert play(main())


def fill_with(socket, data):
    """Send until nothing goes; return how much is in the stream, but for the unfinished last."""
    total = 0
    while sent := socket.send(data):
        total += sent
    return total


def test_a_piece_of_a_file_that_changes_while_it_is_sent_is_sent_once(who, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 50_000)
    client, server = shaken_sockets(who)
    with client, server, path.open("rb") as file:
        offset = 0
        while client.sendfile(file, 0, 50_000) is not WOULDBLOCK:
            offset += 50_000
        path.write_bytes(b"b" * 50_000)
        received = drain(server)
        assert 50_000 == client.sendfile(file, 0, 50_000)
        assert client.sendfile(file, 50_000, 1) == 0
        received += drain(server)
    assert offset + 50_000 == len(received)


def drain(socket):
    data = bytearray()
    while piece := socket.recv(65536):
        data += piece
    return bytes(data)


def test_a_piece_is_bounded(who):
    client, server = shaken_sockets(who)
    with client, server:
        assert PIECE_BYTES == client.send(bytes(10 * PIECE_BYTES))
        assert 0 == client.send(b"")
        assert 2 == client.send_parts([b"a", b"b"])


# -- beginning later ----------------------------------------------------------------------------


def test_a_conversation_goes_secure_in_the_middle(who):
    def client(conn):
        with conn:
            yield from conn.sendall(b"STARTTLS\n")
            assert b"go ahead\n" == (yield from conn.readline())
            with (
                yield from coop.start_tls(conn, who.client(), server_hostname="localhost")
            ) as secured:
                assert conn.is_closed
                yield from secured.sendall(b"now it is secret\n")
                return (yield from secured.readline())

    def server(conn):
        with conn:
            assert b"STARTTLS\n" == (yield from conn.readline())
            yield from conn.sendall(b"go ahead\n")
            with (yield from coop.start_tls(conn, who.server())) as secured:
                yield from secured.sendall((yield from secured.readline()).upper())

    def main():
        ours, theirs = pair()
        return (yield from coop.gather(client(ours), server(theirs)))

    assert b"NOW IT IS SECRET\n" == play(main())[0]


def test_plaintext_behind_starttls_is_refused(who):
    """CVE-2011-0411: or commands put there by an attacker would count as the client's."""

    def main():
        ours, theirs = pair()
        with ours, theirs:
            yield from ours.sendall(b"STARTTLS\nDELETE *\n")
            yield from theirs.readline()
            with pytest.raises(coop.TlsError):
                yield from coop.start_tls(theirs, who.server())
            return theirs.is_closed, (yield from theirs.readline())

    assert (False, b"DELETE *\n") == play(main())


@pytest.mark.parametrize("wrong", [None, False, "context"])
def test_what_is_no_context_is_refused(who, wrong):
    def main():
        ours, theirs = pair()
        with ours, theirs, pytest.raises(coop.MisuseError):
            yield from coop.start_tls(ours, wrong)

    play(main())


def test_a_client_that_knows_no_name_is_refused_before_anything_is_sent(who):
    def main():
        ours, theirs = pair()
        with ours, theirs:
            with pytest.raises(ValueError):
                yield from coop.start_tls(ours, who.client())
            assert theirs.socket.recv(1) is WOULDBLOCK

    play(main())


def test_tls_runs_inside_tls(who):
    data = os.urandom(200_000)

    def main():
        outer, there = yield from secure_pair(who)
        inner, there = yield from secure(outer, there, who)
        with inner, there:
            echoing = coop.spawn(echo(there))
            sending = coop.spawn(inner.sendall(data))
            received = yield from inner.recv_exactly(len(data))
            yield from sending.join()
            yield from inner.aclose()
            yield from echoing.join()
            return received

    assert data == play(main())


def test_the_end_of_the_outer_tls_is_known_to_the_inner_one(who):
    def main():
        outer, there = yield from secure_pair(who)
        inner, there = yield from secure(outer, there, who)
        with inner, there:
            yield from there.sendall(b"x")
            there.socket.raw._notify()
            there.socket.raw.flush()
            assert b"x" == (yield from inner.recv())
            with coop.timeout(1), pytest.raises(coop.TruncatedError):
                yield from inner.recv()

    play(main())


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("example.org", 443, "example.org"),
        ("example.org.:443", None, "example.org"),
        ("[::1]:443", None, "::1"),
        ("fe80::1%eth0", 443, "fe80::1"),
        (coop.parse_address("10.0.0.1:443"), None, "10.0.0.1"),
    ],
)
def test_the_name_to_prove_is_that_which_was_dialled(host, port, name):
    from coop.dial import _name_of

    assert name == _name_of(host, port)


@pytest.mark.skipif(AF_UNIX is None, reason="no unix sockets here")
def test_a_unix_socket_has_no_name_to_prove():
    from coop.dial import _name_of

    assert _name_of("unix:/tmp/x", None) is None
    assert _name_of(coop.parse_address("unix:/tmp/x"), None) is None


# -- other people's programs -----------------------------------------------------------------------


class Program:
    """A program of the system that talks with the running scheduler."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = b""

    def say(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hear(self, pattern):
        """Wait until it has said something that matches; return the match."""
        while not (match := re.search(pattern, self.output)):
            data = yield from self._read()
            assert data, self.output
        return match

    def end(self):
        """Wait for its end; return its exit code and what it said."""
        while (yield from self._read()):
            pass
        return self.process.wait(), self.output

    def _read(self):
        pipe = self.process.stdout.fileno()
        yield from coop.wait_readable(pipe)
        data = os.read(pipe, 65536)
        self.output += data
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        with suppress(BrokenPipeError):
            self.process.communicate()


def ask_with_curl(tool, who, *options, path="/", scheme="https", server=None, trust=True):
    """Fetch from a server of HTTP over TLS; return the exit code, what was said, the server."""
    pytest.importorskip("httptools")
    http = importlib.import_module("coop.http")

    def app(request):
        if request.path == "/big":
            return http.Response(b"0123456789" * 500_000)
        return http.Response(f"{request.method} {request.path} {len(request.headers)}\n")

    def main():
        found = []
        context = server or who.server(alpn=["http/1.1"])
        serving = coop.spawn(
            http.serve(app, "127.0.0.1", 0, tls=context, on_listening=found.append)
        )
        yield
        trusted = ["--cacert", who.ca] if trust else []
        url = f"{scheme}://localhost:{found[0].port}{path}"
        with Program(tool("curl"), "-sS", "-m", "20", *trusted, *options, url) as curl:
            code, output = yield from curl.end()
        found[0].abort()
        yield from serving.join()
        return code, output, found[0]

    return coop.run(main())


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_is_answered(tool, who, version):
    code, output, _ = ask_with_curl(tool, who, "-v", "--tls-max", version)
    assert 0 == code, output
    assert b"\nGET / " in output
    assert b"TLSv" + version.encode() in output
    assert re.search(rb"ALPN.*http/1.1", output)


def test_curl_gets_megabytes(tool, who):
    code, output, _ = ask_with_curl(tool, who, path="/big")
    assert (0, b"0123456789" * 500_000) == (code, output)


def test_curl_shows_its_certificate(tool, who):
    server = who.server(client_ca=who.ca)
    ann = who.make("ann@example.org", file="curl")
    code, output, _ = ask_with_curl(tool, who, "--cert", ann, server=server)
    assert 0 == code, output
    code, output, counts = ask_with_curl(tool, who, server=server)
    assert (56, 1) == (code, counts.unshaken), output


def test_curl_that_does_not_trust_us_is_not_handled(tool, who):
    code, _, server = ask_with_curl(tool, who, trust=False)
    assert (60, 1, 0) == (code, server.unshaken, server.failed)


def test_curl_without_tls_gets_no_answer(tool, who):
    code, output, server = ask_with_curl(tool, who, scheme="http")
    assert code in (1, 52, 56)
    assert b"GET" not in output
    assert (1, 0) == (server.unshaken, server.failed)


def with_s_client(tool, who, converse, *options, handler=echo):
    def main():
        serving = Serving(handler, who.server())
        server = yield from serving.ready()
        options_ = ("-connect", f"127.0.0.1:{server.port}", "-CAfile", who.ca, *options)
        with serving, Program(tool("openssl"), "s_client", *options_) as client:
            return (yield from converse(client))

    return coop.run(main())


def test_s_client_verifies_us_and_is_echoed(tool, who):
    def converse(client):
        client.say(b"hello\n")
        yield from client.hear(b"hello\n")
        client.say(b"Q\n")
        return (yield from client.end())

    code, output = with_s_client(tool, who, converse, "-verify_return_error")
    assert 0 == code, output
    assert b"Verify return code: 0 (ok)" in output


def test_keys_may_be_updated_in_the_middle(tool, who):
    def converse(client):
        client.say(b"one\n")
        yield from client.hear(b"\none\n")
        for word in (b"two", b"three"):
            client.say(b"K\n")  # update both sides' keys, RFC 8446 §4.6.3
            yield from client.hear(b"KEYUPDATE")
            client.output = b""
            client.say(word + b"\n")
            yield from client.hear(word + b"\n")
        return True

    assert with_s_client(tool, who, converse)


def test_a_client_may_not_negotiate_anew(tool, who):
    def converse(client):
        client.say(b"one\n")
        yield from client.hear(b"\none\n")
        client.say(b"R\n")
        return (yield from client.end())

    _, output = with_s_client(tool, who, converse, "-tls1_2")
    assert b"no renegotiation" in output


def test_s_server_answers_us(tool, who):
    def main():
        command = ("s_server", "-accept", "0", "-cert", who.certfile, "-rev", "-naccept", "1")
        with Program(tool("openssl"), *command) as server:
            port = int((yield from server.hear(rb"ACCEPT .*:(\d+)\n"))[1])
            with (yield from coop.connect("localhost", port, tls=who.client())) as conn:
                yield from conn.sendall(b"hello\n")
                answer = yield from conn.readline()
                conn.shutdown_send()
                return answer, (yield from conn.recv())

    assert (b"olleh\n", b"") == coop.run(main())


# -- in the simulator -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_network_does_what_arrives_is_what_was_sent(who, seed):
    context, trust = who.server(), who.client()
    lines = [b"line %d\n" % number * 500 for number in range(5)]

    def server():
        yield from coop.serve(echo, port=443, tls=context)

    def main(sim):
        sim.host("server", server)
        done = 0
        while done < len(lines):
            try:
                with coop.timeout(30):
                    dialled = coop.connect("server", 443, tls=trust, server_hostname="server")
                    with (yield from dialled) as conn:
                        yield from conn.sendall(lines[done])
                        assert lines[done] == (yield from conn.recv_exactly(len(lines[done])))
                        done += 1
                        yield from conn.aclose()
            except OSError:
                yield from coop.sleep(0.5)
        return done

    assert len(lines) == sim.run(main, seed)


def test_a_silent_client_is_closed_in_time_in_the_simulator_too(who):
    context = who.server()

    def server():
        yield from coop.serve(echo, port=443, tls=context, handshake_timeout=7)

    def main(sim):
        sim.host("server", server)
        with (yield from coop.connect("server", 443)) as conn:
            before = sim.now
            assert b"" == (yield from conn.recv())
            return sim.now - before

    assert 7 <= sim.run(main) < 8
