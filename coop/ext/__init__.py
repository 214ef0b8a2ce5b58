"""Extensions: coop inside other people's programs.

What lives here: one module for each such program, by its name.  Each may import that program, and
nothing of coop imports them.
"""
