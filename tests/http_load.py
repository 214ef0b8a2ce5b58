"""Many clients in one process, by hand: plain sockets and epoll, so that nothing of coop is there.

    python tests/http_load.py PORT CONNECTIONS THINK     # THINK: most seconds between two requests

Each keeps its connection and asks again and again; every tenth asks for what takes the server some
time.  It writes "busy" once all are connected and answered; when the server has closed them all,
what became of their last requests.  A connection that is closed without a word is lost if the
client had asked before: over the loopback, what was sent then was in the server's hands.
"""

from __future__ import annotations

import collections
import heapq
import json
import random
import resource
import select
import socket
import sys
import time


class Client:
    """One connection, and the request that is on its way."""

    def __init__(self, port: int, path: str) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setblocking(False)
        self.received = b""
        self.is_waiting = False
        self.is_told = False

    def ask(self) -> str:
        """Send a request, unless the connection is at its end; return what that end was."""
        end = self._look()
        if not end:
            try:
                self.socket.send(self.request)
            except OSError:
                return "closed while idle"
            self.is_waiting = True
        return end

    def hear(self) -> str:
        """Take what came; return "", "answered", or how the connection has ended."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return ""
        except ConnectionError:
            return "RESET" if self.is_waiting else "reset while idle"
        self.received += data
        if not data:
            return self._judge_end()
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].split()[0]):
            return ""
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        assert self.is_waiting
        self.is_told = b"\r\nConnection: close" in head
        self.is_waiting = False
        self.received = b""
        return "answered"

    def _look(self) -> str:
        try:
            assert b"" == self.socket.recv(1), "an answer that nobody asked for"
        except BlockingIOError:
            return ""
        except ConnectionError:
            return "reset while idle"
        return "told, and closed" if self.is_told else "closed while idle"

    def _judge_end(self) -> str:
        if self.received:
            return "CUT OFF"
        if self.is_waiting:
            return "LOST"
        return "told, and closed" if self.is_told else "closed while idle"


def main(port: int, count: int, think: float) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100,) * 2)
    clients = [Client(port, "/slow" if n % 10 == 0 else "/") for n in range(count)]
    by_fd = {client.socket.fileno(): client for client in clients}
    poll = select.epoll()
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    due = [(0.0, fd) for fd in by_fd]
    ends: collections.Counter[str] = collections.Counter()
    answered: set[int] = set()
    total = 0
    is_busy = False

    def end(fd: int, how: str) -> None:
        ends[how] += 1
        poll.unregister(fd)
        by_fd.pop(fd).socket.close()

    while by_fd:
        for fd, _ in poll.poll(0.02 if not due else max(0.0, min(0.02, due[0][0] - time.time()))):
            what = by_fd[fd].hear()
            if what == "answered":
                total += 1
                answered.add(fd)
                if not by_fd[fd].is_told:
                    heapq.heappush(due, (time.time() + random.random() * think, fd))
            elif what:
                end(fd, what)
        while due and due[0][0] <= time.time():
            _, fd = heapq.heappop(due)
            if fd in by_fd and (how := by_fd[fd].ask()):
                end(fd, how)
        if not is_busy and len(answered) == count:
            is_busy = True
            print("busy", flush=True)
    print(json.dumps({"answered": total, **ends}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
