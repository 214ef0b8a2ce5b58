"""Peers: the programs that a work sets beside coop.

Charter: what a peer is and how its command line is made; which peers a work has is said in works/.
A command may hold {port}, {scratch} (a folder of its own) and {bin} (the peers' environment).
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.paths import BIN, BUILD, PYTHON, SERVERS


@dataclass(frozen=True)
class Peer:
    """A program to measure: `name` as printed, `command` as started."""

    name: str
    command: tuple[str, ...]

    def command_line(self, port: int, scratch: Path) -> list[str]:
        """Return the command with its blanks filled in."""
        return [part.format(port=port, scratch=scratch, bin=BIN) for part in self.command]


def python_server(name: str, script: str, *arguments: str) -> Peer:
    """Return a peer that is a program of servers/, called with its port first."""
    return Peer(name, (str(PYTHON), str(SERVERS / script), "{port}", *arguments))


def node_server(name: str, script: str, *arguments: str) -> Peer:
    """Return a peer that is a Node program of servers/."""
    return Peer(name, ("node", str(SERVERS / script), "{port}", *arguments))


def compiled_server(name: str, program: str) -> Peer:
    """Return a peer that is one of our C programs."""
    return Peer(name, (str(BUILD / program), "{port}"))


def choose(peers: Iterable[Peer], names: list[str] | None) -> list[Peer]:
    """Return the peers called by `names`, in their own order, or all of them; exits on a typo."""
    listed = list(peers)
    known = [peer.name for peer in listed]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        sys.exit(f"no peer is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [peer for peer in listed if not names or peer.name in names]
