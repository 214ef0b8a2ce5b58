"""The commands that are too long for ``cli``: ``coop serve``, and what it is made of."""
