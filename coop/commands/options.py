"""The options of ``coop serve``.

What lives here: the arguments, their help, and what they are turned into.  What it must not know:
how anything is served.  Stands on: binding, target; http's limits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar

from coop.commands.binding import HOST, PORT, Binding, read_binding
from coop.commands.target import Wishes
from coop.http.forwarded import DEFAULT_FIELDS, Forwarding
from coop.http.limits import (
    DEFAULT_DEADLINES,
    DEFAULT_LIMITS,
    MAX_CONNECTIONS,
    Deadlines,
    Limits,
)
from coop.listener import BACKLOG
from coop.proxies import TrustedPeers
from coop.server import DRAIN_SECONDS

#: For how many seconds the health fails before the listener is closed, unless told otherwise.
LAME_DUCK_SECONDS: Final = 5.0

_EXAMPLES: Final = """\
examples:
  coop serve .                          the files of this directory, on http://127.0.0.1:8000/
  coop serve shop.web:app               app of shop/web.py: a handler of coop.http, or WSGI
  coop serve shop.web:app --reload      and again whenever a file changes
  coop serve site:app -b 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
  coop serve site:app -b unix:/run/site.sock --health /healthz --proxy-protocol unix

signals:
  SIGTERM, SIGINT   answer what has been asked, and end; the second one: end now
  SIGHUP            read the certificate again
  SIGUSR1           print what every task is waiting for

exit codes:
  0 an orderly end, 1 it could not be, 2 wrong arguments, 128 + signal after a second signal
