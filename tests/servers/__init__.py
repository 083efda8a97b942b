"""Real servers on free ports of 127.0.0.1, each a context manager.

Usable from tests (`fixtures.py` shares one of each per session), from scripts and from benchmarks. A
missing binary raises `MissingServerError` with the line that installs it: a test without its server
fails, never skips.
"""
