"""Which project the command line works on: a folder with `dags/customers`."""

from __future__ import annotations

import os
from pathlib import Path

from outfeed.config.models import CustomerConfig
from outfeed.errors import Action, ConfigError


def project() -> Path:
    """The project's folder: `OUTFEED_PROJECT`, or the current one or the nearest above it with customers.

    Raises:
        ConfigError: if there is none.
    """
    named = os.environ.get("OUTFEED_PROJECT")
    here = Path(named) if named else Path.cwd()
    for folder in (here,) if named else (here, *here.parents):
        if (folder / "dags" / "customers").is_dir():
            return folder
    raise ConfigError(
        "there is no folder dags/customers here or above",
        where=str(here),
        action=Action.OPERATOR,
        remedy="change to the project's folder, or name it in OUTFEED_PROJECT",
    )


def customer_files() -> list[Path]:
    """Every customer's file of the project, also one whose ending is wrong; shown relative to here."""
    folder = project() / "dags" / "customers"
    found = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    return [shown(path) for path in found]


def customer_file(customer: str) -> Path:
    """The file of a customer.

    Raises:
        ConfigError: naming the known ones, if there is none.
    """
    # One whose ending is wrong counts only as long as there is no right one.
    files = {path.stem: path for path in sorted(customer_files(), key=lambda path: path.suffix == ".yaml")}
    if customer not in files:
        raise ConfigError(
            f"there is no customer {customer!r}",
            where=str(shown(project() / "dags" / "customers")),
            action=Action.OPERATOR,
            remedy=f"known: {', '.join(sorted(files)) or 'none'}",
        )
    return files[customer]


def load_customer(customer: str) -> CustomerConfig:
    """The configuration of a customer."""
    from outfeed.config.load import load_config

    return load_config(customer_file(customer))


def shown(path: Path) -> Path:
    """A path as people write it from here."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path