"""
_SUFFIXES: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

_LIMITS: Final = {
    "request_line_bytes": "longest request line",
    "header_line_bytes": "longest line of a header",
    "head_bytes": "longest head of a request",
    "header_count": "most headers",
    "body_bytes": "largest body",
    "chunk_count": "most chunks of a body",
    "chunk_extension_bytes": "most of all chunk extensions of a body",
    "discard_bytes": "most of an unread body that is thrown away",
    "unsent_bytes": "most of an answer that the system holds for a client who does not take it",
    "requests_per_connection": "close a connection after so many requests",
    "connections_per_address": "most connections of one address",
}
_DEADLINES: Final = {
    "idle": "for the first byte of a request",
    "head": "for a whole head",
    "body": "for which a body may be silent",
    "stall": "for which a client may take nothing",
    "half_close": "for which a client that has ended its side is waited for",
    "body_rate": "slowest a body may come, in bytes a second",
}
#: What other servers call the same; understood, and not in the help.
_ALIASES: Final = {
    "--certfile": "tls_cert",
    "--forwarded-allow-ips": "forwarded_by",
    "--graceful-timeout": "drain",
    "--keyfile": "tls_key",
    "--limit-body": "body_bytes",
    "--limit-concurrency": "max_connections",
    "--limit-request-line": "request_line_bytes",
    "--ssl-ca-certs": "tls_client_ca",
    "--ssl-certfile": "tls_cert",
    "--ssl-keyfile": "tls_key",
    "--timeout-graceful-shutdown": "drain",
    "--timeout-keep-alive": "idle",
}

R = TypeVar("R", Limits, Deadlines)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; a wrong one ends the program with exit code 2."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.tls_key and not options.tls_cert:
        parser.error("--tls-key goes with --tls-cert, which names the certificate")
    if options.tls_client_ca and not options.tls_cert:
        parser.error("--tls-client-ca goes with --tls-cert, which names the certificate")
    if options.bind and (options.host is not None or options.port is not None):
        parser.error("say either --bind or --host and --port")
    if options.forwarded_fields is not DEFAULT_FIELDS and options.forwarded_by is None:
        parser.error("--forwarded-fields goes with --forwarded-by, which names the proxies")
    if options.workers != 1:
        parser.error(
            "one process is one worker: start several with --reuse-port under systemd, or with "
            "gunicorn -k coop.ext.gunicorn.Worker"
        )
    if options.lame_duck is None:
        options.lame_duck = LAME_DUCK_SECONDS if options.health else 0.0
    return options


def bindings_of(options: argparse.Namespace) -> list[Binding] | None:
    """Return where to listen; None when the command line does not say."""
    if options.sockets:
        return [Binding(fd=fd) for fd in options.sockets]
    if options.bind:
        return list(options.bind)
    if options.host is None and options.port is None:
        return None
    host = HOST if options.host is None else options.host
    return [Binding(host=host, port=PORT if options.port is None else options.port)]


def wishes_of(options: argparse.Namespace) -> Wishes:
    """Return what is said about the target."""
    return Wishes(
        app_dir=options.app_dir,
        factory=options.factory,
        interface=options.interface,
        wsgi_mode=options.wsgi_mode,
        threads=options.threads,
        listing=options.listing,
    )


def limits_of(options: argparse.Namespace) -> Limits:
    """Return the limits."""
    return _gather(options, DEFAULT_LIMITS)


def deadlines_of(options: argparse.Namespace) -> Deadlines:
    """Return the deadlines."""
    return _gather(options, DEFAULT_DEADLINES)


def forwarding_of(options: argparse.Namespace) -> Forwarding | None:
    """Return whom to believe about where requests come from; None for nobody."""
    if options.forwarded_by is None:
        return None
    return Forwarding(options.forwarded_by, options.forwarded_fields)


def _gather(options: argparse.Namespace, defaults: R) -> R:
    said = {each.name: getattr(options, each.name) for each in fields(defaults)}
    return type(defaults)(**said)


# -- the parser ---------------------------------------------------------------------------------


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of ``coop serve``."""
    parser = argparse.ArgumentParser(
        prog="coop serve",
        usage="coop serve TARGET [options]",
        description="Serve a directory, a handler of coop.http, or a WSGI application over HTTP.",
        epilog=_EXAMPLES,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=36, width=100
        ),
    )
    parser.add_argument("target", metavar="TARGET", help="a directory, or module:attribute")
    _add_target(parser.add_argument_group("the application"))
    _add_where(parser.add_argument_group("where"))
    _add_tls(parser.add_argument_group("TLS"))
    _add_end(parser.add_argument_group("how it ends"))
    _add_proxies(parser.add_argument_group("behind a balancer"))
    _add_logs(parser.add_argument_group("logs"))
    _add_limits(parser.add_argument_group("limits and deadlines"))
    types: dict[str, Any] = {action.dest: action.type for action in parser._actions}
    for alias, name in _ALIASES.items():
        parser.add_argument(
            alias, dest=name, type=types[name], default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    for name in ("--sockets", "--leash"):  # what --reload tells the process that serves
        many = {"nargs": "+"} if name == "--sockets" else {}
        parser.add_argument(name, type=int, help=argparse.SUPPRESS, **many)  # type: ignore[arg-type]
    return parser


def _add_target(group: Any) -> None:
    add = group.add_argument
    add("--factory", action="store_true", help="call the target to get the application")
    add("--app-dir", metavar="DIR", default=".", help="where to find the module (.)")
    kind = group.add_mutually_exclusive_group()
    for name, text in (
        ("native", "a handler, which takes a request; else told by its parameters"),
        ("wsgi", "a WSGI application, which takes environ and start_response"),
    ):
        kind.add_argument(
            f"--{name}", dest="interface", action="store_const", const=name, help=f"it is {text}"
        )
    add(
        "--wsgi-mode", choices=("executor", "inline", "greenlet"), default="executor",
        help="where WSGI runs: in threads (executor), or in the server's own",
    )  # fmt: skip
    add("--threads", type=_count, metavar="N", help="how many threads WSGI gets")
    add(
        "--no-listing", dest="listing", action="store_false",
        help="answer 403 for a directory without an index page",
    )  # fmt: skip
    add("--reload", action="store_true", help="start anew when a .py file changes")
    add(
        "--reload-dir", metavar="DIR", action="append",
        help="where to look for changes instead of --app-dir; may be repeated",
    )  # fmt: skip


def _add_where(group: Any) -> None:
    add = group.add_argument
    add(
        "-b", "--bind", metavar="ADDRESS", type=read_binding, action="append",
        help="HOST:PORT, [::1]:PORT, unix:/path or fd://N; may be repeated.  Without it: what "
        f"systemd hands over, else {HOST}:{PORT}",
    )  # fmt: skip
    add("--host", help=f"an address of this machine; 0.0.0.0 is all of IPv4 ({HOST})")
    add("-p", "--port", type=_port, help=f"the port; 0 is any free one ({PORT})")
    add("--backlog", type=_count, default=BACKLOG, metavar="N",
        help=f"connections that wait to be accepted ({BACKLOG})")  # fmt: skip
    add("--reuse-port", action="store_true", help="share the port with other processes")
    add("-w", "--workers", type=_count, default=1, metavar="N", help=argparse.SUPPRESS)


def _add_tls(group: Any) -> None:
    add = group.add_argument
    add("--tls-cert", metavar="FILE",
        help="certificate, PEM; read again at SIGHUP")  # fmt: skip
    add("--tls-key", metavar="FILE", help="its key, if elsewhere")
    add("--tls-client-ca", metavar="FILE",
        help="issuers, one of whom each client must have a certificate of")  # fmt: skip


def _add_end(group: Any) -> None:
    add = group.add_argument
    add("--drain", type=_seconds,
        default=DRAIN_SECONDS, metavar="SECONDS",
        help=f"time to finish what is under way ({DRAIN_SECONDS:g})")  # fmt: skip
    add("--lame-duck", type=_seconds, metavar="SECONDS",
        help="go on accepting for so long after SIGTERM, while the health fails already "
        f"({LAME_DUCK_SECONDS:g} with --health, else 0)")  # fmt: skip
    add("--max-connections", type=_count, default=MAX_CONNECTIONS,
        metavar="N", help=f"connections at once; the others wait ({MAX_CONNECTIONS})")  # fmt: skip


def _add_proxies(group: Any) -> None:
    add = group.add_argument
    add("--health", metavar="PATH", type=_path,
        help="answer 200 there, and 503 as soon as it is to end")  # fmt: skip
    add("--proxy-protocol", metavar="FROM", type=_trusted, default=False,
        help="expect a PROXY header, v1 or v2, from these: addresses, networks, unix, or *; "
        "separated by commas")  # fmt: skip
    add("--forwarded-by", metavar="FROM", type=_trusted,
        help="believe X-Forwarded-For and X-Forwarded-Proto of these")  # fmt: skip
    add("--forwarded-fields", metavar="NAMES", type=_fields, default=DEFAULT_FIELDS,
        help="believe other fields: X-Forwarded-For, -Proto, -Host, or Forwarded; separated by "
        "commas")  # fmt: skip


def _add_logs(group: Any) -> None:
    add = group.add_argument
    add("--access-log", choices=("common", "combined", "json", "off"), default="common",
        help="a line on stdout for each request (common)")  # fmt: skip
    add("--no-access-log", dest="access_log", action="store_const", const="off",
        help=argparse.SUPPRESS)  # fmt: skip
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info",
        help="from which level on to log on stderr (info)")  # fmt: skip
    add("--server-name", default="coop", metavar="TEXT",
        help="the Server header; empty: none (coop)")  # fmt: skip


