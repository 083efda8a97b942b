"""The bucket, the Google bucket and the FTP server of an old installation (VI-D01 to VI-D21)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from outfeed.connectors import DestinationModel
from outfeed.migration.env_text import Setting
from outfeed.migration.imported import Imported, NewConnection, Option
from outfeed.migration.names import entities, sentence, without_login

_MODEL: TypeAdapter[Any] = TypeAdapter(DestinationModel)

#: Settings that are understood here, by destination; the first one switches it on.
FAMILIES = {
    "S3": (
        "S3_BUCKET",
        "S3_KEY_PREFIX",
        "S3_ASSUME_ROLE",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
        "S3_DELIVERY",
    ),
    "GOOGLE": ("GOOGLE_BUCKET", "GOOGLE_ACCESS_KEY", "GOOGLE_SECRET_KEY", "GOOGLE_DELIVERY"),
    "FTP": (
        "FTP_HOST",
        "FTP_PORT",
        "FTP_USERNAME",
        "FTP_REMOTE_DIRECTORY",
        "FTP_PASSWORD",
        "FTP_DELIVERY",
    ),
}
#: Whose values are never looked at, only whether they are there.
SECRETS = frozenset(["S3_SECRET_KEY", "GOOGLE_SECRET_KEY", "FTP_PASSWORD"])


def import_destinations(settings: dict[str, Setting], customer: str, imported: Imported) -> None:
    """Carries over each destination that is switched on; lists the settings of those that are not."""
    for family, names in FAMILIES.items():
        there = {name: settings[name] for name in names if name in settings and settings[name].value}
        if names[0] in there:
            _IMPORTERS[family](there, customer, imported)
        else:
            for setting in there.values():
                imported.leave_out(setting, f"{names[0]} is empty, so it has no effect")


def _s3(there: dict[str, Setting], customer: str, imported: Imported) -> None:
    options = [Option("name", "s3"), Option("type", "s3")]
    options += _copied(there, "S3_BUCKET", "S3_KEY_PREFIX", "S3_ASSUME_ROLE")
    key, secret = there.get("S3_ACCESS_KEY"), there.get("S3_SECRET_KEY")
    connections = []
    if key or secret:
        connections = [_with_key(f"{customer}_s3", "aws", key, "S3_SECRET_KEY")]
        options.append(Option("connection", f"{customer}_s3", _origin(key, secret)))
    if _add(options, there, "S3", connections, imported) and connections:
        _half(key, secret, ("S3_ACCESS_KEY", "S3_SECRET_KEY"), imported)


def _google(there: dict[str, Setting], customer: str, imported: Imported) -> None:
    key, secret = there.get("GOOGLE_ACCESS_KEY"), there.get("GOOGLE_SECRET_KEY")
    options = [
        Option("name", "google"),
        Option("type", "google"),
        *_copied(there, "GOOGLE_BUCKET"),
        Option("connection", f"{customer}_google", _origin(key, secret)),
    ]
    connection = _with_key(f"{customer}_google", "generic", key, "GOOGLE_SECRET_KEY")
    if _add(options, there, "GOOGLE", [connection], imported):
        _half(key, secret, ("GOOGLE_ACCESS_KEY", "GOOGLE_SECRET_KEY"), imported)


def _ftp(there: dict[str, Setting], customer: str, imported: Imported) -> None:
    port = there.get("FTP_PORT")
    if port is not None and port.value.strip() == "22":
        _sftp(there, customer, imported)
        return
    connection = NewConnection(
        f"{customer}_ftp",
        "ftp",
        "FTP_PASSWORD",
        "password: from FTP_PASSWORD",
        login=_value(there, "FTP_USERNAME"),
        host=_value(there, "FTP_HOST"),
        port=_number(port.value) if port is not None else 21,
    )
    options = [
        Option("name", "ftp"),
        Option("type", "ftp"),
        *_copied(there, "FTP_HOST", "FTP_PORT", "FTP_USERNAME", "FTP_REMOTE_DIRECTORY"),
        Option("connection", f"{customer}_ftp", _origin(there.get("FTP_PASSWORD"))),
    ]
    if _add(options, there, "FTP", [connection], imported):
        if "FTP_PASSWORD" not in there:
            imported.to_do.append("FTP_PASSWORD is empty: find out how the old installation logged in")
        imported.to_do.append(
            f"{there['FTP_HOST'].place}, is plain FTP: the password and all files travel in clear; ask the "
            "customer whether the server speaks FTPS (then write ftp_protocol: ftps) or SFTP"
        )


def _sftp(there: dict[str, Setting], customer: str, imported: Imported) -> None:
    """Port 22 is SFTP (VI-D12), which logs in with our key and wants to know the server's."""
    host = _value(there, "FTP_HOST")
    directory = there.get("FTP_REMOTE_DIRECTORY")
    options = [
        Option("name", "ftp"),
        Option("type", "sftp", there["FTP_PORT"].place),
        Option("sftp_host", host, there["FTP_HOST"].place),
        Option(
            "sftp_remote_path", directory.value if directory else "/", directory.place if directory else ""
        ),
        *(Option("username", one.value, one.place) for one in (there.get("FTP_USERNAME"),) if one),
        Option("trust_on_first_use", True, "to do: pin host_public_key instead"),
        Option("connection", f"{customer}_sftp"),
    ]
    connection = NewConnection(
        f"{customer}_sftp",
        "sftp",
        "SFTP_EXTRA",
        'extra: {"private_key": "…"}, a new key pair of ours',
        login=_value(there, "FTP_USERNAME"),
        host=host,
        port=22,
        holder="extra",
    )
    if _add(options, there, "FTP", [connection], imported):
        shown = without_login(host)
        imported.to_do.append(
            f"pin the SFTP server's key before going live: `ssh-keyscan -p 22 {shown}`, let the customer "
            "confirm it, and write it as host_public_key instead of trust_on_first_use"
        )
        imported.to_do.append(
            "make a key pair, give the customer the public half (`outfeed onboarding`), and put the private "
            "one into the connection: SFTP logs in with a key, FTP_PASSWORD is no longer used"
        )


