"""The local Airflow, the image and the settings file agree on what Outfeed needs."""

from __future__ import annotations

import re
import socket
import stat
from pathlib import Path

import pytest

from scripts.airflow_local import ROOT, LocalAirflow, LocalAirflowError, chosen_airflow, main
from tests.servers.process import free_ports

pytestmark = pytest.mark.airflow


def test_the_image_sets_what_the_local_airflow_sets(tmp_path: Path) -> None:
    local = LocalAirflow(tmp_path).settings()
    env = re.search(r"^ENV (.*?)^$", (ROOT / "Dockerfile").read_text(), re.DOTALL | re.MULTILINE)
    assert env is not None
    image = dict(entry.split("=", 1) for entry in env[1].replace("\\\n", " ").split())
    assert image.keys() <= local.keys()
    home = "/usr/local/airflow"
    assert {name: value.replace(home, "") for name, value in image.items() if name != "AIRFLOW_HOME"} == {
        name: local[name].replace(str(ROOT), "") for name in image if name != "AIRFLOW_HOME"
    }


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    # XX-06
    first, again, other = (
        LocalAirflow(tmp_path / "a"),
        LocalAirflow(tmp_path / "a"),
        LocalAirflow(tmp_path / "b"),
    )
    assert first.secrets == again.secrets
    assert not set(first.secrets.values()) & set(other.secrets.values())
    assert stat.S_IMODE((tmp_path / "a" / "airflow" / "secrets.json").stat().st_mode) == 0o600


def test_settings_of_another_airflow_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_SECRET", "x")
    local = LocalAirflow(tmp_path, overrides={"AIRFLOW__CORE__PARALLELISM": "3"})
    env = local.env()
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert env["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert "AIRFLOW_CONN_SECRET" not in env


def test_one_variable_moves_the_api_server_and_the_mail_server(
    airflow_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from scripts.load_airflow_settings import load

    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path / "new"))
    monkeypatch.delenv("OUTFEED_AIRFLOW_PORT", raising=False)
    usual = chosen_airflow()
    assert (usual.port, usual.mail_port, usual.dags_folder) == (8080, 8025, ROOT / "dags")
    monkeypatch.setenv("OUTFEED_AIRFLOW_PORT", "8099")
    other = chosen_airflow()
    assert (other.port, other.mail_port) == (8099, 8044)
    load(ROOT / "airflow_settings.yaml", other.mail_port)
    with create_session() as session:
        found = {c.conn_id: c for c in session.scalars(select(Connection))}
    assert found["smtp_default"].port == 8044
    assert found["platform_db"].port is None
    load(ROOT / "airflow_settings.yaml", usual.mail_port)


def test_a_home_with_dags_of_its_own_runs_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dags").mkdir()
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    assert chosen_airflow().dags_folder == tmp_path / "dags"


@pytest.mark.parametrize("text", ["abc", "80", "65536", "-1", "²", "8080.0"])
def test_a_port_that_is_none_is_refused_in_one_sentence(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    monkeypatch.setenv("OUTFEED_AIRFLOW_PORT", text)
    assert main(["down"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"airflow_local: OUTFEED_AIRFLOW_PORT is {text!r}: it must be a number from 1079 to"
    )


@pytest.mark.parametrize("below", ["", "home"])
def test_a_home_that_is_a_file_is_refused_in_one_sentence(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("OUTFEED_HOME", str(file / below))
    monkeypatch.delenv("OUTFEED_AIRFLOW_PORT", raising=False)
    assert main(["up"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"airflow_local: OUTFEED_HOME is {file / below}: it must be a folder, and {file} is none"


@pytest.mark.parametrize(("taken", "whose"), [("api", "the API server"), ("mail", "the local mail server")])
def test_a_port_in_use_is_named_with_what_it_is_for(taken: str, whose: str, tmp_path: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        ports = {"api": free_ports(1)[0], "mail": free_ports(1)[0]} | {taken: listening.getsockname()[1]}
        airflow = LocalAirflow(tmp_path, port=ports["api"], mail_port=ports["mail"])
        with pytest.raises(LocalAirflowError) as caught:
            airflow.start()
    message = str(caught.value)
    assert message.startswith(f"port {ports[taken]} of 127.0.0.1 is in use, and {whose} needs it")
    assert "choose other ports with OUTFEED_AIRFLOW_PORT=" in message


def test_loading_the_settings_file_again_changes_what_it_names_and_nothing_else(
    airflow_db: None, tmp_path: Path
) -> None:
    from airflow.models import Connection
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from scripts.load_airflow_settings import load

    file = tmp_path / "settings.yaml"
    file.write_text(
        "airflow:\n"
        "  connections:\n"
        "    - {conn_id: one, conn_type: http, conn_host: old.example, conn_password: p}\n"
        "    - {conn_id: two, conn_uri: 'postgres://u:p@db.example:5433/x'}\n"
        "  pools: [{pool_name: p1, pool_slot: 3, pool_description: d}]\n"
        "  variables: [{variable_name: v, variable_value: w}]\n"
    )
    load(file)
    file.write_text("airflow:\n  connections: [{conn_id: one, conn_type: http, conn_host: new.example}]\n")
    load(file)
    with create_session() as session:
        found = {c.conn_id: c for c in session.scalars(select(Connection))}
        assert (found["one"].host, found["one"].password) == ("new.example", None)
        assert (found["two"].port, found["two"].schema) == (5433, "x")
        assert session.scalar(select(Pool.slots).where(Pool.pool == "p1")) == 3


def test_our_own_settings_file_loads(airflow_db: None) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from scripts.load_airflow_settings import load

    load(ROOT / "airflow_settings.yaml")
    with create_session() as session:
        found = {c.conn_id: c for c in session.scalars(select(Connection))}
    assert (found["platform_db"].conn_type, found["platform_db"].host) == ("sqlite", "demo/platform.db")
    assert found["smtp_default"].extra_dejson["from_email"] == "outfeed@example.com"
