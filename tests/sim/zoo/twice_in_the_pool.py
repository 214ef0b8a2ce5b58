"""A connection is given back by the error path and again by the cleanup: two tasks get it.

Source: gevent#117 and urllib3's pool; the double close of connection pools.
"""

from sim.zoo.keeper import BROKEN, connect, serve

import coop


def name(conn):
    while (line := (yield from conn.readline())).endswith(b"\n"):
        yield from conn.sendall(b"this is " + line)


def ask(pool, number, gives_back_twice):
    who = b"user %d\n" % number
    try:
        conn = pool.pop() if pool else (yield from connect())
    except BROKEN:
        return
    is_good = False
    try:
        with coop.timeout(0.3):
            yield from conn.sendall(who)
            assert (yield from conn.recv_until(b"\n")) == b"this is " + who
        is_good = True
    except BROKEN:
        if gives_back_twice:
            pool.append(conn)
        else:
            conn.close()
    finally:
        if is_good or gives_back_twice:
            pool.append(conn)


def scenario(sim, gives_back_twice):
    serve(sim, name)
    pool = []
    for number in range(6):
        yield from coop.gather(
            ask(pool, 2 * number, gives_back_twice), ask(pool, 2 * number + 1, gives_back_twice)
        )
    for conn in pool:
        conn.close()


def buggy(sim):
    yield from scenario(sim, gives_back_twice=True)


def mended(sim):
    yield from scenario(sim, gives_back_twice=False)
