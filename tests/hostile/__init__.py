"""Seeded runs against servers that fail: one number decides the files, the faults, the tries and who helps.

`python -m tests.hostile SEED --verbose` tells one run; `python -m tests.hostile --seeds 2000` runs many.
What must hold whatever happens is in `oracle`; what a seed decides is in `story`.
"""
