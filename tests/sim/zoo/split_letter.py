"""Each piece is decoded by itself, and a letter of two bytes was cut in the middle.

Source: the classic of UTF-8 over streams; hardening list "boundaries inside UTF-8".
"""

from sim.zoo.keeper import connect, keep_trying, serve

TEXT = "Grüße aus Köln, où êtes-vous, ça va, señor, 日本語\n" * 3


def say(conn):
    yield from conn.sendall(TEXT.encode())


def buggy(sim):
    serve(sim, say)

    def client():
        text = ""
        with (yield from connect()) as conn:
            while data := (yield from conn.recv()):
                text += data.decode()
        return text

    yield from keep_trying(client)


def mended(sim):
    serve(sim, say)

    def client():
        with (yield from connect()) as conn:
            data = yield from conn.recv_exactly(len(TEXT.encode()))
        return data.decode()

    assert TEXT == (yield from keep_trying(client))
