"""WebSocket: CPU time of one echoed message, over connections that each have one under way."""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack

from bench.loads import EchoLoad, PipedLoad
from bench.peers import choose, python_server
from bench.processes import Server, start_all
from bench.results import Case, rounded
from bench.rounds import Failed, alternate
from bench.works.echo import add_connection_options, note_of

TITLE = "WebSocket echo: server CPU time per message"
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
    add_connection_options(parser, connections=[100])


def measure(options: Namespace) -> tuple[list[Case], dict[str, str]]:
    """Measure every pair of connections and size with all servers up."""
    servers, skipped = start_all(choose(PEERS, options.peers))
    cases = []
    try:
        for connections in options.connections:
            for size_bytes in options.bytes:
                case, failures = measure_case(servers, connections, size_bytes, options)
                cases.append(case)
                skipped |= {f"{name}, {case.name}": reason for name, reason in failures.items()}
    finally:
        for server in servers:
            server.stop()
    return cases, skipped


def measure_case(
    servers: list[Server], connections: int, size_bytes: int, options: Namespace
) -> tuple[Case, dict[str, str]]:
    """Measure one number of connections and one size in alternating slices."""
    name = f"{connections:,} connections × {size_bytes:,} bytes"
    print(f"measuring: {name}", flush=True)
    loads: dict[str, WebSocketLoad] = {}
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        for server in servers:
            try:
                loads[server.name] = WebSocketLoad(server, connections, size_bytes)
            except Failed as err:
                failures[server.name] = str(err)
            else:
                stack.callback(loads[server.name].stop)
        slices, failed = alternate(
            list(loads), lambda peer: loads[peer].run(options.seconds), options.rounds
        )
    figures = {peer: [rounded(s.cost / 1000) for s in taken] for peer, taken in slices.items()}
    notes = {peer: note_of(taken) for peer, taken in slices.items()}
    return Case(name, "µs", figures, notes, at=connections), failures | failed
