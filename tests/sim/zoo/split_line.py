"""Each recv is cut into lines by itself, so a line that came in two pieces becomes two lines.

Source: aiohttp answered 96 of 1,328 malformed requests otherwise when they came byte by byte.
"""

from sim.zoo.keeper import connect, keep_trying, serve


def buggy_handler(conn):
    total = 0
    while data := (yield from conn.recv()):
        for line in data.split(b"\n"):
            total += int(line) if line.strip() else 0
        if data.endswith(b"\n"):
            yield from conn.sendall(b"%d\n" % total)


def mended_handler(conn):
    total = 0
    while (line := (yield from conn.readline())).endswith(b"\n"):
        total += int(line)
        yield from conn.sendall(b"%d\n" % total)


def scenario(sim, handler):
    serve(sim, handler)

    def client():
        with (yield from connect()) as conn:
            total = 0
            for number in (123, 456, 789, 1000, 55):
                yield from conn.sendall(b"%d\n" % number)
                total += number
                assert total == int((yield from conn.recv_until(b"\n")))

    yield from keep_trying(client)


def buggy(sim):
    yield from scenario(sim, buggy_handler)


def mended(sim):
    yield from scenario(sim, mended_handler)
