"""Clients of the balancer: each asks again and again, and none ever asks twice for the same.

    python balancer_load.py PORT CLIENTS

It prints a line for each 100 answers, and at SIGTERM, as JSON, what went wrong: [[id, what], …],
and how many answers each worker gave.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from typing import Any

import coop

failures: list[tuple[str, str]] = []
answers: Counter[str] = Counter()
peers: set[str] = set()


def customer(port: int, name: int) -> Any:
    """Ask on one connection as long as it lasts, and then on another."""
    count = 0
    while True:
        with (yield from coop.connect("127.0.0.1", port)) as conn:
            while True:
                count += 1
                try:
                    is_kept = yield from ask(conn, f"{name}-{count}")
                except (OSError, EOFError) as error:
                    failures.append((f"{name}-{count}", repr(error)))
                    break
                if not is_kept:
                    break


def ask(conn: coop.Connection, number: str) -> Any:
    """Ask once; return whether the connection goes on."""
    with coop.timeout(20):
        yield from conn.sendall(f"GET /work?id={number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = (yield from conn.recv_until(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = (yield from conn.recv_exactly(size)).decode()
    if not head.startswith("http/1.1 200 "):
        failures.append((number, head.partition("\r\n")[0]))
        return False
    worker, peer = body.split()
    answers[worker] += 1
    peers.add(peer.rpartition(":")[0])
    if answers.total() % 100 == 0:
        print(answers.total(), flush=True)
    return "connection: close" not in head


def main() -> Any:
    """Ask until SIGTERM."""
    port, clients = map(int, sys.argv[1:])

    def body(members: coop.Group) -> Any:
        for name in range(clients):
            members.spawn(customer(port, name))
        with coop.Signals(signal.SIGTERM) as arrivals:
            yield from arrivals.next()
        members.cancel()

    yield from coop.group(body)
    print(json.dumps({"failures": failures, "answers": answers, "peers": sorted(peers)}))


coop.run(main())
