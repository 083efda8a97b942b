"""The catalogue of platform data says what the document says, and the reference tables have what it names."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from outfeed.datasets import dataset_folder

FOLDER = dataset_folder("platform-data")
ENTITIES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "catalogue.yaml").read_text("utf-8"))[
    "entities"
]
SCHEMAS = ("schema.postgresql.sql", "schema.sqlite.sql", "schema.mariadb.sql")

#: The document's list, job by job, as it stands there.
DOCUMENT = """
    ASSET_CATEGORIES="10 0 * * *" ASSET_TYPES="10 0 * * *" ASSETS_ITEMS="10 0 * * *"
    ASSETS_METADATA="10 0 * * *" ASSETS_PLATFORMS="10 0 * * *" ASSETS_RELATIONS="10 0 * * *"
    ASSETS_VIEWS="10 0 * * *" ASSETS="10 0 * * *" AUDITS="30 0 * * *" CATEGORIES_METADATA="10 0 * * *"
    CATEGORIES_PLATFORMS="10 0 * * *" CATEGORIES="10 0 * * *" CHURN_PREDICT="" CHURN_TRAINING=""
    PAYMENT_PROVIDERS="15 0 * * *" PAYMENT_STATUS_LOG="15 0 * * *" PAYMENT_TRANSACTION_CUTS="15 0 * * *"
    PAYMENT_TRANSACTION_TYPES="15 0 * * *" PAYMENT_TRANSACTIONS="15 0 * * *" PAYMENT_TYPES="15 0 * * *"
    PLATFORMS="10 0 * * *" PRODUCT_GROUP_ACCESS="15 0 * * *" PRODUCT_GROUPS="15 0 * * *"
    PRODUCT_PERIODS="15 0 * * *" PRODUCT_PROVIDERS="15 0 * * *" PRODUCTS="15 0 * * *"
    PUBLISHERS="15 0 * * *" SUBTITLES="10 0 * * *" TAGS="10 0 * * *" TENANTS="10 0 * * *"
    USERS_ACCESS_COMMENTS="20 0 * * *" USERS_ACCESS_CRM="20 0 * * *" USERS_ACCESS="20 0 * * *"
    USERS_LOGIN_LOGOUT="20 0 * * *" USERS_METADATA="20 0 * * *" USERS_PAYMENT_METHODS="20 0 * * *"
    USERS_PROFILES="" USERS="20 0 * * *" VIDEO_FILES_DELETED="15 0 * * *"
    VIDEO_FILES_PUBLISHED="15 0 * * *" VIDEO_FILES="15 0 * * *" VOUCHERS=""
    ACQUISITION_MANAGER_CONTRACTS="" ACQUISITION_MANAGER_EPISODES="" ACQUISITION_MANAGER_LICENSES=""
    ACQUISITION_MANAGER_MOVIES="" ACQUISITION_MANAGER_PERMISSIONS="" ACQUISITION_MANAGER_PROVIDERS=""
    ACQUISITION_MANAGER_SEASONS="" ACQUISITION_MANAGER_SHOWS=""
    VVS_CAMPAIGN_PRODUCTS_SNAPSHOT="15 0 * * *" VVS_CAMPAIGN_PRODUCTS_DELTA="15 0 * * *"
    VVS_CAMPAIGNS_SNAPSHOT="15 0 * * *" VVS_CAMPAIGNS_DELTA="15 0 * * *"
    VVS_DISCOUNTS_SNAPSHOT="15 0 * * *" VVS_DISCOUNTS_DELTA="15 0 * * *"
    VVS_POOLS_SNAPSHOT="15 0 * * *" VVS_POOLS_DELTA="15 0 * * *"
    VVS_PRODUCTS_SNAPSHOT="15 0 * * *" VVS_PRODUCTS_DELTA="15 0 * * *"
    VVS_VOUCHER_REDEMPTIONS_SNAPSHOT="15 0 * * *" VVS_VOUCHER_REDEMPTIONS_DELTA="15 0 * * *"
    VVS_VOUCHERS_SNAPSHOT="15 0 * * *" VVS_VOUCHERS_DELTA="15 0 * * *"
