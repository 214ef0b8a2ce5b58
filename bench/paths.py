"""Where things are: the folders and interpreters that the bench uses.

Charter: names of places, nothing else. All of them lie under bench/ but the repository itself.
"""

from pathlib import Path

BENCH = Path(__file__).resolve().parent
REPOSITORY = BENCH.parent
ENVIRONMENT = BENCH / ".venv"
BIN = ENVIRONMENT / "bin"
PYTHON = BIN / "python"
BUILD = BENCH / "build"
RESULTS = BENCH / "results"
SERVERS = BENCH / "servers"
LOAD = BENCH / "load"
FILES = BUILD / "files"  # what the HTTP servers serve
