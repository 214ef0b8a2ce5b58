"""HTTP by coop, with every limit and deadline on:  http_coop.py PORT"""

import sys

from http_apps import BODY

import coop
import coop.http


def hello(request):
    return coop.http.Response(BODY, headers=[("Content-Type", "text/plain")])
    yield  # a handler is a generator function


if __name__ == "__main__":
    coop.run(coop.http.serve(hello, host="127.0.0.1", port=int(sys.argv[1])))
