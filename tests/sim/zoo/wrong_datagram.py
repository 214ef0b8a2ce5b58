"""The next datagram is taken for the answer to the last question; a late one answers another.

Source: DNS transaction ids (RFC 5452); the stub resolvers that did not compare them.
"""

from sim.zoo.keeper import PORT, open_udp

import coop
from coop.address import ipv4
from coop.outcomes import WOULDBLOCK


def server(host):
    with (yield from open_udp(host, PORT)) as udp:
        while True:
            yield from coop.wait_readable(udp)
            while (got := udp.recv_from(1000)) is not WOULDBLOCK:
                question, source = got
                udp.send_to(question + b" is " + question.upper(), source)


def ask(udp, server_address, word, compares):
    for _ in range(60):
        udp.send_to(word, server_address)
        with coop.move_on_after(0.05):
            while True:
                while (got := udp.recv_from(1000)) is WOULDBLOCK:
                    yield from coop.wait_readable(udp)
                if not compares or got[0].startswith(word + b" is "):
                    return got[0]
    return None


def scenario(sim, compares):
    main = sim.world.hosts["main"]
    host = sim.host("server")
    host.program = lambda: server(host)
    host.start()
    with (yield from open_udp(main)) as udp:
        for word in (b"one", b"two", b"three", b"four", b"five"):
            answer = yield from ask(udp, ipv4(host.address, PORT), word, compares)
            assert answer in (None, word + b" is " + word.upper())


def buggy(sim):
    yield from scenario(sim, compares=False)


def mended(sim):
    yield from scenario(sim, compares=True)
