"""`outfeed links`: who was sent a link to what, who clicked, and how to end one at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import click

from outfeed.cli.records import ledger_option, opened_ledger, require_known, seconds
from outfeed.cli.table import table
from outfeed.errors import Action, ConfigError
from outfeed.windows import format_instant


class _ListByDefault(click.Group):
    """`outfeed links CUSTOMER` lists; only `revoke` is a word of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListByDefault)
def links() -> None:
    """Lists the links in mails: `outfeed links [CUSTOMER]`; ends one: `outfeed links revoke ID`."""


@links.command("list")
@click.argument("customer", required=False)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON array with every field but the token's digest."
)
@ledger_option
def list_links(customer: str | None, as_json: bool, url: str | None) -> None:
    """Lists the links of all customers or of one CUSTOMER, the newest first."""
    now = dt.datetime.now(dt.UTC)
    with opened_ledger(url) as ledger:
        found = ledger.links.uses(customer)
        if customer is not None and not found:
            require_known(ledger, customer)
    if as_json:
        values = [
            dataclasses.asdict(use.link)
            | {"state": use.link.state(now), "clicks": use.clicks, "last_click": use.last_click}
            for use in found
        ]
        for one in values:
            del one["token_sha256"]
        click.echo(json.dumps(values, default=_plain, indent=2))
        return
    if not found:
        click.echo("no link was made yet")
        return
    titles = ("id", "customer", "destination", "recipient", "window", "rev", "state", "expires", "clicks")
    rows = [
        (
            *(use.link.id, use.link.customer, use.link.destination, use.link.recipient),
            f"{format_instant(use.link.start)}/{format_instant(use.link.end)}",
            *(use.link.revision, use.link.state(now), seconds(use.link.expires_at), use.clicks),
            *(seconds(use.last_click), use.link.refusal),
        )
        for use in found
    ]
    click.echo(table([*titles, "last click", "refusal"], rows))


@links.command()
@click.argument("link_id", metavar="ID")
@ledger_option
def revoke(link_id: str, url: str | None) -> None:
    """Ends the link with this ID at once; its files go when no other link needs them."""
    with opened_ledger(url) as ledger:
        link = ledger.links.revoke(link_id, dt.datetime.now(dt.UTC))
    if link is None:
        raise ConfigError(
            f"there is no link {link_id!r}", action=Action.OPERATOR, remedy="`outfeed links` shows their ids"
        )
    click.echo(f"the link of {link.recipient} to {link.customer}'s delivery no longer works")


def _plain(value: object) -> str:
    return format_instant(value) if isinstance(value, dt.datetime) else str(value)
