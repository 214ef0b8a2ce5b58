"""Printable: text of anybody's on one line, for logs and terminals.

What lives here: ``printable``, ``counted``.  What it must not know: what the text says.  Stands on:
the standard library alone.

A task may be named after what a peer sent, and a process looked into may be another user's: what
a terminal would take for a command, or a reader for another line, is escaped.
"""

from __future__ import annotations


def printable(thing: object) -> str:
    """Return the text of a thing, with every character escaped that is not plainly shown."""
    text = str(thing)
    if text.isprintable():
        return text
    shown = (
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
    return "".join(shown)


def counted(count: int, noun: str) -> str:
    """Return a number of things: ``1 connection``, ``2 connections``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
