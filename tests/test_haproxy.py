"""Two workers on each of two hosts behind a real HAProxy: restarted, and killed, under load.

The hosts are network namespaces, so it needs root and iproute2; and it takes its time, so it is a
campaign.  The configuration of HAProxy is the one that docs/deployment.md shows.

And what it says of its clients in every form of the PROXY protocol, before TLS and without.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import kit
import pytest
from kit import Gen
from observe.programs import environment

import coop

pytest.importorskip("httptools")

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
CONFIGURATION = HERE.parent / "docs" / "deployment" / "haproxy.cfg"
#: The hosts, their addresses, and the ports of the workers on each, as in the configuration.
HOSTS = {"a": "192.0.2.11", "b": "192.0.2.12"}
PORTS = {"1": 8001, "2": 8002}
BALANCER = "192.0.2.1"
CLIENTS = 32
PATIENCE = 30.0

Process = subprocess.Popen[str]


class Site:
    """Three hosts of our own: the balancer's, and two with two workers each."""

    def __init__(self, stack: ExitStack, place: Path) -> None:
        self._stack = stack
        self._place = place
        self._names = {host: f"coop-{host}-{os.getpid()}" for host in ("lb", *HOSTS)}
        self.workers: dict[str, Process] = {}

    def build(self) -> None:
        """Make the namespaces, and a bridge between them; nothing else can be reached there."""
        for name in self._names.values():
            _ip("netns", "add", name)
            self._stack.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        middle = self._names["lb"]
        _ip("-n", middle, "link", "add", "bridge", "type", "bridge")
        _ip("-n", middle, "address", "add", f"{BALANCER}/24", "dev", "bridge")
        _ip("-n", middle, "link", "set", "bridge", "up")
        for host, address in HOSTS.items():
            name = self._names[host]
            peer = ["peer", "name", "eth0", "netns", name]
            _ip("-n", middle, "link", "add", f"to-{host}", "type", "veth", *peer)
            _ip("-n", middle, "link", "set", f"to-{host}", "master", "bridge", "up")
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")

    def start(self, host: str, *command: str, **changes: str) -> Process:
        """Start a program on a host."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self._names[host], *command],
            env=environment(**changes),
            cwd=HERE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(_put_away, process)
        return process

    def start_worker(self, name: str) -> None:
        """Start a worker, such as ``a1``, the way the documentation says."""
        command = f"""-m coop serve balancer_app:app --bind {HOSTS[name[0]]}:{PORTS[name[1]]}
            --health /healthz --lame-duck 2 --timeout-idle 75 --proxy-protocol {BALANCER}
            --access-log off"""
        trace = str(self._place / name)
        self.workers[name] = self.start(
            name[0], sys.executable, *command.split(), WORKER=name, TRACE=trace
        )

    def begun_at(self, name: str) -> set[str]:
        """Return the numbers of the requests that a worker has begun."""
        return set((self._place / name).read_text().split())

    def states(self) -> dict[str, str]:
        """Ask the balancer for what it thinks of each worker."""
        page = subprocess.run(
            ["ip", "netns", "exec", self._names["lb"], "curl", "-s", "http://127.0.0.1:8404/;csv"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        ).stdout
        rows = csv.DictReader(page.removeprefix("# ").splitlines())
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == "workers"}

    def wait_for(self, name: str, status: str) -> None:
        """Wait until the balancer thinks so of a worker."""
        deadline = time.monotonic() + PATIENCE
        while not self.states().get(name, "").startswith(status):
            assert time.monotonic() < deadline, f"{name} is never {status}: {self.states()}"
            time.sleep(0.1)

    @contextmanager
    def load(self) -> Iterator[Callable[[], dict[str, Any]]]:
        """Have clients ask; the call ends them, and returns what they tell."""
        command = [sys.executable, "balancer_load.py", "8080", str(CLIENTS)]
        process = self.start("lb", *command)

        def finish() -> dict[str, Any]:
            process.terminate()
            told, _ = process.communicate(timeout=PATIENCE)
            return json.loads(told.splitlines()[-1])  # type: ignore[no-any-return]

        assert process.stdout is not None
        self.answered = process.stdout
        yield finish

    def wait_for_answers(self, count: int) -> None:
        """Wait until so many more requests have been answered."""
        for _ in range(count // 100):
            assert self.answered.readline(), "the clients have ended"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=PATIENCE)


def _put_away(process: Process) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def site(tool: Callable[..., str], tmp_path: Path) -> Iterator[Site]:
    """The two hosts at work, behind the balancer."""
    tool("ip"), tool("curl")
    haproxy = tool("haproxy", "/usr/sbin/haproxy")
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    with ExitStack() as stack:
        site = Site(stack, tmp_path)
        try:
            site.build()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr}")
        for host in HOSTS:
            for number in PORTS:
                site.start_worker(host + number)
        site.start("lb", haproxy, "-db", "-f", str(CONFIGURATION))
        for name in site.workers:
            site.wait_for(name, "UP")
        yield site


def test_a_worker_that_is_restarted_loses_no_request(site: Site) -> None:
    with site.load() as finish:
        for name, worker in list(site.workers.items()):
            site.wait_for_answers(300)
            worker.terminate()
            assert 0 == worker.wait(PATIENCE)
            site.wait_for(name, "DOWN")
            site.wait_for_answers(300)
            site.start_worker(name)
            site.wait_for(name, "UP")
        site.wait_for_answers(500)
        told = finish()
    assert [] == told["failures"]
    assert set(site.workers) == set(told["answers"])
    assert ["127.0.0.1"] == told["peers"], "each worker knows the client, not the balancer"


def test_a_worker_that_is_killed_loses_only_its_own_requests(site: Site) -> None:
    with site.load() as finish:
        site.wait_for_answers(500)
        site.workers["b2"].send_signal(signal.SIGKILL)
        site.wait_for("b2", "DOWN")
        site.wait_for_answers(1000)
        told = finish()
    lost = {number for number, _ in told["failures"]}
    assert lost, "it had some under way"
    elsewhere = set().union(*(site.begun_at(name) for name in site.workers if name != "b2"))
    assert set() == lost & elsewhere, "what another worker had begun is not lost"
    assert len(lost) <= CLIENTS // 2, "and a client has one request under way at a time"


# -- what it says of its clients, on this host ----------------------------------------------------

PASS_ON = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen passing
    bind fd@{door}
    server one 127.0.0.1:{port} {options}
"""


