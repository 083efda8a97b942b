"""What all parts of an import share: lists of entities, and messages that repeat no login."""

from __future__ import annotations

import re

from pydantic import ValidationError

from outfeed.config.catalogue import catalogue
from outfeed.config.problems import did_you_mean
from outfeed.migration.env_text import Setting
from outfeed.migration.imported import Imported


def entities(setting: Setting, imported: Imported) -> tuple[list[str], bool]:
    """The entities of a comma-separated list, and whether it means something else than all of them.

    `all` and empty mean everything (VI-C12, VI-D07). Names that the catalogue does not have are listed.
    """
    names = [name.strip().lower() for name in setting.value.split(",") if name.strip()]
    if not names or "all" in names:
        return [], False
    for name in names:
        if name not in catalogue():
            hint = did_you_mean(name, list(catalogue()), otherwise="the catalogue does not have it")
            imported.leave_out(setting, f"{without_login(name)!r} is no entity ({hint})")
    return [name for name in dict.fromkeys(names) if name in catalogue()], True


def what_is_wrong(error: ValidationError) -> str:
    """The first problem of a model, in a sentence."""
    detail = error.errors(include_url=False)[0]
    context = detail.get("ctx", {})
    message = context.get("message") or context.get("error") or detail["msg"]
    return without_login(str(message))


def without_login(text: str) -> str:
    """A text without a user and password that stood before a host."""
    return re.sub(r"\S*:\S*@", "…@", text)
