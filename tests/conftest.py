"""Makes the real servers of tests/servers available as fixtures."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.servers.fixtures"]

# A time limit per example would test the machine.
settings.register_profile("outfeed", deadline=None)
settings.load_profile("outfeed")
