"""The end of the stream is taken for the end of the message: half a file is a file.

Source: requests and urllib3 did not enforce Content-Length for years (psf/requests#4956).
"""

from sim.zoo.keeper import connect, keep_trying, serve

BODY = b"a row of the table\n" * 200


def send_file(conn):
    yield from conn.sendall(b"%d\n" % len(BODY))
    for start in range(0, len(BODY), 100):
        yield from conn.sendall(BODY[start : start + 100])


def buggy(sim):
    serve(sim, send_file)

    def client():
        with (yield from connect()) as conn:
            yield from conn.recv_until(b"\n")
            body = b""
            while data := (yield from conn.recv()):
                body += data
            return body

    assert BODY == (yield from keep_trying(client))


def mended(sim):
    serve(sim, send_file)

    def client():
        with (yield from connect()) as conn:
            size = int((yield from conn.recv_until(b"\n")))
            return (yield from conn.recv_exactly(size))

    assert BODY == (yield from keep_trying(client))
