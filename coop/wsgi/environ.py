"""The environ: a request as PEP 3333 wants it told.

What lives here: ``make_environ``, and which header becomes which variable.  What it must not know:
applications, how bodies are read.  Stands on: the HTTP server's messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from coop.http.errors import HttpError
from coop.http.messages import Request

Environ = dict[str, Any]
"""What an application is called with: variables of CGI and of WSGI."""

#: Headers that are no variables.  The body is out of its chunks when the application reads it, and
#: some would decode it again.  HTTP_PROXY is what programs take for a setting (CVE-2016-5385).
_UNTOLD: Final = frozenset(["transfer-encoding", "proxy"])
_PORTS: Final = {"http": "80", "https": "443"}

_split_host: Final = re.compile(r"(\[[^]]*\]|[^:]*)(?::([0-9]*))?").fullmatch


def make_environ(request: Request, constants: Mapping[str, Any], script_name: str) -> Environ:
    """Return the variables of this request, added to a copy of the ``constants``.

    ``script_name`` is where the application is mounted, ``""`` or ``"/prefix"``.  What is missing
    is ``wsgi.input``.  Errors: HttpError 404 for a path that is not below ``script_name``.
    """
    environ = dict(constants)
    peer = request.peer
    environ["REQUEST_METHOD"] = request.method
    environ["SCRIPT_NAME"] = script_name
    environ["PATH_INFO"] = _path_info(request.raw_path, script_name)
    environ["QUERY_STRING"] = request.query_string
    environ["RAW_URI"] = environ["REQUEST_URI"] = request.target
    environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _own_name(request)
    environ["REMOTE_ADDR"] = "" if peer is None else peer.host
    if peer is not None and peer.port:  # which a proxy need not tell, and a unix socket has none
        environ["REMOTE_PORT"] = str(peer.port)
    environ["wsgi.url_scheme"] = request.scheme
    environ["coop.request"] = request
    _add_headers(environ, request)
    return environ


def _path_info(raw_path: str, script_name: str) -> str:
    """Return the path behind the mount point, its octets as characters (PEP 3333, "Unicode")."""
    if raw_path == "*":
        return ""  # the server as a whole: it names no path, and PATH_INFO would begin with "/"
    path = unquote_to_bytes(raw_path).decode("latin-1")
    rest = path.removeprefix(script_name)
    if script_name and (rest == path or rest[:1] not in ("", "/")):
        raise HttpError(404, f"the application is mounted at {script_name}")
    return rest


def _own_name(request: Request) -> tuple[str, str]:
    """Return SERVER_NAME and SERVER_PORT: our address, or what the client calls it."""
    local = request.local
    if local is not None and local.path is None:
        return local.host, str(local.port)
    parts = _split_host(request.authority)
    host, port = parts.groups() if parts is not None else (None, None)
    return host or "localhost", port or _PORTS[request.scheme]


def _add_headers(environ: Environ, request: Request) -> None:
    for name, value in request.headers.pairs:
        variable = _variable(name)
        if variable is None:
            continue
        if variable == "CONTENT_LENGTH":
            environ[variable] = str(request.content_length)
        elif variable in environ:
            environ[variable] += ("; " if variable == "HTTP_COOKIE" else ", ") + value
        else:
            environ[variable] = value
    if host := request.authority:
        environ["HTTP_HOST"] = host  # a target in absolute form overrules the field


@lru_cache(maxsize=256)
def _variable(name: str) -> str | None:
    """Return the variable that a header is told in; None for one that is not told.

    A name with an underscore would be taken for another one, with a hyphen, that a proxy in front
    of us may have set and vouches for.
    """
    if "_" in name or name.lower() in _UNTOLD:
        return None
    variable = name.upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"
