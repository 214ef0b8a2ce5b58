"""Health: what a balancer asks before it sends a client here.

What lives here: Health.  What it must not know: who asks.  Stands on: messages, the server's state.
"""

from __future__ import annotations

from coop.http.messages import Request, Response
from coop.server import Server

_FIELDS = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))


class Health:
    """A handler that answers 200 while all servers it watches are ready, and 503 otherwise.

    ``coop.http.serve(app, on_listening=health.watch, lame_duck=10)`` with an app that sends, say,
    ``/healthz`` here.  A server that was told to stop is not ready, though for ``lame_duck`` more
    seconds it accepts, so that a balancer notices and sends nobody there when the listener closes.
    """

    def __init__(self) -> None:
        self._servers: list[Server] = []
        #: Set it to False to fail by hand, while the database is away, say.
        self.is_well = True

    def watch(self, server: Server) -> None:
        """Answer for this server too; for ``on_listening``."""
        self._servers.append(server)

    @property
    def is_ready(self) -> bool:
        """Whether the answer is 200; with no server to watch it is not."""
        servers = self._servers
        return self.is_well and bool(servers) and all(server.is_ready for server in servers)

    def __call__(self, request: Request) -> Response:
        """Answer."""
        if self.is_ready:
            return Response("ready\n", 200, _FIELDS)
        return Response("not ready: stopping, or not well\n", 503, _FIELDS)
