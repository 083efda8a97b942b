"""Airflow's connections as the plain values that the library takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outfeed.errors import Action, TerminalError
from tests.airflow.dags import config

pytestmark = pytest.mark.airflow

POSTGRES = {
    "conn_type": "postgres",
    "host": "db.example",
    "port": 5433,
    "schema": "platform",
    "login": "reader",
    "password": "s3cr:t@",
    "extra": {"sslmode": "require", "application": "x"},
}


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Defines an Airflow connection."""
    return lambda name, values: monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(values))


def test_a_missing_connection_is_named_and_needs_an_operator() -> None:
    from outfeed_airflow import resolve

    with pytest.raises(TerminalError, match="'acme_sftp' is not defined") as caught:
        resolve.credentials("acme_sftp")
    assert caught.value.action is Action.OPERATOR


def test_a_destination_without_connection_has_no_credentials() -> None:
    from outfeed_airflow import resolve

    assert resolve.credentials(None).password is None


def test_secrets_are_in_the_credentials_and_nowhere_else(define: Any) -> None:
    # XX-06
    from outfeed_airflow import resolve

    define("platform_db", POSTGRES)
    found = resolve.credentials("platform_db")
    url = resolve.database_url(resolve.connection("platform_db"))
    assert (found.login, found.password, found.host, found.port) == ("reader", "s3cr:t@", "db.example", 5433)
    assert url == "postgresql://db.example:5433/platform?sslmode=require"
    assert "s3cr" not in repr(found) + url


def test_a_destination_gets_what_seals_states_in_the_ledger(
    define: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-06
    from outfeed_airflow import resolve

    define("platform_db", POSTGRES)
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "newer-key,older-key")
    found = resolve.destination_credentials("platform_db")
    assert (found.login, found.sealing_key) == ("reader", "newer-key,older-key")
    assert resolve.destination_credentials(None).sealing_key == "newer-key,older-key"
    assert resolve.credentials("platform_db").sealing_key is None
    assert "newer-key" not in repr(found)
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    assert resolve.destination_credentials(None).sealing_key is None


def test_the_source_of_a_customer(define: Any, home: Path) -> None:
    from outfeed_airflow import resolve

    define("platform_db", {"conn_type": "sqlite", "host": "demo/platform.db"})
    source = resolve.open_source(config(), "work-orders")
    assert source.url == f"sqlite:///{home}/demo/platform.db"
    assert source.max_parallel == 2


def test_a_connection_that_is_no_database_is_refused(define: Any) -> None:
    from outfeed_airflow import resolve

    define("platform_db", {"conn_type": "http", "host": "example.com"})
    with pytest.raises(TerminalError, match="type 'http', not a database"):
        resolve.open_source(config(), "work-orders")


def test_the_ledger_is_a_file_of_ours_unless_a_connection_names_a_database(
    define: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import outfeed.ledger
    from outfeed_airflow import resolve

    urls: list[str] = []

    class Noted(outfeed.ledger.Ledger):
        def __init__(self, url: str) -> None:
            urls.append(url)
            super().__init__(url)

    monkeypatch.setattr(outfeed.ledger, "Ledger", Noted)
    with resolve.ledger() as ledger:
        ledger.migrate()
    assert (home / "ledger.db").exists()
    define("outfeed_ledger", {"conn_type": "sqlite", "host": "elsewhere.db"})
    with resolve.ledger():
        pass
    define("outfeed_ledger", POSTGRES)
    with resolve.ledger():
        pass
    assert urls == [
        f"sqlite:///{home}/ledger.db",
        f"sqlite:///{home}/elsewhere.db",
        "postgresql+psycopg://reader:s3cr%3At%40@db.example:5433/platform?sslmode=require",
    ]


def test_staging_and_images_lie_under_our_home_unless_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from outfeed_airflow import resolve

    images = config(source={"connection": "platform_db", "images_uri": "demo/images"})
    elsewhere = config(source={"connection": "platform_db", "images_uri": "file:///srv/images"})
    assert resolve.staging_root().path == str(home / "staging")
    assert resolve.images_root(images).path == str(home / "demo" / "images")
    assert resolve.images_root(elsewhere).path == "/srv/images"
    assert resolve.images_root(config()) is None
    monkeypatch.setenv("OUTFEED_STAGING_URI", "file:///srv/staging")
    assert resolve.staging_root().path == "/srv/staging"
