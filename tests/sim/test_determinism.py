"""One seed, one run: the same trace byte for byte, wherever and however often."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from sim.scenarios import patient_echo

import coop
from coop.sim import Simulation, Uncontrolled, run
from coop.sim.command import main as command
from coop.sim.explore import attempt

ROOT = Path(__file__).parent.parent.parent
SEEDS = range(1, 13)

PROGRAM = f"""
import hashlib
from coop.sim.explore import attempt
from sim.scenarios import patient_echo

lines = []
for seed in range({SEEDS.start}, {SEEDS.stop}):
    outcome = attempt(patient_echo, seed, trace=True)
    lines += [*outcome.trace, outcome.unseed, outcome.plan, outcome.kind]
digest = hashlib.sha256("\\n".join(lines).encode()).hexdigest()
"""


def digest() -> str:
    """Return a fingerprint of everything that happened under some seeds."""
    names: dict[str, str] = {}
    exec(PROGRAM, names)
    return names["digest"]


def digest_in(python: str, hash_seed: str) -> str:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    ran = subprocess.run(
        [python, "-c", PROGRAM + "print(digest)"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_the_same_seed_is_the_same_run():
    assert digest() == digest()


def test_another_seed_is_another_run():
    assert attempt(patient_echo, 1).unseed != attempt(patient_echo, 2).unseed


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_another_process_with_another_hash_seed_runs_the_same(hash_seed):
    assert digest() == digest_in(sys.executable, hash_seed)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_another_python_runs_the_same(version):
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    python = str(installed[0]) if installed else shutil.which(f"python{version}")
    if python is None:
        pytest.skip(f"no Python {version} here")
    assert digest() == digest_in(python, "7")


# -- what no seed repeats -----------------------------------------------------------------------

HAZARDS = {
    "time.time": lambda: time.time(),
    "time.monotonic": lambda: time.monotonic(),
    "time.sleep": lambda: time.sleep(0),
    "random.random": lambda: random.random(),
    "random.shuffle": lambda: random.shuffle([1, 2]),
    "os.urandom": lambda: os.urandom(1),
    "uuid.uuid4": lambda: uuid.uuid4(),
    "secrets.token_hex": lambda: secrets.token_hex(),
    "socket.__init__": lambda: socket.socket(),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 1),
    "Thread.start": lambda: threading.Thread(target=print).start(),
    "Popen.__init__": lambda: subprocess.Popen(["true"]),
}


@pytest.mark.parametrize("name", HAZARDS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_no_seed_repeats_is_caught_and_named(name):
    def main(sim):
        yield
        HAZARDS[name]()

    with pytest.raises(Uncontrolled, match=rf"{name} was .*test_determinism.py:\d+.*task 'main'"):
        run(main)


def test_what_is_allowed_comes_from_the_seed():
    def main(sim):
        yield from coop.sleep(10)
        return time.monotonic(), time.time(), random.random(), uuid.uuid4(), os.urandom(4)

    first = run(main, 5, allow=["time", "random"])
    assert first == run(main, 5, allow=["time", "random"])
    assert first[:2] == (10.0, 946_684_810.0)
    assert first[2:] != run(main, 6, allow=["time", "random"])[2:]


def test_outside_a_task_nothing_is_caught():
    run(patient_echo)
    assert time.time() > 1e9
    with Simulation() as sim:
        sim.host("one")
        assert time.time() > 1e9
        random.random()


def test_stopwatches_show_the_time_of_the_simulation():
    def main(sim):
        watch = coop.Stopwatch()
        yield from coop.sleep(7)
        return watch.elapsed

    assert 7.0 == run(main)


def test_running_twice_compares_the_runs(capsys):
    assert 0 == command(["sim.scenarios:patient_echo", "--seeds", "5", "--twice"])
    assert 1 == command(["sim.scenarios:unrepeatable", "--seeds", "5", "--twice"])
    assert "NotDeterministic: seed 0 went otherwise" in capsys.readouterr().out
