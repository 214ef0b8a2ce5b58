"""docs/http.md is a program: its blocks are one module, and what they show is answered so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import http_kit
import kit
import pytest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "http.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXCHANGES = [
    (number, line)
    for number, (language, text) in enumerate(BLOCKS)
    if not language
    for line in text.splitlines()
]
SPLIT = re.compile(r"(\w+) (\S+)(?: ([\w-]+: .*?))?(?: \| (.*?))? -> (\d+)(?: (.*))?").fullmatch


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "app.3f9a01c7.js").write_text("plain text")
    (tmp_path / "public" / "app.3f9a01c7.js.gz").write_text("packed")


def program(blocks: int) -> dict[str, Any]:
    """Run so many blocks of the page, and return their names."""
    names: dict[str, Any] = {}
    source = "".join(text for language, text in BLOCKS[:blocks] if language == "python")
    exec(compile(source, "docs/http.md", "exec"), names)
    return names


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize(("block", "line"), EXCHANGES, ids=[line[:40] for _, line in EXCHANGES])
def test_what_is_shown_is_answered(block: int, line: str) -> None:
    parts = SPLIT(line)
    assert parts, line
    method, target, field, body, status, told = parts.groups()
    names = program(block)
    fields = f"{field}\r\n" if field else ""
    data = (body or "").encode()
    if body:
        fields += f"Content-Length: {len(data)}\r\n"

    def visitor(hall: Any) -> kit.Gen[http_kit.Answer]:
        client = yield from hall.enter()
        return (yield from client.ask(http_kit.get(target, fields, method) + data))

    answer = http_kit.visit(names.get("app", names["router"]), visitor)
    assert int(status) == answer.status
    assert (told or "").replace("\\n", "\n") == answer.body.decode().rstrip("\n")


@pytest.mark.usefixtures("public")
def test_the_whole_page_is_a_program() -> None:
    names = program(len(BLOCKS))
    assert callable(names["log"])
    names["main"]().close()
    names["test_home"]()
