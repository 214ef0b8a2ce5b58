"""Write docs/names.md: every public name, with its arguments, its first sentence and its page.

    python docs/make_names.py            write the page
    python docs/make_names.py --check    fail when the page is not what would be written

The names are those of ``__all__`` in the packages that have a front door.  The tests check that the
page is up to date.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "names.md"
#: The packages, and the pages that tell of them.
PACKAGES = {
    "coop": ["guide", "deployment"],
    "coop.http": ["http", "deployment", "hardening", "websocket"],
    "coop.ws": ["websocket"],
    "coop.wsgi": ["wsgi"],
    "coop.sim": ["testing"],
}
#: What is written in annotations, and never called.
TYPES_ONLY = {"Coop", "Operation"}
#: What has no docstring of its own.
SAID_HERE = {
    "coop.CLOSED": "What a channel or a WebSocket answers when nothing more will come.",
    "coop.WOULDBLOCK": "What a call answers that would have to wait; falsy.",
    "coop.http.AccessLog": "The type of an access log: it is called with each AccessRecord.",
    "coop.http.NEED_DATA": "What RequestParser answers while a request is not complete.",
    "coop.sim.KINDS": "Every kind of fault.",
    "coop.ws.Handler": "The type of a handler: it is called with each WebSocket.",
}

HEAD = """\
# Names

Every public name: its arguments, what it is, its methods, and the page that shows it at work.
`help(name)` says the rest: what it waits for, and which errors it raises. This page is made from
the code by `docs/make_names.py`; do not edit it.
"""


def arguments(thing: Any) -> str:
    """Write the arguments as they are given in a call, without types."""
    if not (inspect.isfunction(thing) or inspect.isclass(thing)) or inspect.isabstract(thing):
        return ""
    if isinstance(thing, type) and issubclass(thing, (BaseException, enum.Enum)):
        return ""
    signature = inspect.signature(thing)
    parameters = [
        each.replace(annotation=each.empty, default=_Default(each.default))
        if each.default is not each.empty
        else each.replace(annotation=each.empty)
        for each in signature.parameters.values()
    ]
    told = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return "" if told == "(*args, **kwargs)" or thing.__name__ in TYPES_ONLY else told


class _Default:
    """A default, written short."""

    def __init__(self, value: Any) -> None:
        self._text = repr(value)

    def __repr__(self) -> str:
        return self._text if len(self._text) <= 16 else "…"


def members(thing: Any) -> list[str]:
    """Return the public methods and properties of a class of coop's own."""
    if not isinstance(thing, type) or issubclass(thing, (BaseException, enum.Enum)):
        return []
    names = {
        name
        for each in thing.__mro__
        if each.__module__.startswith("coop")
        for name, value in vars(each).items()
        if isinstance(value, (property, classmethod)) or inspect.isfunction(value)
        if "called by the" not in (inspect.getdoc(value) or "")
    }
    return sorted(name for name in names if not name.startswith("_"))


def sentence(thing: Any) -> str:
    """Return the first sentence of what is said of it."""
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    text = re.sub(r"``(.+?)``", r"`\1`", text.removesuffix("::"))
    return text.replace("|", "\\|")


def page_of(package: str, name: str) -> str:
    """Return a link to the first page that shows the name."""
    prefix = r"(?<!\w)" if name.lower() != name or "_" in name else rf"({package}\.|(?<!\w)`)"
    told = re.compile(rf"{prefix}{name}(?!\w)")
    for page in PACKAGES[package]:
        if told.search((DOCS / f"{page}.md").read_text("utf-8")):
            return f"[{page}]({page}.md)"
    return ""


def rows(package: str) -> Iterator[str]:
    """Write a table of the names of a package."""
    module = importlib.import_module(package)
    yield f"\n## {package}\n\n| name | what it is | page |\n|---|---|---|\n"
    for name in sorted(module.__all__, key=str.lower):
        thing = getattr(module, name)
        what = SAID_HERE.get(f"{package}.{name}") or sentence(thing)
        if found := members(thing):
            what += "<br>" + " ".join(f"`.{each}`" for each in found)
        yield f"| `{name}{arguments(thing)}` | {what} | {page_of(package, name)} |\n"


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(row for package in PACKAGES for row in rows(package))


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text("utf-8") != page() and f"{PAGE} is out of date: run {__file__}")
    PAGE.write_text(page(), "utf-8")
