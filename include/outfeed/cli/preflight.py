"""`outfeed preflight`: tests a customer's destinations in named steps (DX-058 to DX-062, DX-086, DX-087)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from outfeed.cli.host import credentials, current_host
from outfeed.cli.project import load_customer
from outfeed.cli.records import ledger_option, opened_ledger, seconds
from outfeed.config.models import CustomerConfig
from outfeed.errors import Action, ConfigError, OutfeedError

if TYPE_CHECKING:
    from outfeed.connectors.base import Check, DestinationOptions
    from outfeed.ledger.records import PreflightStep

_FAILED = "failed"


@click.command()
@click.argument("customer")
@click.option("--destination", "names", multiple=True, help="Only this one; may be given several times.")
@click.option("--last", is_flag=True, help="Show what the last one found; touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object for each destination.")
@ledger_option
def preflight(customer: str, names: tuple[str, ...], last: bool, as_json: bool, url: str | None) -> None:
    """Tests the destinations of a CUSTOMER from this machine, step by step; ends with 1 if a step failed.

    Leaves nothing behind where it may delete. What it found is kept in the ledger.
    """
    config = load_customer(customer)
    show = (lambda _: None) if as_json else click.echo
    look = _recorded if last else _tested
    found = [look(customer, options, url, show) for options in chosen(config, names)]
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    if any(not one["steps"] or _has_failed(one) for one in found):
        raise SystemExit(1)


def chosen(config: CustomerConfig, names: Sequence[str]) -> list[DestinationOptions]:
    """The destinations of these names, all of them for none.

    Raises:
        ConfigError: naming the known ones, if there is none of a name.
    """
    known: dict[str, DestinationOptions] = {options.name: options for options in config.destinations}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no destination {name!r}",
                action=Action.OPERATOR,
                remedy=f"known: {', '.join(known)}",
            )
    return [options for name, options in known.items() if not names or name in names]


def _has_failed(one: dict[str, Any]) -> bool:
    return any(step["state"] == _FAILED for step in one["steps"])


def _tested(
    customer: str, options: DestinationOptions, url: str | None, show: Callable[[str], Any]
) -> dict[str, Any]:
    from outfeed.steps.preflight import record_preflight, run_preflight

    run_id = f"preflight~{secrets.token_hex(6)}"
    show(_title(options))
    found = run_preflight(
        options,
        lambda: credentials(current_host(), options.connection_id),
        f"{run_id}.1",
        lambda check: show(_line(check)),
    )
    try:
        with opened_ledger(url) as ledger:
            ledger.migrate()
            record_preflight(ledger, customer, options, run_id, found)
    except OutfeedError as error:
        click.echo(f"this preflight was not recorded: {error}", err=True)
    return _values(customer, options, run_id, found.checks)


def _recorded(
    customer: str, options: DestinationOptions, url: str | None, show: Callable[[str], Any]
) -> dict[str, Any]:
    with opened_ledger(url) as ledger:
        steps = ledger.last_preflight(customer, options.location())
    show(_title(options))
    if not steps:
        show("  was never tested")
        return _values(customer, options, None, [])
    show(f"  tested {seconds(steps[0].at)} by {steps[0].run_id}")
    for step in steps:
        show(_line(step))
    return _values(customer, options, steps[0].run_id, steps) | {"at": seconds(steps[0].at)}


def _title(options: DestinationOptions) -> str:
    return f"{options.name}: {options.location()}"


def _line(step: Check | PreflightStep) -> str:
    text = f"  {step.state.upper():<8} {step.step:<13} {step.message}"
    return text if step.setting is None else f"{text}\n{'':<25}for the YAML: {step.setting}"


def _values(
    customer: str,
    options: DestinationOptions,
    run_id: str | None,
    steps: Sequence[Check | PreflightStep],
) -> dict[str, Any]:
    return {
        "customer": customer,
        "destination": options.name,
        "location": options.location(),
        "run_id": run_id,
        "steps": [
            {"step": step.step, "state": str(step.state), "message": step.message, "setting": step.setting}
            for step in steps
        ],
    }
