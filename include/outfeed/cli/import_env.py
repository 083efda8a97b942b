"""`outfeed import-env`: a customer's file from the environment settings of an old installation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from outfeed.cli.project import project, shown
from outfeed.config.load import customer_name, parse_config, read_text
from outfeed.config.problems import InvalidConfigError
from outfeed.errors import Action, ConfigError
from outfeed.migration.env_text import parse_env
from outfeed.migration.imported import Imported
from outfeed.migration.importer import import_settings, render


@click.command("import-env")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--customer", metavar="NAME", help="The customer's name. Default: the name of FILE.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the customer's file. Default: dags/customers of the project.",
)
def import_env(file: Path, customer: str | None, out: Path | None) -> None:
    """Writes a customer's file from the settings in FILE, and lists what is left to do.

    FILE holds CRON_SCHEDULE_…, CSV_…, DATA_DELTA_…, S3_…, GOOGLE_… and FTP_… as a shell or a .env file sets
    them. The customer is a draft: nothing is delivered until somebody tests it and sets it live. No secret
    is written or shown.
    """
    name = customer or re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_")
    text = read_text(file)
    folder = out if out is not None else project() / "dags" / "customers"
    target = folder / f"{name}.yaml"
    customer_name(target)
    imported = import_settings(parse_env(text), name, str(file))
    content = render(imported, file.name)
    try:
        parse_config(content, str(target))
    except InvalidConfigError as error:
        raise ConfigError(
            "\n".join(["the settings make no valid customer", *(one.text for one in error.problems)]),
            where=str(file),
            action=Action.OPERATOR,
            remedy="correct the settings",
        ) from None
    _write(target, content)
    click.echo(f"wrote {shown(target)}, a draft")
    for line in report(imported):
        click.echo(line)


def _write(target: Path, content: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(content)
    except FileExistsError:
        raise ConfigError(
            "the file exists; it was left as it is",
            where=str(target),
            action=Action.OPERATOR,
            remedy="give another name with --customer, another folder with --out, or remove it",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the file can't be written: {error.strerror}",
            where=str(target),
            action=Action.OPERATOR,
            remedy="give a folder that can be written with --out",
        ) from error


def report(imported: Imported) -> Iterator[str]:
    """The connections to create, what is to do, and what was not carried over."""
    yield from (
        "",
        "Airflow connections to create; the secrets come from variables, which you set before:",
        "",
    )
    for connection in imported.connections:
        yield from connection.lines()
    yield from ("", "To do before it goes live:", "")
    yield from (f"- {line}" for line in imported.to_do)
    yield from ("", "Not carried over:", "")
    yield from (f"- {line}" for line in imported.left_out or ["nothing: every setting was understood"])
