"""Forgotten: finds calls of generator functions that lack their ``yield from``.

What lives here: ``look_at``, which reads the source of a function that a task runs, once, and warns
of each statement that is nothing but a call of a generator function: ``step(conn)`` alone on a line
makes a generator and drops it, and Python says nothing.  What it must not know: tasks, operations;
those are guarded when they run (see guard).  Stands on: the standard library alone.

Only debug mode comes here.  What is called is looked up as far as that is sure: names of the frame,
of its module and of Python, and attributes that are plain values.  A name that is not bound yet is
looked up again when the frame is seen next.  Whatever is unsure is passed over: a false alarm would
be worse than a miss.  The source is read rather than the bytecode, which is another in each Python.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import warnings
from collections.abc import Iterator
from functools import cache
from types import CodeType, FrameType, MemberDescriptorType
from typing import Any, Final, NamedTuple

#: Where coop's own sources are: those are not looked at.
PACKAGE: Final = os.path.dirname(__file__) + os.sep

_UNKNOWN: Final = object()
_UNBOUND: Final = object()


class _Statement(NamedTuple):
    """A statement that is nothing but a call, of ``names`` joined by dots."""

    line: int
    names: tuple[str, ...]


#: What is still to be looked up in each function that was seen.  By the identity of its code, which
#: is kept beside: to hash a code object is to hash all that is in it.
_seen: Final[dict[int, tuple[CodeType, list[_Statement]]]] = {}


def look_at(frame: FrameType) -> None:
    """Warn of each call in the frame's function that does nothing, once.

    Warns: RuntimeWarning at the line of the call.
    """
    code = frame.f_code
    if id(code) not in _seen:
        is_ours = code.co_filename.startswith(PACKAGE)
        _seen[id(code)] = code, [] if is_ours else _statements_of(code)
    _, statements = _seen[id(code)]
    if not statements:
        return
    found = [(statement, _look_up(statement, frame)) for statement in statements]
    _seen[id(code)] = code, [statement for statement, value in found if value is _UNBOUND]
    for statement, value in found:
        if inspect.isgeneratorfunction(value):
            _warn(statement, code)


def _warn(statement: _Statement, code: CodeType) -> None:
    name = ".".join(statement.names)
    warnings.warn_explicit(
        f"{name} is a generator function, so its call does nothing: write 'yield from {name}(...)'",
        RuntimeWarning,
        code.co_filename,
        statement.line,
    )


def _statements_of(code: CodeType) -> list[_Statement]:
    """Return the statements of one function, without those of the functions inside it."""
    lines = {line for _, _, line in code.co_lines()}
    return [each for each in _statements_in(code.co_filename) if each.line in lines]


@cache
def _statements_in(file: str) -> list[_Statement]:
    """Return the statements of a whole file; none when its source is not to be had."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return []
    calls = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
    return [
        _Statement(call.lineno, tuple(reversed(names)))
        for call in calls
        if (names := list(_names_of(call.func)))
    ]


def _names_of(node: ast.expr) -> Iterator[str]:
    """Give the names of ``a.b.c``, the last one first; none for what is more than that."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        yield from [*names, node.id]


def _look_up(statement: _Statement, frame: FrameType) -> Any:
    root, *attributes = statement.names
    value = _variable(root, frame)
    for name in attributes:
        if value is _UNBOUND or value is _UNKNOWN:
            break
        value = _attribute(value, name)
    return value


def _variable(name: str, frame: FrameType) -> Any:
    code = frame.f_code
    if name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars:
        return frame.f_locals.get(name, _UNBOUND)
    return frame.f_globals.get(name, frame.f_builtins.get(name, _UNBOUND))


def _attribute(thing: Any, name: str) -> Any:
    """Return what is stored under this name, without running any code of the thing's."""
    value = inspect.getattr_static(thing, name, _UNKNOWN)
    if isinstance(value, MemberDescriptorType):  # of __slots__
        try:
            return value.__get__(thing)
        except AttributeError:
            return _UNKNOWN
    if isinstance(value, (staticmethod, classmethod)):
        return value.__func__
    return value
