"""Addresses: made, read, printed, compared; and what is refused, with its remedy."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import re
import socket
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop import address as address_module
from coop.address import (
    AF_UNIX,
    Address,
    interface_addresses,
    ipv4,
    ipv6,
    parse_address,
    split_host_port,
    unix,
    unmapped,
    wildcard,
)

pytestmark = pytest.mark.core

needs_unix = pytest.mark.skipif(AF_UNIX is None, reason="no unix sockets here")
needs_interfaces = pytest.mark.skipif(
    not address_module._KNOWS_INTERFACES, reason="only Linux can be asked for its interfaces"
)

PORTS = st.integers(0, 65535)
SCOPES = st.integers(0, 2**32 - 1)
IP_ADDRESSES = st.one_of(
    st.builds(ipv4, st.ip_addresses(v=4).map(str), PORTS),
    st.builds(ipv6, st.ip_addresses(v=6).map(str), PORTS, SCOPES),
)


# Reading and printing


@given(IP_ADDRESSES)
def test_what_is_printed_is_what_is_read(address: Address) -> None:
    assert address == parse_address(str(address))


@given(IP_ADDRESSES)
def test_system_form_and_back_is_the_same_address(address: Address) -> None:
    assert address == Address.from_sockaddr(address.family, address.sockaddr)


@given(st.ip_addresses(v=6), PORTS)
def test_host_is_canonical_however_it_was_spelled(host: ipaddress.IPv6Address, port: int) -> None:
    assert ipv6(str(host), port) == ipv6(host.exploded.upper(), port)
    assert hash(ipv6(str(host), port)) == hash(ipv6(host.exploded, port))


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_address(text), Address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("[2001:DB8:0::1]:80", "[2001:db8::1]:80"),
        ("[::1%7]:80", "[::1%7]:80"),
        (":80", "0.0.0.0:80"),
        ("*:80", "0.0.0.0:80"),
        ("[::]:80", "[::]:80"),
        ("192.0.2.1:0", "192.0.2.1:0"),
        ("192.0.2.1:65535", "192.0.2.1:65535"),
    ],
)
def test_address_is_read(text: str, expected: str) -> None:
    assert expected == str(parse_address(text))


def test_default_port_is_for_text_without_one() -> None:
    assert ipv4("192.0.2.1", 7) == parse_address("192.0.2.1", default_port=7)
    assert ipv4("192.0.2.1", 80) == parse_address("192.0.2.1:80", default_port=7)
    assert ipv6("::1", 7) == parse_address("[::1]", default_port=7)
    assert wildcard(7) == parse_address("*", default_port=7)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "write host:port"),
        ("80", "no port in '80'"),
        ("192.0.2.1", "no port in '192.0.2.1'"),
        ("::1", "write host:port, or [host]:port for IPv6"),
        ("::1:80", "write host:port, or [host]:port for IPv6"),
        ("[::1]", "no port in '[::1]'"),
        ("[::1]:", "write host:port"),
        ("[::1]80", "write host:port"),
        ("[192.0.2.1]:80", "write host:port"),
        ("192.0.2.1:", "write host:port"),
        ("192.0.2.1:-1", "write host:port"),
        ("192.0.2.1:٣", "write host:port"),
        ("192.0.2.1: 80", "write host:port"),
        ("192.0.2.1:65536", "65536 is not a port: use 0 (any) to 65535"),
        ("192.0.2.1:" + "9" * 5000, "is not a port"),
        ("192.0.2.256:80", "'192.0.2.256' is not an IPv4 address: give numbers"),
        ("192.0.2.01:80", "is not an IPv4 address"),
        ("1.2:80", "is not an IPv4 address"),
        ("localhost:80", "a name must be resolved first"),
        ("[::g]:80", "'::g' is not an IPv6 address"),
        ("[::1%no-such]:80", "no network interface 'no-such'"),
        ("[::1%4294967296]:80", "4294967296 is not the index of an interface"),
        ("192.0.2.1\0:80", "is not an IPv4 address"),
    ],
)
def test_bad_text_is_refused_with_the_remedy(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org:80", ("example.org", 80)),
        ("example.org", ("example.org", 443)),
        ("[::1]:80", ("::1", 80)),
        ("[fe80::1%eth0]", ("fe80::1%eth0", 443)),
        (":80", ("", 80)),
    ],
)
def test_host_name_is_split_from_its_port(text: str, expected: tuple[str, int]) -> None:
    assert expected == split_host_port(text, default_port=443)


def test_bad_default_port_is_refused_too() -> None:
    with pytest.raises(ValueError, match="-1 is not a port"):
        split_host_port("example.org", default_port=-1)


# Making, comparing


def test_scope_may_stand_in_the_host_by_name_or_number() -> None:
    name, index = socket.if_indextoname(1), 1
    assert ipv6("fe80::1", 80, index) == ipv6(f"fe80::1%{name}", 80) == ipv6("fe80::1%1", 80)


def test_scope_takes_part_in_comparison() -> None:
    assert ipv6("fe80::1", 80, 1) != ipv6("fe80::1", 80, 2)


def test_equal_addresses_are_one_key() -> None:
    assert {ipv4("192.0.2.1", 80): "here"}[parse_address("192.0.2.1:80")] == "here"


def test_address_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ipv4("192.0.2.1", 80).port = 81  # type: ignore[misc]


def test_port_can_be_exchanged_and_compared() -> None:
    four, six = ipv4("192.0.2.1", 80), ipv6("::1", 81)
    assert ipv4("192.0.2.1", 81) == four.with_port(81)
    assert four.with_port(81).same_port(six)
    assert not four.same_port(six)
    with pytest.raises(ValueError, match="70000 is not a port"):
        four.with_port(70000)


def test_wildcard_is_of_either_family() -> None:
    assert (ipv4("0.0.0.0", 80), ipv6("::", 80)) == (wildcard(80), wildcard(80, AF_INET6))
    assert wildcard(80).is_wildcard
    assert not ipv4("192.0.2.1", 80).is_wildcard
    with pytest.raises(ValueError, match="no wildcard in family"):
        wildcard(80, family=-1)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (ipv4("127.0.0.1", 1), True),
        (ipv4("127.255.0.1", 1), True),
        (ipv6("::1", 1), True),
        (ipv6("::ffff:127.0.0.1", 1), True),
        (ipv4("192.0.2.1", 1), False),
        (ipv6("::ffff:192.0.2.1", 1), False),
        (ipv6("::", 1), False),
    ],
    ids=str,
)
def test_loopback_is_known(address: Address, expected: bool) -> None:
    assert expected == address.is_loopback


def test_mapped_address_is_unmapped_and_others_stay() -> None:
    assert ipv4("192.0.2.1", 80) == ipv6("::ffff:192.0.2.1", 80).unmapped()
    for address in (ipv4("192.0.2.1", 80), ipv6("::1", 80), ipv6("::ffff:1:2:3", 80)):
        assert address is address.unmapped() is unmapped(address)
    assert unmapped(None) is None


def test_family_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="family 12345 is not one of"):
        Address.from_sockaddr(12345, ())


# Unix


@needs_unix
@pytest.mark.parametrize("path", ["/run/app.sock", "app.sock", "\0app", "./@app", "/tmp/ü"])
def test_unix_path_is_printed_and_read(path: str) -> None:
    address = unix(path)
    assert address == parse_address(str(address)) == unix(os.fsencode(path))
    assert (path, "", 0, path) == (address.path, address.host, address.port, address.sockaddr)


@needs_unix
def test_abstract_name_is_written_with_an_at_sign() -> None:
    assert "unix:@app" == str(unix("\0app"))
    assert unix("\0app") == unix("@app")


@needs_unix
def test_unix_address_without_a_name_can_be_printed() -> None:
    assert "unix:" == str(Address.from_sockaddr(AF_UNIX or 0, ""))


@needs_unix
def test_abstract_name_comes_from_the_system_as_bytes() -> None:
    assert unix("@app") == Address.from_sockaddr(AF_UNIX or 0, b"\0app")


@needs_unix
def test_unix_address_is_local_and_has_no_port() -> None:
    address = unix("/run/app.sock")
    assert (True, False) == (address.is_loopback, address.is_wildcard)
    assert not address.same_port(address)
    with pytest.raises(ValueError, match="has no port"):
        address.with_port(80)


@needs_unix
@pytest.mark.parametrize(
    ("path", "complaint"),
    [("", "cannot be empty"), ("\0", "cannot be empty"), ("a\0b", "NUL"), ("x" * 200, "too long")],
)
def test_bad_unix_path_is_refused(path: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        unix(path)


def test_unix_address_is_refused_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_module, "AF_UNIX", None)
    with pytest.raises(ValueError, match="no unix sockets on this system"):
        parse_address("unix:/run/app.sock")
    assert AF_INET == parse_address("127.0.0.1:80").family


# Interfaces


@needs_interfaces
def test_interface_has_addresses() -> None:
    addresses = interface_addresses(socket.if_indextoname(1), 80)
    assert ipv4("127.0.0.1", 80) in addresses
    assert [AF_INET, AF_INET6][: len(addresses)] == [address.family for address in addresses][:2]


@needs_interfaces
def test_link_local_address_of_an_interface_has_its_scope() -> None:
    for index, name in socket.if_nameindex():
        for address in interface_addresses(name):
            assert (index if address.host.startswith("fe80:") else 0) == address.scope_id


@needs_interfaces
def test_unknown_interface_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OSError, match=f"'no-such': there are .*{socket.if_indextoname(1)}") as err:
        interface_addresses("no-such")
    assert errno.ENODEV == err.value.errno


def test_interfaces_of_other_systems_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_module, "_KNOWS_INTERFACES", False)
    with pytest.raises(OSError, match="cannot ask for the addresses of 'eth0'"):
        interface_addresses("eth0")
