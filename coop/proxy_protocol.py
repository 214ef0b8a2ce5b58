"""The PROXY protocol: the few bytes with which a proxy says whose connection it passes on.

What lives here: the parser of versions 1 and 2, one for each connection, and the writer.  It does
no input or output.  What it must not know: connections, whom to believe.  Stands on: address,
outcomes.  Source: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt

The parser says how many bytes it is certain to need, and never takes one more: what follows the
header is another protocol's, and most often TLS.  Nothing is guessed: what is not a header from
the first byte on is an error.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from coop.address import AF_UNIX, Address, ipv4, ipv6
from coop.outcomes import CoopError, MisuseError

#: The longest header of version 1, with its CRLF, in bytes; and the longest of version 2 that is
#: accepted here, where the protocol itself would allow 65,551.
MAX_V1_BYTES: Final = 107
MAX_V2_BYTES: Final = 8192
#: What version 2 begins with.
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
#: The TLV that holds a checksum of the whole header.
TLV_CRC32C: Final = 0x03

_V1_START: Final = b"PROXY "
#: "PROXY UNKNOWN" and CRLF: no header of either version is shorter.
_SHORTEST_BYTES: Final = 15
_V2_HEAD_BYTES: Final = 16
_TEXT_HOSTS: Final = {"TCP4": (AF_INET, r"[0-9.]+"), "TCP6": (AF_INET6, r"[0-9A-Fa-f:.]+")}
_is_port: Final = re.compile(r"0|[1-9][0-9]{0,4}").fullmatch

_LOCAL, _PROXY = 0x20, 0x21
# The families of version 2, and how many bytes two addresses of each take.
_UNSPECIFIED, _IPV4, _IPV6, _UNIX = 0x0, 0x1, 0x2, 0x3
_ADDRESS_BYTES: Final = {_UNSPECIFIED: 0, _IPV4: 12, _IPV6: 36, _UNIX: 216}
_TRANSPORTS: Final = (0x0, 0x1, 0x2)
_UNIX_BYTES: Final = 108


class ProxyProtocolError(CoopError, ConnectionError):
    """What came is not a header of the PROXY protocol: the connection is of no use."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a proxy says about a connection that it passes on."""

    #: The client's address; None when the connection is the proxy's own (a health check), or when
    #: the proxy does not know.
    source: Address | None = None
    #: Where the client connected to; None as with ``source``.
    destination: Address | None = None
    #: What else it says: types and values, in order.  Only version 2 has any.
    tlvs: tuple[tuple[int, bytes], ...] = ()


class ProxyHeaderParser:
    """The parser of one connection's header, which is the first thing that comes."""

    __slots__ = ("_data", "wanted")

    def __init__(self) -> None:
        self._data = b""
        #: How many bytes to feed at most; 0 when the header is whole.
        self.wanted = _SHORTEST_BYTES

    def feed(self, data: bytes) -> ProxyHeader | None:
        """Take the next bytes, at most ``wanted``; return the header once it is whole.

        Errors: ProxyProtocolError as soon as it cannot become one; MisuseError for too many bytes.
        """
        if len(data) > self.wanted:
            raise MisuseError(f"{len(data)} bytes for a parser that wants at most {self.wanted}")
        self._data = whole = self._data + data
        if whole.startswith(_V1_START[: len(whole)]):
            self.wanted = _bytes_wanted_v1(whole)
            return None if self.wanted else _parse_v1(whole)
        if whole.startswith(SIGNATURE[: len(whole)]):
            self.wanted = _bytes_wanted_v2(whole)
            return None if self.wanted else _parse_v2(whole)
        raise ProxyProtocolError(
            f"no PROXY header, but {whole!r}: does the proxy send one (send-proxy-v2)?"
        )


