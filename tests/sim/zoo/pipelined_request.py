"""What comes behind the first request in one piece is thrown away.

Source: TINN made a new stream for each request of a connection, and its buffer went with the old.
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop


def buggy_handler(conn):
    while data := (yield from conn.recv()):
        request, newline, _ = data.partition(b"\n")
        if newline:
            yield from conn.sendall(request.upper() + b"\n")


def mended_handler(conn):
    while (request := (yield from conn.readline())).endswith(b"\n"):
        yield from conn.sendall(request.upper())


def scenario(sim, handler):
    serve(sim, handler)

    def client():
        with (yield from connect()) as conn:
            for word in (b"one\n", b"two\n", b"three\n"):
                yield from conn.sendall(word)
            for word in (b"ONE\n", b"TWO\n", b"THREE\n"):
                answer = yield from conn.recv_until(b"\n")
                assert answer == word

    with coop.timeout(4000):
        yield from keep_trying(client)


def buggy(sim):
    yield from scenario(sim, buggy_handler)


def mended(sim):
    yield from scenario(sim, mended_handler)