"""

#: What the document's links and stories name, by table.
NAMED = {
    "assets": "id asset_type_id",
    "categories": "id parent_id level_type asset_type_id",
    "categories_platforms": "category_id platform_id published",
    "assets_platforms": "asset_id platform_id published live_published publish_start publish_end",
    "categories_metadata": "name value category_id",
    "assets_metadata": "asset_id",
    "users": "registration_date",
    "users_login_logout": "log_time",
    "user_access": "registered STATUS_ID STARTDATE ENDDATE AUTORENEW_STATUS user_stop_date"
    " last_activity_date",
    "assets_views": "asset_id registered ip geo_country geo_isp platform user_id category_id",
    "video_files": "asset_id",
    "video_files_published": "file_id server_id",
    "video_files_deleted": "file_id server_id",
    "users_profiles": "subprofileid user_id",
}


class Table:
    """A reference table as its CREATE statement has it: read by eye, as it were, without any server."""

    def __init__(self, body: str) -> None:
        lines = [line.strip().rstrip(",").replace('"', "") for line in body.strip().splitlines()]
        self.types = dict(line.split(" ", 1) for line in lines if not line.startswith("PRIMARY KEY"))
        (key,) = (line for line in lines if line.startswith("PRIMARY KEY"))
        self.key = key.removeprefix("PRIMARY KEY (").removesuffix(")").split(", ")


def tables(schema: str) -> dict[str, Table]:
    text = (FOLDER / schema).read_text("utf-8")
    found = re.findall(r"^CREATE TABLE (\w+) \((.*?)^\)", text, re.DOTALL | re.MULTILINE)
    return {name: Table(body) for name, body in found}


# VI-S01 to VI-S64
def test_the_default_schedules_are_the_documents() -> None:
    wanted = {job.lower(): cron for job, cron in re.findall(r'(\w+)="(.*?)"', DOCUMENT)}
    assert len(wanted) == 64
    found = {}
    for name, entity in ENTITIES.items():
        if "schedule" in entity:
            found[name] = entity["schedule"]
        else:
            found[f"{name}_snapshot"] = entity["snapshot_schedule"]
            found[f"{name}_delta"] = entity["delta_schedule"]
    assert found == wanted


def test_there_are_57_entities_in_the_documents_order() -> None:
    jobs = re.findall(r"(\w+)=", DOCUMENT)
    names = dict.fromkeys(re.sub(r"(VVS_\w+)_(SNAPSHOT|DELTA)$", r"\1", job).lower() for job in jobs)
    assert list(ENTITIES) == list(names)
    assert len(ENTITIES) == 57
    assert [name for name, entity in ENTITIES.items() if "schedule" not in entity] == [
        name for name in names if name.startswith("vvs_")
    ]


def test_the_columns_that_the_document_names_are_required() -> None:
    required = {entity["table"]: entity["columns"] for entity in ENTITIES.values() if entity["columns"]}
    assert required == {table: columns.split() for table, columns in NAMED.items()}


def test_tables_are_named_as_in_the_document() -> None:
    differing = {name: entity["table"] for name, entity in ENTITIES.items() if entity["table"] != name}
    assert differing == {"users_access": "user_access"}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_has_what_the_catalogue_names(schema: str) -> None:
    found = tables(schema)
    assert sorted(found) == sorted(entity["table"] for entity in ENTITIES.values())
    for name, entity in ENTITIES.items():
        table = found[entity["table"]]
        named = [*entity["columns"], *entity["never"], *entity["clock"], *entity["key"]]
        assert set(named) <= set(table.types), name
        assert table.key == entity["key"], name


@pytest.mark.parametrize("schema", SCHEMAS)
def test_clocks_are_instants_with_an_index(schema: str) -> None:
    text = (FOLDER / schema).read_text("utf-8")
    found = tables(schema)
    for name, entity in ENTITIES.items():
        table = entity["table"]
        for number, clock in enumerate(entity["clock"]):
            assert re.match(r"timestamp|datetime", found[table].types[clock], re.IGNORECASE), (name, clock)
            # A row always has the first, so that its clock is never null as a whole.
            assert ("NOT NULL" in found[table].types[clock]) == (number == 0), (name, clock)
            assert f" ON {table} ({clock});" in text, (name, clock)


def test_only_those_without_clock_have_no_delta() -> None:
    lengths = {"append-only": 1, "mutable": 2, "look-up": 0, "derived": 0}
    for name, entity in ENTITIES.items():
        assert len(entity["clock"]) == lengths[entity["changes"]], name


def test_whatever_looks_like_a_secret_is_never_exported() -> None:
    suspicious = re.compile(r"password|secret|token|hash|salt|pin_|content_key")
    for name, entity in ENTITIES.items():
        columns = tables("schema.postgresql.sql")[entity["table"]].types
        secrets = [column for column in columns if suspicious.search(column)]
        assert sorted(secrets) == sorted(entity["never"]), name
    assert sum(len(entity["never"]) for entity in ENTITIES.values()) == 8


def test_the_schemas_are_the_same_but_for_the_engines_types() -> None:
    kinds = {
        "schema.postgresql.sql": {"timestamp": "local", "timestamptz": "instant", "jsonb": "json"},
        "schema.sqlite.sql": {"timestamp": "local", "timestamptz": "instant", "decimal": "numeric"},
        "schema.mariadb.sql": {
            **{"int": "integer", "timestamp": "instant", "datetime": "local"},
            **{"decimal": "numeric", "double": "double precision"},
        },
    }
    described = []
    for schema in SCHEMAS:
        columns = {}
        for name, table in tables(schema).items():
            for column, declared in table.types.items():
                plain = re.sub(r"\(.*?\)| NOT NULL.*| NULL.*", "", declared).lower()
                columns[name, column] = (kinds[schema].get(plain, plain), "NOT NULL" in declared)
        described.append(columns)
    assert described[0] == described[1] == described[2]
    assert {kind for kind, _ in described[0].values()} == {
        *("integer", "bigint", "varchar", "text", "instant", "local", "date", "numeric"),
        *("double precision", "boolean", "json", "uuid"),
    }


def test_sqlite_takes_its_schema(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "empty.db")
    connection.executescript((FOLDER / "schema.sqlite.sql").read_text("utf-8"))
    made = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    assert {name for (name,) in made} == {entity["table"] for entity in ENTITIES.values()}
