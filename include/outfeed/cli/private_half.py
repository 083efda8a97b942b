"""Where the private half of a new key goes: into its connection, or into a file that the operator names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from outfeed.cli.host import Host
from outfeed.connectors.ssh import PREVIOUS_KEY, PRIVATE_KEY
from outfeed.errors import Action, ConfigError


def require_place(host: Host, conn_id: str, file: Path | None) -> None:
    """There is a place for a private half. To be asked before a key is made, so that none is lost.

    Raises:
        ConfigError: the connection can't be written, and no file is named.
    """
    place = host.secret_place(conn_id)
    if file is None and not place.writable:
        raise ConfigError(
            f"the connection {conn_id!r} is kept in {place.name}: this command can't write there",
            action=Action.OPERATOR,
            remedy="name a new file for the private half with --private-key-file, and put it there yourself",
        )


def keep_private_half(
    host: Host, conn_id: str, private_key: str, previous: Mapping[str, str], file: Path | None
) -> None:
    """The private half is in the connection, or in the file, with words on what to do with it (DX-082)."""
    if file is None:
        host.change_extra(conn_id, {PRIVATE_KEY: private_key, **previous})
        click.echo(f"The private half is in connection {conn_id}.", err=True)
        return
    _write_private(file, private_key)
    steps = [f"copy the content of {file} into the field {PRIVATE_KEY}", f"delete {file}"]
    if previous:
        steps.insert(0, f"rename the field {PRIVATE_KEY} to {PREVIOUS_KEY}")
    click.echo(f"The private half is in {file}, which only you can read.", err=True)
    tell_by_hand(host, conn_id, steps)


def tell_by_hand(host: Host, conn_id: str, steps: Sequence[str]) -> None:
    """Says what somebody has to do to a connection that no command can write."""
    click.echo(
        f"In {host.secret_place(conn_id).name}, in the extra of connection {conn_id}:\n"
        + "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1)),
        err=True,
    )


def _write_private(file: Path, private_key: str) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the private key can't be written: {error.strerror}",
            where=str(file),
            action=Action.OPERATOR,
            remedy="name a file that does not exist yet, in a folder of yours",
        ) from None
    with os.fdopen(descriptor, "w") as stream:
        stream.write(private_key)
