"""The immutable plan of a run: parts, groups, names and destinations.

The first task of a run writes the plan to staging; later tasks read only the plan, so that an edit of
the YAML in mid-run changes nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from outfeed.config.csv_options import CsvOptions
from outfeed.config.kinds import config_model
from outfeed.config.models import CustomerConfig
from outfeed.connectors import DestinationModel
from outfeed.connectors.base import FilenameStyle
from outfeed.errors import ConfigError
from outfeed.formats.compression import Compression
from outfeed.windows import Window


class Reason(StrEnum):
    """Why a run takes place."""

    SCHEDULED = "scheduled"
    BACKFILL = "backfill"
    MANUAL = "manual"
    TEST = "test"


class Frozen(BaseModel):
    """An immutable value of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TableRead(Frozen):
    """What a relational source must know to read an entity."""

    table: str
    key: tuple[str, ...]
    clock: tuple[str, ...]
    columns: tuple[str, ...]
    never: tuple[str, ...]
    csv: CsvOptions
    format: Literal["csv", "parquet"]
    #: What the source called its state when the previous delta was read: rows that it did not show are late.
    seen: str | None = None
    late_days: int = 0


class Part(Frozen):
    """The unit of work: one dataset × one site or entity × one mode × the run's window."""

    key: str
    dataset: str
    mode: str
    #: The site or entity.
    subject: str
    start: dt.datetime
    end: dt.datetime
    #: Path of the file below the destination's base, without revision and extension.
    stems: dict[FilenameStyle, str]
    extension: str
    media_type: str
    compression: Compression = Compression.NONE
    #: Whether any destination of the run wants the images.
    images: bool = False
    #: Whether a sidecar with the md5 belongs to the file (VI-C08).
    md5: bool = False
    table: TableRead | None = None

    @property
    def window(self) -> Window:
        """The run's window."""
        return Window(self.start, self.end)

    @property
    def content_type(self) -> str:
        """Of the file as it is stored."""
        if self.compression is Compression.NONE:
            return self.media_type
        return f"application/{self.compression}"

    def data_path(self, style: FilenameStyle, revision: int = 1) -> str:
        """Where the file lies; from revision 2 on with `__r<n>` (DX-064, D27, VI-C11)."""
        suffix = "" if revision == 1 else f"__r{revision}"
        return f"{self.stems[style]}{suffix}{self.extension}"

    def image_path(self, name: str) -> str:
        """`<site>/inputs/<input id><file extension>` (DX-067)."""
        return f"{self.subject}/inputs/{name}"


class Plan(Frozen):
    """Everything that later tasks need to know of a run."""

    customer: str
    run_id: str
    reason: Reason
    #: What deliveries of this kind are announced as: the export type, or the dataset and its schedule.
    delivery: str
    start: dt.datetime
    end: dt.datetime
    parts: tuple[Part, ...]
    #: What was asked for and can't be delivered, with the reason.
    omitted: dict[str, str]
    #: Keys of the parts that one mapped task works on.
    groups: tuple[tuple[str, ...], ...]
    #: Names of the destinations of this run.
    destinations: tuple[str, ...]
    #: The resolved customer configuration, as JSON values.
    config: dict[str, Any]

    @property
    def window(self) -> Window:
        """The run's window."""
        return Window(self.start, self.end)

    @cached_property
    def customer_config(self) -> CustomerConfig:
        """The configuration as it was when the run was planned.

        Raises:
            ConfigError: it is of a kind that this version does not know.
        """
        model = config_model(self.config)
        if model is None:
            raise ConfigError(f"the plan names the unknown configuration type {self.config.get('type')!r}")
        return model.model_validate(self.config)

    def destination(self, name: str) -> DestinationModel:
        """The options of one of the run's destinations."""
        return next(d for d in self.customer_config.destinations if d.name == name)

    def group(self, index: int) -> tuple[Part, ...]:
        """The parts of one mapped task."""
        wanted = set(self.groups[index])
        return tuple(part for part in self.parts if part.key in wanted)

    def to_json(self) -> bytes:
        """The plan's only serialised form."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)

    @property
    def config_sha256(self) -> str:
        """Digest of the resolved configuration, for the ledger."""
        return hashlib.sha256(orjson.dumps(self.config, option=orjson.OPT_SORT_KEYS)).hexdigest()
