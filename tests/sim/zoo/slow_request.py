"""The timeout is for each read, not for the request: a byte every two seconds holds on for ever.

Source: Slowloris; gunicorn, cheroot, waitress, tornado and uvicorn never closed such a client.
"""

from sim.zoo.keeper import BROKEN, connect, serve

import coop

LIMIT = 10


def buggy_handler(conn):
    request = b""
    try:
        while not request.endswith(b"\n"):
            with coop.timeout(LIMIT):
                data = yield from conn.recv()
            if not data:
                return
            request += data
    except OSError:
        return


def mended_handler(conn):
    try:
        with coop.timeout(LIMIT):
            yield from conn.readline()
    except BROKEN:
        return


def scenario(sim, handler):
    serve(sim, handler)
    try:
        with (yield from connect()) as conn:
            start = sim.now
            while sim.now < start + 600:
                yield from conn.sendall(b"x")
                with coop.move_on_after(2) as pause:
                    if (yield from conn.recv()) == b"":
                        return
                assert pause.caught
    except OSError:
        return
    raise AssertionError("the server has waited for ten minutes")


def buggy(sim):
    yield from scenario(sim, buggy_handler)


def mended(sim):
    yield from scenario(sim, mended_handler)
