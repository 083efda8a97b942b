"""Where Outfeed keeps what it makes: one folder, and the ledger in it unless a URL says otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit


def home() -> Path:
    """The absolute folder of staging, ledger and local deliveries: `OUTFEED_HOME`, or `.outfeed` here."""
    return Path(os.environ.get("OUTFEED_HOME") or ".outfeed").absolute()


def ledger_url() -> str:
    """SQLAlchemy URL of the ledger: `OUTFEED_LEDGER_URL`, or an SQLite file in the home folder."""
    return os.environ.get("OUTFEED_LEDGER_URL") or f"sqlite:///{home() / 'ledger.db'}"


def public_url() -> str | None:
    """`OUTFEED_PUBLIC_URL`, where customers reach our pages, without a slash at the end; None if unusable.

    Only https: a link in a mail is a key. On this machine itself, http will do.
    """
    url = (os.environ.get("OUTFEED_PUBLIC_URL") or "").rstrip("/")
    parts = urlsplit(url)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    usable = parts.scheme == "https" or (parts.scheme == "http" and loopback)
    return url if usable and parts.hostname and not parts.query and not parts.fragment else None
