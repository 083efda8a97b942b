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
from outfeed.migration.importer import import_settings, origin_of, render


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
    name = _name(file, customer)
    text = _read(file)
    folder = out if out is not None else project() / "dags" / "customers"
    target = folder / f"{name}.yaml"
    imported = import_settings(parse_env(text), name, str(file))
    content = render(imported, file.name)
    _check(content, file)
    _write(target, content)
    click.echo(f"wrote {shown(target)}, a draft")
    for line in report(imported):
        click.echo(line)


def _name(file: Path, asked: str | None) -> str:
    """The customer's name as asked for, or what is left of the file's name."""
    made = re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_")
    name = made if asked is None else asked
    try:
        usable = customer_name(Path(f"{name}.yaml")) == name
    except ConfigError:
        usable = False
    if usable:
        return name
    whose, which = (f"{made!r}, made of the file's name,", "a") if asked is None else (repr(asked), "another")
    raise ConfigError(
        f"{whose} can't be a customer's name",
        where=str(file),
        action=Action.OPERATOR,
        remedy=f"give {which} name with --customer: lower-case letters, digits, '-' and '_', at most 63, "
        "first a letter or digit",
    )


def _read(file: Path) -> str:
    try:
        return read_text(file)
    except InvalidConfigError as error:
        problem = error.problems[0]
        raise ConfigError(
            problem.message,
            where=f"{file}:{problem.line}:{problem.column}",
            action=Action.OPERATOR,
            remedy=problem.hint,
        ) from None


def _check(content: str, file: Path) -> None:
    """Refuses what would be no valid customer, by the settings that the wrong lines come from."""
    try:
        parse_config(content, str(file))
    except InvalidConfigError as error:
        lines = content.splitlines()
        problems = [(origin_of(lines[one.line - 1]), one.text) for one in error.problems]
        raise ConfigError(
            "\n".join(
                [
                    "the settings make no valid customer",
                    *(f"{origin}: {text}" if origin else text for origin, text in problems),
                ]
            ),
            where=str(file),
            action=Action.OPERATOR,
            remedy="correct the settings",
        ) from None


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
