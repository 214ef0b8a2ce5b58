"""After a timeout the connection is used again, and the next request gets the answer of the last.

Source: redis-py, CVE-2023-28858: one user saw what another had asked for.
"""

from sim.zoo.keeper import BROKEN, connect, serve

import coop


def name(conn):
    while (line := (yield from conn.readline())).endswith(b"\n"):
        yield from conn.sendall(b"this is " + line)


def scenario(sim, keeps_connection):
    serve(sim, name)
    conn = None
    for number in range(12):
        who = b"user %d\n" % number
        try:
            if conn is None:
                conn = yield from connect()
            with coop.timeout(0.2):
                yield from conn.sendall(who)
                answer = yield from conn.recv_until(b"\n")
            assert answer == b"this is " + who
        except BROKEN as error:
            is_late = type(error) is TimeoutError and error.errno is None
            if conn is not None and not (is_late and keeps_connection):
                conn.close()
                conn = None
    if conn is not None:
        conn.close()


def buggy(sim):
    yield from scenario(sim, keeps_connection=True)


def mended(sim):
    yield from scenario(sim, keeps_connection=False)
