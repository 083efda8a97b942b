"""`outfeed schema`: the JSON Schema of customers' files, for editors."""

from __future__ import annotations

import json

import click

from outfeed.config.schema import json_schema

_FILE = "docs/customer.schema.json"


@click.command()
@click.option("--write", is_flag=True, help=f"Write it to {_FILE} of the project.")
def schema(write: bool) -> None:
    """Prints the JSON Schema of customers' files."""
    from outfeed.cli.project import project, shown

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    if not write:
        click.echo(text)
        return
    path = project() / _FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    click.echo(f"wrote {shown(path)}")
