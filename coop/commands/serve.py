"""``coop serve``: a directory, a handler or a WSGI application, on the command line's word.

What lives here: the life of the command, from its arguments to its exit code: 0 an orderly end, 1
it could not be, 2 wrong arguments, 128 + signal when a second signal ended it.  What it must not
know: how a target is found, what a conversation is.  Stands on: its options, http, runtime.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from coop.commands.binding import open_listeners, url_of
from coop.commands.options import (
    bindings_of,
    deadlines_of,
    forwarding_of,
    limits_of,
    parse,
    wishes_of,
)
from coop.commands.refusal import Refusal
from coop.commands.reload import supervise
from coop.commands.target import Target, find_target
from coop.commands.terminal import is_terminal_gone
from coop.groups import Group, group
from coop.http import access
from coop.http.health import Health
from coop.http.messages import Request
from coop.http.record import AccessLog, AccessRecord
from coop.http.server import serve as serve_http
from coop.notify import notify_manager
from coop.printable import counted
from coop.runtime import run
from coop.server import Server
from coop.signals import Signals
from coop.tls_context import renew_certificate, tls_server_context
from coop.traps import Coop
from coop.waits import wait_readable

try:
    import resource
except ImportError:  # Windows
    _HAS_LIMITS = False
else:
    _HAS_LIMITS = True

logger = logging.getLogger("coop.serve")

#: Seconds in which a process that is to be replaced may finish what is under way.
RELOAD_DRAIN_SECONDS: Final = 1.0

_FORMATS: Final[dict[str, Callable[[Any], AccessLog]]] = {
    "common": access.common,
    "combined": access.combined,
    "json": access.json_lines,
}


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    options = parse(arguments)
    try:
        if options.reload:
            return supervise(options, list(arguments))
        return _serve(options)
    except Refusal as refusal:
        print(f"coop serve: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # before there was a server to stop


def _serve(options: argparse.Namespace) -> int:
    target = find_target(options.target, wishes_of(options))
    # Without effect where the application has set up its own.
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("coop").setLevel(options.log_level.upper())
    _raise_descriptor_limit()
    service = _Service(options, target, _tls_context(options))
    try:
        code = run(service.run())
    finally:
        sys.stdout.flush()
    if target.is_busy():
        logger.warning("the application's threads go on after their time: they are cut off")
    if code or target.is_busy():
        os._exit(code)  # or Python would wait for them
    return 0


class _Service:
    """One run of the command: the server, and what the signals do to it."""

    def __init__(
        self, options: argparse.Namespace, target: Target, context: ssl.SSLContext | None
    ) -> None:
        self._options = options
        self._target = target
        self._context = context
        self._health = Health()
        self._server: Server | None = None
        #: What ended it before its time.
        self._code = 0

    def run(self) -> Coop[int]:
        options = self._options
        listeners = open_listeners(
            bindings_of(options),
            backlog=options.backlog,
            reuse_port=options.reuse_port,
            tls=self._context,
        )
        serving = serve_http(
            self._app(),
            listener=listeners,
            limits=limits_of(options),
            deadlines=deadlines_of(options),
            max_connections=options.max_connections,
            drain=min(options.drain, RELOAD_DRAIN_SECONDS) if options.leash else options.drain,
            lame_duck=0.0 if options.leash else options.lame_duck,
            proxy_protocol=options.proxy_protocol,
            forwarded_by=forwarding_of(options),
            server_name=options.server_name,
            access_log=_access_log(options),
            on_listening=self._announce,
            heed_signals=False,
        )
        numbers = [signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)]
        with Signals(*numbers) as arrivals:
            yield from group(self._attend, serving, arrivals)
        return self._code

    def _attend(self, members: Group, serving: Coop[None], arrivals: Signals) -> Coop[None]:
        watchers = [members.spawn(self._watch(arrivals), name="signals")]
        if self._options.leash:
            watchers.append(members.spawn(self._feel_leash(), name="leash"))
        yield from serving
        for watcher in watchers:
            watcher.cancel("the server has ended")

    def _app(self) -> Callable[[Request], Any]:
        app, health, path = self._target.app, self._health, self._options.health
        if path is None:
            return app

        def with_health(request: Request) -> Any:
            return health(request) if request.path == path else app(request)

        return with_health

    def _announce(self, server: Server) -> None:
        self._server = server
        self._health.watch(server)
        urls = ", ".join(map(url_of, server.listeners))
        print(f"coop: serving {self._target.title} on {urls}", file=sys.stderr, flush=True)
        notify_manager("READY=1")

    # -- signals --------------------------------------------------------------------------------

    def _watch(self, arrivals: Signals) -> Coop[None]:
        while True:
            number = yield from arrivals.next()
            server = self._server
            if server is None:
                continue
            if number == getattr(signal, "SIGHUP", None) and not is_terminal_gone():
                self._renew()
            elif self._options.leash and number == signal.SIGINT:
                pass  # the terminal's, for the whole group: our supervisor decides
            elif server.is_ready:
                self._stop(server, number)
            else:
                logger.warning("ending now: cutting off %s", counted(server.active, "connection"))
                self._code = 128 + number
                server.abort()

    def _stop(self, server: Server, number: int) -> None:
        if number == signal.SIGINT:
            server.lame_duck = 0.0  # somebody at a terminal: no balancer is there to notice
        notify_manager("STOPPING=1")
        if server.lame_duck:
            logger.info("stopping in %g s: not ready from now on", server.lame_duck)
        else:
            those = counted(server.active, "connection")
            logger.info("stopping: %s may finish within %g s", those, server.drain)
        server.stop()

    def _renew(self) -> None:
        if self._context is None:
            logger.info("SIGHUP: there is no certificate to read again")
            return
        try:
            renew_certificate(self._context, self._options.tls_cert, self._options.tls_key)
        except OSError as error:
            logger.error("SIGHUP: the certificate stays as it is: %s", error.strerror or error)
        else:
            logger.info("SIGHUP: new connections get the certificate of %s", self._options.tls_cert)

    def _feel_leash(self) -> Coop[None]:
        """End when the supervisor has, however it did: its end of the pipe is closed then."""
        yield from wait_readable(self._options.leash)
        if self._server is not None:
            self._server.stop()


def _tls_context(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    try:
        return tls_server_context(
            options.tls_cert, options.tls_key, client_ca=options.tls_client_ca, alpn=["http/1.1"]
        )
    except OSError as error:
        name = getattr(error, "filename", None)
        what = f"cannot read {name}: {error.strerror}" if name else error.strerror or str(error)
        raise Refusal(f"no TLS: {what}") from None


def _access_log(options: argparse.Namespace) -> AccessLog | None:
    if options.access_log == "off":
        return None
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    log = _FORMATS[options.access_log](sys.stdout)
    return log if options.health is None else _without(options.health, log)


def _without(path: str, log: AccessLog) -> AccessLog:
    """Leave out what a balancer asks each second, as long as all is well."""

    def log_others(record: AccessRecord) -> None:
        if record.status != 200 or record.request is None or record.request.path != path:
            log(record)

    return log_others


def _raise_descriptor_limit() -> None:
    """Let the process open as many descriptors as it may: a shell often gives it 1024."""
    if _HAS_LIMITS:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and soft < hard:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
