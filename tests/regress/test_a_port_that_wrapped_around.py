"""``coop.connect("127.0.0.1", 1_000_000_000)`` connected to port 51712.

The check of the port was taken for "this is no literal", so the host was looked up as a name, and
getaddrinfo keeps the lowest sixteen bits of any port.
"""

from __future__ import annotations

import pytest
from kit import play

import coop

pytestmark = pytest.mark.core


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "some.name.example"])
def test_a_port_out_of_range_is_never_looked_up(host: str) -> None:
    with pytest.raises(ValueError, match="1000000000"):
        play(coop.connect(host, 1_000_000_000))
