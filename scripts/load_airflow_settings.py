"""Loads connections, pools and variables from an Astro-style `airflow_settings.yaml`, without the astro CLI.

    python -m scripts.load_airflow_settings [FILE [PORT]]

PORT is that of the local mail server, for connections to a mail server on this machine.

Brings Airflow's database up to date first. Safe to run again: an entry of the file replaces the one in the
database, others stay.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


#: Where a connection of type `smtp` means the local mail server.
_THIS_MACHINE = "127.0.0.1"


def load(file: Path, mail_port: int | None = None) -> None:
    """Everything that the file names is in Airflow's database."""
    from airflow.utils.session import create_session

    content = (yaml.safe_load(file.read_text()) or {}).get("airflow") or {}
    with create_session() as session:
        for entry in content.get("connections") or []:
            _connection(entry | _local_mail(entry, mail_port), session)
        for entry in content.get("pools") or []:
            _pool(entry, session)
        for entry in content.get("variables") or []:
            _variable(entry, session)


def _local_mail(entry: dict[str, Any], port: int | None) -> dict[str, Any]:
    local = entry.get("conn_type") == "smtp" and entry.get("conn_host") == _THIS_MACHINE
    return {"conn_port": port} if local and port is not None else {}


def _connection(entry: dict[str, Any], session: Session) -> None:
    from airflow.models import Connection
    from sqlalchemy import delete

    conn_id = entry.get("conn_id")
    if not conn_id:
        return
    extra = entry.get("conn_extra")
    made = (
        Connection(conn_id=conn_id, uri=entry["conn_uri"])
        if entry.get("conn_uri")
        else Connection(
            conn_id=conn_id,
            conn_type=entry.get("conn_type"),
            host=entry.get("conn_host"),
            schema=entry.get("conn_schema"),
            login=entry.get("conn_login"),
            password=entry.get("conn_password"),
            port=entry.get("conn_port"),
            extra=json.dumps(extra) if isinstance(extra, dict) else extra,
        )
    )
    session.execute(delete(Connection).where(Connection.conn_id == conn_id))
    session.add(made)


def _pool(entry: dict[str, Any], session: Session) -> None:
    from airflow.models.pool import Pool

    if entry.get("pool_name"):
        Pool.create_or_update_pool(
            entry["pool_name"],
            slots=int(entry["pool_slot"]),
            description=entry.get("pool_description") or "",
            include_deferred=False,
            session=session,
        )


def _variable(entry: dict[str, Any], session: Session) -> None:
    from airflow.models import Variable

    if entry.get("variable_name"):
        Variable.set(entry["variable_name"], entry.get("variable_value"), session=session)


def main(arguments: list[str]) -> None:
    """Migrates, then loads the file, if one is named."""
    from airflow.utils.db import upgradedb

    upgradedb()
    if arguments:
        file, *port = arguments
        load(Path(file), int(port[0]) if port else None)


if __name__ == "__main__":
    main(sys.argv[1:])
