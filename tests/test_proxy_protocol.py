"""The PROXY protocol: what its headers say, byte by byte or whole, and what is none."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import kit
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kit import Gen

import coop
from coop.address import ipv4, ipv6, unix
from coop.outcomes import MisuseError
from coop.proxy_protocol import (
    MAX_V1_BYTES,
    MAX_V2_BYTES,
    SIGNATURE,
    ProxyHeader,
    ProxyHeaderParser,
    ProxyProtocolError,
    build_proxy_header,
    crc32c,
)
from coop.sim import Simulation
from coop.sim.explore import check

CLIENT, SERVER = ipv4("192.0.2.7", 40000), ipv4("198.51.100.1", 443)


def parse(data: bytes, cut: int | None = None) -> tuple[ProxyHeader | None, int]:
    """Feed as much as the parser wants, at most ``cut`` at once; return how far it went."""
    parser, place = ProxyHeaderParser(), 0
    while parser.wanted and place < len(data):
        piece = data[place : place + min(parser.wanted, cut or parser.wanted)]
        header = parser.feed(piece)
        place += len(piece)
        if header is not None:
            assert 0 == parser.wanted
            return header, place
    return None, place


def read(data: bytes) -> ProxyHeader | None:
    header, place = parse(data + b"GET / HTTP/1.1\r\n")
    assert header is None or len(data) == place, "not a byte more"
    return header


ports = st.integers(0, 65535)
fours = st.builds(ipv4, st.ip_addresses(v=4).map(str), ports)
sixes = st.builds(ipv6, st.ip_addresses(v=6).map(str), ports)
paths = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90)
unixes = paths.filter(lambda path: path != "@").map(unix)  # which names nothing
tlvs = st.lists(st.tuples(st.integers(4, 255), st.binary(max_size=300)), max_size=4).map(tuple)
pairs = st.one_of(st.tuples(fours, fours), st.tuples(sixes, sixes), st.tuples(unixes, unixes))


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    source, destination = draw(pairs)
    if draw(st.booleans()) and source.path is None:
        return build_proxy_header(ProxyHeader(source, destination), version=1)
    header = ProxyHeader(source, destination, draw(tlvs))
    return build_proxy_header(header, checksum=draw(st.booleans()))


# -- what they say ------------------------------------------------------------------------------


@given(st.one_of(st.tuples(fours, fours), st.tuples(sixes, sixes)))
def test_version_1_goes_there_and_back(pair: Any) -> None:
    header = ProxyHeader(*pair)
    assert header == read(build_proxy_header(header, version=1))


@given(pairs, tlvs)
def test_version_2_goes_there_and_back(pair: Any, tlvs: Any) -> None:
    header = ProxyHeader(*pair, tlvs)
    assert header == read(build_proxy_header(header))


@given(pairs, tlvs)
def test_a_checksum_is_one_more_tlv(pair: Any, tlvs: Any) -> None:
    found = read(build_proxy_header(ProxyHeader(*pair, tlvs), checksum=True))
    assert found is not None
    assert (3, tlvs) == (found.tlvs[-1][0], found.tlvs[:-1])


@given(headers(), st.integers(1, 40), st.binary(max_size=40))
def test_the_pieces_in_which_it_comes_change_nothing(data: bytes, cut: int, rest: bytes) -> None:
    assert parse(data) == parse(data + rest, cut)
    assert len(data) == parse(data + rest, 1)[1]


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n",
        b"PROXY UNKNOWN whatever there is\r\n",
        SIGNATURE + b"\x20\x00\x00\x00",
        SIGNATURE + b"\x20\x99\x00\x03abc",
        SIGNATURE + b"\x21\x00\x00\x02ab",
        SIGNATURE + b"\x21\x10\x00\x02ab",
    ],
)
def test_a_connection_that_is_nobodys_names_nobody(line: bytes) -> None:
    assert ProxyHeader() == read(line)


def test_a_health_check_goes_there_and_back() -> None:
    assert ProxyHeader() == read(build_proxy_header(ProxyHeader()))
    assert ProxyHeader() == read(build_proxy_header(ProxyHeader(), version=1))


def test_the_example_of_the_specification() -> None:
    line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    assert ProxyHeader(ipv4("192.168.0.1", 56324), ipv4("192.168.0.11", 443)) == read(line)
    longest = b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n"
    assert read(longest) is not None


def test_a_client_on_a_unix_socket() -> None:
    abstract = unix("@proxy")
    header = ProxyHeader(abstract, unix("/run/app.sock"))
    assert header == read(build_proxy_header(header))


def test_the_checksum_is_that_of_the_castagnoli_polynomial() -> None:
    assert 0xE3069283 == crc32c(b"123456789")


# -- what is none -------------------------------------------------------------------------------


GOOD_V2 = build_proxy_header(ProxyHeader(CLIENT, SERVER), checksum=True)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 ::1 1 1\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP6 fe80::1%1 ::1 1 1\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n\r\n",
        b"PROXY TCP4 1.2.3.4\r 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 ²\r\n".encode("latin-1"),
        b"PROXY UNKNOWN" + b" " * 93 + b"\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x41\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x13\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0e" + bytes(12) + b"\x04\x00",
        SIGNATURE + b"\x21\x11\x00\x0f" + bytes(12) + b"\x04\x00\x01",
        SIGNATURE + b"\x21\x11\xff\xff",
        GOOD_V2[:-1] + bytes([GOOD_V2[-1] ^ 1]),
        GOOD_V2[:20] + bytes([GOOD_V2[20] ^ 1]) + GOOD_V2[21:],
    ],
)
def test_what_breaks_a_rule_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyProtocolError):
        parse(data)
    with pytest.raises(ProxyProtocolError):
        parse(data, 1)


def outcome(data: bytes, cut: int | None) -> ProxyHeader | str:
    """What became of it: the header, that more is wanted, or that it is none."""
    try:
        return parse(data, cut)[0] or "more"
    except ProxyProtocolError:
        return "none"


@given(st.binary(max_size=300))
@example(b"")
@example(b"PROXY ")
def test_garbage_is_never_accepted(data: bytes) -> None:
    could_be = b"PROXY ".startswith(data[:6]) or SIGNATURE.startswith(data[:12])
    assert (outcome(data, None) != "none") <= could_be


@given(headers(), st.data())
def test_damage_is_seen_the_same_however_it_is_cut(data: bytes, more: st.DataObject) -> None:
    place = more.draw(st.integers(0, len(data) - 1))
    damaged = data[:place] + more.draw(st.binary(min_size=1, max_size=3)) + data[place + 1 :]
    assert outcome(damaged, None) == outcome(damaged, 1)


@given(st.binary(max_size=9000))
def test_it_never_wants_more_than_the_longest(rest: bytes) -> None:
    for start, most in ((b"PROXY ", MAX_V1_BYTES), (SIGNATURE + b"\x21\x11", MAX_V2_BYTES)):
        parser, data, place = ProxyHeaderParser(), start + rest, 0
        try:
            while parser.wanted and place < len(data):
                piece = data[place : place + parser.wanted]
                parser.feed(piece)
                place += len(piece)
                assert place + parser.wanted <= most
        except ProxyProtocolError:
            pass


def test_more_than_it_wants_is_a_mistake() -> None:
    with pytest.raises(MisuseError):
        ProxyHeaderParser().feed(bytes(16))


@pytest.mark.parametrize(
    ("header", "options"),
    [
        (ProxyHeader(CLIENT, SERVER), {"version": 3}),
        (ProxyHeader(CLIENT, SERVER), {"version": 1, "checksum": True}),
        (ProxyHeader(CLIENT, ipv6("::1", 1)), {"version": 1}),
        (ProxyHeader(CLIENT, ipv6("::1", 1)), {}),
        (ProxyHeader(tlvs=((4, b""),)), {}),
        (ProxyHeader(CLIENT, SERVER, ((4, bytes(9000)),)), {}),
    ],
)
def test_what_cannot_be_said_is_refused(header: ProxyHeader, options: Any) -> None:
    with pytest.raises(ValueError):
        build_proxy_header(header, **options)


# -- whom to believe ----------------------------------------------------------------------------


def test_trust_is_in_addresses_networks_and_unix_sockets() -> None:
    some = coop.TrustedPeers(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
    assert ipv4("10.1.2.3", 9) in some
    assert ipv6("::ffff:10.1.2.3", 9) in some
    assert CLIENT in some
    assert ipv6("2001:db8::5", 9) in some
    assert ipv4("11.0.0.1", 9) not in some
    assert unix("/run/x") not in some
    assert None not in some
    assert unix("/run/x") in coop.TrustedPeers(["unix"])
    assert CLIENT in coop.TrustedPeers(["*"])


@pytest.mark.parametrize("names", [[], ["localhost"], ["10.0.0.1/8"], [""]])
def test_trust_in_nonsense_is_refused(names: list[str]) -> None:
    with pytest.raises(ValueError):
        coop.TrustedPeers(names)


# -- under a server -----------------------------------------------------------------------------


def tell_peer(conn: coop.Connection) -> Gen[None]:
    word = yield from conn.recv()
    yield from conn.sendall(b"%s from %s" % (word, str(conn.peer_address).encode()))


def ask(
    said: bytes, handler: Any = tell_peer, where: Any = ("127.0.0.1", 0), **options: Any
) -> tuple[bytes, coop.Server]:
    """Say this to a server that expects a PROXY header; return its answer, and the server."""
    servers: list[coop.Server] = []

    def main() -> Gen[bytes]:
        options.setdefault("proxy_protocol", ["127.0.0.1"])
        serving = coop.serve(
            handler, *where, on_listening=servers.append, heed_signals=False, **options
        )
        task = coop.spawn(serving)
        yield from kit.wait_until(lambda: servers)
        answer = b""
        with (yield from coop.connect(servers[0].address)) as conn:
            try:
                for octet in said:
                    yield from conn.sendall(bytes([octet]))
                while data := (yield from conn.recv()):
                    answer += data
            except OSError:
                pass  # reset, with our word unread
        servers[0].stop()
        yield from task.join()
        return answer

    return kit.play(main()), servers[0]


@pytest.mark.parametrize("version", [1, 2])
def test_the_peer_is_whom_the_proxy_names(version: int) -> None:
    head = build_proxy_header(ProxyHeader(CLIENT, SERVER), version=version)
    assert b"h from 192.0.2.7:40000" == ask(head + b"h")[0]


def test_a_health_check_keeps_the_proxys_own_address() -> None:
    assert ask(build_proxy_header(ProxyHeader()) + b"h")[0].startswith(b"h from 127.0.0.1:")


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", {}),
        (b"PROXY TCP4", {"handshake_timeout": 3}),
        (b"", {"handshake_timeout": 3}),
        (GOOD_V2 + b"h", {"proxy_protocol": ["192.0.2.0/24"]}),
    ],
)
def test_without_a_header_from_a_trusted_peer_no_handler_runs(said: bytes, options: Any) -> None:
    def never(conn: coop.Connection) -> Gen[None]:
        raise AssertionError("it ran")
        yield

    answer, server = ask(said, never, **options)
    assert (b"", 1, 0) == (answer, server.unshaken, server.failed)


def test_true_trusts_everybody() -> None:
    assert b"h from 192.0.2.7:40000" == ask(GOOD_V2 + b"h", proxy_protocol=True)[0]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")
@pytest.mark.parametrize(
    ("trusted", "expected"), [("unix", b"h from 192.0.2.7:40000"), ("10.0.0.0/8", b"")]
)
def test_a_proxy_on_a_unix_socket_is_trusted_by_that_word(
    trusted: str, expected: bytes, tmp_path: Path
) -> None:
    listening = f"unix:{tmp_path}/socket"
    answer, _ = ask(GOOD_V2 + b"h", where=(listening,), proxy_protocol=[trusted])
    assert expected == answer


def test_a_silent_proxy_holds_up_no_stop() -> None:
    servers: list[coop.Server] = []

    def main() -> Gen[float]:
        task = coop.spawn(
            coop.serve(
                tell_peer, "127.0.0.1", 0, proxy_protocol=True, drain=60, heed_signals=False,
                on_listening=servers.append,
            )
        )  # fmt: skip
        yield from kit.wait_until(lambda: servers)
        with (yield from coop.connect(servers[0].address)):
            yield from kit.wait_until(lambda: servers[0].active)
            servers[0].stop()  # which it may hold up for as long as any newcomer
            yield from task.join()
        return kit.now()

    assert 0.5 == kit.play(main())


def test_it_comes_before_tls() -> None:
    server_side, client_side = kit.tls_contexts()
    servers: list[coop.Server] = []

    def main() -> Gen[bytes]:
        task = coop.spawn(
            coop.serve(
                tell_peer, "127.0.0.1", 0, proxy_protocol=True, tls=server_side,
                heed_signals=False, on_listening=servers.append,
            )
        )  # fmt: skip
        yield from kit.wait_until(lambda: servers)
        conn = yield from coop.connect(servers[0].address)
        yield from conn.sendall(GOOD_V2)
        secure = yield from coop.start_tls(conn, client_side, server_hostname="localhost")
        with secure:
            yield from secure.sendall(b"h")
            answer = yield from secure.recv()
            yield from secure.aclose()
        servers[0].stop()
        yield from task.join()
        return bytes(answer)

    assert b"h from 192.0.2.7:40000" == kit.play(main())


# -- on any network -----------------------------------------------------------------------------


def behind_a_proxy(sim: Simulation) -> Gen[None]:
    """A proxy passes clients on until each has had its answer."""
    answers: list[bytes] = []
    sim.host("server", lambda: coop.serve(tell_peer, port=7000, proxy_protocol=True))
    for number in range(3):
        client = ipv4("192.0.2.7", 40000 + number)
        head = build_proxy_header(ProxyHeader(client, SERVER), version=1 + number % 2)
        expected = f"h from {client}".encode()
        answer = b""
        while answer != expected:
            try:
                with coop.timeout(60), (yield from coop.connect("server", 7000)) as conn:
                    yield from conn.sendall(head + b"h")
                    answer = b""
                    while data := (yield from conn.recv()):
                        answer += data
                    assert expected.startswith(answer), answer
            except (OSError, EOFError):
                yield from coop.sleep(1)
        answers.append(answer)
    assert 3 == len(answers)


def test_on_any_network_the_handler_knows_its_client() -> None:
    check(behind_a_proxy, seeds=40)
