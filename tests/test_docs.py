"""The pages are true: the guide is a program, every link leads somewhere, every name is there.

docs/http.md, wsgi.md and testing.md are run by tests of their own.
"""

from __future__ import annotations

import contextlib
import io
import pkgutil
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import coop
import coop.sim

pytest.importorskip("httptools")
pytest.importorskip("websockets")

import coop.http
import coop.ws

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "bench" / "README.md"]
PAGES += [ROOT / "samples" / "README.md"]
#: Those whose snippets are whole.
TOLD = [page for page in PAGES if page.parent.name != "decisions"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)]*)?\)")


#: What looks like a name: a key of the environ.
NO_NAMES = {"coop.request"}


def exists(name: str) -> bool:
    """Say whether this is a module, or something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def python_of(page: Path) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language == "python"]


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", each).lower().replace(" ", "-") for each in headings}


def test_the_guide_prints_what_it_says() -> None:
    names: dict[str, Any] = {"__name__": "guide"}
    printed = io.StringIO()
    for language, text in BLOCK.findall((ROOT / "docs" / "guide.md").read_text()):
        if language == "python":
            assert "" == printed.getvalue()
            with contextlib.redirect_stdout(printed):
                exec(compile(text, "docs/guide.md", "exec"), names)
        elif not language:
            assert text == printed.getvalue()
            printed = io.StringIO()
    assert "" == printed.getvalue()


def names_of(page: str) -> dict[str, Any]:
    """Run all of a page but the lines that would serve for ever."""
    names: dict[str, Any] = {"__name__": page}
    for text in python_of(ROOT / page):
        ending = re.sub(r"^coop\.run\(.*\n", "", text, flags=re.MULTILINE)
        exec(compile(ending, page, "exec"), names)
    return names


def test_the_echo_of_the_readme_echoes() -> None:
    names = names_of("README.md")

    def scenario(sim: Any) -> Any:
        sim.host("server", lambda: coop.serve(names["echo"], port=8007))
        with (yield from coop.connect("server", 8007)) as conn:
            yield from conn.sendall(b"hello")
            return (yield from conn.recv_exactly(5))

    assert b"hello" == coop.sim.run(scenario)


@pytest.mark.parametrize("handler", ["echo", "chat"])
def test_the_websockets_of_their_page_answer(handler: str) -> None:
    names = names_of("docs/websocket.md")

    def app(request: Any) -> Any:
        return coop.ws.upgrade(request, names[handler])

    def scenario(sim: Any) -> Any:
        sim.host("server", lambda: coop.http.serve(app, port=80))
        return (yield from names["ask"]("ws://server/"))

    assert "hello" == coop.sim.run(scenario, allow=["random"])


@pytest.mark.parametrize("page", TOLD, ids=lambda page: page.name)
def test_every_snippet_is_python(page: Path) -> None:
    for text in python_of(page):
        compile(text, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors_of(there), target + anchor


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text())]
        folders = [target / "README.md" for target in targets if target.is_dir()]
        ahead += [each for each in targets + folders if each.suffix == ".md" and each.exists()]
    assert set() == {page.resolve() for page in PAGES} - reached - {ROOT / "CHANGELOG.md"}


def test_every_public_name_is_on_its_page() -> None:
    told = (ROOT / "docs" / "names.md").read_text()
    fresh = runpy.run_path(str(ROOT / "docs" / "make_names.py"))["page"]()
    names = re.compile(r"^\| `(\w+)", re.MULTILINE)
    assert [] == sorted(set(names.findall(fresh)) - set(names.findall(told))), (
        "run python docs/make_names.py"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_that_is_told_exists(page: Path) -> None:
    told = set(re.findall(r"(?<![\w./])coop(?:\.\w+)+", page.read_text()))
    assert set() == {name for name in told - NO_NAMES if not exists(name)}
