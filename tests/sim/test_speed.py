"""Speed: an hour of chat passes in seconds, and a simulated call costs microseconds.

The bounds are far from what is measured, so that only a disaster fails on a busy machine; the
figures are printed with ``-s``.
"""

from __future__ import annotations

from time import perf_counter

import coop
from coop.sim import Simulation
from coop.traps import Coop

PORT = 7000
CLIENTS, HOUR, PAUSE = 100, 3600.0, 180.0


class Chat:
    """Everybody hears what anybody says."""

    def __init__(self) -> None:
        self.members: set[coop.Connection] = set()
        self.heard = 0

    def serve(self) -> Coop[None]:
        yield from coop.serve(self.handle, port=PORT)

    def handle(self, conn: coop.Connection) -> Coop[None]:
        self.members.add(conn)
        try:
            while line := (yield from conn.readline()):
                for member in list(self.members):
                    yield from member.sendall(line)
        finally:
            self.members.discard(conn)

    def client(self, sim: Simulation, number: int) -> Coop[None]:
        with (yield from coop.connect("server", PORT)) as conn:
            listener = coop.spawn(self.listen(conn))
            while True:
                pause = sim.random.random() * 2 * PAUSE
                if sim.now + pause > HOUR:
                    break
                yield from coop.sleep(pause)
                yield from conn.sendall(b"client %d says hello\n" % number)
            yield from coop.sleep(HOUR + 1 - sim.now)
            listener.cancel()

    def listen(self, conn: coop.Connection) -> Coop[None]:
        while (yield from conn.readline()):
            self.heard += 1


def test_an_hour_of_chat_passes_in_seconds():
    chat = Chat()
    simulation = Simulation()
    start = perf_counter()
    with simulation:
        simulation.host("server", chat.serve)
        generators = [chat.client(simulation, number) for number in range(CLIENTS)]
        simulation.do(_all(generators))
    seconds = perf_counter() - start
    print(f"\n{CLIENTS} clients, {simulation.now:.0f} s in {seconds:.2f} s, heard {chat.heard}")
    assert simulation.now > HOUR
    assert chat.heard > 100_000
    assert seconds < 60


def _all(generators: list[Coop[None]]) -> Coop[None]:
    yield from coop.sleep(1)
    yield from coop.gather(*generators)


def test_a_simulated_call_costs_microseconds():
    def echo(conn: coop.Connection) -> Coop[None]:
        while data := (yield from conn.recv()):
            yield from conn.sendall(data)

    def client() -> Coop[None]:
        with (yield from coop.connect("server", PORT)) as conn:
            for _ in range(500):
                yield from conn.sendall(b"hello")
                yield from conn.recv()

    simulation = Simulation()
    start = perf_counter()
    with simulation:
        simulation.host("server", lambda: coop.serve(echo, port=PORT))
        simulation.do(_all([client() for _ in range(50)]))
    calls = simulation.world.calls
    rate = calls / (perf_counter() - start)
    print(f"\n{calls} calls, {rate:,.0f} a second")
    assert calls > 100_000
    assert rate > 10_000
