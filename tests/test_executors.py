"""Executors: work that leaves the thread, and comes back through the door."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident

import pytest

import coop


def test_work_runs_in_another_thread_and_its_result_comes_back():
    def main():
        with ThreadPoolExecutor(1) as pool:
            return (yield from coop.run_in_executor(pool, get_ident))

    assert get_ident() != coop.run(main())


def test_others_run_meanwhile():
    begun = Event()

    def main():
        with ThreadPoolExecutor(1) as pool:
            task = coop.spawn(coop.run_in_executor(pool, begun.wait))
            yield
            begun.set()  # only a loop that goes on gets here
            return (yield from task.join())

    assert coop.run(main()) is True


def test_its_error_is_raised_where_it_is_waited_for():
    def main():
        with ThreadPoolExecutor(1) as pool:
            yield from coop.run_in_executor(pool, int, "no number")

    with pytest.raises(ValueError, match="no number"):
        coop.run(main())


def test_cancelled_work_that_has_not_begun_does_not_begin():
    done, gate = [], Event()

    def main():
        with ThreadPoolExecutor(1) as pool:
            first = coop.spawn(coop.run_in_executor(pool, gate.wait))
            yield
            with coop.move_on_after(0) as scope:
                yield from coop.run_in_executor(pool, done.append, "begun")
            gate.set()
            yield from first.join()
            return scope.caught

    assert coop.run(main()) is True
    assert [] == done


def test_an_answer_after_the_run_is_dropped():
    gate = Event()
    with ThreadPoolExecutor(1) as pool:

        def main():
            with coop.move_on_after(0):
                yield from coop.run_in_executor(pool, gate.wait)

        coop.run(main())
        gate.set()
        assert pool.submit(str, 1).result() == "1"
