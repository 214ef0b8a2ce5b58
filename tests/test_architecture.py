"""The house stands: arrows point downward, files and functions stay small, public names explain.

The tables below are the plan.  A new module gets its place on a floor, and nothing else changes.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import types
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "coop"

# From the ground up.  A module may import from its own floor and from those below; `http` stands
# for all of coop/http/.  An import for type checkers alone points where it likes: it names a type.
FLOORS = {
    "ground": "outcomes arguments printable stopwatch address forgotten frames guard",
    "raw": (
        "remedies base_socket stream_socket udp_socket sockets poller blocking tls_socket "
        "tls_context proxy_protocol notify"
    ),
    "staircase": "traps parking",
    "machine room": "task deadlock scheduler readiness doorbell",
    "living rooms": (
        "scopes groups choice sync channel waits executors port stream tls datagram listener dial "
        "inherited proxies conversations server signals network"
    ),
    "upper rooms": "http sim observe wsgi ws",
    "roof": "runtime",
    "front door": "__init__ commands cli __main__ ext",
}
CORE = "traps task scheduler scopes poller"

# Modules of the standard library that few may import, and who.
KEEPERS = {
    "time": "stopwatch poller sim.sealed",
    "select": "poller",
    "selectors": "",
    "asyncio": "",
    "_thread": "",
    # Its locks and identities; nobody starts a thread.
    "threading": "traps doorbell runtime signals sim.sealed",
}
# Third-party packages, and the parts of the house that may know them.
GUESTS = {
    "greenlet": "wsgi",
    "gunicorn": "ext",
    "httptools": "http",
    "multipart": "http",
    "websockets": "ws",
    "hypothesis": "sim",
    "pytest": "sim",
}

FILE_LINES, FUNCTION_LINES, CORE_LINES = 400, 40, 800
LOOPS = {"scheduler.step_all": 60, "http.conversation._converse": 50}

# Classes that stand in for one of Python's own, which explains what they have in common.
STAND_INS = {"Guarded": types.GeneratorType, "HasFileno": io.IOBase}


class Import(NamedTuple):
    """One import statement's target: a dotted name, and how it is imported."""

    target: str
    line: int
    is_for_types: bool
    function: str


class Definition(NamedTuple):
    """A function or a class, with its dotted name inside the module."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    owner: ast.AST


class Module:
    """A file of the package, read but not imported.  ``name`` is dotted and without `coop.`"""

    def __init__(self, path: Path) -> None:
        self.path = path
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package and len(parts) > 1 else parts)
        self.room = self.name.partition(".")[0]
        self.source = path.read_text()
        self.tree = ast.parse(self.source)
        self.imports = list(self._imports(self.tree, False, ""))
        self.definitions = list(self._definitions(self.tree, ""))
        self.code_lines = code_lines(self.source, self.tree)

    def size(self, definition: Definition) -> int:
        node = definition.node
        return len(self.code_lines & set(range(node.lineno, (node.end_lineno or 0) + 1)))

    def _imports(self, node: ast.AST, is_for_types: bool, function: str) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, is_for_types, function)
            elif isinstance(child, ast.ImportFrom):
                for alias in child.names:
                    target = f"{self._origin(child)}.{alias.name}"
                    yield Import(target, child.lineno, is_for_types, function)
            else:
                guards = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                inside = function or (getattr(child, "name", "") if is_function(child) else "")
                yield from self._imports(child, is_for_types or guards, inside)

    def _origin(self, node: ast.ImportFrom) -> str:
        """Return the module a `from` import names, dots in front of it resolved."""
        here = ["coop", *self.name.split(".")] if node.level else []
        above = here[: len(here) - node.level + self.is_package]
        return ".".join(above + ([node.module] if node.module else []))

    def _definitions(self, node: ast.AST, prefix: str) -> Iterator[Definition]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield Definition(prefix + child.name, child, node)
                yield from self._definitions(child, f"{prefix}{child.name}.")
            else:
                yield from self._definitions(child, prefix)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def code_lines(source: str, tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that are not blank, comment or docstring."""
    idle = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in idle | {tokenize.ENDMARKER}:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def resident(target: str) -> Module | None:
    """Return the module of the house that an import reaches, if it is one."""
    package, _, name = target.partition(".")
    while name and name not in HOUSE:
        name = name.rpartition(".")[0]
    return HOUSE[name or "__init__"] if package == "coop" else None


