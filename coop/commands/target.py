"""Targets: what the command line wants served, found and made a handler of coop.http.

What lives here: the reading of ``DIR`` and ``module:attribute``, with errors that say what to write
instead.  What it must not know: where it is served.  Stands on: http's Directory; wsgi, when it is
needed.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any, NamedTuple

from coop.commands.refusal import Refusal
from coop.http.static import Directory

_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Target(NamedTuple):
    """Something to serve."""

    #: What it is, for people.
    title: str
    #: A handler of coop.http.
    app: Callable[..., Any]
    #: Whether threads of its are still at work, which may take for ever.
    is_busy: Callable[[], bool] = lambda: False


class Wishes(NamedTuple):
    """What the command line says about a target, apart from its name."""

    app_dir: str = "."
    factory: bool = False
    #: "wsgi", "native", or None to find out.
    interface: str | None = None
    wsgi_mode: str = "executor"
    threads: int | None = None
    listing: bool = True


def find_target(text: str, wishes: Wishes = Wishes()) -> Target:  # noqa: B008  frozen
    """Return what the text names: a directory, or ``module:attribute``.

    Errors: Refusal.  The error of a module that fails when it is imported is shown with its
    traceback, as that is the user's own.
    """
    if os.path.isdir(text):
        return _directory(text, wishes)
    module, colon, attribute = text.partition(":")
    if not colon:
        raise Refusal(f"there is no directory {text!r}; for an application write module:attribute")
    if not all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
        raise Refusal(
            f"cannot read {text!r}: write module:attribute as Python would, such as shop.web:app"
        )
    found = _attribute(_import(module, wishes.app_dir), attribute, text)
    if not callable(found):
        raise Refusal(f"{text} is {type(found).__name__}, which cannot be called: name a handler")
    if wishes.factory:
        found = _call_factory(found, text)
    return _adapt(found, text, wishes)


# -- finding it ---------------------------------------------------------------------------------


def _directory(text: str, wishes: Wishes) -> Target:
    try:
        directory = Directory(text, listing=wishes.listing)
    except OSError as error:
        raise Refusal(f"cannot serve the directory {text}: {error.strerror}") from None
    return Target(f"the files of {directory.root}", directory)


def _import(name: str, app_dir: str) -> ModuleType:
    place = os.path.abspath(app_dir)
    if place not in sys.path:
        sys.path.insert(0, place)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            _show(error)
            raise Refusal(f"{name} needs a module that is not there: {error.name}") from None
        hint = _near(error.name, _modules_in(place)) or "is --app-dir right?"
        raise Refusal(f"there is no module {error.name!r} in {place}: {hint}") from None
    except SystemExit as error:
        raise Refusal(
            f"{name} ends the program when it is imported (exit {error.code}): put what runs it "
            "under  if __name__ == '__main__':"
        ) from None
    except Exception as error:
        _show(error)
        raise Refusal(f"{name} fails when it is imported: see the traceback") from None


def _attribute(module: ModuleType, path: str, text: str) -> Any:
    found: Any = module
    for name in path.split("."):
        holder = found
        try:
            found = getattr(holder, name)
        except AttributeError:
            names = [each for each in dir(holder) if not each.startswith("_")]
            hint = _near(name, names) or f"{text.partition(':')[0]} is {module.__file__}"
            raise Refusal(f"there is no {name!r} in {text}: {hint}") from None
    return found


def _call_factory(factory: Any, text: str) -> Any:
    try:
        made = factory()
    except Exception as error:
        _show(error)
        raise Refusal(f"the factory {text} failed: see the traceback") from None
    if not callable(made):
        raise Refusal(f"the factory {text} returned {made!r}, which cannot be called")
    return made


def _modules_in(place: str) -> Iterable[str]:
    try:
        names = os.listdir(place)
    except OSError:
        return []
    return [name.removesuffix(".py") for name in names if not name.startswith((".", "_"))]


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), 3)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _show(error: Exception) -> None:
    """Print a traceback from the first line on that is not ours, nor the import system's."""
    trace = error.__traceback__
    ours = os.path.dirname(__file__)
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        is_ours = path.startswith(("<frozen importlib", ours)) or path == importlib.__file__
        if not is_ours:
            break
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


# -- what it is ---------------------------------------------------------------------------------


def _adapt(app: Any, text: str, wishes: Wishes) -> Target:
    if (wishes.interface or _interface(app, text)) == "native":
        return Target(text, app)
    try:
        wsgi: Any = importlib.import_module("coop.wsgi")
        options: dict[str, Any] = {"mode": wishes.wsgi_mode}
        if wishes.wsgi_mode == "executor":
            options["executor"] = threads = _Threads(wishes.threads)
            return Target(text, wsgi.adapt(app, **options), threads.is_busy)
        return Target(text, wsgi.adapt(app, **options))
    except ImportError as error:
        raise Refusal(str(error)) from None


class _Threads(ThreadPoolExecutor):
    """The threads of a WSGI application, and whether one is at work."""

    def __init__(self, count: int | None) -> None:
        super().__init__(count, thread_name_prefix="wsgi")
        self._begun: set[Future[Any]] = set()

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Have a thread call this."""
        future = super().submit(call, *args, **named)
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)
        return future

    def is_busy(self) -> bool:
        """Whether a thread is at work."""
        return any(future.running() for future in list(self._begun))


def _interface(app: Any, text: str) -> str:
    """Tell by the number of parameters that must be given by position: two are WSGI's."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    needed = [each for each in parameters if each.kind in _KINDS and each.default is each.empty]
    if len(needed) == 1:
        return "native"
    if len(needed) == 2:
        return "wsgi"
    if [each.name for each in needed] == ["scope", "receive", "send"]:
        raise Refusal(f"{text} is an ASGI application: coop serves WSGI and handlers of its own")
    if not needed and not parameters:
        raise Refusal(
            f"{text} takes no parameters: is it a factory (--factory)? A handler takes a request, "
            "a WSGI application environ and start_response"
        )
    raise Refusal(f"cannot tell whether {text} is a handler or a WSGI application: say which, "
                  "--native or --wsgi")  # fmt: skip
