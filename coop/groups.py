"""Groups: tasks that belong together, and never outlive the call that holds them.

What lives here: Group, and the ways to run several generators as one wait: ``group``, ``gather``,
``race``, ``map``.  What it must not know: sockets, how the loop turns.  Stands on: arguments,
outcomes, traps, task, scopes, scheduler.

Waiting cannot happen in ``__exit__``, which cannot yield, so a group is a call over a body:
``yield from coop.group(body)`` returns when the body and every child have ended.  The first error
cancels the rest, and all the errors come out as one ExceptionGroup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context
from itertools import islice
from types import coroutine
from typing import Any, Final, TypeVar

from coop.arguments import whole_number
from coop.guard import DEBUG, look_into
from coop.outcomes import Cancelled, MisuseError, TaskCancelled
from coop.parking import ParkingLot
from coop.scheduler import check_generator
from coop.scopes import Scope, shield
from coop.task import Task, TaskState
from coop.traps import Coop, Runnable, current_scheduler, current_task, operation, running

S = TypeVar("S")
T = TypeVar("T")

#: What ``map`` has for the result of an item that has not ended.
_NOTHING: Final = object()

ErrorHook = Callable[[Task[Any], BaseException], object]
"""What a group with a hook calls for a child that failed, instead of failing itself."""


class Group:
    """The children of one ``coop.group`` call, as its body sees them."""

    __slots__ = (
        "_empty", "_on_error", "_scope", "body_error", "children", "errors", "holder", "is_over",
        "name",
    )  # fmt: skip

    def __init__(self, *, name: str = "group", on_error: ErrorHook | None = None) -> None:
        self.name = name
        #: The task whose call holds the group; None before and after.
        self.holder: Task[Any] | None = None
        #: The live children by number, in the order of spawning.
        self.children: dict[int, Task[Any]] = {}
        #: What has gone wrong so far, in order, by identity: each is kept once.
        self.errors: dict[int, BaseException] = {}
        #: The one of them that was the body's own.
        self.body_error: BaseException | None = None
        #: Whether the group has ended: nothing can be spawned into it any more.
        self.is_over = False
        self._on_error = on_error
        self._scope = Scope()
        self._empty = ParkingLot(self, "the end of")

    def spawn(self, generator: Runnable[T], *, name: str | None = None) -> Task[T]:
        """Make a task of a generator; it belongs to this group.

        Waits: never; the task begins next turn, and begins even if the group is cancelled.
        Errors: MisuseError when the group is over.
        """
        if self.is_over:
            raise MisuseError(f"{self!r} is over: spawn into it while its body or a child runs")
        if DEBUG:
            look_into(generator)
        scheduler = running.scheduler or current_scheduler()
        task = scheduler.spawn(generator, self, name)
        self.children[task.number] = task
        if self._scope.cancel_requested:
            task.cancel(self._scope.cancel_reason)
        return task

    def cancel(self, reason: object = None) -> None:
        """Cancel the body and every child.  Waits: never; the group's call does."""
        if self._scope.cancel_requested:
            return
        self._scope.cancel(reason)
        for child in list(self.children.values()):
            child.cancel(reason)

    @property
    def is_cancelled(self) -> bool:
        """Whether the group was cancelled, by hand or by a failure."""
        return self._scope.cancel_requested

    def blockers(self) -> list[Task[Any]]:
        """Return whom the end of the group waits for: the children that are left."""
        return list(self.children.values())

    def cancel_soon(self, reason: object = None) -> None:
        """Ask every child to stop at its next convenient point; see ``coop.convenient``."""
        for child in list(self.children.values()):
            child.cancel_soon(reason)

    def __repr__(self) -> str:
        state = "over" if self.is_over else f"of {len(self.children)} tasks"
        return f"<{self.name} {state}>"

    # -- what the kernel and ``group`` do -----------------------------------------------------

    def task_ended(self, task: Task[Any], was_joined: bool) -> None:
        """Take note that a child has ended; called by the kernel."""
        del self.children[task.number]
        if task.end is TaskState.FAILED and not was_joined:
            error = task.exception
            assert error is not None
            if self._on_error is None or not isinstance(error, Exception):
                self.fail(error)
            else:
                self._report(task, error, self._on_error)
        if not self.children and self._empty.spots:
            self._empty.wake_all()

    def _report(self, task: Task[Any], error: Exception, hook: ErrorHook) -> None:
        try:
            hook(task, error)
        except Exception as broken:
            self.fail(broken)  # an error hook that fails is the group's own failure

    def fail(self, error: BaseException) -> None:
        """Keep the error for the end, and cancel the rest."""
        self.errors[id(error)] = error
        self.cancel("another task of the group has failed")

    def raise_errors(self, whose: str, *, unwrap: bool = False) -> None:
        """Raise what has gone wrong, as one ExceptionGroup, if anything has.

        ``unwrap``, for a run and a race: the body's (or the winner's) error comes as it is when it
        is the only one, and so does one that is to end the program, such as KeyboardInterrupt.
        """
        errors, own = list(self.errors.values()), self.body_error
        # Let go of them: their tracebacks keep this group, which would keep them.
        self.errors, self.body_error = {}, None
        last = next((error for error in errors if not isinstance(error, Exception)), None)
        try:
            if unwrap and (last is not None or errors == [own]):
                raise last or errors[0]
            if errors:
                raise BaseExceptionGroup(f"{len(errors)} failed in the {whose}", errors)
        finally:
            del errors, own, last

    def run_body(self, body: Coop[T]) -> Coop[T | None]:
        """Run the body, then wait for the children; what went wrong is in ``errors``.

        A cancellation is not raised here: it is still in force, and met at the next park.
        """
        value = None
        self.holder = current_task()
        try:
            with self._scope:
                value = yield from body
        except GeneratorExit:
            self.cancel("the call that held the group was thrown away")
            raise  # nothing may wait any more
        except BaseException as error:
            if isinstance(error, Cancelled) and current_task().cancelling is not None:
                self.cancel("the call that held the group was cancelled")
            else:
                self.body_error = error
                self.fail(error)
        yield from self.wait_for_children()
        self.is_over = True
        self.holder = None
        self._empty.owner = self.name  # or the two would be left to the cycle collector
        return value

    def wait_for_children(self) -> Coop[None]:
        """Wait until no child is left; when cancelled, cancel them and wait all the same."""
        try:
            yield from self._wait_until_empty()
        except Cancelled:
            self.cancel("the call that held the group was cancelled")
            with shield():
                yield from self._wait_until_empty()

    def _wait_until_empty(self) -> Coop[None]:
        while self.children:
            yield from self._empty.park()


