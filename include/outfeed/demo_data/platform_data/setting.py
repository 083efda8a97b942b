"""What every part of the generator works with: rows to be written, days, size, chance.

All instants are UTC and, as the simplest form that every engine takes, without zone.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from outfeed.datasets import dataset_folder
from outfeed.demo_data.platform_data.answers import KnownAnswers

DATASET = "platform-data"

_HISTORY_DAYS = 400
_DAY = dt.timedelta(days=1)
_MICROSECOND = dt.timedelta(microseconds=1)


def table_columns() -> dict[str, tuple[str, ...]]:
    """The columns of each reference table, in the schema's order."""
    text = (dataset_folder(DATASET) / "schema.sqlite.sql").read_text(encoding="utf-8")
    bodies = re.findall(r"^CREATE TABLE (\w+) \((.*?)^\)", text, re.DOTALL | re.MULTILINE)
    return {
        table: tuple(re.findall(r"^    (?!PRIMARY KEY)(\w+) ", body, re.MULTILINE)) for table, body in bodies
    }


class Rows:
    """Rows that wait to be written, each complete and in the schema's order."""

    def __init__(self, columns: Mapping[str, tuple[str, ...]]) -> None:
        self._columns = columns
        self._waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in columns}
        self.counts: Counter[str] = Counter(dict.fromkeys(columns, 0))

    def add(self, table: str, **values: Any) -> None:
        """Adds a row.

        Raises:
            KeyError: if a column has no value.
        """
        row = [values[column] for column in self._columns[table]]
        self._waiting[table].append(
            tuple(_FORMS[type(value)](value) if type(value) in _FORMS else value for value in row)
        )
        self.counts[table] += 1

    def take(self) -> dict[str, list[tuple[Any, ...]]]:
        """What was added since the last call."""
        taken, self._waiting = self._waiting, {table: [] for table in self._columns}
        return taken


#: Forms that all engines take, and that sort by time as text.
_FORMS: dict[type, Callable[[Any], str]] = {
    dt.datetime: lambda value: value.isoformat(" ", "microseconds"),
    dt.date: dt.date.isoformat,
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One call of the generator."""

    rows: Rows
    known: KnownAnswers
    scale: int
    first: dt.date
    end: dt.date
    seed: int

    @property
    def now(self) -> dt.datetime:
        """The instant up to which things have happened: midnight at the end of the last day."""
        return dt.datetime.combine(self.end, dt.time())

    @property
    def days(self) -> Iterator[dt.date]:
        """The days with new rows."""
        return (self.first + number * _DAY for number in range((self.end - self.first).days))

    def chance(self, section: str) -> Chance:
        """Chance of its own for a section, so that a change of one leaves the others as they are."""
        return Chance(f"{self.seed}/{section}", self.first, self.now)


class Chance(Random):
    """Reproducible chance, with instants."""

    def __init__(self, seed: str, first: dt.date, now: dt.datetime) -> None:
        super().__init__(seed)
        self._first = dt.datetime.combine(first, dt.time())
        self._now = now

    def between(self, start: dt.datetime, end: dt.datetime) -> dt.datetime:
        """An instant in [start, end); `start` if there is none."""
        return start + self.randrange(max((end - start) // _MICROSECOND, 1)) * _MICROSECOND

    def before(self) -> dt.datetime:
        """An instant before the first day."""
        return self.between(self._first - _HISTORY_DAYS * _DAY, self._first)

    def changed(self, created: dt.datetime | None = None) -> dict[str, Any]:
        """Values of the columns `created` and `updated`: some rows are changed long after, some never."""
        created = created or (self.before() if self.random() < 0.8 else self.between(self._first, self._now))
        if self.random() < 0.5:
            return {"created": created, "updated": None}
        start = max(created, self._first) if self.random() < 0.6 else created
        return {"created": created, "updated": self.between(start, self._now)}

    def moments(self, day: dt.date, count: int) -> list[dt.datetime]:
        """Instants of a day in order; the first and the last that it has are always among them."""
        start = dt.datetime.combine(day, dt.time())
        last = start + _DAY - _MICROSECOND
        return [start, *sorted(self.between(start, last) for _ in range(count - 2)), last]

    def uuid(self) -> str:
        """A random UUID."""
        digits = f"{self.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def secret(self) -> str:
        """Something that must never be exported; easy to search for."""
        return f"never-{self.getrandbits(96):024x}"

    def maybe(self, value: Any, share: float = 0.8) -> Any:
        """The value, or None."""
        return value if self.random() < share else None
