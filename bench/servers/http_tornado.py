"""HTTP by tornado:  http_tornado.py PORT   (both applications, by its router)"""

import asyncio
import sys

from http_hello import BODY
from http_pages import FOLDER, answer
from tornado import web


class Hello(web.RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain")
        self.write(BODY)

    def post(self) -> None:
        self.write(answer(self.request.body)[1])


class Json(web.RequestHandler):
    def get(self) -> None:
        kind, content = answer(None)
        self.set_header("Content-Type", kind)
        self.write(content)


async def serve() -> None:
    files = ("/(10k|1m)", web.StaticFileHandler, {"path": FOLDER})
    app = web.Application([("/", Hello), ("/json", Json), files], log_function=lambda handler: None)
    app.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
