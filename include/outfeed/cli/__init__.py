"""The command `outfeed`: what an engineer or operator asks without opening Airflow.

Each command is a module that is imported when it is called. None but `demo-data`, `import-env`, `keys`,
`preflight` and `schema --write` writes anything.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from outfeed import __version__
from outfeed.errors import OutfeedError

#: Where each command lives, as `module:function`.
COMMANDS = {
    "deliveries": "outfeed.cli.records:deliveries",
    "demo-data": "outfeed.demo_data:demo_data",
    "import-env": "outfeed.cli.import_env:import_env",
    "keys": "outfeed.cli.keys:keys",
    "links": "outfeed.cli.links:links",
    "onboarding": "outfeed.cli.onboarding:onboarding",
    "plan": "outfeed.cli.plan:plan",
    "preflight": "outfeed.cli.preflight:preflight",
    "runs": "outfeed.cli.records:runs",
    "schema": "outfeed.cli.schema:schema",
    "validate": "outfeed.cli.validate:validate",
}


class Commands(click.Group):
    """Imports a command when it is needed, and ends with one sentence, not a traceback, when it fails."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """See click; a failure's message says what to do (design §5)."""
        try:
            return super().invoke(ctx)
        except OutfeedError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="outfeed")
def main() -> None:
    """Checks customers' files, shows what will be delivered, and what was."""
