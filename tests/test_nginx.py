"""``coop serve`` behind a real nginx, one or two of them: who the client is, and who it is not.

pytest -m campaign tests/test_nginx.py
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from observe.programs import environment

pytestmark = pytest.mark.campaign

APP = """
import coop.http

def app(request):
    return coop.http.Response(f"{request.peer} {request.scheme} {request.host} {request.authority}")

def wsgi(environ, start_response):
    start_response("200 OK", [])
    names = "REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST"
    return [" ".join(environ[name] for name in names).encode()]
"""
CONFIG = """
{user} daemon off; worker_processes 1; pid {place}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    {temporary}
    upstream workers {{ server unix:{place}/worker; keepalive 4; }}
    map $remote_addr $forwarded_elem {{
        ~^[0-9.]+$ "for=$remote_addr";
        ~^[0-9A-Fa-f:.]+$ "for=\\"[$remote_addr]\\"";
        default "for=unknown";
    }}
    proxy_http_version 1.1;
    server {{                                  # the one that clients reach
        listen {address};
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto https;
        proxy_set_header X-Forwarded-Host shop.example;
        proxy_set_header Forwarded "$http_forwarded, $forwarded_elem;proto=https";
        location / {{ proxy_pass http://workers; }}
        location /far {{ proxy_pass http://unix:{place}/far; }}
    }}
    server {{                                  # another one behind it, which adds to the list alone
        listen unix:{place}/far;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        location / {{ proxy_pass http://workers; }}
    }}
}}
"""
PATHS = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


@contextmanager
def nginx(tool: Callable[..., str], place: Path) -> Iterator[int]:
    """Run nginx on a port of its own, which it inherits as in an upgrade; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        host, port = listener.getsockname()
        temporary = " ".join(f"{name}_temp_path {place}/{name};" for name in PATHS)
        config = place / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # or its worker could not come here
        address = f"{host}:{port}"
        config.write_text(
            CONFIG.format(place=place, address=address, temporary=temporary, user=user)
        )
        inherited = f"{listener.fileno()};"
        process = stack.enter_context(
            subprocess.Popen(
                [tool("nginx"), "-p", str(place), "-c", str(config)],
                pass_fds=[listener.fileno()],
                env=os.environ | {"NGINX": inherited},
                stderr=subprocess.DEVNULL,
            )
        )
        stack.callback(process.terminate)
        yield port


@contextmanager
def worker(place: Path, *arguments: str) -> Iterator[None]:
    (place / "shop.py").write_text(APP)
    command = [sys.executable, "-m", "coop", "serve", *arguments, "--bind", f"unix:{place}/worker"]
    with subprocess.Popen(
        command, cwd=place, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            while "serving" not in process.stderr.readline():
                assert process.poll() is None
            yield
        finally:
            process.kill()


def ask(port: int, path: str, *lines: str) -> str:
    """Ask as a client that lies about itself; return the answer's body."""
    lies = [
        "X-Forwarded-For: 10.9.9.9, 127.0.0.1",
        'Forwarded: for="10.9.9.9',
        "X-Forwarded-Proto: ftp",
        "X-Forwarded-Host: evil.example",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as conn:
        head = "\r\n".join([f"GET {path} HTTP/1.0", "Host: a", *lies, *lines, "", ""])
        conn.sendall(head.encode())
        answer = b""
        while data := conn.recv(65536):
            answer += data
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert " 200 " in head.partition("\r\n")[0], answer
    return body


FIELDS = ["--forwarded-fields"]
ALL = [*FIELDS, "X-Forwarded-For,X-Forwarded-Proto,X-Forwarded-Host"]


@pytest.mark.parametrize(
    ("target", "options", "path", "expected"),
    [
        ("app", ["unix"], "/", "127.0.0.1:0 https workers workers"),
        ("app", ["unix"], "/far", "127.0.0.1:0 https workers workers"),
        ("app", ["unix", *ALL], "/", "127.0.0.1:0 https shop.example workers"),
        ("app", ["unix", *FIELDS, "Forwarded"], "/", "127.0.0.1:0 https workers workers"),
        ("app", ["10.0.0.0/8"], "/", "unix: http workers workers"),
        ("wsgi", ["unix", *ALL], "/", "127.0.0.1 https workers"),
    ],
)
def test_the_client_is_whom_nginx_has_seen(
    target: str, options: list[str], path: str, expected: str, tool: Callable[..., str]
) -> None:
    with tempfile.TemporaryDirectory() as name:  # a short one, for the sockets in it
        place = Path(name)
        with (
            worker(place, f"shop:{target}", "--forwarded-by", *options),
            nginx(tool, place) as port,
        ):
            assert [expected] * 3 == [ask(port, path) for _ in range(3)]