def tell(conn: coop.Connection) -> Gen[None]:
    word = yield from conn.recv()
    yield from conn.sendall(b"%s from %s" % (word, str(conn.peer_address).encode()))


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"]
)
def test_a_client_is_known_through_a_balancer(
    options: str, encrypted: bool, tool: Callable[..., str], tmp_path: Path
) -> None:
    haproxy = tool("haproxy", "/usr/sbin/haproxy")
    server_side, client_side = kit.tls_contexts() if encrypted else (None, None)
    servers: list[coop.Server] = []

    def main() -> Gen[None]:
        trusted = ["127.0.0.1"]
        task = coop.spawn(
            coop.serve(
                tell, "127.0.0.1", 0, tls=server_side, proxy_protocol=trusted,
                heed_signals=False, on_listening=servers.append,
            )
        )  # fmt: skip
        while not servers:
            yield
        with socket.create_server(("127.0.0.1", 0)) as door, ExitStack() as stack:
            configuration = tmp_path / "haproxy.cfg"
            text = PASS_ON.format(door=door.fileno(), port=servers[0].port, options=options)
            configuration.write_text(text)
            process = subprocess.Popen(
                [haproxy, "-db", "-f", str(configuration)], pass_fds=[door.fileno()], text=True
            )
            stack.callback(_put_away, process)
            conn = yield from coop.connect(
                "127.0.0.1",
                door.getsockname()[1],
                tls=client_side,
                server_hostname="localhost" if encrypted else None,
            )
            with conn:
                yield from conn.sendall(b"h")
                expected = f"h from {conn.local_address}".encode()
                assert expected == (yield from conn.recv())
        servers[0].stop()
        yield from task.join()

    coop.run(main())
