"""HTTP by aiohttp over uvloop:  http_aiohttp.py PORT   (both applications, by its router)"""

import sys

import uvloop
from aiohttp import web
from http_hello import BODY
from http_pages import SIZES, answer, file_of


async def hello(request: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="text/plain")


async def page(request: web.Request) -> web.Response:
    body = await request.read() if request.method == "POST" else None
    kind, content = answer(body)
    return web.Response(body=content, content_type=kind)


async def file(request: web.Request) -> web.FileResponse:
    return web.FileResponse(file_of(request.path))


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.get("/", hello), web.get("/json", page), web.post("/", page)])
    app.add_routes([web.get(path, file) for path in SIZES])
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop=uvloop.new_event_loop(),
        access_log=None,
        print=None,
        keepalive_timeout=3600,
    )
