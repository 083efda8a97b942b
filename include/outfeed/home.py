"""Where Outfeed keeps what it makes: one folder, and the ledger in it unless a URL says otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The absolute folder of staging, ledger and local deliveries: `OUTFEED_HOME`, or `.outfeed` here."""
    return Path(os.environ.get("OUTFEED_HOME") or ".outfeed").absolute()


def ledger_url() -> str:
    """SQLAlchemy URL of the ledger: `OUTFEED_LEDGER_URL`, or an SQLite file in the home folder."""
    return os.environ.get("OUTFEED_LEDGER_URL") or f"sqlite:///{home() / 'ledger.db'}"