def build_proxy_header(header: ProxyHeader, *, version: int = 2, checksum: bool = False) -> bytes:
    """Return the bytes of a header; ``checksum`` adds a CRC32C, which only version 2 has.

    Errors: ValueError for what that version cannot say.
    """
    if version == 2:
        return _build_v2(header, checksum)
    if version != 1 or header.tlvs or checksum:
        raise ValueError("TLVs and checksums need version 2 of the PROXY protocol, or there is 1")
    if header.source is None or header.destination is None:
        return b"PROXY UNKNOWN\r\n"
    for name, (family, _) in _TEXT_HOSTS.items():
        if family == header.source.family == header.destination.family:
            source, destination = header.source, header.destination
            hosts = f"{source.host} {destination.host}"
            return f"PROXY {name} {hosts} {source.port} {destination.port}\r\n".encode()
    raise ValueError("version 1 of the PROXY protocol knows two of IPv4, or two of IPv6")


# -- version 1: a line of text ------------------------------------------------------------------


def _bytes_wanted_v1(data: bytes) -> int:
    """Return how many bytes the line must still have at least; 0 when it is whole."""
    end = data.find(b"\r")
    if 0 <= end < len(data) - 1:
        if data.find(b"\r\n") != len(data) - 2:
            raise ProxyProtocolError(f"a stray CR in the PROXY header {data!r}")
        return 0
    if end >= 0:
        missing = 1
    elif len(data) < _SHORTEST_BYTES:
        missing = _SHORTEST_BYTES - len(data)
    elif data.startswith(b"PROXY TCP"):
        separators = max(0, 5 - data.count(b" "))  # before each of the fields to come
        missing = 2 * separators + data.endswith(b" ") + len(b"\r\n")
    else:
        missing = len(b"\r\n")
    if len(data) + missing > MAX_V1_BYTES:
        raise ProxyProtocolError(f"a PROXY header of more than {MAX_V1_BYTES} bytes")
    return missing


def _parse_v1(line: bytes) -> ProxyHeader:
    fields = line[:-2].decode("latin-1").split(" ")
    if fields[1] == "UNKNOWN":
        return ProxyHeader()  # and what it says besides is to be ignored
    family, hosts = _TEXT_HOSTS.get(fields[1], (0, ""))
    if not family or len(fields) != 6 or not all(map(_is_port, fields[4:])):
        raise ProxyProtocolError(f"cannot read the PROXY header {line!r}")
    make = ipv4 if family == AF_INET else ipv6
    try:
        if not all(re.fullmatch(hosts, host) for host in fields[2:4]):
            raise ValueError("a host that is no number")
        return ProxyHeader(make(fields[2], int(fields[4])), make(fields[3], int(fields[5])))
    except ValueError as error:
        raise ProxyProtocolError(f"cannot read the PROXY header {line!r}: {error}") from None


# -- version 2: binary --------------------------------------------------------------------------


def _bytes_wanted_v2(data: bytes) -> int:
    if len(data) < _V2_HEAD_BYTES:
        return (_SHORTEST_BYTES if len(data) < _SHORTEST_BYTES else _V2_HEAD_BYTES) - len(data)
    size = _V2_HEAD_BYTES + int.from_bytes(data[14:16])
    if data[12] not in (_LOCAL, _PROXY):
        raise ProxyProtocolError(f"no such version or command of the PROXY protocol: {data[12]:#x}")
    if size > MAX_V2_BYTES:
        raise ProxyProtocolError(f"a PROXY header of {size} bytes: {MAX_V2_BYTES} are the most")
    return size - len(data)


def _parse_v2(data: bytes) -> ProxyHeader:
    family, transport = data[13] >> 4, data[13] & 0xF
    if data[12] == _LOCAL:
        return ProxyHeader()  # the rest means nothing, whatever it is
    if family not in _ADDRESS_BYTES or transport not in _TRANSPORTS:
        raise ProxyProtocolError(f"no such family or transport in a PROXY header: {data[13]:#x}")
    if family == _UNSPECIFIED or transport == _UNSPECIFIED:
        return ProxyHeader()
    start = _V2_HEAD_BYTES + _ADDRESS_BYTES[family]
    if len(data) < start:
        raise ProxyProtocolError("a PROXY header that is too short for its addresses")
    source, destination = _unpack_addresses(family, data[_V2_HEAD_BYTES:start])
    return ProxyHeader(source, destination, _unpack_tlvs(data, start))


