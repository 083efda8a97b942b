"""Contracts: the JSON Schema that every record of a dataset obeys, compiled once, with formats asserted.

Two verdicts count: the line is JSON (as orjson reads it: UTF-8, no NaN, no lone surrogates), and the value
obeys the schema (as jsonschema-rs judges it). Explanations name places and rules, never whole values.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from typing import TYPE_CHECKING, Any, Self

import orjson

from outfeed.datasets import dataset_folder

if TYPE_CHECKING:
    import jsonschema_rs

_SCHEMA_FILE = "contract.schema.json"

#: A record that is wrong everywhere does not need more than this said about it.
_MOST_VIOLATIONS = 20
_LONGEST_MESSAGE = 200


@dataclasses.dataclass(frozen=True)
class Violation:
    """One rule that a record breaks, and where: a JSON pointer."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message}"

    @property
    def kind(self) -> str:
        """The same text for the same fault anywhere in a list, for counting."""
        return re.sub(r"/\d+(?=/|:)", "/*", str(self))


class Contract:
    """The contract of a dataset. Safe to share between threads.

    Args:
        schema: the JSON Schema text, draft 2020-12.
    """

    def __init__(self, schema: bytes) -> None:
        import jsonschema_rs

        document: dict[str, Any] = orjson.loads(schema)
        #: The schema's `$id`, which carries its version.
        self.schema_id: str = document["$id"]
        #: Digest of the schema file, so that a customer can prove which one was meant.
        self.sha256 = hashlib.sha256(schema).hexdigest()
        # Formats are mere annotations in draft 2020-12 unless they are asked for (DX-121, DX-124).
        # Masked: a message never repeats a value, which may be long, and belongs to the customer.
        self._validator = jsonschema_rs.Draft202012Validator(
            document, validate_formats=True, ignore_unknown_formats=False, offline=True, mask="the value"
        )

    @classmethod
    def load(cls, dataset: str) -> Self:
        """The contract of a dataset.

        Raises:
            TerminalError: if there is no such dataset.
        """
        return cls((dataset_folder(dataset) / _SCHEMA_FILE).read_bytes())

    def check(self, line: bytes) -> tuple[dict[str, Any], tuple[Violation, ...]]:
        """The record of a line, and what it breaks: nothing, if it may be delivered."""
        try:
            record: dict[str, Any] = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return {}, (Violation("", f"is no JSON: {error.msg}"),)
        if self._validator.is_valid(record):
            return record, ()
        return record, self._violations(record)

    def _violations(self, record: Any) -> tuple[Violation, ...]:
        errors = itertools.islice(self._validator.iter_errors(record), _MOST_VIOLATIONS)
        return tuple(_violation(error) for error in errors)


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    pointer = "".join(f"/{step}" for step in error.instance_path)
    return Violation(pointer, error.message[:_LONGEST_MESSAGE])
