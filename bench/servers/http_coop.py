"""HTTP by coop, with every limit and deadline on:  http_coop.py PORT http_hello|http_pages"""

import sys

from http_hello import BODY
from http_pages import FOLDER, SIZES, answer

import coop
import coop.http

files = coop.http.Directory(FOLDER)


def hello(request):
    return coop.http.Response(BODY, headers=[("Content-Type", "text/plain")])
    yield  # a handler is a generator function


def pages(request):
    if request.path in SIZES:
        return files(request)
    body = (yield from request.read()) if request.method == "POST" else None
    kind, content = answer(body)
    return coop.http.Response(content, headers=[("Content-Type", kind)])


if __name__ == "__main__":
    app = {"http_hello": hello, "http_pages": pages}[sys.argv[2]]
    address = {"host": "127.0.0.1", "port": int(sys.argv[1]), "backlog": 4096}
    deadlines = coop.http.Deadlines(idle=3600.0)  # as for the peers: idle connections stay
    coop.run(coop.http.serve(app, **address, deadlines=deadlines, max_connections=19_000))
