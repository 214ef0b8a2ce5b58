"""Gunicorn's workers: ``gunicorn -k coop.ext.gunicorn.Worker app:app``.

What lives here: Worker and GreenletWorker for WSGI applications, NativeWorker for handlers of
coop.http.  What it must not know: how requests are answered; gunicorn's own parser and loop are not
used.  Stands on: gunicorn's base worker, which is its protocol with the arbiter; the HTTP and the
WSGI rooms, the runtime.

The arbiter binds, forks, counts and restarts; a worker serves the sockets it inherits, in one run.
The arbiter speaks by signals, the worker by the heartbeat and by how it exits.
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal, cast

from coop.groups import Group, as_generator, group
from coop.http.conversation import App
from coop.http.limits import Deadlines, Limits
from coop.http.messages import Request, Response
from coop.http.record import AccessLog, AccessRecord
from coop.http.site import Site
from coop.listener import Listener
from coop.proxies import TrustedPeers
from coop.runtime import run
from coop.server import Server
from coop.sockets import StreamSocket, adopt
from coop.traps import Coop, current_scheduler
from coop.waits import sleep
from coop.wsgi.adapter import adapt
from coop.wsgi.environ import Environ, make_environ
from coop.wsgi.greenlet_stage import check_greenlet

try:
    from gunicorn.http.wsgi import WSGIErrorsWrapper
    from gunicorn.sock import ssl_context
    from gunicorn.workers.base import Worker as BaseWorker
except ImportError as error:
    raise ImportError("coop.ext.gunicorn needs it: pip install 'coop-net[gunicorn]'") from error

#: Seconds between two heartbeats, at most.
PULSE_SECONDS: Final = 1.0
#: Seconds for which a worker that was told to stop serves on: a client that holds a connection
#: cannot know that it should send nothing more.
LINGER_SECONDS: Final = 1.0
#: What gunicorn's "no limit" means here, in bytes and in fields.
UNLIMITED: Final = 1024 * 1024


class NativeWorker(BaseWorker):  # type: ignore[misc]
    """Serve a handler of ``coop.http``: ``gunicorn -k coop.ext.gunicorn.NativeWorker app:handler``.

    TERM: answer what was accepted, for at most ``graceful_timeout`` seconds, then exit.  INT, QUIT:
    exit now.  The settings of gunicorn that matter are docs/wsgi.md's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._server: Server | None = None
        #: How long to go on serving when told to stop, in seconds.
        self._linger: float = min(LINGER_SECONDS, self.cfg.graceful_timeout / 4)
        #: Calls a function in the run; what signal handlers use.
        self._call_soon: Callable[[Callable[[], object]], object] = lambda _: None

    def make_handler(self) -> App:
        """Return the handler that answers requests: the application itself."""
        return cast(App, self.wsgi)

    # -- the run --------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop.  Called by gunicorn, in the worker's process."""
        _adopt_loggers(self.log)
        run(self._serve())

    def _serve(self) -> Coop[None]:
        site = Site(
            self._count_and_answer(self.make_handler()),
            limits=_limits(self.cfg),
            deadlines=self._deadlines(),
            access_log=self._access_log(),
        )
        listeners = self._listeners()
        site.prepare(listeners)
        self._server = server = Server(
            site.converse,
            listeners,
            max_connections=self.cfg.worker_connections,
            # Together less than what the arbiter waits for before it kills.
            drain=max(0.1, self.cfg.graceful_timeout - 2 * self._linger),
            proxy_protocol=self.cfg.proxy_allow_ips if _wants_proxy(self.cfg) else False,
        )
        self._call_soon = current_scheduler().call_soon
        yield from group(self._serve_and_beat, server)

    def _listeners(self) -> list[Listener]:
        """Take over the sockets that the arbiter has bound."""
        tls = _tls_context(self.cfg) if self.cfg.is_ssl else None
        raws = [cast(StreamSocket, adopt(each.sock.detach())) for each in self.sockets]
        return [Listener(raw, tls=tls) for raw in raws]

    def _serve_and_beat(self, members: Group, server: Server) -> Coop[None]:
        heart = members.spawn(self._beat(), name="heartbeat")
        yield from server.run(heed_signals=False)
        heart.cancel("the server has ended")

    def _beat(self) -> Coop[None]:
        """Tell the arbiter that we live; stop when it does not, or when gunicorn wants us to."""
        pulse = min(PULSE_SECONDS, self.timeout / 2 or PULSE_SECONDS)
        while True:
            self.notify()
            if self.ppid != os.getppid():
                self.log.info("Parent changed, shutting down: %s", self)
                self.alive = False
            if not self.alive:
                self.stop()
            yield from sleep(pulse)

    def stop(self) -> None:
        """Begin the orderly end.  Never waits; again: no effect."""
        self.alive = False
        server = self._server
        if server is not None and server.is_ready:
            server.lame_duck = self._linger if server.active else 0.0
            server.stop()

    def _abort(self) -> None:
        self.alive = False
        if self._server is not None:
            self._server.abort()

    # -- requests -------------------------------------------------------------------------------

    def _count_and_answer(self, app: App) -> App:
        """Return a handler that counts the requests, and says goodbye when the worker stops."""
        should_keep = self.cfg.keepalive > 0

        def answer(request: Request) -> Coop[Any]:
            self.nr += 1
            if self.nr >= self.max_requests and self.alive:
                self.log.info("Autorestarting worker after current request.")
                self.stop()
            response = app(request)
            if not isinstance(response, Response):
                response = yield from as_generator(response)
            if isinstance(response, Response) and not (should_keep and self.alive):
                response.should_close = True
            return response

        return answer

    def _deadlines(self) -> Deadlines:
        keepalive = self.cfg.keepalive
        return Deadlines(idle=float(keepalive)) if keepalive > 0 else Deadlines()

    def _access_log(self) -> AccessLog | None:
        if not getattr(self.log, "access_log_enabled", True):
            return None
        return self._note_access

    def _note_access(self, record: AccessRecord) -> None:
        headers = () if record.request is None else record.request.headers.pairs
        elapsed = timedelta(seconds=record.seconds)
        self.log.access(_LoggedResponse(record), headers, _logged_environ(record), elapsed)

    # -- signals --------------------------------------------------------------------------------

    def handle_exit(self, sig: int, frame: Any) -> None:
        """TERM: the orderly end."""
        self.alive = False
        self._call_soon(self.stop)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """INT and QUIT: the end now."""
        self.alive = False
        self.cfg.worker_int(self)
        self._call_soon(self._abort)


