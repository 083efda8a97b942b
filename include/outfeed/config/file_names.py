"""Names of delivered files, from a template with the entity and a Java date pattern (VI-C09, VI-C11)."""

from __future__ import annotations

import datetime as dt
import re

from outfeed.connectors.base import safe_relative_path
from outfeed.errors import TerminalError
from outfeed.formats.java_date import JavaDatePattern

_FIELD = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")


class FileName:
    """A template such as `{entity}/{entity}_{date:yyyy_MM_dd}`, without the file's extension.

    Raises:
        ValueError: it lacks `{entity}` or `{date:…}`, names another field, or would leave the folder.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        fields = _FIELD.findall(template)
        self._patterns = {
            pattern: JavaDatePattern.parse(pattern) for name, pattern in fields if name == "date"
        }
        names = [name for name, _ in fields]
        unknown = sorted(set(names) - {"entity", "date"})
        if unknown:
            raise ValueError(
                f"{{{unknown[0]}}} is unknown in a file name: use {{entity}} and {{date:yyyy_MM_dd}}"
            )
        if "entity" not in names or not any(self._patterns):
            raise ValueError("a file name needs {entity} and a date, like {entity}_{date:yyyy_MM_dd}")
        try:
            safe_relative_path(self.render("entity", dt.datetime(2018, 1, 9, tzinfo=dt.UTC)))
        except TerminalError as error:
            raise ValueError(error.what) from None

    def render(self, entity: str, date: dt.datetime) -> str:
        """The name for an entity on a local date."""

        def field(match: re.Match[str]) -> str:
            name, pattern = match.groups()
            return entity if name == "entity" else self._patterns[pattern].format(date.replace(tzinfo=None))

        return _FIELD.sub(field, self.template)

    @property
    def tells_hours(self) -> bool:
        """Whether two runs of one day get different names."""
        return any(pattern.has_hour for pattern in self._patterns.values())
