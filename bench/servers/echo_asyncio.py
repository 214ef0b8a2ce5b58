"""Echo over asyncio:  echo_asyncio.py PORT LOOP API [SECONDS]

LOOP is asyncio or uvloop; API is streams, protocol or buffered; SECONDS is a timeout around each
receive (streams: asyncio.timeout; protocol: a timer that each message puts off).
"""

import asyncio
import sys

import uvloop


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_stream_with_timeout(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        async with asyncio.timeout(SECONDS):
            data = await reader.read(65536)
        if not data:
            break
        writer.write(data)
        await writer.drain()
    writer.close()


class EchoProtocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = transport.write
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


class EchoProtocolWithTimeout(EchoProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.loop = asyncio.get_running_loop()
        self.timer = self.loop.call_later(SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        self.timer.cancel()
        self.timer = self.loop.call_later(SECONDS, self.transport.abort)
        self.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.timer.cancel()


class EchoBufferedProtocol(asyncio.BufferedProtocol):
    buffer = memoryview(bytearray(65536))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, hint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        self.transport.write(bytes(self.buffer[:size]))

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    if API == "streams":
        handler = echo_stream_with_timeout if SECONDS else echo_stream
        server = await asyncio.start_server(handler, "127.0.0.1", PORT, backlog=4096)
    else:
        protocols = {"protocol": EchoProtocol, "buffered": EchoBufferedProtocol}
        protocol = EchoProtocolWithTimeout if SECONDS else protocols[API]
        server = await loop.create_server(protocol, "127.0.0.1", PORT, backlog=4096)
    await server.serve_forever()


PORT, LOOP, API = int(sys.argv[1]), sys.argv[2], sys.argv[3]
SECONDS = float(sys.argv[4]) if len(sys.argv) > 4 else None
if __name__ == "__main__":
    (uvloop.run if LOOP == "uvloop" else asyncio.run)(serve())
