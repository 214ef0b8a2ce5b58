"""The quota: how many connections one address may have at once.

What lives here: Quota.  What it must not know: connections, and what becomes of those too many.
Stands on: address.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6

from coop.address import Address

#: An IPv6 client has as many addresses as it likes, but those of a network (RFC 4291 §2.5.4).
_NETWORK_BITS = 64


class Quota:
    """Count who is there by address, up to a number each."""

    __slots__ = ("_most", "present")

    def __init__(self, most: int) -> None:
        self._most = most
        #: How many connections each address has that has any.
        self.present: dict[str | int, int] = {}

    def enter(self, address: Address | None) -> bool:
        """Count a connection in; False when its address has too many already."""
        place = _place(address)
        if place is None:
            return True
        count = self.present.get(place, 0)
        if count >= self._most:
            return False
        self.present[place] = count + 1
        return True

    def leave(self, address: Address | None) -> None:
        """Count a connection out that was let in."""
        place = _place(address)
        if place is None:
            return
        self.present[place] -= 1
        if not self.present[place]:
            del self.present[place]


def _place(address: Address | None) -> str | int | None:
    """Return what is counted for this address; None for a unix socket's, which says nothing."""
    if address is not None and address.family == AF_INET:
        return address.host
    if address is not None and address.family == AF_INET6:
        return int(IPv6Address(address.host.partition("%")[0])) >> _NETWORK_BITS
    return None
