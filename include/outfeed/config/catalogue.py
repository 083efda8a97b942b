"""The catalogue of a platform's entities: tables, keys, clocks, default schedules (VI-017, VI-S01 to VI-S64).

`include/datasets/platform_data/catalogue.yaml` is the reference; `OUTFEED_DATASETS` may name another parent
folder. What a platform calls its tables is changed there, never in Python.
"""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from outfeed.datasets import dataset_folder

DATASET = "platform-data"

#: A table, view or column, perhaps with its schema: goes into SQL, quoted.
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?$")]


class Changes(StrEnum):
    """How the rows of an entity change, which decides what its delta is."""

    APPEND_ONLY = "append-only"
    MUTABLE = "mutable"
    LOOK_UP = "look-up"
    DERIVED = "derived"


class Entity(BaseModel):
    """One entity: where it is read, and when by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Identifier
    key: tuple[Identifier, ...] = Field(min_length=1)
    changes: Changes
    #: Columns of the instant of a row's last change: the greatest that is not null.
    clock: tuple[Identifier, ...] = ()
    #: Of snapshot and delta together; `""` is never.
    schedule: str | None = None
    snapshot_schedule: str | None = None
    delta_schedule: str | None = None
    #: Columns that must be there, because the document names them.
    columns: tuple[Identifier, ...] = ()
    #: Columns that are never exported.
    never: tuple[Identifier, ...] = ()

    @property
    def has_delta(self) -> bool:
        """Whether a delta can be told from the rows themselves."""
        return bool(self.clock)

    def jobs(self, name: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Default cron and modes by the names of the entity's schedules (VI-S01 to VI-S64)."""
        if self.schedule is not None:
            modes = ("snapshot", "delta") if self.has_delta else ("snapshot",)
            return {name: (self.schedule, modes)}
        return {
            f"{name}_snapshot": (self.snapshot_schedule or "", ("snapshot",)),
            f"{name}_delta": (self.delta_schedule or "", ("delta",)),
        }


@functools.cache
def catalogue() -> dict[str, Entity]:
    """Every entity by its name.

    Raises:
        TerminalError: if the dataset's folder is missing.
        ValidationError: if the catalogue is broken: a mistake of ours, not of a customer.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with (dataset_folder(DATASET) / "catalogue.yaml").open("rb") as stream:
        document = yaml.load(stream, loader)  # noqa: S506 - a safe loader, the fast one
    return {name: Entity.model_validate(values) for name, values in document["entities"].items()}
