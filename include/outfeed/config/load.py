"""Reads a customer's file: a valid configuration, or every problem with its line (design §7, XX-01).

Parsing touches no network and no database and imports no driver, so that a thousand customers don't slow
the scheduler.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from outfeed.config.document import Document
from outfeed.config.explain import explain, unknown_type
from outfeed.config.kinds import KINDS, config_model
from outfeed.config.models import WRITTEN, CustomerConfig
from outfeed.config.problems import InvalidConfigError, Problem, did_you_mean
from outfeed.errors import Action, ConfigError

_CUSTOMER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def customer_name(path: Path) -> str:
    """The customer whom a file configures: its name without the ending.

    Raises:
        ConfigError: for a name that can't be part of paths, connections and accounts, or another ending
            than `.yaml`; and for a folder.
    """
    if path.is_dir():
        raise ConfigError(
            "this is a folder, not a customer's file",
            where=str(path),
            remedy="a customer is one file, like dags/customers/acme.yaml",
        )
    if path.suffix != ".yaml":
        right = path.with_suffix(".yaml")
        raise ConfigError(
            "a customer's file must end in .yaml",
            where=str(path),
            remedy=f"{right.name} exists already: remove one of the two"
            if right.exists()
            else f"rename it to {right.name}",
        )
    if not _CUSTOMER.fullmatch(path.stem):
        raise ConfigError(
            f"{path.stem!r} can't be a customer's name",
            where=str(path),
            remedy="rename the file: lower-case letters, digits, '-' and '_', at most 63",
        )
    return path.stem


def load_config(path: Path) -> CustomerConfig:
    """The configuration in a customer's file.

    Raises:
        ConfigError: if there is no such file, or its name can't be a customer's.
        InvalidConfigError: with every problem of its content.
    """
    customer_name(path)
    return parse_config(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file, which must be UTF-8.

    Raises:
        ConfigError: if it can't be read.
        InvalidConfigError: naming the line that is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the file can't be read: {error.strerror}",
            where=str(path),
            action=Action.OPERATOR,
            remedy="check its name and permissions",
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        found = Problem(line, column, "this is not UTF-8", "save the file as UTF-8")
        raise InvalidConfigError(str(path), [found]) from None


def parse_config(text: str, where: str) -> CustomerConfig:
    """The configuration in a YAML text; `where` is what messages call the file.

    Raises:
        InvalidConfigError: with every problem of the text.
    """
    return parse_document(Document(text), where)


def parse_document(document: Document, where: str) -> CustomerConfig:
    """The configuration in a parsed YAML.

    Raises:
        InvalidConfigError: with every problem of the document.
    """
    problems = list(document.problems)
    model = config_model(document.data)
    if model is None:
        problems.extend(_unknown_kind(document))
        raise InvalidConfigError(where, problems)
    try:
        config = model.model_validate(document.data, context=WRITTEN)
    except ValidationError as error:
        problems.extend(explain(error, model, document))
        raise InvalidConfigError(where, problems) from None
    if problems:
        raise InvalidConfigError(where, problems)
    return config


def _unknown_kind(document: Document) -> list[Problem]:
    if document.data is None or document.withholds(("type",)):
        return []
    if "type" in document.data:
        return [unknown_type(str(document.data["type"]), list(KINDS), document)]
    misspelt = [key for key in document.data if did_you_mean(key, ["type"])]
    if misspelt:
        place = document.place(misspelt[:1], key=True)
        return [Problem(*place, f"unknown key {misspelt[0]!r}", "did you mean 'type'?")]
    return [Problem(1, 1, "the key 'type' is missing", f"known: {', '.join(KINDS)}")]
