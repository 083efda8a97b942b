"""What every customer's configuration has: who, when, where and whom to tell (XX-01).

Each kind adds what it exports, in a module of its own. A field that no model knows is refused. No field
holds a secret: a connection id refers to one.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from outfeed.config.problems import did_you_mean
from outfeed.config.schedule import Schedule
from outfeed.connectors import DestinationModel
from outfeed.connectors.addresses import MailAddress
from outfeed.connectors.base import ConnectionId, DestinationOptions
from outfeed.windows import FIRST_YEAR, LAST_YEAR, Window, is_known_year, local_midnight

#: A one-time export or an initialisation may not span more (DX-020, D34).
MAX_SPAN_DAYS = 400
#: A run may not be put off for longer.
_MAX_DELAY_DAYS = 365

#: Context of a validation whose input a person has written: a plan repeats every default as well.
WRITTEN = "written"


def problem(message: str, *at: str | int) -> PydanticCustomError:
    """An error of a whole model that belongs to one key or item below it; the loader finds its line."""
    return PydanticCustomError("problem", "{message}", {"message": message, "at": at})


def _duration(value: object) -> object:
    """Reads `90s`, `10m`, `2h`, `1d`; leaves everything else to pydantic (ISO 8601)."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}[smhd]", value):
        return dt.timedelta(**{units[value[-1]]: int(value[:-1])})
    return value


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (LookupError, ValueError, OSError):
        hint = did_you_mean(value, available_timezones(), otherwise="write it like Europe/Paris")
        raise ValueError(f"{value!r} is no IANA time zone ({hint})") from None
    return value


#: The name of an IANA time zone that this machine knows.
ZoneName = Annotated[str, AfterValidator(_known_zone)]


def five_fields(cron: str) -> str:
    """A cron expression of five fields, as it is (VI-028).

    Raises:
        ValueError: if it is none, never happens, or happens at other times for each who asks.
    """
    from croniter import CroniterBadDateError, croniter

    fields = cron.split()
    if len(fields) != 5 or not croniter.is_valid(cron):
        raise ValueError(f"{cron!r} is no cron expression of five fields")
    if re.search(r"(^|[\s,])r", cron, re.IGNORECASE):
        raise ValueError(f"{cron!r} is drawn by lot, but a window has the same bounds in each try")
    try:
        # Only days of a month can be wanted that no month has; the search takes longer than all the rest.
        if fields[2] != "*":
            croniter(cron, dt.datetime(2000, 1, 1, tzinfo=dt.UTC)).get_next()
    except CroniterBadDateError:
        raise ValueError(f"{cron!r} never happens: no year has such a day") from None
    return cron


