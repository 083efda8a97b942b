"""`outfeed plan`: windows, parts and paths of a customer, computed and not executed."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from outfeed.cli.project import load_customer
from outfeed.config.models import CustomerConfig
from outfeed.config.schedule import Schedule
from outfeed.connectors.base import DestinationOptions
from outfeed.errors import Action, ConfigError
from outfeed.windows import Window, format_instant, local_midnight

if TYPE_CHECKING:
    from outfeed.plan import Part

#: More windows are nothing that a person reads.
_MAX_WINDOWS = 400
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("customer")
@click.option("--from", "first", type=_DAY, help="First local day. Default: the last complete window.")
@click.option("--to", "end", type=_DAY, help="Local day on which the last window ends (not included).")
def plan(customer: str, first: dt.datetime | None, end: dt.datetime | None) -> None:
    """Shows the windows, parts and paths of a CUSTOMER; touches nothing."""
    if (first is None) != (end is None):
        raise click.UsageError("give both --from and --to, or neither")
    config = load_customer(customer)
    for schedule in config.all_schedules():
        lines = list(_schedule(customer, config, schedule, first, end))
        click.echo(f"{schedule.dag_id(customer)}: {config.summary()}, {schedule.intervals()}, {config.state}")
        click.echo("\n".join(lines))


def _schedule(
    customer: str,
    config: CustomerConfig,
    schedule: Schedule,
    first: dt.datetime | None,
    end: dt.datetime | None,
) -> Iterator[str]:
    if first is None or end is None:
        intervals = list(_last_interval(config, schedule))
    else:
        intervals = list(itertools.islice(_between(config, schedule, first, end), _MAX_WINDOWS + 1))
    for interval in intervals[:_MAX_WINDOWS]:
        yield from _lines(customer, config, schedule, interval)
    for interval in intervals[_MAX_WINDOWS:]:
        day = interval.start.astimezone(config.zone).date()
        yield from ("", f"only the first {_MAX_WINDOWS} windows are shown; go on with --from {day}")
    if not intervals:
        yield from ("", "no whole window lies between these days")


def _last_interval(config: CustomerConfig, schedule: Schedule) -> Iterator[Window]:
    """The latest interval that is due; the only one of a one-time export, due or not."""
    if schedule.once is not None:
        yield schedule.once
    elif schedule.rule is not None:
        yield schedule.rule.last_complete(dt.datetime.now(dt.UTC) - config.release_delay)


def _between(
    config: CustomerConfig, schedule: Schedule, first: dt.datetime, end: dt.datetime
) -> Iterator[Window]:
    """The intervals that begin and end between two local days."""
    if end <= first:
        raise ConfigError(
            "--to is not after --from",
            action=Action.OPERATOR,
            remedy="--to names the day on which the last window ends; it is not included",
        )
    start, stop = (local_midnight(day.date(), config.time_zone) for day in (first, end))
    if schedule.once is not None:
        if start <= schedule.once.start and schedule.once.end <= stop:
            yield schedule.once
    elif schedule.rule is not None:
        yield from schedule.rule.between(start, stop)


def _lines(customer: str, config: CustomerConfig, schedule: Schedule, interval: Window) -> Iterator[str]:
    from outfeed.manifest import delivery_folder
    from outfeed.plan import Reason
    from outfeed.planning import RunRequest, make_plan

    window = config.window(interval)
    now = dt.datetime.now(dt.UTC)
    made = make_plan(config, RunRequest(customer, schedule, window, "preview", Reason.MANUAL, now))
    local = window.start.astimezone(config.zone), window.end.astimezone(config.zone)
    due = format_instant(interval.end + config.release_delay)
    yield ""
    yield f"window {window}, due {due}"
    yield f"  local: {local[0]:%Y-%m-%d %H:%M} to {local[1]:%Y-%m-%d %H:%M}"
    yield from (f"  part {part.key}" for part in made.parts)
    yield from (f"  left out: {part}, {why}" for part, why in made.omitted.items())
    for destination in config.receivers(schedule):
        style = destination.filename_style
        yield f"  to {destination.name}, {destination.location()}"
        for part in made.parts:
            if destination.receives(part.subject):
                yield from _paths(part, destination)
        yield f"    {delivery_folder(made, style, 1)}/"


def _paths(part: Part, destination: DestinationOptions) -> Iterator[str]:
    path = part.data_path(destination.filename_style) + destination.encrypted_suffix
    yield f"    {path}"
    if part.md5:
        yield f"    {path}.md5"
    if destination.export_images and part.images:
        yield f"    {part.image_path('<input id><file extension>')}{destination.encrypted_suffix}"
