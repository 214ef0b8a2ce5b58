"""Echo over trio:  echo_trio.py PORT [SECONDS]   SECONDS: a timeout around each receive."""

import sys
from functools import partial

import trio


async def echo(stream: trio.SocketStream) -> None:
    while data := await stream.receive_some(65536):
        await stream.send_all(data)


async def echo_with_timeout(stream: trio.SocketStream) -> None:
    while True:
        with trio.fail_after(SECONDS):
            data = await stream.receive_some(65536)
        if not data:
            break
        await stream.send_all(data)


PORT = int(sys.argv[1])
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else None
if __name__ == "__main__":
    handler = echo_with_timeout if SECONDS else echo
    trio.run(partial(trio.serve_tcp, handler, PORT, host="127.0.0.1", backlog=4096))
