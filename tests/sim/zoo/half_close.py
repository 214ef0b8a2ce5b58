"""The end of the peer's data is taken for the end of the peer, and its answer is never sent.

Source: nodejs allowHalfOpen, which defaults to this; ``printf request | nc host port``.
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop


def work(conn, line):
    yield from coop.sleep(0.05)
    yield from conn.sendall(b"the answer to " + line)


def buggy_handler(conn):
    line = yield from conn.readline()
    if line.endswith(b"\n"):
        yield from coop.race(work(conn, line), conn.recv())  # "has the client gone?"


def mended_handler(conn):
    line = yield from conn.readline()
    if line.endswith(b"\n"):
        yield from work(conn, line)


def scenario(sim, handler):
    serve(sim, handler)

    def client():
        with (yield from connect()) as conn:
            yield from conn.sendall(b"everything\n")
            conn.shutdown_send()
            return (yield from conn.recv_until(b"\n"))

    yield from keep_trying(client)


def buggy(sim):
    yield from scenario(sim, buggy_handler)


def mended(sim):
    yield from scenario(sim, mended_handler)
