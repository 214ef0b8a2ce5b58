"""Refusals: why a command cannot do what it was told.

What lives here: Refusal.  What it must not know: any command.  Stands on: nothing.
"""

from __future__ import annotations


class Refusal(Exception):
    """What is said, in one line with the remedy, before the command ends with exit code 1."""
