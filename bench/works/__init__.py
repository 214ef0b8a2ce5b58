"""The works: what is measured, one file each.

A work is a module with `TITLE`, `PEERS`, `add_options(parser)` and `measure(options)`, which
returns its cases and the peers it had to skip.
"""
