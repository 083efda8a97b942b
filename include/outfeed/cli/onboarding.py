"""`outfeed onboarding`: the sheet that a customer needs before the first delivery (DX-080 to DX-090)."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from outfeed.cli.project import load_customer
from outfeed.cli.records import opened_ledger
from outfeed.config.models import CustomerConfig
from outfeed.config.schedule import Schedule
from outfeed.connectors.base import DestinationOptions, OurSide
from outfeed.errors import Action, ConfigError, OutfeedError
from outfeed.windows import parse_instant

#: The example is the last window before.
_EXAMPLE_TIME = parse_instant("2025-03-17T00:00:00Z")


@click.command()
@click.argument("customer")
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    help="File with the public half of the key that we log in with, in OpenSSH form. Default: the one that "
    "`outfeed keys` made.",
)
@click.option(
    "--ip-ranges",
    envvar="OUTFEED_IP_RANGES",
    show_envvar=True,
    default="",
    help="Networks that we connect from, in CIDR notation, separated by commas.",
)
@click.option(
    "--google-project",
    envvar="OUTFEED_GOOGLE_PROJECT",
    show_envvar=True,
    help="Google Cloud project of our service accounts.",
)
def onboarding(customer: str, public_key: Path | None, ip_ranges: str, google_project: str | None) -> None:
    """Prints what a CUSTOMER must know and prepare for each destination."""
    config = load_customer(customer)
    ours = OurSide(
        public_key=None if public_key is None else read_public_key(public_key),
        address_ranges=address_ranges(ip_ranges),
        google_project=google_project,
    )
    keys = {} if ours.public_key else known_keys(customer, config)
    click.echo("\n".join(sheet(customer, config, ours, keys)))


def known_keys(customer: str, config: CustomerConfig) -> dict[str, str]:
    """By connection, the public half of the key pair that was made last, as the ledger knows it (DX-082)."""
    connections = {one.connection_id for one in config.destinations if one.key_login and one.connection_id}
    found = {}
    try:
        with opened_ledger() as ledger:
            for connection in sorted(connections):
                for key in ledger.public_keys(customer, connection)[:1]:
                    found[connection] = key.public_key
    except OutfeedError as error:
        click.echo(f"our public keys are not known here: {error}", err=True)
    return found


def address_ranges(text: str) -> tuple[str, ...]:
    """Networks in CIDR notation, checked (DX-083).

    Raises:
        ConfigError: for anything else, and for an address inside a network.
    """
    ranges = []
    for word in text.replace(",", " ").split():
        try:
            ranges.append(str(ipaddress.ip_network(word)))
        except ValueError as error:
            raise ConfigError(
                f"{word!r} is no network: {error}",
                where="OUTFEED_IP_RANGES or --ip-ranges",
                action=Action.OPERATOR,
                remedy="write it in CIDR notation, like 198.51.100.0/24 or 203.0.113.7/32",
            ) from None
    return tuple(ranges)


def read_public_key(path: Path) -> str:
    """The key in a file as one line for authorized_keys; never a private one (DX-082).

    Raises:
        ConfigError: unless it is a public Ed25519 key, or an RSA key of at least 3072 bits.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        content = path.read_bytes()
        key = load_ssh_public_key(content)
    except OSError as error:
        raise _no_key(path, f"it can't be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm):
        # The text may be a private key: neither it nor what was said of it is shown.
        raise _no_key(path, "this is no public key in OpenSSH form") from None
    if isinstance(key, RSAPublicKey) and key.key_size < 3072:
        raise _no_key(path, f"an RSA key of {key.key_size} bits is too weak, it needs 3072")
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
        raise _no_key(path, "it is neither an Ed25519 nor an RSA key")
    return " ".join(content.decode("ascii", "replace").split("\n")[0].split()[:2])


def _no_key(path: Path, what: str) -> ConfigError:
    return ConfigError(
        what,
        where=str(path),
        action=Action.OPERATOR,
        remedy="make a key pair with `outfeed keys create`, or give the file of ssh-keygen that ends in .pub",
    )


def sheet(customer: str, config: CustomerConfig, ours: OurSide, known: Mapping[str, str]) -> Iterator[str]:
    """The onboarding sheet, as lines of Markdown: one section per destination, then the steps.

    Args:
        known: public halves by connection, for those that `ours` does not name.
    """
    yield f"# Onboarding of {customer}"
    yield ""
    times = ", ".join(schedule.intervals() for schedule in config.all_schedules())
    yield f"Export: {config.summary()}; at {times}."
    for destination in config.destinations:
        key = ours.public_key or known.get(destination.connection_id or "")
        yield from _section(customer, config, destination, dataclasses.replace(ours, public_key=key))
    yield ""
    yield "## From here to the first delivery"
    yield ""
    yield "1. You prepare the place as described above."
    yield "2. We run a test export and verify that it has landed: names, sizes, and checksums where we can."
    yield "3. Only after that the regular exports begin."
    yield ""
    yield "You may delete delivered files at any time. We do not send them again."


def _section(
    customer: str, config: CustomerConfig, destination: DestinationOptions, ours: OurSide
) -> Iterator[str]:
    yield ""
    yield f"## Destination {destination.name}"
    yield ""
    yield f"Place: `{destination.location()}`"
    problem = destination.name_problem(customer)
    if problem:
        yield f"\n**To be settled first:** {problem}."
    for title, lines in destination.onboarding(customer, ours).items():
        yield ""
        yield f"{title}:"
        yield ""
        yield from (f"- {line}" for line in lines)
    yield ""
    yield "Directory tree, all of it below the place:"
    yield ""
    yield "```"
    yield from tree(customer, config, destination)
    yield "```"


def tree(customer: str, config: CustomerConfig, destination: DestinationOptions) -> Iterator[str]:
    """The folders that will be created, for access control (DX-084)."""
    paths = [
        path
        for schedule in config.all_schedules()
        for path in _paths(customer, config, schedule, destination)
    ]
    above: list[str] = []
    for path in sorted(paths, key=lambda path: (path.startswith("_"), path)):
        folders = path.split("/")
        pairs = zip(above, folders, strict=False)
        shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        for depth, name in enumerate(folders[shared:], shared):
            yield f"{'  ' * depth}{name}{'/' if depth < len(folders) - 1 else ''}"
        above = folders


def _paths(
    customer: str, config: CustomerConfig, schedule: Schedule, destination: DestinationOptions
) -> Iterator[str]:
    from outfeed.manifest import delivery_folder
    from outfeed.plan import Reason
    from outfeed.planning import RunRequest, make_plan

    interval = schedule.once
    if interval is None:
        assert schedule.rule is not None  # noqa: S101 - only a one-time export has none
        interval = schedule.rule.last_complete(_EXAMPLE_TIME)
    request = RunRequest(customer, schedule, config.window(interval), "example", Reason.TEST, interval.end)
    plan = make_plan(config, request)
    for part in plan.parts:
        if destination.receives(part.subject):
            path = part.data_path(destination.filename_style) + destination.encrypted_suffix
            yield path
            if part.md5:
                yield f"{path}.md5"
            if destination.export_images and part.images:
                yield part.image_path("<input id><file extension>") + destination.encrypted_suffix
    folder = delivery_folder(plan, destination.filename_style, 1)
    yield f"{folder}/manifest, checksums, list of images, marker"