def _known_year(value: dt.date) -> dt.date:
    if not is_known_year(value):
        raise ValueError(f"{value.isoformat()} lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return value


#: A day that windows can begin or end on.
Day = Annotated[dt.date, AfterValidator(_known_year)]


def _bearable(value: dt.timedelta) -> dt.timedelta:
    if not dt.timedelta(0) <= value <= dt.timedelta(days=_MAX_DELAY_DAYS):
        raise ValueError(f"a delay is between 0 and {_MAX_DELAY_DAYS} days")
    return value


Duration = Annotated[
    dt.timedelta, BeforeValidator(_duration, json_schema_input_type=str), AfterValidator(_bearable)
]


class Model(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(Model):
    """Where the data is read: an Airflow connection to the platform's database, and its image store."""

    connection: ConnectionId = Field(description="Airflow connection of the platform's database.")
    images_uri: str | None = Field(
        default=None,
        description="Folder of the images, any object storage path (`s3://conn@bucket/images`, `file:///…`); "
        "a relative one lies under OUTFEED_HOME.",
    )
    max_parallel: int = Field(default=2, ge=1, le=16, description="Connections per task to the database.")


class NotifyConfig(Model):
    """Who is told. One mail per address, run and outcome."""

    customer: tuple[MailAddress, ...] = Field(default=(), description="The customer's addresses.")
    operators: tuple[MailAddress, ...] = Field(default=(), description="Our operators' addresses.")
    connection: ConnectionId = Field(
        default="smtp_default", description="Airflow connection of the mail server."
    )


class ValidationConfig(Model):
    """What happens when records break the contract. They always go to quarantine, never to the customer."""

    max_rejected_records: int | None = Field(
        default=None, ge=0, description="More rejected records than this in a part fail the part."
    )
    max_rejected_percent: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="A greater share of rejected records in a part fails the part.",
    )


class CustomerConfig(Model):
    """What all kinds of customer configuration share; each kind adds what it exports."""

    #: What the kind's parts are about, as people call it.
    subject: ClassVar[Literal["site", "entity"]]
    type: str

    state: Literal["draft", "live"] = Field(
        default="draft",
        description="`draft`: only test exports run. `live`: scheduled too, to destinations that a test "
        "export has validated (DX-005, DX-089).",
    )
    description: str = Field(default="", description="Shown in the Airflow UI.")
    time_zone: ZoneName = Field(default="UTC", description="IANA zone in which the customer's days begin.")
    start_date: Day | None = Field(
        default=None,
        description="First local day that is exported. Without it, a live customer starts with the last "
        "complete window.",
    )
    release_delay: Duration = Field(
        default=dt.timedelta(minutes=10), description="Time between a window's end and its run, like `10m`."
    )
    source: SourceConfig
    destinations: Annotated[tuple[DestinationModel, ...], Field(min_length=1)] = Field(
        description="Where the files go: one or more places of the customer."
    )
    notify: NotifyConfig = NotifyConfig()
    validation: ValidationConfig = ValidationConfig()
    empty_window: Literal["file", "none"] = Field(
        default="file", description="A window without data delivers an empty file, or no data file at all."
    )

    @model_validator(mode="after")
    def _distinct_destinations(self) -> Self:
        names: set[str] = set()
        for index, destination in enumerate(self.destinations):
            if destination.name in names:
                text = f"two destinations have the name {destination.name!r}"
                raise problem(text, "destinations", index, "name")
            names.add(destination.name)
        return self

    @model_validator(mode="after")
    def _distinct_places(self) -> Self:
        """The second delivery to a place would be a revision of the first, in every run."""
        places: dict[str, str] = {}
        for index, destination in enumerate(self.destinations):
            place = destination.location()
            if place in places:
                raise problem(
                    f"destinations {places[place]!r} and {destination.name!r} are the same place, {place}: "
                    "remove one of them, or give each a folder of its own",
                    *("destinations", index, "name"),
                )
            places[place] = destination.name
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The customer's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def days_in(self) -> str:
        """The zone in which the days of what is exported begin."""
        return self.time_zone

    @property
    def first_instant(self) -> dt.datetime | None:
        """The UTC instant from which windows are exported; None if the customer begins where we are."""
        return None if self.start_date is None else local_midnight(self.start_date, self.time_zone)

    def all_schedules(self) -> tuple[Schedule, ...]:
        """What runs together: one DAG each, with names that do not change when another one comes."""
        raise NotImplementedError

    def subjects(self, schedule: Schedule) -> tuple[str, ...]:
        """The sites or entities that a schedule's runs export, for people to choose among."""
        raise NotImplementedError

    def window(self, interval: Window) -> Window:
        """The window that the run of an interval between two ticks of its schedule exports."""
        return interval

    def delivery(self, schedule: Schedule) -> str:
        """The name under which a schedule's deliveries are announced and counted."""
        raise NotImplementedError

    def receivers(self, schedule: Schedule) -> list[DestinationOptions]:
        """The destinations that anything of a schedule goes to."""
        subjects = self.subjects(schedule)
        return [d for d in self.destinations if any(d.receives(subject) for subject in subjects)]

    def warnings(self) -> Iterator[tuple[str, str, str]]:
        """What is allowed but worth a second look: key, message and hint."""
        yield from ()

    def summary(self) -> str:
        """What is exported, in a few words."""
        raise NotImplementedError
