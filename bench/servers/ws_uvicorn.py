"""WebSocket echo by uvicorn over uvloop and websockets:  ws_uvicorn.py PORT IMPLEMENTATION"""

import sys

import uvicorn


async def echo(scope, receive, send):
    if (await receive())["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"]})


if __name__ == "__main__":
    uvicorn.run(
        echo,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        ws=sys.argv[2],
        ws_ping_interval=None,  # the load answers none; coop sends none to whom it hears
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
