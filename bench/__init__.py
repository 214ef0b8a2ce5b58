"""The benchmark of coop: every figure measured beside its peers, in one run.

Charter: `python -m bench` is the way in. The part that measures needs the standard library only;
the peers, and matplotlib for the charts, live in an environment of their own (`environment.py`).
"""