class Worker(NativeWorker):
    """Serve a WSGI application: ``gunicorn -k coop.ext.gunicorn.Worker app:app``.

    With ``--threads`` above 1 the application runs in so many threads, else inline.
    """

    #: How the application waits: see ``coop.wsgi.adapt``.
    mode: ClassVar[Literal["inline", "executor", "greenlet"]] = "inline"

    def make_handler(self) -> App:
        """Return a handler that asks the application."""
        mode, executor = self.mode, None
        if mode == "inline" and self.cfg.threads > 1:
            mode, executor = "executor", ThreadPoolExecutor(self.cfg.threads)
        adapter = adapt(
            self.wsgi,
            mode=mode,
            executor=executor,
            script_name=os.environ.get("SCRIPT_NAME", "").rstrip("/"),
            max_body_bytes=sys.maxsize,  # gunicorn has no limit: it is the application's business
            multiprocess=self.cfg.workers > 1,
            amend=_scheme_teller(self.cfg),
        )
        adapter.constants["wsgi.errors"] = WSGIErrorsWrapper(self.cfg)
        return adapter


class GreenletWorker(Worker):
    """Serve a WSGI application in greenlets: ``gunicorn -k coop.ext.gunicorn.GreenletWorker …``."""

    mode: ClassVar[Literal["inline", "executor", "greenlet"]] = "greenlet"

    @classmethod
    def setup(cls) -> None:
        """Complain of a missing package before anything is forked."""
        check_greenlet()


def _limits(cfg: Any) -> Limits:
    line = cfg.limit_request_line or UNLIMITED
    field = cfg.limit_request_field_size or UNLIMITED
    return Limits(
        request_line_bytes=line,
        header_line_bytes=field,
        head_bytes=max(Limits.head_bytes, line + field + 4),
        header_count=cfg.limit_request_fields or UNLIMITED,
    )


def _tls_context(cfg: Any) -> ssl.SSLContext:
    """Make the context that gunicorn's settings describe; without HTTP/2, which is not spoken."""
    context: ssl.SSLContext = ssl_context(cfg)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _wants_proxy(cfg: Any) -> bool:
    return cfg.proxy_protocol not in (False, None, "off")


def _scheme_teller(cfg: Any) -> Callable[[Request, Environ], None]:
    """Return what believes the proxies in front of us about TLS, as gunicorn's settings say."""
    trusted = TrustedPeers([*cfg.forwarded_allow_ips, "unix"])
    wanted = {name.lower(): value for name, value in cfg.secure_scheme_headers.items()}

    def tell(request: Request, environ: Environ) -> None:
        headers = request.headers
        is_said = any(headers.get(name) == value for name, value in wanted.items())
        if is_said and request.peer in trusted:
            environ["wsgi.url_scheme"] = "https"

    return tell


def _adopt_loggers(log: Any) -> None:
    """Have coop's own messages go where gunicorn's go, unless they go somewhere already."""
    ours, theirs = logging.getLogger("coop"), getattr(log, "error_log", None)
    if theirs is not None and not ours.hasHandlers():
        ours.handlers = list(theirs.handlers)
        ours.setLevel(theirs.level)


class _LoggedResponse:
    """What gunicorn's access log asks of a response."""

    def __init__(self, record: AccessRecord) -> None:
        self.status = str(record.status)
        self.headers = record.response.headers.pairs
        self.sent = record.body_bytes


def _logged_environ(record: AccessRecord) -> Environ:
    """Return what gunicorn's access log asks of a request."""
    if record.request is not None:
        return make_environ(record.request, {}, "")
    # It was refused before it was one: its line may hold anything.
    words = [*record.request_line.encode("unicode_escape").decode().split(" ", 2), "-", "-", "-"]
    peer = record.peer
    return {
        "REMOTE_ADDR": "-" if peer is None else peer.host,
        "REQUEST_METHOD": words[0] or "-",
        "RAW_URI": words[1],
        "SERVER_PROTOCOL": words[2],
    }
