"""HTTP: CPU time of one request over connections that are kept alive, by wrk."""

import shutil
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.loads import LoadFailed, Wrk
from bench.paths import FILES, LOAD, PYTHON, SERVERS
from bench.peers import Peer, choose, node_server, python_server
from bench.processes import HOST, Server, start_all, stop_all
from bench.results import Case
from bench.rounds import WARM_UPS, alternate
from bench.works import echo

TITLE = "HTTP: server CPU time per request"
DEFAULTS = {"rounds": 5, "seconds": 0.25}
HELLO, PAGES = "http_hello", "http_pages"
FILE_BYTES = {"10k": 10 * 1024, "1m": 1024 * 1024}
POSTED = b"p" * 4096
SLICE_ESTIMATE = 0.15
CONNECTIONS = 64


@dataclass(frozen=True)
class Request:
    """A kind of request: what is asked of which application, and how long the answer is."""

    title: str
    app: str
    path: str
    answer_bytes: int
    script: Path | None = None
    body: bytes | None = None
    connections: int = 0  # 0: as many as the options say


CASES = {
    "hello": Request("hello", HELLO, "/", 13),
    "headers": Request("browser-like headers", HELLO, "/", 13, LOAD / "browser_headers.lua"),
    "pipelined": Request("hello, 16 pipelined", HELLO, "/", 13, LOAD / "pipelined.lua"),
    "json": Request("JSON of 1 KiB", PAGES, "/json", 1024),
    "10k": Request("file of 10 KiB", PAGES, "/10k", FILE_BYTES["10k"]),
    "1m": Request("file of 1 MiB", PAGES, "/1m", FILE_BYTES["1m"], connections=16),
    "post": Request("POST of 4 KiB", PAGES, "/", 4, LOAD / "post_4k.lua", POSTED),
}


def granian(interface: str, app: str) -> Peer:
    """Return granian with one worker and one thread of each kind."""
    threads = "--workers 1 --runtime-threads 1 --blocking-threads 1 --backpressure 19000"
    address = "--host 127.0.0.1 --port {port} --http 1 --no-ws --no-access-log --log-level error"
    command = f"{{bin}}/granian --interface {interface} {address} {threads}"
    loop = () if interface == "wsgi" else ("--loop", "uvloop")
    where = ("--working-dir", str(SERVERS), f"{app}:{interface}")
    return Peer(f"granian {interface.upper()}", (*command.split(), *loop, *where))


def gunicorn(worker: str, app: str) -> Peer:
    """Return gunicorn with one worker, and one thread where its kind has threads."""
    options = "--workers 1 --threads 1 --keep-alive 3600 --log-level error --no-control-socket"
    address = "--bind 127.0.0.1:{port} --backlog 4096 --worker-connections 19000"
    command = f"{{bin}}/gunicorn --worker-class {worker} {address} {options}"
    where = ("--chdir", str(SERVERS), f"{app}:wsgi")
    return Peer(f"gunicorn {worker}", (*command.split(), *where))


def peers_of(app: str) -> list[Peer]:
    """Return the servers with one of the two applications."""
    nginx = (str(PYTHON), str(SERVERS / "http_nginx.py"), "{port}", "{scratch}")
    return [
        python_server("coop", "http_coop.py", app),
        granian("rsgi", app),
        granian("wsgi", app),
        granian("asgi", app),
        python_server("uvicorn", "http_uvicorn.py", app),
        python_server("aiohttp", "http_aiohttp.py"),
        python_server("tornado", "http_tornado.py"),
        gunicorn("gthread", app),
        gunicorn("gevent", app),
        python_server("bjoern", "http_bjoern.py", app),
        python_server("fastwsgi", "http_fastwsgi.py", app),
        python_server("socketify", "http_socketify.py"),
        node_server("Node", "http_node.js"),
        Peer("nginx (limit)", nginx),
    ]


PEERS = peers_of(HELLO)


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for HTTP."""
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    slices = (options.rounds + WARM_UPS) * len(options.cases)
    each = slices * (options.seconds + SLICE_ESTIMATE) + 4 * echo.START_ESTIMATE
    return float(each * len(choose(PEERS, options.peers)))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure every case with all servers of its application up."""
    if shutil.which("wrk") is None:
        raise LoadFailed("wrk is missing, and it is the load of this work: apt install wrk")
    make_files()
    cases: list[Case] = []
    skipped: dict[str, str] = {}
    for app in (HELLO, PAGES):
        requests = [CASES[name] for name in options.cases if CASES[name].app == app]
        if requests:
            more, failures = measure_app(app, requests, options)
            cases += more
            skipped |= failures
    return cases, skipped


def make_files() -> None:
    """Write the files that are served, unless they are there."""
    FILES.mkdir(parents=True, exist_ok=True)
    for name, size in FILE_BYTES.items():
        path = FILES / name
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(bytes(i * 31 % 251 for i in range(size)))


def measure_app(
    app: str, requests: Sequence[Request], options: Namespace
) -> tuple[list[Case], dict[str, str]]:
    """Measure the requests that one application answers."""
    servers, skipped = start_all(choose(peers_of(app), options.peers))
    cases = []
    try:
        for request in requests:
            complaints = {server.name: complaint(server, request) for server in servers}
            failures = {name: reason for name, reason in complaints.items() if reason}
            sound = [server for server in servers if server.name not in failures]
            case, failed = measure_case(sound, request, options)
            cases.append(case)
            skipped |= {f"{p}, {request.title}": why for p, why in (failures | failed).items()}
    finally:
        stop_all(servers)
    return cases, skipped


def complaint(server: Server, request: Request) -> str:
    """Return what is wrong with the answer to a request, or nothing."""
    url = f"http://{HOST}:{server.port}{request.path}"
    try:
        with urllib.request.urlopen(url, data=request.body, timeout=5) as response:
            answer = response.read()
    except (OSError, urllib.error.HTTPError) as err:
        return f"{err}; {server.last_words()}"
    if len(answer) != request.answer_bytes:
        return f"answered {len(answer)} bytes, not {request.answer_bytes}: {answer[:60]!r}"
    return ""


def measure_case(
    servers: Sequence[Server], request: Request, options: Namespace
) -> tuple[Case, dict[str, str]]:
    """Measure one kind of request in alternating slices."""
    connections = request.connections or options.connections
    name = f"{request.title} × {connections} connections"
    print(f"measuring: {name}", flush=True)
    wrk = Wrk(connections, request.path, request.script)
    by_name = {server.name: server for server in servers}
    slices, failures = alternate(
        list(by_name), lambda peer: wrk.run(by_name[peer], options.seconds), options.rounds
    )
    return echo.case_of(name, slices), failures
