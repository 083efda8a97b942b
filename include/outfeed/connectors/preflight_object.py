"""The object that a preflight creates in a bucket, and those that broken preflights have left there."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Iterable

from outfeed.connectors.transfer import temporary_name
from outfeed.errors import OutfeedError

#: Folder below the prefix for the object that a preflight creates, and what it holds.
PREFLIGHT_FOLDER = ".outfeed-preflight"
TEST_CONTENT = b"Outfeed was here.\n"

#: No preflight takes so long: what is older was left by one whose connection was cut.
LEFT_AFTER = dt.timedelta(hours=1)

_TEST_PATH = re.compile(rf"{re.escape(PREFLIGHT_FOLDER)}/[A-Za-z0-9._=+-]+~[0-9a-f]{{8}}")


@dataclasses.dataclass(frozen=True)
class Listed:
    """An object as its store lists it: path below the prefix, bytes, and when it was written."""

    path: str
    bytes: int
    written: dt.datetime


def fresh_path(attempt: str) -> str:
    """The path of this preflight's object, which no other preflight has."""
    return f"{PREFLIGHT_FOLDER}/{temporary_name(attempt)}"


def clean_up(path: str, listed: Callable[[str], Iterable[Listed]], delete: Callable[[str], None]) -> str:
    """Removes the test object if we may, and then those of former preflights, but never anything else.

    Args:
        listed: the objects, at least a page of them, whose paths begin so.
        delete: removes an object, or raises an OutfeedError.

    Returns:
        What was done, or what stays and why.
    """
    now = None
    with contextlib.suppress(OutfeedError):
        now = next((each.written for each in listed(path)), None)
    try:
        delete(path)
    except OutfeedError as error:
        return f"{path} stays; we need no right to delete, and the customer may: {error.what}"
    removed = 0
    with contextlib.suppress(OutfeedError):
        for old in leftovers(listed(f"{PREFLIGHT_FOLDER}/"), now) if now is not None else ():
            delete(old)
            removed += 1
    more = f"; objects of broken preflights removed: {removed}" if removed else ""
    return f"nothing was left behind{more}"


def leftovers(listed: Iterable[Listed], now: dt.datetime) -> list[str]:
    """Paths of the objects that broken preflights left; `now` is by the store's own clock."""
    return [
        each.path
        for each in listed
        if _TEST_PATH.fullmatch(each.path)
        and each.bytes == len(TEST_CONTENT)
        and now - each.written > LEFT_AFTER
    ]
