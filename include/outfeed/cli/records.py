"""`outfeed deliveries` and `outfeed runs`: what the ledger says was sent, when and where to (XX-08)."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from outfeed.cli.host import current_host
from outfeed.cli.project import customer_files
from outfeed.cli.table import table
from outfeed.errors import Action, ConfigError
from outfeed.windows import format_instant

if TYPE_CHECKING:
    from outfeed.ledger import Ledger

ledger_option = click.option(
    "--ledger",
    "url",
    help="URL of the ledger. Default: OUTFEED_LEDGER_URL, or ledger.db in OUTFEED_HOME.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON array with every field.")


@click.command()
@click.argument("customer", required=False)
@_json_option
@ledger_option
def deliveries(customer: str | None, as_json: bool, url: str | None) -> None:
    """Lists what was delivered, to all customers or to one CUSTOMER; the newest first."""
    with opened_ledger(url) as ledger:
        found = ledger.deliveries(customer)
        if customer is not None and not found:
            require_known(ledger, customer)
    if as_json:
        click.echo(_json(found))
        return
    if not found:
        click.echo("nothing was delivered yet")
        return
    titles = ("delivered", "customer", "destination", "reason", "window", "rev", "rows", "rejected")
    more = ("files", "images", "missing", "bytes", "warning")
    rows = [
        (
            *(seconds(one.delivered_at), one.customer, one.destination, one.reason),
            *(_window(one.start, one.end), one.revision, one.rows, one.rows_rejected),
            *(one.files, one.images, one.images_missing, one.bytes, one.warning),
        )
        for one in found
    ]
    click.echo(table([*titles, *more], rows))


@click.command()
@click.argument("customer", required=False)
@_json_option
@ledger_option
def runs(customer: str | None, as_json: bool, url: str | None) -> None:
    """Lists the runs of all customers or of one CUSTOMER, the newest window first."""
    with opened_ledger(url) as ledger:
        found = ledger.runs(customer)
        if customer is not None and not found:
            require_known(ledger, customer)
    if as_json:
        click.echo(_json(found))
        return
    if not found:
        click.echo("nothing has run yet")
        return
    rows = [
        (
            *(_window(run.start, run.end), run.customer, run.dataset, run.reason, str(run.state)),
            *(seconds(run.created_at), seconds(run.finished_at), run.run_id, run.error),
        )
        for run in found
    ]
    titles = ("window", "customer", "dataset", "reason", "state", "started", "finished", "run", "error")
    click.echo(table(titles, rows))


def require_known(ledger: Ledger, customer: str) -> None:
    """The project or the ledger knows a customer: a slip of the pen must not read as "nothing was sent".

    Raises:
        ConfigError: naming the known ones.
    """
    try:
        known = {path.stem for path in customer_files()}
    except ConfigError:
        # A ledger can be looked at where no project is.
        known = set()
    known.update(run.customer for run in ledger.runs())
    known.update(one.customer for one in ledger.deliveries())
    if customer not in known:
        raise ConfigError(
            f"there is no customer {customer!r}",
            action=Action.OPERATOR,
            remedy=f"known: {', '.join(sorted(known)) or 'none'}",
        )


@contextlib.contextmanager
def opened_ledger(url: str | None = None) -> Iterator[Ledger]:
    """The ledger of this host or at a URL, closed afterwards."""
    from outfeed.ledger import Ledger

    ledger = Ledger(url or current_host().ledger_url())
    try:
        yield ledger
    finally:
        ledger.close()


def _json(records: list[Any]) -> str:
    return json.dumps([dataclasses.asdict(record) for record in records], default=_plain, indent=2)


def _plain(value: object) -> str:
    return format_instant(value) if isinstance(value, dt.datetime) else str(value)


def seconds(instant: dt.datetime | None) -> str | None:
    """An instant without its fraction."""
    return None if instant is None else format_instant(instant.replace(microsecond=0))


def _window(start: dt.datetime, end: dt.datetime) -> str:
    return f"{format_instant(start)}/{format_instant(end)}"
