"""A customer's schedules: what runs together, and when."""

from __future__ import annotations

import dataclasses

from outfeed.windows import Window, WindowRule

#: How the characters of a cron expression are written in a name; others stand for themselves.
_NAMES = str.maketrans({" ": "_", "*": "x", "/": "by", ",": "."})


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What runs together, at the same times: one DAG.

    Attributes:
        name: part of the DAG's id; empty if the customer can have only one.
        rule: its ticks; None for a one-time export.
        once: the window of a one-time export.
    """

    name: str
    rule: WindowRule | None
    once: Window | None = None

    def dag_id(self, customer: str) -> str:
        """The DAG's id, the same whatever other schedules the customer has."""
        return f"{customer}__{self.name}" if self.name else customer

    def intervals(self) -> str:
        """When it runs, for people."""
        return "once" if self.rule is None else f"{self.rule.cron} {self.rule.time_zone}"


def schedule_name(cron: str) -> str:
    """A name for a cron expression, different for each: `10 0 * * *` becomes `10_0_x_x_x`."""
    return " ".join(cron.split()).lower().translate(_NAMES)
