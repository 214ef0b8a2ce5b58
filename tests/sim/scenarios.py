"""Scenarios that the tests of the simulator share, found by name from other processes too."""

from __future__ import annotations

import coop
from coop.sim import Simulation

PORT = 7000


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


_runs: list[None] = []


def unrepeatable(sim: Simulation) -> coop.Coop[None]:
    """A program that no seed repeats: it depends on what happened before it."""
    _runs.append(None)
    yield from coop.sleep(len(_runs))
