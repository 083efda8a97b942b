"""Export of a platform's entities, snapshot and delta; names and defaults are document 002's (VI-026)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator, model_validator

from outfeed.config.catalogue import Entity, catalogue
from outfeed.config.csv_options import CsvOptions, Switch, options_in
from outfeed.config.file_names import FileName
from outfeed.config.models import WRITTEN, CustomerConfig, Duration, ZoneName, five_fields, problem
from outfeed.config.problems import did_you_mean
from outfeed.config.schedule import Schedule, schedule_name
from outfeed.connectors.base import NameList
from outfeed.formats.compression import Compression
from outfeed.windows import Window, WindowRule, local_midnight


class PlatformDataConfig(CsvOptions, CustomerConfig):
    """Export of relational entities as CSV or Parquet (document 002)."""

    subject: ClassVar[Literal["site", "entity"]] = "entity"
    type: Literal["platform-data"]
    release_delay: Duration = Field(
        default=dt.timedelta(0), description="Time between a schedule's tick and its run, like `10m`."
    )
    entities: NameList = Field(
        default=(), description="Entities to export; `all` is every one with a schedule."
    )
    schedules: dict[str, str] = Field(
        default_factory=dict,
        description='Five cron fields in UTC by entity, instead of the default; `""` is never (VI-026).',
    )
    data_delta_days: int = Field(default=1, ge=1, le=366, description="Days of data in a delta (VI-021).")
    data_delta_midnight_to_midnight: Switch = Field(
        default=False,
        description="Whole days before the run's day, instead of days back from the run's hour (VI-022).",
    )
    data_delta_time_zone: ZoneName = Field(
        default="UTC", description="IANA zone of data_delta_midnight_to_midnight's midnights (VI-025)."
    )
    delta_late_days: int = Field(
        default=7,
        ge=0,
        le=366,
        description="How far back a delta looks for rows committed after the previous one was read.",
    )
    csv_snapshot: NameList = Field(
        default=(), description="Entities with a delta that also make a snapshot; `all`: every one (VI-C12)."
    )
    backfilled_snapshot: Literal["omit", "today"] = Field(
        default="omit",
        description="A snapshot can't be taken in the past: a backfill leaves it out, or delivers today's "
        "state, marked as such in name and manifest.",
    )
    format: Literal["csv", "parquet"] = Field(default="csv", description="Format of the files.")
    compression: Compression = Field(
        default=Compression.NONE, description="Of CSV files; Parquet is compressed by itself."
    )
    file_name: str = Field(
        default="{entity}/{entity}_{date:yyyy_MM_dd}", description="Of snapshots, without extension (VI-C11)."
    )
    delta_file_name: str = Field(
        default="{entity}_delta/{entity}_delta_{date:yyyy_MM_dd}", description="Of deltas, without extension."
    )

    @field_validator("entities", mode="before")
    @classmethod
    def _any_entity(cls, value: Any, info: ValidationInfo) -> Any:
        if value == [] and info.context == WRITTEN:
            raise ValueError("the list is empty: name entities in it, or write `all` for every one")
        return value

    @field_validator("entities", "csv_snapshot")
    @classmethod
    def _known_entities(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for index, name in enumerate(value):
            if name not in catalogue():
                raise problem(unknown_entity(name, list(catalogue())), index)
        return value

    @field_validator("schedules")
    @classmethod
    def _known_schedules(cls, value: dict[str, str]) -> dict[str, str]:
        known = [job for name, entity in catalogue().items() for job in entity.jobs(name)]
        for name, cron in value.items():
            if name not in known:
                raise problem(unknown_entity(name, known), name)
            if cron.strip():
                try:
                    five_fields(cron)
                except ValueError as error:
                    raise problem(str(error), name) from None
        return value

    @field_validator("file_name", "delta_file_name")
    @classmethod
    def _usable_name(cls, value: str) -> str:
        FileName(value)
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.time_zone != "UTC":
            raise problem(
                "schedules of platform data are in UTC; data_delta_time_zone sets the days of a delta",
                "time_zone",
            )
        if self.data_delta_time_zone != "UTC" and not self.data_delta_midnight_to_midnight:
            raise problem(
                "data_delta_time_zone has a meaning only with data_delta_midnight_to_midnight",
                "data_delta_time_zone",
            )
        if self.format == "parquet" and self.compression is not Compression.NONE:
            raise problem("Parquet files are compressed by themselves", "compression")
        if self.file_name == self.delta_file_name:
            raise problem("snapshots and deltas would have the same names", "delta_file_name")
        self._check_names()
        self._check_deliveries()
        if not self.all_schedules():
            raise problem("no entity has a schedule: nothing would ever be exported", "entities")
        return self

    def _check_names(self) -> None:
        """Two runs of a day must not mean the same file: the second would look like a correction."""
        for cron in self.jobs():
            if all(field.isdigit() for field in cron.split()[:2]):
                continue
            for option in ("file_name", "delta_file_name"):
                if not FileName(getattr(self, option)).tells_hours:
                    raise problem(
                        f"the schedule {cron!r} runs several times a day, but {option} does not tell the "
                        "hour: add HH_mm to its date",
                        option if option in self.model_fields_set else "schedules",
                    )

    def _check_deliveries(self) -> None:
        exported = self._scheduled_entities()
        for index, destination in enumerate(self.destinations):
            for position, name in enumerate(destination.delivery):
                if name not in catalogue():
                    text = unknown_entity(name, list(catalogue()))
                    raise problem(text, "destinations", index, "delivery", position)
            if destination.export_images:
                raise problem("platform data has no images", "destinations", index, "export_images")
            if exported and not any(map(destination.receives, exported)):
                raise problem(
                    f"destination {destination.name!r} would never receive anything: "
                    f"nothing of {', '.join(destination.delivery)} is exported",
                    *("destinations", index, "delivery"),
                )

    def jobs(self) -> dict[str, list[tuple[str, str]]]:
        """What runs at each cron expression: pairs of entity and mode, in the catalogue's order."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name in self._scheduled_entities():
            if not any(destination.receives(name) for destination in self.destinations):
                continue
            entity = catalogue()[name]
            for cron, modes in self._ticks(name, entity):
                wanted = self._wanted(name, entity, modes)
                found.setdefault(cron, []).extend((name, mode) for mode in wanted)
        return found

    def _scheduled_entities(self) -> list[str]:
        """The entities that run at some time, whoever receives them."""
        return [
            name
            for name, entity in catalogue().items()
            if (not self.entities or name in self.entities) and any(self._ticks(name, entity))
        ]

    def _ticks(self, name: str, entity: Entity) -> Iterator[tuple[str, Sequence[str]]]:
        """Cron expressions of an entity, with what is made at each."""
        for job, (default, modes) in entity.jobs(name).items():
            cron = " ".join(self.schedules.get(job, default).split())
            if cron:
                yield cron, modes

    def _wanted(self, name: str, entity: Entity, modes: Sequence[str]) -> Iterator[str]:
        """`csv_snapshot` is asked only of jobs that have both kinds (VI-C12)."""
        both = len(modes) > 1
        for mode in modes:
            if mode == "snapshot" and both and self.csv_snapshot and name not in self.csv_snapshot:
                continue
            yield mode

    def all_schedules(self) -> tuple[Schedule, ...]:
        """One for each distinct cron expression (VI-031)."""
        return tuple(Schedule(schedule_name(cron), WindowRule(cron, "UTC")) for cron in self.jobs())

    def scheduled(self, schedule: Schedule) -> list[tuple[str, str]]:
        """Pairs of entity and mode that run at a schedule."""
        assert schedule.rule is not None  # noqa: S101 - only a one-time export has none
        return self.jobs()[schedule.rule.cron]

    def subjects(self, schedule: Schedule) -> tuple[str, ...]:
        """The entities."""
        return tuple(dict.fromkeys(entity for entity, _ in self.scheduled(schedule)))

    def window(self, interval: Window) -> Window:
        """The delta's window for the tick that ends the interval, whenever it is run (VI-020 to VI-025)."""
        if not self.data_delta_midnight_to_midnight:
            end = interval.end.replace(minute=0, second=0, microsecond=0)
            return Window(end - dt.timedelta(days=self.data_delta_days), end)
        day = interval.end.astimezone(ZoneInfo(self.data_delta_time_zone)).date()
        first = day - dt.timedelta(days=self.data_delta_days)
        return Window(*(local_midnight(each, self.data_delta_time_zone) for each in (first, day)))

    @property
    def days_in(self) -> str:
        """The zone of the deltas' midnights."""
        return self.data_delta_time_zone

    def delivery(self, schedule: Schedule) -> str:
        """One name per schedule: deliveries of different schedules may have the same window."""
        return f"{self.type}_{schedule.name}"

    def warnings(self) -> Iterator[tuple[str, str, str]]:
        """Where CSV leaves RFC 4180 or dates lack their zone; deltas that leave days out (VI-C15)."""
        if self.format == "csv":
            for message in self.dialect().warnings():
                yield next(iter(options_in(message)), "csv_date_format"), message, ""
        for name in self.entities:
            if not any(destination.receives(name) for destination in self.destinations):
                yield "entities", f"no destination receives {name}: it is not exported", ""
        for schedule in self.all_schedules():
            rule = schedule.rule
            if rule is None:
                continue
            tick = rule.next_boundary(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
            span = rule.next_boundary(tick) - tick
            if span > dt.timedelta(days=self.data_delta_days):
                yield (
                    "schedules",
                    f"the schedule {rule.cron!r} runs every {span.days} days, but a delta holds "
                    f"{self.data_delta_days}: changes between them are in no delta",
                    f"set data_delta_days: {span.days}",
                )

    def summary(self) -> str:
        """See the base class."""
        jobs = [job for jobs in self.jobs().values() for job in jobs]
        return f"{len({name for name, _ in jobs})} entities, {len(jobs)} files a round, as {self.format}"


def unknown_entity(name: str, known: Sequence[str]) -> str:
    """The message for an entity that the catalogue does not have."""
    return f"{name!r} is no entity of the catalogue ({did_you_mean(name, known, otherwise='see its file')})"
