"""Lines over asyncio:  line_asyncio.py PORT asyncio|uvloop streams|protocol"""

import asyncio
import sys

import uvloop


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


class LineProtocol(asyncio.Protocol):
    """The line splitting that one writes by hand: one write for each line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.transport.write(line + b"\n")

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def serve() -> None:
    if API == "streams":
        server = await asyncio.start_server(answer, "127.0.0.1", PORT, backlog=4096)
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(LineProtocol, "127.0.0.1", PORT, backlog=4096)
    await server.serve_forever()


PORT, LOOP, API = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if __name__ == "__main__":
    (uvloop.run if LOOP == "uvloop" else asyncio.run)(serve())
