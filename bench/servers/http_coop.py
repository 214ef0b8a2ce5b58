"""HTTP by coop, with every limit and deadline on:  http_coop.py PORT"""

import sys

from http_apps import BODY

import coop
import coop.http


def hello(request):
    return coop.http.Response(BODY, headers=[("Content-Type", "text/plain")])
    yield  # a handler is a generator function


if __name__ == "__main__":
    address = {"host": "127.0.0.1", "port": int(sys.argv[1]), "backlog": 4096}
    deadlines = coop.http.Deadlines(idle=3600.0)  # as for the peers: idle connections stay
    coop.run(coop.http.serve(hello, **address, deadlines=deadlines, max_connections=19_000))
