"""What a connector keeps of an unfinished upload: a text with its kind and version in it."""

from __future__ import annotations

import json
from typing import Any


def write_state(kind: str, version: int, values: dict[str, Any]) -> str:
    """A state as text."""
    return json.dumps({"kind": kind, "version": version, **values}, sort_keys=True)


def read_state(text: str, kind: str, version: int) -> dict[str, Any]:
    """The values of a state; none if another kind of connector or another version wrote it."""
    try:
        values = json.loads(text)
        ours = (values.pop("kind"), values.pop("version")) == (kind, version)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return dict(values) if ours else {}
