"""The demo video platform: the same for the same seed, consistent, and with what breaks careless exports."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from outfeed.datasets import dataset_folder
from outfeed.demo_data import demo_data
from outfeed.demo_data.platform_data import KnownAnswers, generate
from outfeed.errors import ConfigError

END = dt.date(2026, 3, 4)
CATALOGUE: dict[str, dict[str, Any]] = yaml.safe_load(
    (dataset_folder("platform-data") / "catalogue.yaml").read_text("utf-8")
)["entities"]


def made(folder: Path, **changes: Any) -> tuple[Path, KnownAnswers]:
    file = folder / "platform.db"
    values = {"scale": 1, "days": 3, "end": END, "seed": 1} | changes
    return file, generate(f"sqlite:///{file}", **values)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KnownAnswers]:
    return made(tmp_path_factory.mktemp("platform"), scale=3)


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def everything(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {entity["table"]: rows(file, f"SELECT * FROM {entity['table']}") for entity in CATALOGUE.values()}


def test_the_same_seed_makes_the_same_platform(tmp_path: Path) -> None:
    (first, known), (second, again), (other, different) = (
        made(tmp_path / name, seed=seed) for name, seed in [("a", 1), ("b", 1), ("c", 2)]
    )
    assert everything(first) == everything(second)
    assert known == again
    assert everything(first) != everything(other)
    assert known != different


def test_the_answers_are_not_the_same_for_all_platforms(tmp_path: Path) -> None:
    """An answer that never changes could be given without looking."""
    _, known = made(tmp_path / "a")
    _, other = made(tmp_path / "b", scale=2, days=4, seed=2)
    assert [name for name in vars(known) if vars(known)[name] == vars(other)[name]] == []


def test_size_grows_with_the_scale(tmp_path: Path) -> None:
    _, small = made(tmp_path / "small")
    _, large = made(tmp_path / "large", scale=4)
    assert large.rows["assets_views"] == 4 * small.rows["assets_views"] == 2400
    assert large.rows["users"] == 4 * small.rows["users"]
    assert 2.5 < sum(large.rows.values()) / sum(small.rows.values()) < 4.5


def test_every_table_has_rows_and_they_are_counted(platform: tuple[Path, KnownAnswers]) -> None:
    file, known = platform
    assert {table: len(found) for table, found in everything(file).items()} == known.rows
    assert all(known.rows.values())


REFERENCES = """
    acquisition_manager_contracts.provider_id acquisition_manager_providers.id
    acquisition_manager_episodes.asset_id assets.id
    acquisition_manager_episodes.season_id acquisition_manager_seasons.id
    acquisition_manager_licenses.contract_id acquisition_manager_contracts.id
    acquisition_manager_movies.asset_id assets.id
    acquisition_manager_permissions.license_id acquisition_manager_licenses.id
    acquisition_manager_permissions.platform_id platforms.id
    acquisition_manager_seasons.show_id acquisition_manager_shows.id
    acquisition_manager_shows.category_id categories.id
    assets.asset_category_id asset_categories.id
    assets.asset_type_id asset_types.id
    assets_items.asset_id assets.id
    assets_metadata.asset_id assets.id
    assets_platforms.asset_id assets.id
    assets_platforms.platform_id platforms.id
    assets_relations.asset_id assets.id
    assets_relations.related_asset_id assets.id
    assets_views.asset_id assets.id
    assets_views.category_id categories.id
    categories.asset_type_id asset_types.id
    categories.parent_id categories.id
    categories_metadata.category_id categories.id
    categories_platforms.category_id categories.id
    categories_platforms.platform_id platforms.id
    churn_predict.user_id users.id
    churn_training.user_id users.id
    payment_status_log.payment_transaction_id payment_transactions.id
    payment_transaction_cuts.payment_type_id payment_types.id
    payment_transaction_cuts.product_provider_id product_providers.id
    payment_transactions.payment_provider_id payment_providers.id
    payment_transactions.payment_transaction_type_id payment_transaction_types.id
    payment_transactions.payment_type_id payment_types.id
    payment_transactions.user_access_id user_access.id
    payment_transactions.user_id users.id
    product_group_access.category_id categories.id
    product_group_access.product_group_id product_groups.id
    product_periods.product_id products.id
    products.product_group_id product_groups.id
    products.product_provider_id product_providers.id
    subtitles.asset_id assets.id
    user_access.product_id products.id
    user_access.user_id users.id
    users_access_comments.user_access_id user_access.id
    users_access_crm.user_access_id user_access.id
    users_login_logout.user_id users.id
    users_metadata.user_id users.id
    users_payment_methods.payment_provider_id payment_providers.id
    users_payment_methods.payment_type_id payment_types.id
    users_payment_methods.user_id users.id
    users_profiles.user_id users.id
    video_files.asset_id assets.id
    video_files_deleted.file_id video_files.id
    video_files_published.file_id video_files.id
    vouchers.product_id products.id
    vouchers.user_id users.id
    vvs_campaign_products.campaign_id vvs_campaigns.id
    vvs_campaign_products.product_id vvs_products.id
    vvs_campaigns.discount_id vvs_discounts.id
    vvs_pools.campaign_id vvs_campaigns.id
    vvs_products.product_id products.id
    vvs_voucher_redemptions.user_access_id user_access.id
    vvs_voucher_redemptions.user_id users.id
    vvs_voucher_redemptions.voucher_id vvs_vouchers.id
    vvs_vouchers.pool_id vvs_pools.id