def as_generator(thing: Any) -> Any:
    """Return what ``yield from`` can run: a coroutine of ``async def`` is no iterator.

    Errors: TypeError for what is neither.
    """
    if DEBUG:
        look_into(thing)
    if hasattr(thing, "__next__"):
        return thing
    if not hasattr(thing, "__await__"):
        raise TypeError(
            f"the body of a task, a group or a server is a generator or a coroutine, not {thing!r}"
            ": does the function that returned it have a 'yield'?"
        )
    if not hasattr(thing, "send"):
        return thing.__await__()
    generator: Any = _await(thing)
    generator.__qualname__ = getattr(thing, "__qualname__", "await")  # for the task's name
    return generator


@coroutine
def _await(awaitable: Any) -> Coop[Any]:
    # Not ``__await__()``: that hides the frame in which the coroutine stands.
    return (yield from awaitable)


@operation
def group(
    body: Callable[..., Runnable[T]], *args: Any, on_error: ErrorHook | None = None
) -> Coop[T]:
    """Run ``body(group, *args)``, which may spawn tasks into the group; return what it returns.

    Waits: until the body and every child have ended, however they end.
    Errors: ExceptionGroup of the body's and the children's errors, the first of which cancelled
    the rest; with ``on_error(task, error)`` the children's go there and cancel nothing.
    """
    if not callable(body):
        if hasattr(body, "throw"):
            body.close()  # or Python would complain that it never ran
        raise TypeError(f"group wants a function to call with the group, not {body!r}")
    members = Group(on_error=on_error)
    return (yield from hold(members, body(members, *args)))


