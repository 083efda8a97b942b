"""What a column holds, whatever engine it comes from: decides how a value is written (VI-C13, VI-C14)."""

from __future__ import annotations

import dataclasses
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of values that the formats tell apart."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    #: A point in time: the source knows its offset.
    INSTANT = "instant"
    #: Date and time without an offset: UTC by convention (VI-C13).
    LOCAL = "local"
    DATE = "date"
    TIME = "time"
    JSON = "json"
    UUID = "uuid"
    BYTES = "bytes"


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: as the source spells it.
        precision: of a decimal: digits in all; None if the source sets no bound.
        scale: of a decimal: digits after the point.
    """

    name: str
    kind: Kind
    precision: int | None = None
    scale: int | None = None