def _unpack_addresses(family: int, data: bytes) -> tuple[Address | None, Address | None]:
    if family == _UNIX:
        return _unpack_unix(data[:_UNIX_BYTES]), _unpack_unix(data[_UNIX_BYTES:])
    size = 4 if family == _IPV4 else 16
    source_port, destination_port = struct.unpack("!HH", data[2 * size :])
    make, code = (ipv4, AF_INET) if family == _IPV4 else (ipv6, AF_INET6)
    source, destination = (inet_ntop(code, part) for part in (data[:size], data[size : 2 * size]))
    return make(source, source_port), make(destination, destination_port)


def _unpack_unix(field: bytes) -> Address | None:
    if AF_UNIX is None:
        return None
    if field.startswith(b"\0"):
        return Address.from_sockaddr(AF_UNIX, field.rstrip(b"\0"))  # abstract, or without a name
    return Address.from_sockaddr(AF_UNIX, field.partition(b"\0")[0])


def _unpack_tlvs(data: bytes, start: int) -> tuple[tuple[int, bytes], ...]:
    tlvs = []
    while start < len(data):
        kind, size = data[start], int.from_bytes(data[start + 1 : start + 3])
        value = data[start + 3 : start + 3 + size]
        if start + 3 + size > len(data):
            raise ProxyProtocolError(f"a TLV of type {kind:#x} runs out of its PROXY header")
        if kind == TLV_CRC32C:
            zeroed = data[: start + 3] + bytes(size) + data[start + 3 + size :]
            if value != crc32c(zeroed).to_bytes(4):
                raise ProxyProtocolError("the checksum of a PROXY header is wrong")
        tlvs.append((kind, value))
        start += 3 + size
    return tuple(tlvs)


def _build_v2(header: ProxyHeader, checksum: bool) -> bytes:
    family, addresses = _UNSPECIFIED, b""
    if header.source is not None and header.destination is not None:
        family, addresses = _pack_addresses(header.source, header.destination)
    elif header.tlvs or checksum:
        raise ValueError("a PROXY header that names no client has no TLVs")
    rest = b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in header.tlvs)
    if checksum:
        rest += struct.pack("!BHL", TLV_CRC32C, 4, 0)
    size = len(addresses) + len(rest)
    if size > MAX_V2_BYTES - _V2_HEAD_BYTES:
        raise ValueError(f"a PROXY header has at most {MAX_V2_BYTES} bytes")
    command, kind = (_PROXY, family << 4 | 1) if family else (_LOCAL, 0)
    data = SIGNATURE + struct.pack("!BBH", command, kind, size) + addresses + rest
    return data[:-4] + crc32c(data).to_bytes(4) if checksum else data


def _pack_addresses(source: Address, destination: Address) -> tuple[int, bytes]:
    if source.family != destination.family:
        raise ValueError(f"{source} and {destination} are not of one family")
    if source.path is not None and destination.path is not None:
        paths = map(os.fsencode, (source.path, destination.path))
        return _UNIX, b"".join(path.ljust(_UNIX_BYTES, b"\0") for path in paths)
    ports = struct.pack("!HH", source.port, destination.port)
    hosts = b"".join(inet_pton(each.family, each.host) for each in (source, destination))
    return (_IPV4 if source.family == AF_INET else _IPV6), hosts + ports


# -- the checksum -------------------------------------------------------------------------------


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for remainder in range(256):
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


_CRC32C_TABLE: Final = _crc32c_table()


def crc32c(data: bytes) -> int:
    """Return the CRC32C checksum of some bytes (RFC 9260, appendix A)."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ _CRC32C_TABLE[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF
