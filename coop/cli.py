"""The command line: ``serve`` serves, ``ps`` and ``pstree`` look into programs, ``sim`` simulates.

What lives here: the arguments, and the exit codes: 0 done, 1 it could not be, 2 wrong arguments.
What it must not know: how a process is asked, what is served.  Stands on: everything.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from coop.observe import Tree, ask, draw, find_answering, tabulate
from coop.outcomes import CoopError
from coop.runtime import run
from coop.sim.command import add_arguments
from coop.sim.command import main as simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["serve"]:
        return _serve(words[1:])
    options = _parser().parse_args(words)
    if options.command == "sim":
        return simulate(options)
    try:
        text = _look(options)
    except (CoopError, OSError) as error:
        print(f"coop: {_explain(error, options.pid)}", file=sys.stderr)
        return 1
    if text:
        print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coop", description="Serve over HTTP, look into running coop programs, simulate some."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve a directory or an application: coop serve --help")
    for name, text in (
        ("ps", "list the tasks of a process, or the processes that can be asked"),
        ("pstree", "draw the tasks of a process as a tree, with their stacks"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("pid", metavar="PID", type=_pid, nargs="?" if name == "ps" else None)
        command.add_argument("--json", action="store_true", help="print the tree as JSON")
        command.add_argument(
            "--timeout", type=_seconds, default=5.0, help="seconds to wait for the answer (5)"
        )
    text = "run a scenario in simulated networks, one for each seed, and show the first that fails"
    add_arguments(commands.add_parser("sim", help=text, description=text))
    return parser


def _serve(words: list[str]) -> int:
    """Serve; loaded only now, since it needs the extra ``http``, which the others do not."""
    try:
        command: Any = importlib.import_module("coop.commands.serve")
    except ImportError as error:
        print(f"coop: {error}", file=sys.stderr)
        return 1
    return int(command.main(words))


def _pid(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not the number of a process")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds, 0 or more")
    return number


def _look(options: argparse.Namespace) -> str:
    if options.pid is None:
        return "\n".join(map(str, find_answering()))
    tree: Tree = run(ask(options.pid, timeout=options.timeout))
    if options.json:
        return tree.to_json()
    return tabulate(tree) if options.command == "ps" else draw(tree)


def _explain(error: Exception, pid: int | None) -> str:
    if isinstance(error, ProcessLookupError):
        return f"there is no process {pid}"
    if isinstance(error, PermissionError):
        return f"process {pid} is another user's: {error.strerror or error}"
    return str(error)
