"""What all parts of an import share: lists of entities, and messages that repeat no login."""

from __future__ import annotations

import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from outfeed.config.catalogue import catalogue
from outfeed.config.problems import did_you_mean
from outfeed.migration.env_text import Setting
from outfeed.migration.imported import Imported

#: Of what a setting can do wrong: all that pydantic would say in words of its own.
_SENTENCES = {
    "missing": "it is not set",
    "bool_parsing": "it must be 1 or 0",
    "int_parsing": "it is no whole number",
    "int_parsing_size": "it is too large a number",
    "greater_than_equal": "it must be at least {ge}",
    "less_than_equal": "it must be at most {le}",
    "too_long": "it has {actual_length} characters, but only {max_length} can be used",
    "string_too_long": "it has more than {max_length} characters",
    # Only S3_ASSUME_ROLE must match a pattern.
    "string_pattern_mismatch": "it is no ARN of a role; write it like arn:aws:iam::123456789012:role/writer",
}


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
    return sentence(error.errors(include_url=False)[0])


def sentence(detail: ErrorDetails) -> str:
    """A problem of a model in our words, which belong behind the name of a setting."""
    context = detail.get("ctx", {})
    ours = _SENTENCES.get(detail["type"])
    if ours is not None:
        return ours.format(**context)
    return without_login(str(context.get("message") or context.get("error") or detail["msg"]))


def without_login(text: str) -> str:
    """A text without a user and password that stood before a host."""
    return re.sub(r"\S*:\S*@", "…@", text)
