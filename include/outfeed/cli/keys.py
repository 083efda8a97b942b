"""`outfeed keys`: the key pairs that we log in with, made, replaced and shown (DX-082, DX-085).

The public half goes to standard output, the private half into the Airflow connection's extra, or into a file
that the operator names; never anywhere else.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outfeed.cli.host import Host, credentials, current_host
from outfeed.cli.preflight import chosen
from outfeed.cli.private_half import keep_private_half, require_place, tell_by_hand
from outfeed.cli.project import load_customer
from outfeed.cli.records import ledger_option, opened_ledger, seconds
from outfeed.cli.table import table
from outfeed.connectors.ssh import PREVIOUS_KEY, PRIVATE_KEY
from outfeed.connectors.ssh_keys import KeyPair, fingerprint, make_key_pair, public_half
from outfeed.errors import Action, ConfigError

if TYPE_CHECKING:
    from outfeed.connectors.base import Credentials
    from outfeed.ledger.records import PublicKey

_destination = click.option(
    "--destination", help="Whose key; needed only if several have a key of their own."
)
_type = click.option(
    "--type", "kind", type=click.Choice(["ed25519", "rsa"]), default="ed25519", show_default=True
)
#: OpenSSH takes no longer ones.
_MAX_RSA_BITS = 16384
_bits = click.option(
    "--bits",
    type=click.IntRange(max=_MAX_RSA_BITS),
    default=3072,
    show_default=True,
    help="Of an RSA key; never fewer.",
)
_file = click.option(
    "--private-key-file",
    "file",
    type=click.Path(path_type=Path),
    help="Write the private half into this new file instead of the connection.",
)


@click.group()
def keys() -> None:
    """Makes, replaces and shows the SSH key pairs that we log in with at customers' servers."""


@keys.command()
@click.argument("customer")
@_destination
@_type
@_bits
@_file
@ledger_option
def create(
    customer: str, destination: str | None, kind: str, bits: int, file: Path | None, url: str | None
) -> None:
    """Makes the first key pair of a CUSTOMER and prints its public half."""
    host, conn_id = current_host(), key_connection(customer, destination)
    found = host.find(conn_id)
    if found is not None and found.extra.get(PRIVATE_KEY):
        raise ConfigError(
            f"the connection {conn_id!r} holds a private key already",
            action=Action.OPERATOR,
            remedy=f"replace it with `outfeed keys rotate {customer}`; both work for a while then",
        )
    require_place(host, conn_id, file)
    pair = make_key_pair("rsa" if kind == "rsa" else "ed25519", bits)
    keep_private_half(host, conn_id, pair.private_key, {}, file)
    _announce(customer, conn_id, pair, url)


@keys.command()
@click.argument("customer")
@_destination
@_type
@_bits
@_file
@click.option("--finish", is_flag=True, help="End the rotation: the previous key is dropped.")
@ledger_option
def rotate(
    customer: str,
    destination: str | None,
    kind: str,
    bits: int,
    file: Path | None,
    finish: bool,
    url: str | None,
) -> None:
    """Replaces the key pair of a CUSTOMER; the old one goes on working until `--finish`."""
    host, conn_id = current_host(), key_connection(customer, destination)
    extra = credentials(host, conn_id).extra
    if finish:
        _finish(customer, host, conn_id, url)
        return
    if not extra.get(PRIVATE_KEY):
        raise ConfigError(
            f"the connection {conn_id!r} holds no private key",
            action=Action.OPERATOR,
            remedy=f"make the first one with `outfeed keys create {customer}`",
        )
    if extra.get(PREVIOUS_KEY):
        raise ConfigError(
            "a rotation is under way",
            where=f"connection {conn_id}",
            action=Action.OPERATOR,
            remedy=f"end it first: `outfeed keys rotate {customer} --finish`",
        )
    require_place(host, conn_id, file)
    pair = make_key_pair("rsa" if kind == "rsa" else "ed25519", bits)
    keep_private_half(host, conn_id, pair.private_key, {PREVIOUS_KEY: extra[PRIVATE_KEY]}, file)
    _announce(customer, conn_id, pair, url)
    click.echo(
        "Both keys work from now on. When the customer has added the new one, "
        f"`outfeed preflight {customer}` says so; then `outfeed keys rotate {customer} --finish`.",
        err=True,
    )


