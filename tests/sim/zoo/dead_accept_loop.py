"""An accept loop ends, quietly, at the first error of accept.

Source: cpython gh-127529 (ECONNABORTED), beast#3010, cpp-netlib#172: the port stays open, and dead.
"""

from sim.zoo.keeper import PORT, connect, keep_trying

import coop
from coop.outcomes import AcceptFailure, judge_accept


def greet(conn):
    with conn:
        try:
            yield from conn.sendall(b"hello\n")
            yield from conn.aclose()
        except OSError:
            pass


def buggy_server():
    with coop.listen(None, PORT) as listener:
        try:
            while True:
                coop.spawn(greet((yield from listener.accept())))
        except OSError:
            yield from coop.sleep(10_000)


def mended_server():
    with coop.listen(None, PORT) as listener:
        while True:
            try:
                coop.spawn(greet((yield from listener.accept())))
            except OSError as error:
                if judge_accept(error) is AcceptFailure.FATAL:
                    raise
                yield from coop.sleep(0.1)


def scenario(sim, server):
    sim.host("server", server)

    def client():
        with (yield from connect()) as conn:
            assert b"hello\n" == (yield from conn.recv_until(b"\n"))

    for _ in range(4):
        yield from keep_trying(client)


def buggy(sim):
    yield from scenario(sim, buggy_server)


def mended(sim):
    yield from scenario(sim, mended_server)