"""


def test_nothing_refers_to_what_is_not_there(platform: tuple[Path, KnownAnswers]) -> None:
    file, _ = platform
    for line in REFERENCES.strip().splitlines():
        (table, column), (parent, key) = (each.split(".") for each in line.split())
        lost = rows(
            file,
            f"SELECT count(*) FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {parent})"
            + (" AND user_id <> -1" if table == "assets_views" else ""),
        )
        assert lost == [(0,)], line
        assert rows(file, f"SELECT count({column}) > 0 FROM {table}") == [(1,)], line
    strangers = (
        "SELECT count(*) FROM assets_views WHERE user_id <> -1 AND user_id NOT IN (SELECT id FROM users)"
    )
    assert rows(file, strangers) == [(0,)]


def test_nothing_happens_before_its_cause_or_after_the_end(platform: tuple[Path, KnownAnswers]) -> None:
    file, _ = platform
    for name, entity in CATALOGUE.items():
        for clock in entity["clock"]:
            late = f"SELECT count(*) FROM {entity['table']} WHERE {clock} >= '2026-03-04'"
            assert rows(file, late) == [(0,)], name
        if len(entity["clock"]) == 2:
            created, updated = entity["clock"]
            odd = f"SELECT count(*) FROM {entity['table']} WHERE {updated} < {created}"
            assert rows(file, odd) == [(0,)], name
    early = "assets_views v JOIN users u ON u.id = v.user_id WHERE u.registration_date > v.registered"
    assert rows(file, f"SELECT count(*) FROM {early}") == [(0,)]


def test_a_day_of_events_touches_both_of_its_bounds(platform: tuple[Path, KnownAnswers]) -> None:
    file, _ = platform
    for name in ("assets_views", "audits", "users_login_logout", "vvs_voucher_redemptions"):
        clock = CATALOGUE[name]["clock"][0]
        for day in ("2026-03-01", "2026-03-03"):
            bounds = f"('{day} 00:00:00.000000', '{day} 23:59:59.999999')"
            assert rows(file, f"SELECT count(*) FROM {name} WHERE {clock} IN {bounds}") == [(2,)], name


def test_old_rows_are_changed_in_the_generated_days(platform: tuple[Path, KnownAnswers]) -> None:
    file, known = platform
    seen = set()
    for name, entity in CATALOGUE.items():
        if entity["changes"] == "mutable" and known.rows[entity["table"]] > 20:
            table, (created, updated) = entity["table"], entity["clock"]
            changed = f"SELECT 1 FROM {table} WHERE {created} < '2026-03-01' AND {updated} >= '2026-03-01'"
            assert rows(file, changed), name
            assert rows(file, f"SELECT 1 FROM {table} WHERE {updated} IS NULL"), name
            seen.add(name)
    assert len(seen) > 20


@pytest.mark.parametrize(
    "found",
    [
        "assets WHERE title LIKE '%,%\"%'",
        "assets WHERE title GLOB '*' || char(13) || '[^' || char(10) || ']*'",
        "assets WHERE title LIKE '%' || char(13, 10) || '%'",
        "assets_metadata WHERE value LIKE '%🎬%'",
        "assets_metadata WHERE value = '\\.'",
        "assets_metadata WHERE value = '\\N'",
        "assets_metadata WHERE value = 'NULL'",
        "assets_metadata WHERE value = ''",
        "assets_metadata WHERE value IS NULL",
        "assets WHERE title = ''",
        "assets WHERE title IS NULL",
        "assets_views WHERE user_id = -1",
        "assets_views WHERE category_id IS NULL",
        "assets_views WHERE geo_isp = ''",
        "assets_views WHERE geo_isp IS NULL",
        "categories_metadata WHERE name = 'publisher-id' AND value = ''",
        "assets_platforms WHERE publish_end = '2026-03-04 00:00:00.000000'",
        "assets_platforms WHERE publish_start = '2026-03-04 00:00:00.000000'",
        "user_access WHERE ENDDATE = '2026-03-04 00:00:00.000000' AND STATUS_ID = 0",
        "user_access WHERE STARTDATE > '2026-03-04' AND STATUS_ID = 0",
        "user_access WHERE ENDDATE < '2026-03-04' AND STATUS_ID = 0",
        "user_access WHERE ENDDATE IS NULL",
        "user_access WHERE AUTORENEW_STATUS = 2 AND ENDDATE > '2026-03-04'",
        "user_access WHERE user_stop_date IS NOT NULL AND last_activity_date IS NULL",
        "video_files_published JOIN video_files_deleted USING (file_id, server_id)",
        "payment_transactions WHERE amount < 0",
    ],
)
def test_what_breaks_careless_exports_is_there(found: str, platform: tuple[Path, KnownAnswers]) -> None:
    file, _ = platform
    assert rows(file, f"SELECT count(*) FROM {found}")[0][0] > 0


def test_secrets_are_only_in_the_columns_that_are_never_exported(platform: tuple[Path, KnownAnswers]) -> None:
    file, _ = platform
    for name, entity in CATALOGUE.items():
        columns = [column for _, column, *_ in rows(file, f"PRAGMA table_info({entity['table']})")]
        holding = [
            column
            for column in columns
            if rows(file, f"SELECT 1 FROM {entity['table']} WHERE \"{column}\" LIKE '%never-%' LIMIT 1")
        ]
        assert sorted(holding) == sorted(entity["never"]), name


def test_a_platform_is_never_made_twice(tmp_path: Path) -> None:
    file, _ = made(tmp_path)
    before = everything(file)
    with pytest.raises(ConfigError, match="already holds a platform"):
        made(tmp_path)
    assert everything(file) == before


def test_the_command_makes_a_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    arguments = ["--dataset", "platform-data", "--scale", "2", "--days", "2", "--end", "2026-03-04"]
    result = CliRunner().invoke(demo_data, arguments)
    assert result.exit_code == 0, result.output
    file = tmp_path / "demo" / "platform-data.db"
    total = sum(len(found) for found in everything(file).values())
    assert f"57 tables, {total} rows" in result.output
    assert rows(file, "SELECT count(*) FROM assets_views") == [(800,)]
