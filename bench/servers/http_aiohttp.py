"""HTTP by aiohttp over uvloop:  http_aiohttp.py PORT"""

import sys

import uvloop
from aiohttp import web
from http_apps import BODY


async def hello(request: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="text/plain")


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/", hello)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop=uvloop.new_event_loop(),
        access_log=None,
        print=None,
        keepalive_timeout=3600,
    )
