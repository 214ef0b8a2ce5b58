"""What the poller reported is taken for granted, and the call that follows answers "not yet".

Source: select(2), BUGS: "a socket may be reported as ready, and a read nevertheless blocks".
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop
from coop import WOULDBLOCK


def count(conn):
    yield from coop.wait_readable(conn)
    data = conn.socket.recv(100)
    yield from conn.sendall(b"%d\n" % len(data))


def mended_count(conn):
    while (data := conn.socket.recv(100)) is WOULDBLOCK:
        yield from coop.wait_readable(conn)
    yield from conn.sendall(b"%d\n" % len(data))


def scenario(sim, handler):
    serve(sim, handler)

    def client():
        with (yield from connect()) as conn:
            yield from coop.sleep(0.1)
            yield from conn.sendall(b"x")
            yield from conn.recv_until(b"\n")

    for _ in range(3):
        yield from keep_trying(client)


def buggy(sim):
    yield from scenario(sim, count)


def mended(sim):
    yield from scenario(sim, mended_count)
