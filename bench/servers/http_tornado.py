"""HTTP by tornado:  http_tornado.py PORT"""

import asyncio
import sys

from http_apps import BODY
from tornado import web


class Hello(web.RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain")
        self.write(BODY)


async def serve() -> None:
    app = web.Application([("/", Hello)], log_function=lambda handler: None)
    app.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
