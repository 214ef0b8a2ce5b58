"""Executors: the one place where work leaves the thread, if a program wants that.

What lives here: ``run_in_executor``, for any ``concurrent.futures.Executor``: threads, processes, a
cluster.  What it must not know: which.  coop itself starts none.  Stands on: outcomes, traps.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from coop.outcomes import ClosedError
from coop.traps import Coop, Waiter, current_scheduler, operation

T = TypeVar("T")


class Future(Protocol):
    """What an executor's ``submit`` returns: a ``concurrent.futures.Future``, or one like it."""

    def done(self) -> bool:
        """Whether there is a result."""
        raise NotImplementedError

    def result(self) -> Any:
        """Return the result, or raise the error."""
        raise NotImplementedError

    def cancel(self) -> bool:
        """Keep it from beginning, if it has not."""
        raise NotImplementedError

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Have ``callback(future)`` called in some thread when there is a result."""


class Executor(Protocol):
    """What takes work: a ``concurrent.futures.Executor``, or one like it."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future:
        """Begin ``function(*args)`` elsewhere."""
        raise NotImplementedError


class _Elsewhere(Waiter):
    """A wait that another thread ends."""

    __slots__ = ("function",)

    external = True

    def __init__(self, function: object) -> None:
        self.task = None
        self.function = function

    def reason(self) -> str:
        return f"the executor's answer to {getattr(self.function, '__qualname__', self.function)}"


@operation
def run_in_executor(executor: Executor, function: Callable[..., T], *args: Any) -> Coop[T]:
    """Run ``function(*args)`` in an executor; return its result.

    Waits: until it has one.  Cancelled: work that has not begun does not begin; work that has goes
    on, and its result is dropped.  Errors: the function's own.
    """
    scheduler = current_scheduler()
    future = executor.submit(function, *args)
    waiter = _Elsewhere(function)

    def ring(_: object) -> None:
        with suppress(ClosedError):  # the run is over: nobody wants to know any more
            scheduler.call_threadsafe(waiter.wake)

    # The ring comes through the inbox, so never before this task is parked.
    future.add_done_callback(ring)
    try:
        while not future.done():
            yield waiter
    finally:
        future.cancel()
    result: T = future.result()
    return result
