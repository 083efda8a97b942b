"""The customer configuration: who, what, when, where and options (XX-01).

Option names and defaults follow document 000 where it names them. A field that no model knows is
refused. No field holds a secret: a connection id refers to one.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from outfeed.config.problems import did_you_mean
from outfeed.connectors import DestinationModel
from outfeed.connectors.base import ConnectionId
from outfeed.windows import INTERVAL_CRONS, Window, WindowRule, local_midnight

#: A one-time export or an initialisation may not span more (DX-020, D34).
MAX_SPAN_DAYS = 400


_MAIL_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_MAIL_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MAIL_ADDRESS = re.compile(rf"(?=.{{1,64}}@){_MAIL_NAME}@(?:{_MAIL_LABEL}\.)+(?!\d+$){_MAIL_LABEL}")


def _mail_address(value: str) -> str:
    """An address that a mail server will look at; a domain that is no ASCII must be in punycode."""
    if len(value) > 254 or not _MAIL_ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is not an e-mail address")
    return value


#: pydantic's own type looks every address up in tables that cost more to load than all else here (DX-044).
MailAddress = Annotated[
    str, AfterValidator(_mail_address), WithJsonSchema({"type": "string", "format": "email"})
]


def problem(message: str, *at: str | int) -> PydanticCustomError:
    """An error of a whole model that belongs to one key or item below it; the loader finds its line."""
    return PydanticCustomError("problem", "{message}", {"message": message, "at": at})


def _duration(value: object) -> object:
    """Reads `90s`, `10m`, `2h`, `1d`; leaves everything else to pydantic (ISO 8601)."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if isinstance(value, str) and value[:-1].isdigit() and value[-1] in units:
        return dt.timedelta(**{units[value[-1]]: int(value[:-1])})
    return value


Duration = Annotated[
    dt.timedelta, BeforeValidator(_duration, json_schema_input_type=str), Field(ge=dt.timedelta(0))
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

    state: Literal["draft", "live"] = Field(
        default="draft",
        description="`draft`: only test exports run. `live`: scheduled too, to destinations that a test "
        "export has validated (DX-005, DX-089).",
    )
    description: str = Field(default="", description="Shown in the Airflow UI.")
    time_zone: str = Field(default="UTC", description="IANA zone in which the customer's days begin.")
    start_date: dt.date | None = Field(
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

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (LookupError, ValueError, OSError):
            hint = did_you_mean(value, available_timezones(), otherwise="write it like Europe/Paris")
            raise ValueError(f"{value!r} is no IANA time zone ({hint})") from None
        return value

    @model_validator(mode="after")
    def _distinct_destinations(self) -> Self:
        names: set[str] = set()
        for index, destination in enumerate(self.destinations):
            if destination.name in names:
                text = f"two destinations have the name {destination.name!r}"
                raise problem(text, "destinations", index, "name")
            names.add(destination.name)
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The customer's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def first_instant(self) -> dt.datetime | None:
        """The UTC instant from which windows are exported; None if the customer begins where we are."""
        return None if self.start_date is None else local_midnight(self.start_date, self.time_zone)


class WorkOrdersConfig(CustomerConfig):
    """Export of work orders with their images (document 000)."""

    type: Literal["work-orders"]
    site_id: Annotated[tuple[UUID, ...], Field(min_length=1)] = Field(description="Sites to export (DX-010).")
    export_type: Literal["work-orders-timeline", "work-orders-states"] = Field(
        default="work-orders-timeline",
        description="All inputs of the work orders that changed, or only the last of each item (DX-011).",
    )
    file_format: Literal["json"] = Field(default="json", description="JSON Lines (DX-013).")
    interval: Literal["once", "daily", "weekly", "monthly"] | None = Field(
        default=None, description="How often, at local midnight; `once` from start_date to end_date (DX-014)."
    )
    cron: str | None = Field(
        default=None, description="Window boundaries as five cron fields, instead of interval."
    )
    end_date: dt.date | None = Field(
        default=None, description="`once` only: the local day on which the window ends (not included)."
    )

    @field_validator("site_id")
    @classmethod
    def _distinct_sites(cls, value: tuple[UUID, ...]) -> tuple[UUID, ...]:
        sites: set[UUID] = set()
        for index, site in enumerate(value):
            if site in sites:
                raise problem(f"the site {site} is named twice", index)
            sites.add(site)
        return value

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        from croniter import croniter

        if value is not None and (len(value.split()) != 5 or not croniter.is_valid(value)):
            raise ValueError(f"{value!r} is no cron expression of five fields")
        return value

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if self.interval is None and self.cron is None:
            raise problem("give one of interval and cron")
        if self.interval is not None and self.cron is not None:
            raise problem("give only one of interval and cron", "cron")
        if self.interval == "once":
            self._check_span()
        elif self.end_date is not None:
            raise problem("end_date has a meaning only with interval 'once'", "end_date")
        return self

    def _check_span(self) -> None:
        if self.start_date is None or self.end_date is None:
            raise problem("interval 'once' needs start_date and end_date", "interval")
        if self.end_date <= self.start_date:
            raise problem("end_date is not included and must be after start_date", "end_date")
        days = (self.end_date - self.start_date).days
        if days > MAX_SPAN_DAYS:
            raise problem(
                f"a one-time export spans at most {MAX_SPAN_DAYS} days, not {days}: "
                "use an interval and a backfill, which delivers one file per interval",
                "end_date",
            )

    @property
    def rule(self) -> WindowRule | None:
        """The rule of this customer's windows; None for a one-time export."""
        if self.interval == "once":
            return None
        return WindowRule(self.cron or INTERVAL_CRONS[str(self.interval)], self.time_zone)

    @property
    def once_window(self) -> Window | None:
        """The only window of a one-time export; None for a regular one."""
        if self.start_date is None or self.end_date is None:
            return None
        return Window(
            local_midnight(self.start_date, self.time_zone), local_midnight(self.end_date, self.time_zone)
        )


#: Kinds of customer configuration by their `type`.
KINDS: dict[str, type[CustomerConfig]] = {"work-orders": WorkOrdersConfig}


def config_model(document: Any) -> type[CustomerConfig] | None:
    """The model for the kind that a parsed YAML names by its `type`, or None for an unknown one."""
    kind = document.get("type") if isinstance(document, dict) else None
    return KINDS.get(kind) if isinstance(kind, str) else None
