"""`outfeed validate`: every problem of customers' files, with file, line and column."""

from __future__ import annotations

from pathlib import Path

import click

from outfeed.config.advice import advice
from outfeed.config.document import Document
from outfeed.config.load import customer_name, parse_document, read_text
from outfeed.errors import ConfigError, OutfeedError


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Checks customers' FILES; without any, all of dags/customers. Ends with 1 if there is a problem.

    Problems and warnings go to standard error.
    """
    from outfeed.cli.project import customer_files

    bad = [path for path in files or customer_files() if not _is_valid(path)]
    if bad:
        raise SystemExit(1)


def _is_valid(path: Path) -> bool:
    try:
        customer = customer_name(path)
        document = Document(read_text(path))
        config = parse_document(document, str(path))
        warnings = sorted(advice(customer, config, document))
    except OutfeedError as error:
        click.echo(str(error), err=True)
        return False
    except Exception as error:  # noqa: BLE001 - a mistake of ours with one file must not hide the others
        broken = ConfigError(
            f"the check of this file failed with {type(error).__name__}: a mistake of Outfeed's",
            where=str(path),
            remedy="report it with the file; what the file says last was probably never tried",
        )
        click.echo(str(broken), err=True)
        return False
    for warning in warnings:
        click.echo(f"{path}:{warning.line}:{warning.column}: warning: {warning.text}", err=True)
    click.echo(f"{path}: OK")
    return True
