"""Scenarios that the tests of the simulator share, found by name from other processes too."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import coop
from coop.sim import Simulation

PORT = 7000

#: The names of the bugs in the zoo.
ANIMALS = sorted(
    path.stem for path in (Path(__file__).parent / "zoo").glob("*.py") if path.stem != "keeper"
)


def animal(name: str) -> ModuleType:
    """Return a module of the zoo, with a ``buggy`` scenario and a ``mended`` one."""
    return importlib.import_module(f"sim.zoo.{name}")


def echo(conn: coop.Connection) -> coop.Coop[None]:
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def patient_echo(sim: Simulation) -> coop.Coop[int]:
    """Three clients that try again whatever happens, until each got all its lines back."""
    sim.host("server", lambda: coop.serve(echo, port=PORT))
    counts = yield from coop.gather(*(_talk(number) for number in range(3)))
    return sum(counts)


def _talk(number: int) -> coop.Coop[int]:
    lines = [b"line %d of %d\n" % (n, number) for n in range(5)]
    done = 0
    while done < len(lines):
        try:
            with coop.timeout(30), (yield from coop.connect("server", PORT)) as conn:
                while done < len(lines):
                    yield from conn.sendall(lines[done])
                    answer = yield from conn.recv_until(b"\n")
                    assert answer == lines[done]
                    done += 1
        except (OSError, EOFError):
            yield from coop.sleep(0.5)
    return done


def hasty_reader(sim: Simulation) -> coop.Coop[None]:
    """A bug: a reader that takes one recv for one message."""
    sim.host("server", lambda: coop.serve(_greet, port=PORT))
    try:
        with (yield from coop.connect("server", PORT)) as conn:
            greeting = yield from conn.recv()
    except OSError:
        return
    if greeting:
        assert greeting == b"hello, world"


def _greet(conn: coop.Connection) -> coop.Coop[None]:
    yield from conn.sendall(b"hello, world")


def everything(sim: Simulation) -> coop.Coop[int]:
    """Streams, datagrams, names and a host that may crash: an occasion for every kind of fault."""
    sim.host("server", lambda: coop.serve(echo, port=PORT), may_crash=True)
    sim.host("names", _shout)
    for _ in range(6):
        while True:
            try:
                with coop.timeout(20):
                    yield from _ask_both()
                break
            except (OSError, EOFError):
                yield from coop.sleep(0.5)
    return 6


def _ask_both() -> coop.Coop[None]:
    names = yield from coop.current_scheduler().network.resolve("names", 53)
    with (yield from coop.connect("server", PORT)) as conn, coop.open_datagram() as udp:
        yield from udp.send_to(b"who", names[0])
        yield from conn.sendall(b"hello\n")
        assert (yield from conn.recv_until(b"\n")) == b"hello\n"
        with coop.timeout(5):
            assert (yield from udp.recv_from())[0] == b"WHO"


def _shout() -> coop.Coop[None]:
    while True:
        try:
            with coop.open_datagram(port=53) as udp:
                while True:
                    data, source = yield from udp.recv_from()
                    yield from udp.send_to(data.upper(), source)
        except OSError:
            yield from coop.sleep(0.5)


_runs: list[None] = []


def unrepeatable(sim: Simulation) -> coop.Coop[None]:
    """A program that no seed repeats: it depends on what happened before it."""
    _runs.append(None)
    yield from coop.sleep(len(_runs))
