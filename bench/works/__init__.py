"""The works: what is measured, one file each.

A work is a module with `TITLE`, `DEFAULTS` (of the options that all works have), `PEERS`,
`add_options(parser)`, `estimate(options)` in seconds, and `measure(options)`, which returns its
cases and the peers it had to leave out, with the reasons. `bench/catalogue.py` lists them.
"""