@keys.command()
@click.argument("customer")
@_destination
@ledger_option
def show(customer: str, destination: str | None, url: str | None) -> None:
    """Shows the public halves of a CUSTOMER's keys, their age, and which one the server accepted last."""
    host, conn_id = current_host(), key_connection(customer, destination)
    roles = _roles(host.find(conn_id))
    with opened_ledger(url) as ledger:
        ledger.migrate()
        known = {key.public_key: key for key in ledger.public_keys(customer, conn_id)}
    if not roles and not known:
        click.echo(f"connection {conn_id} holds no key yet: `outfeed keys create {customer}` makes one")
        return
    public = [*roles, *(key for key in known if key not in roles)]
    accepted = _accepted_last(list(known.values()))
    rows = [
        (
            roles.get(key, "not in the connection"),
            key.split()[0],
            fingerprint(key),
            *_ages(known.get(key)),
            "the last one" if key == accepted else None,
        )
        for key in public
    ]
    click.echo(table(("key", "type", "fingerprint", "made", "days old", "accepted", ""), rows))
    for key in public:
        click.echo(key)


def key_connection(customer: str, destination: str | None) -> str:
    """The one Airflow connection that holds the key of a customer, or of one destination.

    Raises:
        ConfigError: no destination uses a key, or several have keys of their own.
    """
    options = chosen(load_customer(customer), [destination] if destination else [])
    found = {one.connection_id: one.name for one in options if one.key_login and one.connection_id}
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise ConfigError(
            f"several destinations of {customer} have a key of their own",
            action=Action.OPERATOR,
            remedy=f"name one with --destination: {', '.join(found.values())}",
        )
    raise ConfigError(
        f"{destination or customer} has no destination that we log in to with a key",
        action=Action.OPERATOR,
        remedy="only destinations of type sftp have keys",
    )


def _announce(customer: str, conn_id: str, pair: KeyPair, url: str | None) -> None:
    with opened_ledger(url) as ledger:
        ledger.migrate()
        ledger.key_made(customer, conn_id, pair.public_key)
    click.echo(f"Fingerprint {fingerprint(pair.public_key)}; for the customer's authorized_keys:", err=True)
    click.echo(pair.public_key)


def _finish(customer: str, host: Host, conn_id: str, url: str | None) -> None:
    extra = credentials(host, conn_id).extra
    if not extra.get(PREVIOUS_KEY):
        raise ConfigError(
            "no rotation is under way",
            where=f"connection {conn_id}",
            action=Action.OPERATOR,
            remedy="nothing",
        )
    current = public_half(extra[PRIVATE_KEY], extra.get("private_key_passphrase"))
    with opened_ledger(url) as ledger:
        ledger.migrate()
        known = {key.public_key: key for key in ledger.public_keys(customer, conn_id)}
    accepted_at = known[current].accepted_by if current in known else {}
    waiting = [
        f"{options.name} ({options.location()})"
        for options in load_customer(customer).destinations
        if options.connection_id == conn_id and options.location() not in accepted_at
    ]
    if waiting:
        raise ConfigError(
            f"{', '.join(waiting)} has not accepted the new key {fingerprint(current)} yet: without the "
            "previous one, deliveries would stop",
            where=f"connection {conn_id}",
            action=Action.CUSTOMER,
            remedy=f"let the customer add it, then `outfeed preflight {customer}`; a previous key that must "
            f"go at once can be removed by hand: {PREVIOUS_KEY} in the connection's extra",
        )
    if host.secret_place(conn_id).writable:
        host.change_extra(conn_id, {PREVIOUS_KEY: None})
        click.echo(f"Only {fingerprint(current)} is left; the customer may remove the previous key.")
    else:
        tell_by_hand(host, conn_id, [f"remove the field {PREVIOUS_KEY}"])


def _roles(found: Credentials | None) -> dict[str, str]:
    """What the keys in a connection are there for, by their public halves."""
    extra = found.extra if found is not None else {}
    names = {PRIVATE_KEY: "current", PREVIOUS_KEY: "previous"}
    return {
        public_half(extra[name], extra.get("private_key_passphrase")): role
        for name, role in names.items()
        if extra.get(name)
    }


def _accepted_last(known: list[PublicKey]) -> str | None:
    times = {key.accepted_at: key.public_key for key in known if key.accepted_at is not None}
    return times[max(times)] if times else None


def _ages(key: PublicKey | None) -> tuple[str | None, int | None, str | None]:
    if key is None or key.made_at is None:
        return None, None, seconds(key.accepted_at) if key else None
    return seconds(key.made_at), (dt.datetime.now(dt.UTC) - key.made_at).days, seconds(key.accepted_at)
