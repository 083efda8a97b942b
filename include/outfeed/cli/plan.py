"""`outfeed plan`: windows, parts and paths of a customer, computed and not executed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import click

from outfeed.cli.project import load_customer
from outfeed.config.models import WorkOrdersConfig
from outfeed.errors import Action, ConfigError
from outfeed.windows import Window, format_instant, local_midnight

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
    when = config.interval or config.cron
    click.echo(f"{customer}: {config.export_type}, {when} in {config.time_zone}, {config.state}")
    windows = _last_window(config) if first is None or end is None else _between(config, first, end)
    lines = [line for window in windows for line in _lines(customer, config, window)]
    click.echo("\n".join(lines or ["", "no whole window lies between these days"]))


def _last_window(config: WorkOrdersConfig) -> Iterator[Window]:
    """The latest window that is due; the only one of a one-time export, due or not."""
    if config.once_window is not None:
        yield config.once_window
    elif config.rule is not None:
        yield config.rule.last_complete(dt.datetime.now(dt.UTC) - config.release_delay)


def _between(config: WorkOrdersConfig, first: dt.datetime, end: dt.datetime) -> Iterator[Window]:
    """The windows that begin and end between two local days."""
    if end <= first:
        raise ConfigError(
            "--to is not after --from",
            action=Action.OPERATOR,
            remedy="--to names the day on which the last window ends; it is not included",
        )
    start, stop = (local_midnight(day.date(), config.time_zone) for day in (first, end))
    if config.once_window is not None:
        if start <= config.once_window.start and config.once_window.end <= stop:
            yield config.once_window
    elif config.rule is not None:
        yield from config.rule.between(start, stop)


def _lines(customer: str, config: WorkOrdersConfig, window: Window) -> Iterator[str]:
    from outfeed.manifest import delivery_folder
    from outfeed.plan import Reason, make_plan

    made = make_plan(customer=customer, config=config, window=window, run_id="preview", reason=Reason.MANUAL)
    local = window.start.astimezone(config.zone), window.end.astimezone(config.zone)
    due = format_instant(window.end + config.release_delay)
    yield ""
    yield f"window {window}, due {due}"
    yield f"  local: {local[0]:%Y-%m-%d %H:%M} to {local[1]:%Y-%m-%d %H:%M}"
    yield from (f"  part {part.key}" for part in made.parts)
    for destination in config.destinations:
        style = destination.filename_style
        yield f"  to {destination.name}, {destination.location()}"
        for part in made.parts:
            yield f"    {part.data_path(style)}"
            if destination.export_images and part.images:
                yield f"    {part.image_path('<input id><file extension>')}"
        yield f"    {delivery_folder(made, style, 1)}/"
