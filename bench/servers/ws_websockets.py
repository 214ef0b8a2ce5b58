"""WebSocket echo by websockets' own server over uvloop:  ws_websockets.py PORT"""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import serve


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def main():
    # Without pings: the load answers none, and coop sends none to whom it hears.
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), ping_interval=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
