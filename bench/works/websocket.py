"""WebSocket: CPU time of one echoed message, over connections that each have one under way."""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from functools import partial

from bench.loads import EchoLoad, PipedLoad
from bench.peers import choose, python_server
from bench.processes import Server, start_all, stop_all
from bench.results import Case
from bench.rounds import WARM_UPS, alternate
from bench.works import echo

TITLE = "WebSocket: server CPU time per echoed message"
DEFAULTS = {"rounds": 7, "seconds": 0.3}
PEERS = [
    python_server("coop", "ws_coop.py"),
    python_server("uvicorn, websockets", "ws_uvicorn.py", "websockets"),
    python_server("uvicorn, websockets-sansio", "ws_uvicorn.py", "websockets-sansio"),
    python_server("websockets", "ws_websockets.py"),
]


class WebSocketLoad(EchoLoad):
    """Connections to a WebSocket echo server, open from slice to slice."""

    def __init__(self, server: Server, connections: int, size_bytes: int) -> None:
        PipedLoad.__init__(self, server, "ws_load", connections, size_bytes)


def add_options(parser: ArgumentParser) -> None:
    """Add what can be chosen for websocket."""
    parser.add_argument("--connections", type=int, default=100, help="each has one message at once")
    parser.add_argument("--bytes", type=int, default=1024, help="size of a message")


def estimate(options: Namespace) -> float:
    """Return about how many seconds this will take."""
    slices = (options.rounds + WARM_UPS) * (options.seconds + echo.SETTLING_SECONDS)
    return float((slices + 2 * echo.START_ESTIMATE) * len(choose(PEERS, options.peers)))


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure in alternating slices with all servers up."""
    servers, skipped = start_all(choose(PEERS, options.peers))
    print("measuring: websocket", flush=True)
    make_load = partial(WebSocketLoad, connections=options.connections, size_bytes=options.bytes)
    try:
        with ExitStack() as stack:
            loads, unfit = echo.open_loads(servers, make_load, stack)
            slices, failures = alternate(
                list(loads), lambda peer: loads[peer].run(options.seconds), options.rounds
            )
    finally:
        stop_all(servers)
    name = f"{options.connections:,} connections × {options.bytes:,} bytes"
    return [echo.case_of(name, slices)], skipped | unfit | failures
