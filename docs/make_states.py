"""Write docs/states.md: the life of everything in coop that has one, from the tables in the code.

    python docs/make_states.py            write the page
    python docs/make_states.py --check    fail when the page is not what would be written

A table is a module's ``SOMETHING_LIFE``: {state: {event: next state}}.  What a state means is the
``#:`` comment above it in its Enum.  The tests check that the page is up to date.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "states.md"
FIRST = ["task.py", "stream.py", "listener.py", "server.py"]

Life = dict[Enum, dict[str, Enum]]

HEAD = """\
# States

Whatever in coop has a life has its states in an Enum and the life in a table, and nothing but the
table moves it on. This page is made from those tables by `docs/make_states.py`; do not edit it. The
tests try each cell, and fail when this page is out of date.
"""


def lives() -> Iterator[tuple[ModuleType, str, Life]]:
    """Find every table: the module, its name there, and the table itself."""
    paths = sorted((ROOT / "coop").rglob("*.py"))
    paths.sort(key=lambda path: FIRST.index(path.name) if path.name in FIRST else len(FIRST))
    for path in paths:
        for name in re.findall(r"^(\w+_LIFE)\b.* = ", path.read_text("utf-8"), re.MULTILINE):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = importlib.import_module(".".join(parts))
            yield module, name, getattr(module, name)


def meanings(states: type[Enum]) -> dict[str, str]:
    """Read the comments above the members of an Enum, by the members' names."""
    found, comment = {}, []
    for line in inspect.getsource(states).splitlines():
        words = line.strip()
        if words.startswith("#:"):
            comment.append(words[2:].strip())
        elif match := re.match(r"(\w+) = ", words):
            found[match[1]] = " ".join(comment)
            comment = []
    return found


def title(name: str) -> str:
    """Say whose life the table is, by its own name."""
    thing = name.removesuffix("_LIFE").replace("_", " ")
    return "TLS" if thing == "TLS" else thing.capitalize()


def section(module: ModuleType, name: str, life: Life) -> str:
    """Render one table."""
    meaning = meanings(type(next(iter(life))))
    path = Path(inspect.getfile(module)).relative_to(ROOT).as_posix()
    lines = [f"## {title(name)}", "", f"`{name}` in [{path}](../{path})", ""]
    lines += ["| state | meaning | event → next state |", "|---|---|---|"]
    for state, row in life.items():
        moves = "<br>".join(f"{event} → **{after.value}**" for event, after in row.items())
        lines.append(f"| **{state.value}** | {meaning[state.name]} | {moves or 'the end'} |")
    lines += ["", "```mermaid", "stateDiagram-v2"]
    for state, row in life.items():
        lines += [f"    {state.name} --> {after.name}: {event}" for event, after in row.items()]
    return "\n".join([*lines, "```", ""])


def render() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(section(*each) for each in lives())])


def main() -> None:
    """Write the page, or check it."""
    page = render()
    if "--check" not in sys.argv:
        PAGE.write_text(page, "utf-8")
    elif not PAGE.exists() or page != PAGE.read_text("utf-8"):
        sys.exit("docs/states.md is out of date: run python docs/make_states.py")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