def floor_of(module: Module) -> int:
    return FLOOR_OF.get(module.room, -1)


HOUSE = {module.name: module for module in map(Module, sorted(PACKAGE.rglob("*.py")))}
FLOOR_OF = {room: level for level, rooms in enumerate(FLOORS.values()) for room in rooms.split()}
CLASSES = {
    definition.node.name: definition.node
    for module in HOUSE.values()
    for definition in module.definitions
    if isinstance(definition.node, ast.ClassDef)
}

each_module = pytest.mark.parametrize("module", HOUSE.values(), ids=HOUSE.keys())


# -- arrows -------------------------------------------------------------------------------------


@each_module
def test_a_module_has_a_floor(module: Module) -> None:
    assert module.room in FLOOR_OF, (
        f"{module.room} has no floor: give it one in FLOORS, as low as its imports allow"
    )


@each_module
def test_no_arrow_points_upward(module: Module) -> None:
    upward = [
        f"line {each.line}: {module.name} imports {there.name}"
        for each in module.imports
        if not each.is_for_types and (there := resident(each.target))
        if floor_of(there) > floor_of(module)
    ]
    assert [] == upward, "\n".join(upward)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module.name: {
            there.name
            for each in module.imports
            if not each.is_for_types and (there := resident(each.target)) not in (None, module)
        }
        for module in HOUSE.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@each_module
def test_imports_stand_at_the_top(module: Module) -> None:
    late = [f"line {each.line}, in {each.function}" for each in module.imports if each.function]
    assert [] == late, "\n".join(late)


@each_module
def test_a_module_imports_only_what_it_may_know(module: Module) -> None:
    strangers = []
    for each in module.imports:
        package = each.target.partition(".")[0]
        if package in KEEPERS:
            may = module.name in KEEPERS[package].split()
        else:
            may = package in {"coop", *sys.stdlib_module_names}
            may = may or module.room in GUESTS.get(package, "").split()
        if not may:
            strangers.append(f"line {each.line}: {module.name} imports {package}")
    assert [] == strangers, "\n".join(strangers)


# -- size ---------------------------------------------------------------------------------------


@each_module
def test_a_file_is_not_too_long(module: Module) -> None:
    assert len(module.code_lines) <= FILE_LINES, "split it by noun"


@each_module
def test_a_function_is_not_too_long(module: Module) -> None:
    long = {
        each.name: module.size(each)
        for each in module.definitions
        if is_function(each.node)
        if module.size(each) > LOOPS.get(f"{module.name}.{each.node.name}", FUNCTION_LINES)
    }
    assert {} == long, long


def test_the_core_can_be_read_in_one_sitting() -> None:
    sizes = {name: len(HOUSE[name].code_lines) for name in CORE.split()}
    assert sum(sizes.values()) <= CORE_LINES, sizes


# -- words --------------------------------------------------------------------------------------


@each_module
def test_a_module_opens_with_its_charter(module: Module) -> None:
    assert ast.get_docstring(module.tree), f"{module.path.name}: what lives here?"


@each_module
def test_public_names_have_docstrings(module: Module) -> None:
    silent = [
        f"line {each.node.lineno}: {each.name}"
        for each in module.definitions
        if is_public(each) and not is_explained(each)
    ]
    assert [] == silent, "\n".join(silent)


def is_public(definition: Definition) -> bool:
    is_nested = is_function(definition.owner)
    return not is_nested and not any(part.startswith("_") for part in definition.name.split("."))


def is_explained(definition: Definition) -> bool:
    """Tell whether a name has a docstring: its own, or that of what it overrides or overloads."""
    decorators = [ast.unparse(each).rpartition(".")[2] for each in definition.node.decorator_list]
    return bool(
        ast.get_docstring(definition.node)
        or {"setter", "overload"} & set(decorators)
        or hasattr(STAND_INS.get(getattr(definition.owner, "name", "")), definition.node.name)
        or any(explains(base, definition.node.name) for base in bases(definition.owner))
    )


def bases(node: ast.AST) -> Iterator[ast.ClassDef]:
    for base in node.bases if isinstance(node, ast.ClassDef) else ():
        name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
        if name in CLASSES and CLASSES[name] is not node:
            yield CLASSES[name]
            yield from bases(CLASSES[name])


def explains(owner: ast.ClassDef, name: str) -> bool:
    return any(
        isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name == name
        and ast.get_docstring(node)
        for node in owner.body
    )
