"""What the tests of the HTTP server share: a server in a world of its own, and a client by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import kit

import coop
import coop.http

Gen = kit.Gen


class Answer(NamedTuple):
    """An answer as it came over the wire; names of fields in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes


class Client:
    """One connection to the server, and the bytes that go over it."""

    def __init__(self, conn: coop.Connection) -> None:
        self.conn = conn

    def say(self, data: bytes, cut: int | None = None) -> Gen[None]:
        """Send the bytes, in pieces of ``cut`` bytes that arrive one by one."""
        step = cut or max(1, len(data))
        try:
            for start in range(0, len(data), step):
                yield from self.conn.sendall(data[start : start + step])
                if cut:
                    yield from kit.passes(2)
        except OSError:
            pass  # it has heard enough; what it said is still to be read

    def hear(self, *, method: str = "GET") -> Gen[Answer]:
        """Receive one answer."""
        head = yield from self.conn.recv_until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        fields = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        assert len(fields) == len(lines), f"a field comes twice: {lines}"
        status = int(first.split()[1])
        body = b""
        if method == "HEAD" or status in (100, 204, 304):
            pass
        elif "transfer-encoding" in fields:
            body = yield from self._hear_chunks()
        elif "content-length" in fields:
            body = yield from self.conn.recv_exactly(int(fields["content-length"]))
        else:
            body = yield from self.hear_end()
        return Answer(status, fields, body)

    def ask(self, data: bytes) -> Gen[Answer]:
        """Send a request, and receive its answer."""
        yield from self.say(data)
        return (yield from self.hear(method=data.partition(b" ")[0].decode()))

    def hear_end(self) -> Gen[bytes]:
        """Receive everything up to the end, and close."""
        data = b""
        with self.conn:
            while piece := (yield from self.conn.recv()):
                data += piece
        return data

    def _hear_chunks(self) -> Gen[bytes]:
        body = b""
        while size := int((yield from self.conn.recv_until(b"\r\n")), 16):
            body += yield from self.conn.recv_exactly(size)
            assert b"\r\n" == (yield from self.conn.recv_exactly(2))
        assert b"\r\n" == (yield from self.conn.recv_exactly(2))
        return body


class Hall:
    """A server at work, and the way to it."""

    def __init__(self) -> None:
        self.server: Any = None
        self.clients: list[Client] = []

    def enter(self, *, receive_buffer_bytes: int | None = None) -> Gen[Client]:
        """Connect."""
        network = coop.current_scheduler().network
        conn = coop.Connection(network.open_stream(self.server.address))
        if receive_buffer_bytes is not None:
            conn.socket.set_receive_buffer_bytes(receive_buffer_bytes)
        yield from conn.connect(self.server.address)
        self.clients.append(Client(conn))
        return self.clients[-1]


def visit(app: Any, visitor: Callable[[Hall], Gen[Any]], **options: Any) -> Any:
    """Run ``visitor(hall)`` against a server of ``app``, in a world whose clock leaps."""
    hall = Hall()

    def body(members: coop.Group) -> Gen[Any]:
        listener = coop.listen("127.0.0.1", 0)
        members.spawn(
            coop.http.serve(
                app,
                listener=listener,
                heed_signals=False,
                on_listening=lambda server: setattr(hall, "server", server),
                **options,
            )
        )
        yield from kit.wait_until(lambda: hall.server)
        try:
            return (yield from visitor(hall))
        finally:
            for client in hall.clients:
                client.conn.close()
            hall.server.stop()

    return kit.play(coop.group(body))


def get(target: str = "/", fields: str = "", method: str = "GET", version: str = "1.1") -> bytes:
    return f"{method} {target} HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode("latin-1")


def post(body: bytes, fields: str = "", target: str = "/") -> bytes:
    return get(target, f"Content-Length: {len(body)}\r\n{fields}", "POST") + body


def hello(request: coop.http.Request) -> coop.http.Response:
    return coop.http.Response(b"hello")


def echo(request: coop.http.Request) -> Gen[coop.http.Response]:
    return coop.http.Response((yield from request.read()))
