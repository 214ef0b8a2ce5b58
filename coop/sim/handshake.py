"""Handshakes: how two endpoints become the ends of one connection, or fail to.

What lives here: what happens between the first call of connect(2) and its outcome.
What it must not know: what is sent afterwards.  Stands on: bound, faults, links.
"""

from __future__ import annotations

import errno
from socket import AF_INET
from typing import TYPE_CHECKING, Final

from coop.sim.bound import WILDCARDS, SockName, State, show
from coop.sim.faults import CONNECT_HANGS, REFUSED, SMALL_BUFFERS, UNREACHABLE
from coop.sim.links import Message, Pipe

if TYPE_CHECKING:
    from coop.sim.endpoints import Endpoint
    from coop.sim.host import Host

#: When a connect whose packet was not answered asks again, and when it gives up: tcp(7).
CONNECT_RETRIES: Final = (1.0, 3.0, 7.0, 15.0, 31.0, 63.0)
CONNECT_GIVES_UP: Final = 127.0
UNREACHABLE_SECONDS: Final = 3.0
#: Buffers when struck; the last is the least that Linux gives (socket(7)).
SMALL_BYTES: Final = (32768, 16384, 8192, 4096, 2304)
_UNREACHABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH)


def start(endpoint: Endpoint, remote: SockName) -> int:
    """Send the first packet of a connect; return what connect(2) answers at once."""
    world, host = endpoint.world, endpoint.host
    peer_host = world.host_at(host, remote)
    if world.trace is not None:
        world.note(host.name, "connect", f"{endpoint.kind} to {show(remote)}")
    if remote[1] == -1:
        return _connect_unix(endpoint, host.ports.listener(remote))
    source = "127.0.0.1" if endpoint.family == AF_INET else "::1"
    if peer_host is not host:
        source = host.address
    if not endpoint.local[1]:
        host.ports.bind(endpoint, (source, 0))
    if endpoint.local[0] in WILDCARDS:
        endpoint.local = source, endpoint.local[1]
    endpoint.remote = (source, remote[1]) if remote[0] in WILDCARDS else remote
    endpoint.label_cache = ""
    endpoint.state = State.CONNECTING
    if which := world.faults.strike(UNREACHABLE, 2):
        world.after(
            world.link(host, peer_host).latency, endpoint.fail_connecting, _UNREACHABLE[which - 1]
        )
    elif world.faults.strike(REFUSED, 1):
        world.after(
            2 * world.link(host, peer_host).latency, endpoint.fail_connecting, errno.ECONNREFUSED
        )
    elif peer_host is None:
        world.after(UNREACHABLE_SECONDS, endpoint.fail_connecting, errno.EHOSTUNREACH)
    else:
        lost = world.faults.strike(CONNECT_HANGS, len(CONNECT_RETRIES) + 1)
        _ask(endpoint, peer_host, 0, lost)
    return errno.EINPROGRESS


def _connect_unix(endpoint: Endpoint, listener: Endpoint | None) -> int:
    if listener is None:
        return errno.ECONNREFUSED
    if len(listener.queue) > listener.backlog:
        return errno.EAGAIN
    _meet(endpoint, listener)
    endpoint.is_reported = True
    return 0


def _ask(endpoint: Endpoint, peer_host: Host, attempt: int, lost: int) -> None:
    """Send the first packet of a connect, or send it again."""
    if endpoint.state is not State.CONNECTING or endpoint.is_closed:
        return
    waits = (0.0, *CONNECT_RETRIES, CONNECT_GIVES_UP)
    if attempt > len(CONNECT_RETRIES):
        endpoint.fail_connecting(errno.ETIMEDOUT)
        return
    if attempt >= lost:
        delay = endpoint.world.link(endpoint.host, peer_host).latency
        endpoint.world.after(delay, Asking(endpoint, peer_host).pump)
    endpoint.world.after(
        waits[attempt + 1] - waits[attempt], _ask, endpoint, peer_host, attempt + 1, lost
    )


class Asking:
    """The first packet of a connect, on its way."""

    __slots__ = ("endpoint", "there")

    def __init__(self, endpoint: Endpoint, there: Host) -> None:
        self.endpoint = endpoint
        self.there = there

    def pump(self) -> None:
        """Arrive at the other host, unless kept back: its system answers, whoever runs there."""
        endpoint, world = self.endpoint, self.endpoint.world
        there, back = world.link(endpoint.host, self.there), world.link(self.there, endpoint.host)
        if not self._is_awaited() or there.keeps(self):
            return
        if there.is_cut(world.clock.time) or back.is_cut(world.clock.time) or not self.there.is_up:
            return
        listener = self.there.ports.listener(endpoint.remote)
        if listener is None:
            world.after(back.latency, endpoint.fail_connecting, errno.ECONNREFUSED)
        elif len(listener.queue) <= listener.backlog:
            _meet(endpoint, listener)

    def held(self) -> list[Message]:
        """Return it, while its sender waits for the answer."""
        return [Message("connect", self.endpoint.label, b"")] if self._is_awaited() else []

    def _is_awaited(self) -> bool:
        endpoint = self.endpoint
        return (
            endpoint.state is State.CONNECTING and not endpoint.is_closed and endpoint.out is None
        )


def _meet(endpoint: Endpoint, listener: Endpoint) -> None:
    """Become one end of a connection whose other end stands in the listener's queue."""
    other = type(endpoint)(listener.host, endpoint.family, -1)
    other.local, other.remote = endpoint.remote, endpoint.local
    if endpoint.remote[1] == -1 or not endpoint.remote[1]:
        other.local, other.remote = listener.local, ("", 0)
    if which := endpoint.world.faults.strike(SMALL_BUFFERS, len(SMALL_BYTES)):
        for end in (endpoint, other):
            end.receive_buffer = end.send_buffer = SMALL_BYTES[which - 1]
    world = endpoint.world
    endpoint.out = other.source = Pipe(endpoint, other, world.link(endpoint.host, other.host))
    other.out = endpoint.source = Pipe(other, endpoint, world.link(other.host, endpoint.host))
    other.state = State.CONNECTED
    other.is_reported = True
    listener.queue.append(other)
    listener.touch()
    world.after(other.out.link.latency, _be_answered, endpoint)


def _be_answered(endpoint: Endpoint) -> None:
    if endpoint.is_closed or endpoint.is_forgotten:
        if endpoint.out is not None:
            endpoint.out.put_reset()
    elif endpoint.state in (State.CONNECTING, State.CLOSED) and not endpoint.is_receive_shut:
        endpoint.state = State.CONNECTED
        endpoint.touch()
