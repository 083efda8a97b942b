"""The command line where Airflow runs: connections as Airflow finds them, and changed in its database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from outfeed.cli.connection_text import parse_connection
from outfeed.cli.host import EnvironmentHost
from outfeed.errors import ConfigError, TerminalError

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_db")]

PRIVATE = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA+/=\n-----END OPENSSH PRIVATE KEY-----\n"
)

TEXTS = {
    "uri": "sftp://outfeed:s3cr%3At%40@sftp.acme.example:2222/base?private_key=a%20b&flag=true&number=7&empty=",
    "uri without login": "aws://?region_name=eu-west-3&endpoint_url=https%3A%2F%2Fs3.example",
    "uri with extra": "sftp://user@host/?__extra__=%7B%22private_key%22%3A%20%22line%5Cnline%22%7D",
    "uri with protocol": "http://https://user:pw@api.example:8443/v1",
    "uri of ipv6": "sftp://user@[2001:db8::1]:22",
    "uri in capitals": "sftp://User:PassWord@SFTP.Acme.Example",
    "uri of a path": "sqlite://%2Fsrv%2FDemo%2Fplatform.db",
    "json": json.dumps(
        {
            "conn_type": "sftp",
            "login": "l",
            "password": "p",
            "host": "h",
            "port": 22,
            "extra": {"private_key": PRIVATE},
        }
    ),
    "json with text": json.dumps(
        {"conn_type": "sftp", "port": "2222", "extra": json.dumps({"a": [1, None]})}
    ),
    "json with little": json.dumps({"conn_type": "ftp"}),
}


@pytest.fixture
def stored() -> Iterator[Any]:
    """Puts a connection into Airflow's database; it is gone afterwards."""
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    def put(**values: Any) -> None:
        with create_session() as session:
            session.add(Connection(conn_id="acme_sftp", **values))

    yield put
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id == "acme_sftp"))


@pytest.fixture
def host() -> Any:
    from outfeed_airflow.host import AirflowHost

    return AirflowHost(begin=lambda: None)


