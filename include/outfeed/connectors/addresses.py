"""How options name a server and a folder on it: one spelling for one place."""

from __future__ import annotations

import re


def bare_host(value: str, example: str) -> str:
    """A host name or IP address in lower case; raises ValueError for anything around it (DX-072, VI-D11)."""
    host = value.strip().removeprefix("[").removesuffix("]").lower()
    if not re.fullmatch(r"[a-z0-9_.:-]{1,253}", host) or (":" in host and host.count(":") < 2):
        raise ValueError(f"{value!r} is no host name; write {example}, no scheme, user, port or path")
    return host


def base_directory(value: str) -> str:
    """A folder without needless slashes; a relative one begins at the login directory (DX-074, VI-D15)."""
    if re.search(r"[\x00-\x1f\\]", value) or ".." in value.split("/"):
        raise ValueError(f"{value!r} is no base directory: '..', '\\' and control characters are refused")
    parts = [part for part in value.split("/") if part not in ("", ".")]
    return ("/" if value.startswith("/") else "") + "/".join(parts) or "."


def in_uri(host: str) -> str:
    """The host as a URI spells it."""
    return f"[{host}]" if ":" in host else host
