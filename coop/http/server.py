"""The HTTP server: a handler of requests on every connection that comes in.

What lives here: ``serve``.  What it must not know: anything of a single connection.
Stands on: site, limits, the server of streams.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Sequence

from coop import server as streams
from coop.address import Address
from coop.arguments import check_callable
from coop.http.conversation import App
from coop.http.forwarded import Forwarding
from coop.http.limits import (
    DEFAULT_DEADLINES,
    DEFAULT_LIMITS,
    MAX_CONNECTIONS,
    Deadlines,
    Limits,
)
from coop.http.record import AccessLog
from coop.http.site import Site
from coop.listener import BACKLOG, Listener
from coop.tls import HANDSHAKE_SECONDS
from coop.traps import Operation


def serve(
    app: App,
    host: str | Address | None = None,
    port: int | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    deadlines: Deadlines = DEFAULT_DEADLINES,
    listener: Listener | Sequence[Listener] | None = None,
    max_connections: int | None = MAX_CONNECTIONS,
    backlog: int = BACKLOG,
    drain: float | None = streams.DRAIN_SECONDS,
    lame_duck: float = 0.0,
    reuse_port: bool = False,
    tls: ssl.SSLContext | None = None,
    handshake_timeout: float | None = HANDSHAKE_SECONDS,
    proxy_protocol: bool | Iterable[str] = False,
    forwarded_by: Iterable[str] | Forwarding | None = None,
    server_name: str = "coop",
    access_log: AccessLog | None = None,
    on_listening: Callable[[streams.Server], object] | None = None,
    heed_signals: bool | None = None,
) -> Operation[None]:
    """Serve HTTP/1.1: ``app(request)`` is asked for a Response to each request.

    ``app`` is a generator function, a plain function or an ``async def``.  What it raises is the
    one request's: HttpError is answered with its status, anything else is logged with its traceback
    and answered 500.  A client that breaks a rule, a limit or a deadline is told so, where that is
    possible, and its connection closed.  ``access_log`` is called with an AccessRecord
    of each request.  ``server_name`` is what the Server field says; empty, there is none.

    ``forwarded_by``: the proxies in front, by addresses and networks as for ``coop.TrustedPeers``,
    who are believed when X-Forwarded-For and X-Forwarded-Proto tell ``request.peer`` and
    ``request.scheme``; for other fields, a ``coop.http.Forwarding``.

    All else as ``coop.serve``: the first SIGTERM or SIGINT closes idle connections at once, lets
    requests be answered for ``drain`` seconds, and the second ends now.  Who has only just
    connected gets half a second to begin a request.
    Waits: until stopped.  Errors: as ``coop.serve``.
    """
    check_callable(app, "a handler is something to call with a request")
    site = Site(
        app, limits=limits, deadlines=deadlines, forwarded_by=forwarded_by,
        server_name=server_name, access_log=access_log,
    )  # fmt: skip
    return streams.serve(
        site.converse, host, port, listener=listener, max_connections=max_connections,
        backlog=backlog, drain=drain, lame_duck=lame_duck, reuse_port=reuse_port, tls=tls,
        handshake_timeout=handshake_timeout, proxy_protocol=proxy_protocol,
        on_listening=_beginning(site, on_listening),
        heed_signals=heed_signals,
    )  # fmt: skip


def _beginning(
    site: Site, on_listening: Callable[[streams.Server], object] | None
) -> Callable[[streams.Server], object]:
    """Return what is to be called when the server listens: the site is prepared before."""

    def begin(server: streams.Server) -> None:
        site.prepare(server.listeners)
        if on_listening is not None:
            on_listening(server)

    return begin
