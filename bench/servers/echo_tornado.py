"""Echo over tornado:  echo_tornado.py PORT [SECONDS]   SECONDS: a timeout around each receive."""

import asyncio
import sys
from datetime import timedelta

from tornado.gen import with_timeout
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer


class EchoServer(TCPServer):
    async def handle_stream(self, stream: IOStream, address: object) -> None:
        stream.set_nodelay(True)
        try:
            while True:
                await stream.write(await self.receive(stream))
        except StreamClosedError:
            return

    async def receive(self, stream: IOStream) -> bytes:
        reading = stream.read_bytes(65536, partial=True)
        return await (with_timeout(timedelta(seconds=SECONDS), reading) if SECONDS else reading)


async def serve() -> None:
    EchoServer().listen(int(sys.argv[1]), "127.0.0.1", backlog=4096)
    await asyncio.Event().wait()


SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else None
if __name__ == "__main__":
    asyncio.run(serve())
