"""Lines over trio:  line_trio.py PORT   trio has no read-until: a bytearray stands in for it."""

import sys
from functools import partial

import trio


async def answer(stream: trio.SocketStream) -> None:
    buffer = bytearray()
    while data := await stream.receive_some(65536):
        buffer += data
        while (end := buffer.find(b"\n")) >= 0:
            line = buffer[: end + 1]
            del buffer[: end + 1]
            await stream.send_all(line)


if __name__ == "__main__":
    port = int(sys.argv[1])
    trio.run(partial(trio.serve_tcp, answer, port, host="127.0.0.1", backlog=4096))
