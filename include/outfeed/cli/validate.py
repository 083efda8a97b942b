"""`outfeed validate`: every problem of customers' files, with file, line and column."""

from __future__ import annotations

from pathlib import Path

import click

from outfeed.config.advice import advice
from outfeed.config.document import Document
from outfeed.config.load import customer_name, parse_document, read_text
from outfeed.errors import ConfigError


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Checks customers' FILES; without any, all of dags/customers. Ends with 1 if there is a problem."""
    from outfeed.cli.project import customer_files

    bad = [path for path in files or customer_files() if not _is_valid(path)]
    if bad:
        raise SystemExit(1)


def _is_valid(path: Path) -> bool:
    try:
        customer = customer_name(path)
        document = Document(read_text(path))
        config = parse_document(document, str(path))
    except ConfigError as error:
        click.echo(str(error))
        return False
    for warning in sorted(advice(customer, config, document)):
        click.echo(f"{path}:{warning.line}:{warning.column}: warning: {warning.text}")
    click.echo(f"{path}: OK")
    return True
