"""Dates as databases write them, with all their microseconds, for files that only Outfeed reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from outfeed.formats import java_date_sql
from outfeed.formats.columns import Kind
from outfeed.formats.java_date import JavaDatePattern


class IsoDate(JavaDatePattern):
    """Guarantees `2018-01-09 14:56:13.123456` in UTC: no Java pattern has microseconds."""

    def __init__(self) -> None:
        super().__init__("yyyy-MM-dd HH:mm:ss.ffffff", ())

    def format(self, value: dt.datetime) -> str:
        """See the base class."""
        return _format(value)

    def formatter(self) -> Callable[[dt.datetime], str]:
        """See the base class."""
        return _format

    def postgresql(self, expression: str, kind: Kind) -> str:
        """See the base class."""
        return f"({expression} AT TIME ZONE 'UTC')::text" if kind == Kind.INSTANT else f"({expression})::text"

    def mysql(self, expression: str) -> str:
        """See the base class."""
        return f"DATE_FORMAT({expression}, '%Y-%m-%d %H:%i:%s.%f')"

    def sqlite(self, expression: str) -> str:
        """See the base class."""
        return java_date_sql.sqlite_iso(expression)

    def regex(self) -> str:
        """See the base class."""
        return r"[0-9]{4,}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?: BC)?|-?infinity"


def _format(value: dt.datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC)
    return value.isoformat(" ", "microseconds")[:26]
