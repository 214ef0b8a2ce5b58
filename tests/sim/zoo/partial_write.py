"""The answer of send is ignored: what the system did not take is lost.

Source: joyent/libuv#78; every port of a program from blocking sockets.
"""

from sim.zoo.keeper import connect, keep_trying, serve

import coop


def buggy_handler(conn):
    while line := (yield from conn.readline()):
        yield from coop.wait_writable(conn)
        conn.socket.send(b"you said " + line)


def mended_handler(conn):
    while line := (yield from conn.readline()):
        yield from conn.sendall(b"you said " + line)


def scenario(sim, handler):
    serve(sim, handler)

    def client():
        with (yield from connect()) as conn:
            lines = [b"line %d\n" % number for number in range(8)]
            for line in lines:
                yield from conn.sendall(line)
            for line in lines:
                assert b"you said " + line == (yield from conn.recv_until(b"\n"))

    yield from keep_trying(client)


def buggy(sim):
    yield from scenario(sim, buggy_handler)


def mended(sim):
    yield from scenario(sim, mended_handler)
