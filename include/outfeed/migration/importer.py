"""From the settings of an old installation to a customer's file that is valid, and a list of the rest."""

from __future__ import annotations

from typing import Any

from outfeed.config.problems import did_you_mean
from outfeed.errors import Action, ConfigError
from outfeed.migration.destinations import FAMILIES, SECRETS, import_destinations
from outfeed.migration.env_text import EnvText
from outfeed.migration.export_options import CRON, KNOWN, import_options
from outfeed.migration.imported import Imported, NewConnection, Option

#: The Airflow connection of the platform's database: the old installation's is not among the settings.
SOURCE = "platform_db"

_ALL = (*KNOWN, *(name for names in FAMILIES.values() for name in names))


def import_settings(env: EnvText, customer: str, where: str) -> Imported:
    """Guarantees that the file written from the result is valid, and that whatever it lacks is listed.

    Raises:
        ConfigError: nothing would be delivered anywhere.
    """
    imported = Imported(left_out=list(env.problems))
    settings = {}
    for name, setting in env.settings.items():
        if name not in _ALL and not name.startswith(CRON):
            imported.leave_out(setting, f"unknown setting {_hint(name)}".strip())
        elif setting.refers and name not in SECRETS:
            imported.leave_out(setting, "it refers to another variable; write the value itself")
        else:
            settings[name] = setting
    import_options(settings, imported)
    import_destinations(settings, customer, imported)
    if not imported.destinations:
        raise ConfigError(
            "\n".join(["no destination could be imported: nothing would be delivered", *imported.left_out]),
            where=where,
            action=Action.OPERATOR,
            remedy="set S3_BUCKET, GOOGLE_BUCKET or FTP_HOST, with what belongs to it",
        )
    imported.connections.append(_source())
    imported.to_do.append(
        f"check the connection {SOURCE!r}: the settings say nothing of the platform's database"
    )
    return imported


def _hint(name: str) -> str:
    meant = did_you_mean(name, _ALL)
    return f"({meant})" if meant else ""


def _source() -> NewConnection:
    return NewConnection(
        SOURCE,
        "postgres",
        "PLATFORM_DB_PASSWORD",
        "the platform's database, unless the connection exists; add its host, schema and login",
    )


def render(imported: Imported, origin: str) -> str:
    """The customer's file: only what differs from the defaults, and where each option comes from."""
    lines = [
        "# yaml-language-server: $schema=../../docs/customer.schema.json",
        "#",
        f"# Imported from {_one_line(origin)} by `outfeed import-env`. What is not set has its default.",
        "type: platform-data",
        "state: draft",
        f"source: {{connection: {SOURCE}}}",
        *_lines(imported.options),
    ]
    if imported.schedules:
        lines += ["schedules:", *_lines(imported.schedules, "  ")]
    lines.append("destinations:")
    for options in imported.destinations:
        first, *others = _lines(options, "    ")
        lines += [f"  - {first.strip()}", *others]
    return "\n".join([*lines, ""])


def origin_of(line: str) -> str:
    """The setting that a line of the file comes from; empty for lines that come from none."""
    return line.rpartition("  # ")[2] if "  # " in line else ""


def _lines(options: list[Option], indent: str = "") -> list[str]:
    return [
        f"{indent}{option.key}: {_scalar(option.value)}{f'  # {option.origin}' if option.origin else ''}"
        for option in options
    ]


def _scalar(value: Any) -> str:
    """A value as YAML, on one line."""
    import yaml

    text: str = yaml.safe_dump(value, allow_unicode=True, width=10**9, default_flow_style=True)
    return text.removesuffix("...\n").strip()


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
