"""What trusted proxies say about where a request came from, and what nobody is believed."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from http_kit import Gen, Hall, get, visit
from hypothesis import given
from hypothesis import strategies as st

import coop.http
import coop.wsgi
from coop.address import ipv4, ipv6, unix
from coop.http import Forwarding, Headers, Request, Response, access
from coop.http.forwarded import Origin

PROXY = ipv4("10.0.0.1", 40000)
TRUSTED = ["10.0.0.0/8", "2001:db8:1::/48", "unix"]
CLIENT = "203.0.113.9"
ALL = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")


def told(*lines: str, peer: Any = PROXY, fields: Any = ALL) -> Origin:
    """Return where a request with these field lines came from."""
    pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return Forwarding(TRUSTED, fields).origin(peer, Headers(pairs))


def told_client(*lines: str, **options: Any) -> str:
    return str(told(*lines, **options).peer).removesuffix(":0")


# -- X-Forwarded-For ----------------------------------------------------------------------------

FOR = {
    # Who wrote what, from the right: the connection's peer, then whom it names, …
    "one proxy": (CLIENT, CLIENT),
    "two proxies": (f"{CLIENT}, 10.0.0.2", CLIENT),
    "the client claims to be somebody else": (f"1.2.3.4, {CLIENT}", CLIENT),
    "the client claims to be a proxy": (f"10.0.0.9, {CLIENT}", CLIENT),
    "the client claims a proxy behind two": (f"127.0.0.1, 10.0.0.9, {CLIENT}, 10.0.0.2", CLIENT),
    "the client sends garbage": (f'\x80\xff;,,"<script>, {CLIENT}', CLIENT),
    "a client inside": ("10.0.0.7", "10.0.0.7"),
    "a port": (f"{CLIENT}:4711", f"{CLIENT}:4711"),
    "IPv6": ("2001:db8::7", "[2001:db8::7]"),
    "IPv6 in brackets": ("[2001:db8::7]", "[2001:db8::7]"),
    "IPv6 with a port": ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
    "IPv6 of a trusted network": (f"{CLIENT}, 2001:db8:1::5", CLIENT),
    "IPv4 in IPv6": (f"::ffff:{CLIENT}", CLIENT),
    "a trusted one, as IPv4 in IPv6": (f"{CLIENT}, ::ffff:10.0.0.2", CLIENT),
    "IPv6 written long": ("2001:0DB8:0:0:0:0:0:7", "[2001:db8::7]"),
    "empty elements": (f", ,{CLIENT},,\t, 10.0.0.2, ,", CLIENT),
    "no white space": (f"1.2.3.4,{CLIENT},10.0.0.2", CLIENT),
    # What cannot be read ends the walk: the client is who sent it on.
    "nothing": ("", "10.0.0.1:40000"),
    "nothing but commas": (",, ,", "10.0.0.1:40000"),
    "unknown": ("unknown", "10.0.0.1:40000"),
    "unknown to the first of two": (f"{CLIENT}, unknown, 10.0.0.2", "10.0.0.2"),
    "somebody on the proxy's unix socket": ("unix:", "unix:"),
    "two proxies with a unix socket between them": (f"{CLIENT}, unix:", CLIENT),
    "a path": ("unix:/run/x", "10.0.0.1:40000"),
    "a name": ("client.example", "10.0.0.1:40000"),
    "three numbers": ("203.0.113", "10.0.0.1:40000"),
    "octal": ("0313.0.113.9", "10.0.0.1:40000"),
    "a number too large": ("203.0.113.256", "10.0.0.1:40000"),
    "a port too large": (f"{CLIENT}:65536", "10.0.0.1:40000"),
    "a port of six digits": (f"{CLIENT}:000080", "10.0.0.1:40000"),
    "no digits in a port": (f"{CLIENT}:", "10.0.0.1:40000"),
    "an interface": ("fe80::1%lo", "10.0.0.1:40000"),
    "an open bracket": ("[2001:db8::7", "10.0.0.1:40000"),
    "bad IPv6": ("2001:db8::7::", "10.0.0.1:40000"),
    "two colons": ("::", "[::]"),
    "one colon": (":", "10.0.0.1:40000"),
    "white space inside": (f"{CLIENT} 1.2.3.4", "10.0.0.1:40000"),
    "a quote": (f'"{CLIENT}"', "10.0.0.1:40000"),
}


@pytest.mark.parametrize("name", FOR)
def test_the_client_is_the_first_from_the_right_that_is_no_trusted_proxy(name: str) -> None:
    value, expected = FOR[name]
    assert expected == told_client(f"X-Forwarded-For: {value}")


def test_several_lines_are_one_list() -> None:
    lines = [f"X-Forwarded-For: {value}" for value in ("1.2.3.4", f"6.6.6.6, {CLIENT}", "10.0.0.2")]
    assert CLIENT == told_client(*lines)
    assert CLIENT == told_client(*(line.lower() for line in lines))


@pytest.mark.parametrize("peer", [ipv4("192.0.2.1", 1), ipv6("2001:db8::1", 1), None])
def test_nobody_else_is_believed(peer: Any) -> None:
    lines = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"]
    assert Origin(peer) == told(*lines, peer=peer)


def test_a_proxy_on_a_unix_socket_is_trusted_by_that_word() -> None:
    assert CLIENT == told_client(f"X-Forwarded-For: {CLIENT}", peer=unix("/run/x"))


def test_a_dual_stack_listeners_peer_is_known() -> None:
    assert CLIENT == told_client(f"X-Forwarded-For: {CLIENT}", peer=ipv6("::ffff:10.0.0.1", 9))


def test_fields_that_were_not_asked_for_are_not_looked_at() -> None:
    lines = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: h", "X-Forwarded-Proto: https"]
    lines += ["Forwarded: for=6.6.6.6;proto=https;host=h"]
    assert Origin(ipv4("1.2.3.4", 0), "https") == told(*lines, fields=ALL[:2])
    assert Origin(PROXY, None, "h") == told(*lines, fields=ALL[2:])
    assert Origin(ipv4("6.6.6.6", 0), "https", "h") == told(*lines, fields=["FORWARDED"])


# -- X-Forwarded-Proto and -Host ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "value", "expected"),
    [
        (CLIENT, "https", "https"),
        (CLIENT, "HTTPS", "https"),
        (CLIENT, "http", "http"),
        (CLIENT, "wss", "https"),  # as some proxies name what a WebSocket comes by
        (CLIENT, "https, http", "http"),  # the client's own, then the proxy's
        (f"{CLIENT}, 10.0.0.2", "https, http", "https"),  # the first proxy's, then the second's
        (f"{CLIENT}, 10.0.0.2", "http, https, http", "https"),
        (f"{CLIENT}, 10.0.0.2", "https", "https"),  # which the second one has let pass
        (f"1.2.3.4, {CLIENT}", "https, http", "http"),
        ("unknown", "https", "https"),
        ("", "https", "https"),
        (CLIENT, "", None),
        (CLIENT, "ftp", None),
        (CLIENT, "https;", None),
        (CLIENT, "https, ", "https"),
    ],
)
def test_the_scheme_is_that_which_the_client_came_by(
    addresses: str, value: str, expected: str | None
) -> None:
    lines = [f"X-Forwarded-For: {addresses}", f"X-Forwarded-Proto: {value}"]
    assert expected == told(*lines).scheme


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("shop.example", "shop.example"),
        ("shop.example:8443", "shop.example:8443"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ("evil.example, shop.example", "shop.example"),
        ("evil.example/shop", None),
        ("user@shop.example", None),
        ("a b", None),
        ("", None),
    ],
)
def test_the_host_is_what_the_proxy_was_asked_for(value: str, expected: str | None) -> None:
    assert expected == told(f"X-Forwarded-For: {CLIENT}", f"X-Forwarded-Host: {value}").host


# -- Forwarded ----------------------------------------------------------------------------------

FORWARDED = {
    "one proxy": (f"for={CLIENT}", CLIENT, None, None),
    "all that it may say": (
        f'for="{CLIENT}:4711";by=10.0.0.1;host=shop.example;proto=https',
        f"{CLIENT}:4711", "https", "shop.example",
    ),
    "two proxies": (f"for={CLIENT};proto=https, for=10.0.0.2;proto=http", CLIENT, "https", None),
    "in any case": (f"For={CLIENT};PROTO=HTTPS", CLIENT, "https", None),
    "IPv6": ('for="[2001:db8::7]"', "[2001:db8::7]", None, None),
    "IPv6 with a port": ('for="[2001:db8::7]:4711"', "[2001:db8::7]:4711", None, None),
    "a hidden port": ('for="[2001:db8::7]:_secret"', "[2001:db8::7]", None, None),
    "escaped": (r'for="\2\03.0.113.9";host="sho\p"', CLIENT, None, "shop"),
    "empty elements and pairs": (f", ;for={CLIENT};; proto=http ;,,", CLIENT, "http", None),
    "the client claims to be somebody else": (f"for=1.2.3.4;proto=https, for={CLIENT}", CLIENT,
        None, None),
    "the client leaves a quote open": (f'for="1.2.3.4, for={CLIENT}', CLIENT, None, None),
    "the client ends with an escape": (f'for="1.2.3.4\\, for={CLIENT}', CLIENT, None, None),
    "the client sends garbage": (f"\xff=;=,\"', for={CLIENT}", CLIENT, None, None),
    "a host with a comma is none": (f'for={CLIENT};host="a, for=6.6.6.6"', CLIENT, None, None),
    "a host with quotes": (rf'for={CLIENT};host="a, for=6.6.6.6;x=\"y\""', CLIENT, None, None),
    # What names no address ends the walk.
    "unknown": ("for=unknown;proto=https", "10.0.0.1:40000", "https", None),
    "hidden": ("for=_secret;proto=https", "10.0.0.1:40000", "https", None),
    "hidden by the first of two": ("for=_a;proto=https, for=10.0.0.2;proto=http", "10.0.0.2",
        "https", None),
    "the client behind a hidden one": ("for=1.2.3.4, for=_a, for=10.0.0.2", "10.0.0.2", None, None),
    "no address": ("proto=https", "10.0.0.1:40000", "https", None),
    "nothing": ("", "10.0.0.1:40000", None, None),
    "IPv6 without brackets": ('for="2001:db8::7"', "10.0.0.1:40000", None, None),
    "IPv6 without quotes": ("for=[2001:db8::7]", "10.0.0.1:40000", None, None),
    "a port without quotes": (f"for={CLIENT}:80", "10.0.0.1:40000", None, None),
    "twice": (f"for=1.2.3.4;for={CLIENT}", "10.0.0.1:40000", None, None),
    "an open quote": (f'for="{CLIENT}', "10.0.0.1:40000", None, None),
    "no value": ("for=", "10.0.0.1:40000", None, None),
    "white space in a pair": (f"for = {CLIENT}", "10.0.0.1:40000", None, None),
    "no pair": (CLIENT, "10.0.0.1:40000", None, None),
    "another scheme": (f"for={CLIENT};proto=ftp", CLIENT, None, None),
    "no host": (f'for={CLIENT};host="a b"', CLIENT, None, None),
    "more commas than any host has": (f'for={CLIENT};host="{"," * 9}"', "10.0.0.1:40000", None,
        None),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARDED)
def test_what_forwarded_tells(name: str) -> None:
    value, client, scheme, host = FORWARDED[name]
    seen = told(f"Forwarded: {value}", fields=["Forwarded"])
    assert (client, scheme, host) == (str(seen.peer).removesuffix(":0"), seen.scheme, seen.host)


def test_lines_of_forwarded_are_one_list() -> None:
    lines = ["Forwarded: for=1.2.3.4", 'Forwarded: for="x', f"Forwarded: for={CLIENT}"]
    assert CLIENT == told_client(*lines, "Forwarded: for=10.0.0.2", fields=["Forwarded"])


clutter = st.text(st.sampled_from('for=";, \\10.2:[]_unknownproto'), max_size=60)


@given(clutter)
def test_nothing_that_a_client_writes_changes_who_it_is(junk: str) -> None:
    assert CLIENT == told_client(f"Forwarded: {junk}, for={CLIENT}", fields=["Forwarded"])
    assert CLIENT == told_client(f"X-Forwarded-For: {junk}, {CLIENT}")


@given(clutter)
def test_nothing_that_a_client_gets_quoted_changes_who_it_is(junk: str) -> None:
    escaped = junk.replace("\\", "\\\\").replace('"', '\\"')
    if escaped.count(",") <= 8:
        value = f'for={CLIENT};host="{escaped}";proto=https'
        seen = told(f"Forwarded: for=1.2.3.4, {value}", fields=["Forwarded"])
        assert (ipv4(CLIENT, 0), "https") == (seen.peer, seen.scheme)


@pytest.mark.parametrize(
    "junk", ['"', ",", 'a="', "a=b,", ";", ";a=b", '\\"', " ", "for=10.0.0.2,"]
)
def test_a_long_list_takes_no_time_to_speak_of(junk: str) -> None:
    start = time.process_time()
    for lead in ("", f"for={CLIENT}, ", 'a="'):
        told(f"Forwarded: {lead}{junk * (32_000 // len(junk))}", fields=["Forwarded"])
        told(f"X-Forwarded-For: {lead}{junk * (32_000 // len(junk))}")
    assert time.process_time() - start < 1


# -- what is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [[], ["X-Real-IP"], ["Forwarded", "X-Forwarded-For"]])
def test_fields_of_another_kind_are_refused(fields: list[str]) -> None:
    with pytest.raises(ValueError, match="'X-Forwarded-Host', or 'Forwarded' alone"):
        Forwarding(TRUSTED, fields)


def test_a_name_is_no_list_of_names() -> None:
    with pytest.raises(TypeError, match=r"fields are a list of names, such as \['Forwarded'\]"):
        Forwarding(TRUSTED, "Forwarded")
    with pytest.raises(TypeError, match="trusted peers are a list of names"):
        Forwarding("10.0.0.1")


# -- on a server --------------------------------------------------------------------------------


def tell(request: Request) -> Response:
    return Response(f"{request.peer} {request.scheme} {request.host} {request.authority}")


LINES = (
    f"X-Forwarded-For: 1.2.3.4, {CLIENT}\r\nX-Forwarded-Proto: https\r\n"
    "X-Forwarded-Host: shop.example\r\n"
)


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        (["127.0.0.1"], f"{CLIENT}:0 https a a"),
        (Forwarding(["127.0.0.1"], ALL), f"{CLIENT}:0 https shop.example a"),
        (["192.0.2.1"], "127.0.0.1:# http a a"),
        (None, "127.0.0.1:# http a a"),
    ],
)
def test_a_handler_sees_who_asked(trusted: Any, expected: str) -> None:
    lines: list[str] = []
    log = io.StringIO()

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        port = client.conn.local_address.port
        for line in (LINES, ""):  # the next one on the same connection may be another client's
            answer = yield from client.ask(get("/", line))
            lines.append(answer.body.decode().replace(f":{port}", ":#"))

    visit(tell, visitor, forwarded_by=trusted, access_log=access.json_lines(log))
    assert [expected, "127.0.0.1:# http a a"] == lines
    peers = [json.loads(line)["peer"] for line in log.getvalue().splitlines()]
    assert [expected.partition(":")[0], "127.0.0.1"] == peers


def test_what_is_mounted_below_a_path_sees_it_too() -> None:
    def app(request: Request) -> Response:
        return tell(request.below("/shop", "/"))

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        return (yield from client.ask(get("/shop/", LINES))).body

    expected = f"{CLIENT}:0 https a a".encode()
    assert expected == visit(app, visitor, forwarded_by=["127.0.0.1"])


def test_connections_are_counted_by_where_they_come_from() -> None:
    limits = coop.http.Limits(connections_per_address=1)

    def visitor(hall: Hall) -> Gen[list[int]]:
        statuses = []
        for host in ("1.1.1.1", "2.2.2.2"):
            client = yield from hall.enter()
            fields = f"X-Forwarded-For: {host}\r\n"
            statuses.append((yield from client.ask(get("/", fields))).status)
        return statuses

    assert [200, 503] == visit(tell, visitor, forwarded_by=["127.0.0.1"], limits=limits)


def test_a_wsgi_application_is_told_of_the_client_and_not_of_another_host() -> None:
    names = ["REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "HTTP_HOST"]

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [" ".join(str(environ.get(name)) for name in names).encode()]

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        return (yield from client.ask(get("/", LINES))).body

    adapter = coop.wsgi.adapt(application, mode="inline")
    expected = f"{CLIENT} None https a".encode()
    assert expected == visit(adapter, visitor, forwarded_by=Forwarding(["127.0.0.1"], ALL))
