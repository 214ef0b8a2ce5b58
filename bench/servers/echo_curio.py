"""Echo over curio:  echo_curio.py PORT [SECONDS]   SECONDS: a timeout around each receive."""

import sys
from functools import partial

import curio
import curio.socket


async def echo(client: curio.io.Socket, address: object) -> None:
    client.setsockopt(curio.socket.IPPROTO_TCP, curio.socket.TCP_NODELAY, 1)
    while data := await client.recv(65536):
        await client.sendall(data)


async def echo_with_timeout(client: curio.io.Socket, address: object) -> None:
    client.setsockopt(curio.socket.IPPROTO_TCP, curio.socket.TCP_NODELAY, 1)
    while data := await curio.timeout_after(SECONDS, client.recv, 65536):
        await client.sendall(data)


SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else None
if __name__ == "__main__":
    handler = echo_with_timeout if SECONDS else echo
    address = ("127.0.0.1", int(sys.argv[1]))
    curio.run(partial(curio.tcp_server, *address, handler, backlog=4096))