def hold(members: Group, body: Runnable[T], *, unwrap: bool = False) -> Coop[T]:
    """Run the body of a group, wait for its children, and raise what has gone wrong."""
    value: Any = yield from members.run_body(as_generator(body))
    members.raise_errors(members.name, unwrap=unwrap)
    if current_task().cancelling is not None:
        yield None  # raises: or an outer timeout would be hidden by a group that ended all the same
    return value  # type: ignore[no-any-return]


@operation
def gather(*generators: Runnable[Any]) -> Coop[tuple[Any, ...]]:
    """Run all of these at once; return their results in the order given.

    Waits: until all have ended.  Errors: as ``group``; the first failure cancels the rest.
    TypeError for what is no generator, MisuseError for one given twice: then none is begun.
    """
    _check_all(generators, "gather")

    def body(members: Group) -> Coop[list[Task[Any]]]:
        return [members.spawn(generator) for generator in generators]
        yield  # the body of a group is a generator

    tasks = yield from group(body)
    return tuple(task.result for task in tasks)


def _check_all(generators: tuple[Any, ...], verb: str) -> None:
    """See to it that all of these can be run, or close them all."""
    try:
        for each in generators:
            check_generator(each, verb)
        if len({id(each) for each in generators}) < len(generators):
            raise MisuseError(
                f"{verb} was given the same generator twice: call its function for each"
            )
    except BaseException:
        for each in generators:
            if hasattr(each, "throw"):
                each.close()  # or Python would complain of those that never ran
        raise


class _Race(Group):
    """A group that the first child to end has won."""

    __slots__ = ("is_decided", "value")

    def __init__(self) -> None:
        super().__init__(name="race")
        self.is_decided = False
        self.value: Any = None

    def task_ended(self, task: Task[Any], was_joined: bool) -> None:
        if not self.is_decided and task.state is not TaskState.CANCELLED:
            self.is_decided = True
            self.body_error = task.exception  # raised as it is, if no loser fails as well
            if self.body_error is None:
                self.value = task.result
            self.cancel("another was first")
            was_joined = False  # whoever called race hears of the error in any case
        super().task_ended(task, was_joined)


@operation
def race(*generators: Runnable[T]) -> Coop[T]:
    """Run all of these at once; return the result of the first to end, or raise its error.

    Waits: until one has ended and the losers, which are cancelled, have ended too.
    Errors: the winner's; ExceptionGroup when a loser fails on its way out; TaskCancelled when all
    were cancelled one by one; ValueError without any generator; else as ``gather``.
    """
    if not generators:
        raise ValueError("race needs at least one generator")
    _check_all(generators, "race")

    def body(members: Group) -> Coop[None]:
        for generator in generators:
            members.spawn(generator)
        yield from members.wait_for_children()

    contest = _Race()
    yield from hold(contest, body(contest), unwrap=True)
    if not contest.is_decided:
        raise TaskCancelled("the race has no winner: everyone in it was cancelled")
    return contest.value  # type: ignore[no-any-return]


@operation
def map(  # noqa: A001  # coop.map, beside the built-in one
    function: Callable[[S], Runnable[T]], items: Iterable[S], *, limit: int | None = None
) -> Coop[list[T]]:
    """Run ``function(item)`` for each item, at most ``limit`` at once; return the results in order.

    Items are taken from the iterable as places come free, so it may be long, or lazy.  Each has a
    task of its own, with a copy of the caller's context variables.
    Waits: until all have ended.  Errors: as ``group``; TaskCancelled when one was cancelled alone;
    ValueError for a limit below 1.
    """
    if limit is not None:
        limit = whole_number(limit, 1, "limit is how many may run at once, 1 or more")
    context = copy_context()
    numbered = enumerate(items)
    results: dict[int, Any] = {}

    def begin(members: Group, count: int | None) -> None:
        for index, item in islice(numbered, count):
            results[index] = _NOTHING
            context.run(members.spawn, work(members, index, item))

    def work(members: Group, index: int, item: Any) -> Coop[None]:
        results[index] = yield from as_generator(function(item))
        if limit is not None and not members.is_cancelled:
            begin(members, 1)

    def body(members: Group) -> Coop[None]:
        begin(members, limit)
        return
        yield  # the body of a group is a generator

    yield from group(body)
    if _NOTHING in results.values():
        raise TaskCancelled("the map has no result for an item whose task was cancelled")
    return list(results.values())
