"""Makes the real servers of tests/servers available as fixtures."""

from __future__ import annotations

pytest_plugins = ["tests.servers.fixtures"]
