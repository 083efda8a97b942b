"""Export of work orders with their images: names and defaults are document 000's."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from outfeed.config.models import MAX_SPAN_DAYS, CustomerConfig, Day, five_fields, problem
from outfeed.config.schedule import Schedule
from outfeed.windows import INTERVAL_CRONS, Window, WindowRule, local_midnight


class WorkOrdersConfig(CustomerConfig):
    """Export of work orders with their images (document 000)."""

    subject: ClassVar[Literal["site", "entity"]] = "site"
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
    end_date: Day | None = Field(
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
        return None if value is None else five_fields(value)

    @model_validator(mode="after")
    def _whole_deliveries(self) -> Self:
        for index, destination in enumerate(self.destinations):
            if destination.delivery:
                raise problem("work orders are always delivered whole", "destinations", index, "delivery")
        return self

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

    def all_schedules(self) -> tuple[Schedule, ...]:
        """One: all sites are exported together."""
        return (Schedule("", self.rule, None if self.rule else self.once_window),)

    def subjects(self, schedule: Schedule) -> tuple[str, ...]:
        """The sites."""
        return tuple(str(site) for site in self.site_id)

    def delivery(self, schedule: Schedule) -> str:
        """The export type, which is a folder of the documented tree too."""
        return self.export_type

    def summary(self) -> str:
        """See the base class."""
        return f"{self.export_type}, {len(self.site_id)} site(s), as {self.file_format}"