_IMPORTERS = {"S3": _s3, "GOOGLE": _google, "FTP": _ftp}


def _copied(there: dict[str, Setting], *names: str) -> Iterator[Option]:
    """Options that have the name and the value of their setting."""
    for name in names:
        if name in there:
            value = there[name].value
            yield Option(name.lower(), _number(value) if name == "FTP_PORT" else value, there[name].place)


def _number(value: str) -> int | str:
    """A port as a number; what can't be one is left to the model."""
    return int(value) if re.fullmatch(r"[0-9]{1,5}", value.strip()) else value


def _value(there: dict[str, Setting], name: str) -> str:
    return there[name].value if name in there else ""


def _origin(*settings: Setting | None) -> str:
    return "; ".join(setting.place for setting in settings if setting)


def _with_key(name: str, kind: str, key: Setting | None, secret: str) -> NewConnection:
    return NewConnection(name, kind, secret, f"password: from {secret}", login=key.value if key else "")


def _half(key: Setting | None, secret: Setting | None, names: tuple[str, str], imported: Imported) -> None:
    """A key without its secret is refused when the connection is used (VI-D03)."""
    for setting, name in zip((key, secret), names, strict=True):
        if setting is None:
            imported.to_do.append(f"{name} is empty: complete the connection, half a key is refused")


def _add(
    options: list[Option],
    there: dict[str, Setting],
    family: str,
    connections: list[NewConnection],
    imported: Imported,
) -> bool:
    """Adds a destination if it is valid; otherwise says why the whole of it is left out."""
    switch = there[FAMILIES[family][0]]
    delivery = there.get(f"{family}_DELIVERY")
    if delivery is not None:
        names, limited = entities(delivery, imported)
        if limited and not names:
            imported.leave_out(
                switch, "the whole destination is left out: nothing that it should receive is known"
            )
            return False
        if limited:
            options.append(Option("delivery", names, delivery.place))
    try:
        valid = _MODEL.validate_python({option.key: option.value for option in options})
    except ValidationError as error:
        wrong = "; ".join(_wrong(error, options, switch))
        imported.leave_out(switch, f"the whole destination is left out: {wrong}")
        return False
    defaults = type(valid).model_fields
    imported.destinations.append(
        [one for one in options if one.key == "connection" or one.value != _default(defaults, one.key)]
    )
    imported.connections += connections
    return True


def _wrong(error: ValidationError, options: list[Option], switch: Setting) -> Iterator[str]:
    """Each problem, behind the setting that it comes from unless that is the switch itself."""
    origins = {option.key: option.origin for option in options}
    for detail in error.errors(include_url=False):
        key = str(detail["loc"][-1])
        place = f"FTP_{key.removeprefix('ftp_').upper()}" if detail["type"] == "missing" else origins.get(key)
        yield f"{place}: {sentence(detail)}" if place and place != switch.place else sentence(detail)


def _default(fields: Any, key: str) -> Any:
    return fields[key].default if key in fields else None
