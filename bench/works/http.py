"""HTTP: CPU time of one small request over connections that are kept alive, by wrk."""

import shutil
import urllib.request
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from bench.loads import LoadFailed, Wrk
from bench.paths import LOAD, PYTHON, SERVERS
from bench.peers import Peer, choose, node_server, python_server
from bench.processes import HOST, Server, start_all
from bench.results import Case, rounded
from bench.rounds import alternate
from bench.works.echo import note_of

TITLE = "HTTP hello: server CPU time per request"
BODY = b"Hello, world!"
SCRIPTS: dict[str, Path | None] = {
    "hello": None,
    "browser-like headers": LOAD / "browser_headers.lua",
}


def granian(interface: str) -> Peer:
    """Return granian with one worker and one thread of each kind."""
    threads = "--workers 1 --runtime-threads 1 --blocking-threads 1 --backpressure 19000"
    address = "--host 127.0.0.1 --port {port} --http 1 --no-ws --no-access-log --log-level error"
    command = f"{{bin}}/granian --interface {interface} {address} {threads}"
    loop = () if interface == "wsgi" else ("--loop", "uvloop")
    app = ("--working-dir", str(SERVERS), f"http_apps:{interface}")
    return Peer(f"granian {interface.upper()}", (*command.split(), *loop, *app))


def gunicorn(worker: str) -> Peer:
    """Return gunicorn with one worker, and one thread where its kind has threads."""
    options = "--workers 1 --threads 1 --keep-alive 3600 --log-level error --no-control-socket"
    address = "--bind 127.0.0.1:{port} --backlog 4096 --worker-connections 19000"
    command = f"{{bin}}/gunicorn --worker-class {worker} {address} {options}"
    app = ("--chdir", str(SERVERS), "http_apps:wsgi")
    return Peer(f"gunicorn {worker}", (*command.split(), *app))


PEERS = [
    python_server("coop", "http_coop.py"),
    granian("rsgi"),
    granian("wsgi"),
    granian("asgi"),
    python_server("uvicorn", "http_uvicorn.py"),
    python_server("aiohttp", "http_aiohttp.py"),
    python_server("tornado", "http_tornado.py"),
    gunicorn("gthread"),
    gunicorn("gevent"),
    python_server("bjoern", "http_bjoern.py"),
    python_server("fastwsgi", "http_fastwsgi.py"),
    python_server("socketify", "http_socketify.py"),
    node_server("Node", "http_node.js"),
    Peer("nginx (limit)", (str(PYTHON), str(SERVERS / "http_nginx.py"), "{port}", "{scratch}")),
]


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for HTTP."""
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--cases", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure every case with all servers up."""
    if shutil.which("wrk") is None:
        raise LoadFailed("wrk is missing, and it is the load of this work: apt install wrk")
    servers, skipped = start_all(choose(PEERS, options.peers))
    try:
        sound = [server for server in servers if is_sound(server, skipped)]
        cases = []
        for name in options.cases:
            case, failures = measure_case(sound, name, options)
            cases.append(case)
            skipped |= {f"{peer}, {name}": reason for peer, reason in failures.items()}
    finally:
        for server in servers:
            server.stop()
    return cases, skipped


def is_sound(server: Server, skipped: dict[str, str]) -> bool:
    """Tell whether GET / is answered with the agreed bytes; else say in `skipped` how not."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{server.port}/", timeout=5) as response:
            answer = response.read()
    except OSError as err:
        answer = repr(err).encode()
    if answer != BODY:
        skipped[server.name] = f"answered {answer!r}; {server.last_words()}"
    return bool(answer == BODY)


def measure_case(
    servers: Sequence[Server], name: str, options: Namespace
) -> tuple[Case, dict[str, str]]:
    """Measure one kind of request in alternating slices."""
    print(f"measuring: {name}", flush=True)
    wrk = Wrk(options.connections, SCRIPTS[name])
    by_name = {server.name: server for server in servers}
    slices, failures = alternate(
        list(by_name), lambda peer: wrk.run(by_name[peer], round(options.seconds)), options.rounds
    )
    figures = {peer: [rounded(s.cost / 1000) for s in taken] for peer, taken in slices.items()}
    notes = {peer: note_of(taken) for peer, taken in slices.items()}
    return Case(f"{name} × {options.connections} connections", "µs", figures, notes), failures
