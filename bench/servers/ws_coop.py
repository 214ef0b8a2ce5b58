"""WebSocket echo by coop, with every limit and deadline on:  ws_coop.py PORT"""

import sys

import coop
import coop.http
import coop.ws


def echo(ws):
    while (message := (yield from ws.recv())) is not coop.CLOSED:
        yield from ws.send(message)


def app(request):
    return coop.ws.upgrade(request, echo)


if __name__ == "__main__":
    coop.run(coop.http.serve(app, "127.0.0.1", int(sys.argv[1]), backlog=4096))
