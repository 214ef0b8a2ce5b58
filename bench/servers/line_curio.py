"""Lines over curio:  line_curio.py PORT   Lines are read by the socket's stream."""

import sys
from functools import partial

import curio
import curio.socket


async def answer(client: curio.io.Socket, address: object) -> None:
    client.setsockopt(curio.socket.IPPROTO_TCP, curio.socket.TCP_NODELAY, 1)
    stream = client.as_stream()
    while line := await stream.readline():
        await stream.write(line)


if __name__ == "__main__":
    address = ("127.0.0.1", int(sys.argv[1]))
    curio.run(partial(curio.tcp_server, *address, answer, backlog=4096))
