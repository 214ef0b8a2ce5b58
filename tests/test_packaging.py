"""What is shipped is whole, and what the README promises is what CI runs."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import coop

ROOT = Path(__file__).parent.parent


@pytest.fixture
def metadata() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_the_core_depends_on_nothing(metadata: configparser.ConfigParser) -> None:
    assert not metadata.has_option("options", "install_requires")


def test_the_version_is_told_once(metadata: configparser.ConfigParser) -> None:
    version = metadata["metadata"]["version"]
    assert version == getattr(coop, "__version__", version)


def test_the_command_is_installed_once_there_is_one(metadata: configparser.ConfigParser) -> None:
    scripts = metadata.get("options.entry_points", "console_scripts", fallback="").split("\n")
    assert (ROOT / "coop/cli.py").exists() == ("coop = coop.cli:main" in scripts)


def test_everything_is_shipped(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    for name in ("setup.py", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    sources = shutil.copytree(
        ROOT / "coop", tmp_path / "coop", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run([sys.executable, "setup.py", "-q", "build"], cwd=tmp_path, check=True)
    [built] = (tmp_path / "build").glob("lib*")
    assert _files(sources) == _files(built / "coop")
    assert Path("py.typed") in _files(built / "coop")


def test_ci_runs_the_line_that_the_readme_gives() -> None:
    [line] = re.findall(r'^TEST="(.*)"$', (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert [line] == [each for each in (ROOT / "README.md").read_text().split("\n") if line in each]


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
