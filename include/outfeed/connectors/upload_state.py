"""What a connector keeps of an unfinished upload: a text with its kind and version in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from outfeed.connectors.base import Outgoing
from outfeed.errors import OutfeedError


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


def saved_state(file: Outgoing) -> str | None:
    """What the last try saved of a file's upload, or None."""
    return file.unfinished.load() if file.unfinished is not None else None


def end_older(file: Outgoing, abandon: Callable[[str], None]) -> None:
    """Ends what an older try left of a file whose name is taken.

    Raises:
        SupersededError: a newer try has begun. Nothing else has failed here, so this is the news.
    """
    text = saved_state(file)
    if file.unfinished is not None and text is not None:
        with contextlib.suppress(OutfeedError):
            abandon(text)
        file.unfinished.clear()


def forget(file: Outgoing) -> None:
    """Forgets an upload that this try has ended; never raises, because why it ended is the news."""
    if file.unfinished is not None:
        with contextlib.suppress(OutfeedError):
            file.unfinished.clear()
