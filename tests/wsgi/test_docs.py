"""docs/wsgi.md is a program: its blocks are one module, and what they show is answered so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from http_kit import get
from wsgi_kit import MODES, ask

PAGE = (Path(__file__).parent.parent.parent / "docs" / "wsgi.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXCHANGES = [line for language, text in BLOCKS if not language for line in text.splitlines()]
SPLIT = re.compile(r"(\w+) (\S+)(?: ([\w-]+: .*?))?(?: \| (.*?))? -> (\d+)(?: (.*))?").fullmatch
#: What a block needs that only the waiting modes have.
WAITS = ("/both",)


def program() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "shop"}
    source = "".join(text for language, text in BLOCKS if language == "python")
    exec(compile(source, "docs/wsgi.md", "exec"), names)
    return names


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("line", EXCHANGES)
def test_what_is_shown_is_answered(line: str, mode: str) -> None:
    pytest.importorskip("flask")
    parts = SPLIT(line)
    assert parts, line
    method, target, field, body, status, told = parts.groups()
    data = (body or "").encode()
    fields = f"{field}\r\nContent-Length: {len(data)}\r\n" if field else ""
    if mode == "inline" and target in WAITS:
        status, told = "500", None
    (answer,) = ask(program()["shop"], get(target, fields, method) + data, mode=mode)
    assert int(status) == answer.status
    if told:
        assert told == answer.body.decode().rstrip("\n")


def test_the_whole_page_is_a_program() -> None:
    pytest.importorskip("flask")
    names = program()
    for main in ("main", "main_with_threads", "main_with_greenlets"):
        names[main]().close()


def test_each_setting_on_the_page_is_one_of_gunicorns() -> None:
    config = pytest.importorskip("gunicorn.config")
    flags = {flag for each in config.KNOWN_SETTINGS for flag in each.cli or ()}
    rows = re.findall(r"^\| (`.*?`) \|", PAGE[PAGE.index("| gunicorn |") :], re.MULTILINE)
    named = set(re.findall(r"`(--[\w-]+)`", " ".join(rows)))
    assert set() == named - flags