def _add_limits(group: Any) -> None:
    for each in fields(DEFAULT_LIMITS):
        default = getattr(DEFAULT_LIMITS, each.name)
        text = _LIMITS[each.name]
        metavar = "BYTES" if each.name.endswith("_bytes") else "N"
        _add_limit(group, "limit", each.name, type=_size, metavar=metavar, default=default,
                   help=f"{text} ({'no limit' if default is None else default})")  # fmt: skip
    for each in fields(DEFAULT_DEADLINES):
        default = getattr(DEFAULT_DEADLINES, each.name)
        text = _DEADLINES[each.name]
        is_rate = each.name.endswith("_rate")
        _add_limit(group, "limit" if is_rate else "timeout", each.name, type=_positive,
                   metavar="RATE" if is_rate else "SECONDS", default=default,
                   help=f"{text} ({default:g})")  # fmt: skip


def _add_limit(group: Any, kind: str, name: str, **options: Any) -> None:
    flag = f"--{kind}-{name.replace('_', '-')}"
    group.add_argument(flag, dest=name, **options)


# -- the values ---------------------------------------------------------------------------------


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return number


def _size(text: str) -> int:
    unit = _SUFFIXES.get(text[-1:].lower(), 1)
    try:
        number = int(text[:-1] if unit > 1 else text) * unit
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, such as 64k or 10M") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 (any) to 65535")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"{text} must be 0 seconds or more")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} must be greater than 0")
    return number


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is no path of a URL: write /healthz, say")
    return text


def _trusted(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    try:
        TrustedPeers(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return names


def _fields(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    try:
        Forwarding(["*"], names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return names
