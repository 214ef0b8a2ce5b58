"""A datagram is sent once and its answer waited for without a limit.

Source: the first UDP program of everybody; cqueues' and lua's DNS clients before retries.
"""

from sim.zoo import wrong_datagram as dns
from sim.zoo.keeper import PORT, open_udp

import coop
from coop.address import ipv4
from coop.outcomes import WOULDBLOCK


def ask_once(udp, server_address, word):
    udp.send_to(word, server_address)
    while (got := udp.recv_from(1000)) is WOULDBLOCK:
        yield from coop.wait_readable(udp)
    return got[0]


def buggy(sim):
    main = sim.world.hosts["main"]
    host = sim.host("server")
    host.program = lambda: dns.server(host)
    host.start()
    with (yield from open_udp(main)) as udp:
        for word in (b"one", b"two", b"three"):
            yield from ask_once(udp, ipv4(host.address, PORT), word)


def mended(sim):
    yield from dns.mended(sim)
