"""The local Airflow, the image and the settings file agree on what Outfeed needs."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from scripts.airflow_local import ROOT, LocalAirflow

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
