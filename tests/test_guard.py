"""The guards against a forgotten ``yield from``: loud, with file and line; no false alarms."""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kit
import pytest
from kit import Gen, play

import coop
from coop.traps import operation

pytestmark = pytest.mark.core

ROOT = Path(__file__).parent.parent
NEVER = bool(0)  # the compiler drops what stands below a plain False


def warnings_of(make: Callable[[], Gen[Any]]) -> list[tuple[str, str]]:
    """Run it; return the message and the source line of each RuntimeWarning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        play(make())
        gc.collect()
    found = []
    for warning in caught:
        assert RuntimeWarning is warning.category
        assert __file__ == warning.filename
        line = Path(warning.filename).read_text("utf-8").splitlines()[warning.lineno - 1]
        found.append((str(warning.message), line.strip()))
    return found


def check(make: Callable[[], Gen[Any]], *expected: tuple[str, str]) -> None:
    """The warnings must be these, in any order: a part of the message, and the line."""
    found = sorted(warnings_of(make), key=lambda each: each[1])
    expected = tuple(sorted(expected, key=lambda each: each[1]))
    assert [line for _, line in expected] == [line for _, line in found], found
    for (part, _), (message, _) in zip(expected, found, strict=True):
        assert part in message


# -- operations of the library --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("sleep", lambda a: coop.sleep(1)),
        ("Connection.recv", lambda a: a.recv()),
        ("Connection.sendall", lambda a: a.sendall(b"x")),
        ("Connection.recv_exactly", lambda a: a.recv_exactly(1)),
        ("Connection.readline", lambda a: a.readline()),
        ("Connection.aclose", lambda a: a.aclose()),
        ("gather", lambda a: coop.gather()),
        ("Task.join", lambda a: coop.current_task().join()),
    ],
)
def test_a_dropped_operation_is_named_at_its_line(name: str, call: Any) -> None:
    line = inspect.getsource(call)

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            call(a)
        yield

    ((message, where),) = warnings_of(main)
    assert message == f"{name}() was made and never run: write 'yield from' (or 'await') before it"
    assert where in line


def test_an_operation_that_is_run_in_any_way_is_no_mistake() -> None:
    async def awaiting() -> None:
        await coop.sleep(0)

    def main() -> Gen[None]:
        yield from coop.sleep(0)
        yield from coop.spawn(coop.sleep(0)).join()
        yield from coop.gather(coop.sleep(0), awaiting())
        yield next(iter(coop.sleep(0)))
        coop.sleep(0).close()  # type: ignore[attr-defined]

    check(main)


def test_an_operation_of_ones_own_is_guarded_too() -> None:
    @operation
    def mine() -> Gen[None]:
        yield None

    def main() -> Gen[None]:
        mine()
        yield

    check(main, ("mine() was made and never run", "mine()"))


# -- generator functions of the user --------------------------------------------------------------


def step(*_: Any) -> Gen[None]:
    yield None


def plain(*_: Any) -> None: ...


class Worker:
    __slots__ = ("calls", "helper", "log")

    def __init__(self) -> None:
        self.log: list[str] = []
        self.calls = 0

    def step(self) -> Gen[None]:
        yield None

    @classmethod
    def make(cls) -> Gen[None]:
        yield None

    @staticmethod
    def work() -> Gen[None]:
        yield None

    @property
    def surprising(self) -> Any:
        raise AssertionError("it was run")

    def count(self) -> None:
        self.calls += 1

    def run(self) -> Gen[None]:
        self.step()
        self.count()
        self.log.append("ran")
        yield None


def test_a_forgotten_function_of_the_module_is_named_at_its_line() -> None:
    def main() -> Gen[None]:
        step(1)
        yield None

    check(main, ("step is a generator function, so its call does nothing: write", "step(1)"))


def test_a_forgotten_function_of_an_imported_module() -> None:
    def main() -> Gen[None]:
        kit.passes(3)
        yield None

    check(main, ("write 'yield from kit.passes(...)'", "kit.passes(3)"))


def test_a_forgotten_local_function() -> None:
    def local() -> Gen[None]:
        yield None

    def main() -> Gen[None]:
        local()
        yield None

    check(main, ("local is a generator function", "local()"))


def test_a_forgotten_function_that_is_defined_later() -> None:
    def main() -> Gen[None]:
        def later() -> Gen[None]:
            yield None

        yield from coop.sleep(0)
        later()

    check(main, ("later is a generator function", "later()"))


def test_a_forgotten_method() -> None:
    check(Worker().run, ("self.step is a generator function", "self.step()"))


def test_a_forgotten_method_of_a_local_object() -> None:
    def main() -> Gen[None]:
        worker = Worker()
        yield from coop.sleep(0)
        worker.step()
        worker.make()
        worker.work()
        Worker.work()

    check(
        main,
        ("worker.step", "worker.step()"),
        ("worker.make", "worker.make()"),
        ("worker.work", "worker.work()"),
        ("Worker.work", "Worker.work()"),
    )


def test_a_forgotten_call_below_the_first_function() -> None:
    def inner() -> Gen[None]:
        yield from coop.sleep(0)
        step(2)

    def middle() -> Gen[None]:
        step(3)
        yield from inner()

    def main() -> Gen[None]:
        yield from middle()

    check(main, ("step", "step(2)"), ("step", "step(3)"))


def test_a_forgotten_call_in_a_plain_function_that_a_task_calls() -> None:
    def helper() -> Any:
        step(4)
        return coop.sleep(0)

    def main() -> Gen[None]:
        yield from helper()

    check(main, ("step", "step(4)"))


def test_a_forgotten_call_in_a_coroutine_a_body_and_a_spawned_task() -> None:
    async def coroutine() -> None:
        step(5)

    def body(group: coop.Group) -> Gen[None]:
        step(6)
        yield None

    def spawned() -> Gen[None]:
        step(7)
        yield None

    def main() -> Gen[None]:
        coop.spawn(spawned())
        yield from coop.group(body)
        yield from coop.gather(coroutine())

    check(main, ("step", "step(7)"), ("step", "step(6)"), ("step", "step(5)"))


def test_a_forgotten_call_is_told_once() -> None:
    def main() -> Gen[None]:
        for _ in range(3):
            step(8)
            yield from coop.sleep(0)

    check(main, ("step", "step(8)"))
    check(main)


def test_a_call_over_several_lines_is_named_at_the_first() -> None:
    def main() -> Gen[None]:
        step(
            9,
            plain(),
        )
        yield None

    check(main, ("step", "step("))


def test_a_forgotten_partial_is_found() -> None:
    half = functools.partial(step, 1)

    def main() -> Gen[None]:
        half(2)
        yield None

    check(main, ("half is a generator function", "half(2)"))


def test_what_is_no_mistake_is_not_told() -> None:
    worker = Worker()

    @contextlib.contextmanager
    def block() -> Any:
        yield

    def rebound(function: Any) -> Gen[None]:
        function()
        yield None

    def main() -> Gen[list[Any]]:
        plain()
        print(end="")
        worker.log.append("x")
        worker.count()
        worker.helper = step
        list(step())
        kept = step()
        kept.close()
        with block():
            yield from step()
        block()
        [].append(step())  # type: ignore[arg-type]
        (lambda: None)()
        yield from rebound(plain)
        yield from coop.spawn(step()).join()
        return [step()]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        play(main())


def test_looking_runs_no_code_of_the_users() -> None:
    class Sly:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("it was run")

    def main(thing: Any, worker: Worker) -> Gen[None]:
        yield from coop.sleep(0)
        if NEVER:
            thing.anything()
            worker.surprising()
            worker.helper()  # a slot that is not set
            worker.step.__call__.unknown()

    check(lambda: main(Sly(), Worker()))


def test_a_name_that_nobody_knows_is_left_to_python() -> None:
    def main() -> Gen[None]:
        yield from coop.sleep(0)
        if NEVER:
            no_such_name()  # type: ignore[name-defined]  # noqa: F821

    check(main)


def test_without_its_source_a_function_is_passed_over() -> None:
    space: dict[str, Any] = {"step": step}
    exec("def main():\n    step()\n    yield None\n", space)
    check(space["main"])


def test_a_generator_without_a_frame_is_passed_over() -> None:
    class Foreign:
        """Like a generator of C, which may have no frame, or none that it shows."""

        gi_frame = None

        def __iter__(self) -> Foreign:
            return self

        def __next__(self) -> None:
            raise StopIteration

        def send(self, value: object) -> None:
            raise StopIteration

        def throw(self, error: BaseException) -> None:
            raise error

        def close(self) -> None: ...

    check(lambda: Foreign())  # type: ignore[arg-type, return-value]


def run_script(script: str, **environment: str) -> str:
    """Run a script as a file of its own; return what it says on its error output."""
    run = subprocess.run(
        [sys.executable, "-"],
        input=script,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 0 == run.returncode, run.stderr
    return run.stderr


FORGETFUL = """
import coop
def step():
    yield
def main():
    coop.sleep(1)
    yield
coop.run(main())
print(type(coop.sleep(0)))
"""


def test_without_debug_mode_nothing_is_wrapped_and_nothing_is_told() -> None:
    assert "" == run_script(FORGETFUL, COOP_DEBUG="")
    assert "sleep() was made and never run" in run_script(FORGETFUL, COOP_DEBUG="1")