@pytest.mark.parametrize("name", TEXTS)
def test_without_airflow_a_connection_reads_as_airflow_reads_it(
    name: str, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-06
    monkeypatch.setenv("AIRFLOW_CONN_ACME_SFTP", TEXTS[name])
    ours, theirs = EnvironmentHost().find("acme_sftp"), host.find("acme_sftp")
    assert ours is not None
    for field in ("login", "password", "host", "port", "extra"):
        assert (getattr(ours, field) or None) == (getattr(theirs, field) or None), field


@pytest.mark.parametrize(
    "text", ["s3cret", "{s3cret", '{"port": "s3cret"}', "://s3cret", '{"extra": "s3cret"}']
)
def test_what_can_not_be_read_is_not_shown(text: str) -> None:
    # XX-06
    with pytest.raises(ConfigError, match="AIRFLOW_CONN_X: this is no Airflow connection") as caught:
        parse_connection(text, "AIRFLOW_CONN_X")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_connection_of_the_database_is_found_and_changed_encrypted(host: Any, stored: Any) -> None:
    # DX-082
    from airflow.configuration import conf
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select, text

    stored(
        conn_type="sftp", login="outfeed", password="pw", extra=json.dumps({"private_key": "old", "other": 1})
    )
    place = host.secret_place("acme_sftp")
    assert (place.name, place.writable) == ("Airflow's database", True)
    host.change_extra("acme_sftp", {"private_key": PRIVATE, "private_key_previous": "old"})
    found = host.find("acme_sftp")
    assert found.extra == {"private_key": PRIVATE, "private_key_previous": "old", "other": 1}
    assert (found.login, found.password) == ("outfeed", "pw")
    host.change_extra("acme_sftp", {"private_key_previous": None})
    assert host.find("acme_sftp").extra == {"private_key": PRIVATE, "other": 1}

    assert conf.get("core", "fernet_key")
    with create_session() as session:
        raw = session.scalar(text("SELECT extra FROM connection WHERE conn_id = 'acme_sftp'"))
        assert session.scalar(select(Connection.is_extra_encrypted).where(Connection.conn_id == "acme_sftp"))
    assert "PRIVATE" not in raw


def test_a_connection_that_does_not_exist_is_made(host: Any, stored: Any) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    assert host.find("acme_sftp") is None
    assert host.secret_place("acme_sftp").writable
    host.change_extra("acme_sftp", {"private_key": PRIVATE})
    assert host.find("acme_sftp").extra == {"private_key": PRIVATE}
    with create_session() as session:
        assert session.scalar(select(Connection.conn_type).where(Connection.conn_id == "acme_sftp")) == "sftp"


def test_an_extra_that_is_no_object_is_left_as_it_is(host: Any, stored: Any) -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    stored(conn_type="sftp")
    with create_session() as session:
        # Airflow refuses it today; what an earlier one has stored may be anything.
        session.execute(text("UPDATE connection SET extra = '[]', is_extra_encrypted = false"))
    with pytest.raises(ConfigError, match="connection acme_sftp: its extra is no JSON object"):
        host.change_extra("acme_sftp", {"private_key": PRIVATE})


def test_environment_and_secrets_backends_are_not_ours_to_change(
    host: Any, stored: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # DX-082: the private half goes where the installation keeps its secrets, or nowhere
    from airflow import configuration

    monkeypatch.setenv("AIRFLOW_CONN_ACME_SFTP", TEXTS["json"])
    place = host.secret_place("acme_sftp")
    assert (place.name, place.writable) == ("EnvironmentVariablesBackend", False)
    monkeypatch.delenv("AIRFLOW_CONN_ACME_SFTP")

    secrets = tmp_path / "secrets.json"
    secrets.write_text(
        json.dumps({"acme_sftp": {"conn_type": "sftp", "extra": {"private_key": "in the file"}}})
    )
    backend = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", backend)
    monkeypatch.setenv(
        "AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps({"connections_file_path": str(secrets)})
    )
    monkeypatch.setattr(configuration, "secrets_backend_list", configuration.initialize_secrets_backends())
    place = host.secret_place("acme_sftp")
    assert (place.name, place.writable) == ("LocalFilesystemBackend", False)
    assert host.find("acme_sftp").extra == {"private_key": "in the file"}


def test_a_connection_that_is_not_defined_is_named(host: Any) -> None:
    from outfeed.cli.host import credentials

    with pytest.raises(TerminalError, match="the Airflow connection 'acme_sftp' is not defined"):
        credentials(host, "acme_sftp")


def test_the_ledger_is_that_of_the_tasks(host: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.ledger_url() == f"sqlite:///{home}/ledger.db"
    database = {
        "conn_type": "postgres",
        "host": "db.example",
        "schema": "ledger",
        "login": "o",
        "password": "p@",
    }
    monkeypatch.setenv("AIRFLOW_CONN_OUTFEED_LEDGER", json.dumps(database))
    assert host.ledger_url() == "postgresql+psycopg://o:p%40@db.example/ledger"


def test_one_command_makes_a_key_in_airflows_database_and_shows_only_its_public_half(
    host: Any, stored: Any, tmp_path: Path
) -> None:
    # DX-082
    (tmp_path / "dags" / "customers").mkdir(parents=True)
    destination = {
        "name": "server",
        "type": "sftp",
        "sftp_host": "127.0.0.1",
        "sftp_port": 1,
        "sftp_remote_path": "/upload",
        "username": "outfeed",
        "trust_on_first_use": True,
        "connection": "acme_sftp",
    }
    customer = {
        "type": "work-orders",
        "interval": "daily",
        "time_zone": "Europe/Paris",
        "source": {"connection": "platform_db"},
        "site_id": ["433a60f6-9756-473e-b1e9-9e89e24bb787"],
        "destinations": [destination],
    }
    (tmp_path / "dags" / "customers" / "acme.yaml").write_text(yaml.safe_dump(customer))
    root = Path(__file__).parents[2]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root / "include"), str(root / "plugins")]),
        "OUTFEED_PROJECT": str(tmp_path),
        "OUTFEED_HOME": str(tmp_path / "home"),
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "outfeed_airflow", *arguments],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    made = command("keys", "create", "acme")
    assert made.returncode == 0, made.stderr
    (public,) = made.stdout.splitlines()
    private = host.find("acme_sftp").extra["private_key"]
    from outfeed.connectors.ssh_keys import public_half

    assert public_half(private, None) == public

    tested = command("preflight", "acme", "--json")
    assert tested.returncode == 1
    (found,) = json.loads(tested.stdout)
    assert [step["step"] for step in found["steps"] if step["state"] == "failed"] == ["connect"]
    shown = command("keys", "show", "acme")
    assert public in shown.stdout
    everything = "".join(done.stdout + done.stderr for done in (made, tested, shown))
    assert not any(line in everything for line in private.strip().splitlines()[1:-1])
    written = [file for file in (tmp_path / "home").rglob("*") if file.is_file()]
    for file in written:
        assert private.splitlines()[1].encode() not in file.read_bytes()
