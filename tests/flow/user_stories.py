"""The document's 15 user stories and its questions about links, asked of delivered files alone.

As a customer would ask: each question is SQL for DuckDB over the snapshots of a day, in the default CSV
dialect: RFC 4180 with header, NULL empty, timestamps like 2018-01-09T14:56:13+0000, booleans 1 and 0. Its
answer has the form that `KnownAnswers` has.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb

from outfeed.demo_data.platform_data import KnownAnswers

_READ = """
    CREATE VIEW {entity} AS
    SELECT * FROM read_csv(
        '{path}', header = true, delim = ',', quote = '"', escape = '"',
        all_varchar = true, nullstr = '', allow_quoted_nulls = false, strict_mode = true
    )
"""

_MACROS = """
    SET TimeZone = 'UTC';
    CREATE MACRO instant(t) AS strptime(t, '%Y-%m-%dT%H:%M:%S%z');
    CREATE MACRO day_of(t) AS CAST(instant(t) AS DATE);
    CREATE MACRO asked() AS TIMESTAMPTZ '{day} 00:00:00+00';
    -- The link that the document describes: through the asset type.
    CREATE MACRO is_home(level_type) AS level_type IN ('channel', 'show');
"""

Rows = list[tuple[Any, ...]]


def answer(question: str, folder: Path, day: dt.date) -> Any:
    """The answer to a question of `QUESTIONS`, from the files of a day as of its first instant."""
    sql, shape = QUESTIONS[question]
    return shape(ask(sql, folder, day))


def ask(sql: str, folder: Path, day: dt.date) -> Rows:
    """The rows of a query over `<entity>/<entity>_yyyy_MM_dd.csv`."""
    with duckdb.connect() as connection:
        connection.execute(_MACROS.format(day=day))
        for entity in sorted(set(re.findall(r"\b(?:FROM|JOIN) (\w+)", sql))):
            path = folder / entity / f"{entity}_{day:%Y_%m_%d}.csv"
            connection.execute(_READ.format(entity=entity, path=path))
        return connection.execute(sql).fetchall()


def entities_asked() -> set[str]:
    """The entities whose files the questions need."""
    return {name for sql, _ in QUESTIONS.values() for name in re.findall(r"\b(?:FROM|JOIN) (\w+)", sql)}


def _map(rows: Rows) -> dict[Any, Any]:
    """The last column by the one before it, or by all before it."""
    return {row[0] if len(row) == 2 else row[:-1]: row[-1] for row in rows}


def _lists(rows: Rows) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for key, value in rows:
        found.setdefault(key, []).append(value)
    return found


def _metadata(rows: Rows) -> dict[int, dict[tuple[str, str], str | None]]:
    found: dict[int, dict[tuple[str, str], str | None]] = {}
    for id_, name, language, value in rows:
        found.setdefault(id_, {})[name, language] = value
    return found


#: SQL by the name of the field of `KnownAnswers`, and what makes the answer of its rows.
QUESTIONS: dict[str, tuple[str, Callable[[Rows], Any]]] = {
    # VI-U01
    "sign_ups": ("SELECT day_of(registration_date), count(*) FROM users GROUP BY 1", _map),
    # VI-U02
    "sign_ins": (
        "SELECT day_of(log_time), count(*) FROM users_login_logout WHERE event = 'login' GROUP BY 1",
        _map,
    ),
    # VI-U03
    "subscriptions": ("SELECT day_of(registered), count(*) FROM users_access GROUP BY 1", _map),
    # VI-U04
    "active_subscriptions": (
        """
        SELECT CASE AUTORENEW_STATUS WHEN '0' THEN 'renewable' WHEN '2' THEN 'stopped' END, count(*)
        FROM users_access
        WHERE STATUS_ID = '0' AND instant(STARTDATE) <= asked()
          AND (ENDDATE IS NULL OR instant(ENDDATE) > asked())
        GROUP BY 1
        """,
        _map,
    ),
    # VI-U05
    "stops": (
        """
        SELECT day_of(user_stop_date), count(*) FROM users_access WHERE user_stop_date IS NOT NULL GROUP BY 1
        """,
        _map,
    ),
    "inactive_stops": (
        """
        SELECT day_of(user_stop_date), count(*)
        FROM users_access
        WHERE user_stop_date IS NOT NULL
          AND (last_activity_date IS NULL
               OR instant(last_activity_date) + INTERVAL 7 DAY < instant(user_stop_date))
        GROUP BY 1
        """,
        _map,
    ),
    # VI-U06
    "asset_views": (
        "SELECT day_of(registered), CAST(asset_id AS BIGINT), count(*) FROM assets_views GROUP BY 1, 2",
        _map,
    ),
    # VI-U07
    "view_origins": ("SELECT geo_country, geo_isp, count(*) FROM assets_views GROUP BY 1, 2", _map),
    "view_addresses": ("SELECT geo_country, count(DISTINCT ip) FROM assets_views GROUP BY 1", _map),
    # VI-U08
    "platform_views": ("SELECT platform, count(*) FROM assets_views GROUP BY 1", _map),
    # VI-U09
    "views_by_login": (
        """
        SELECT CASE WHEN user_id = '-1' THEN 'anonymous' WHEN users.id IS NOT NULL THEN 'registered' END,
               count(*)
        FROM assets_views LEFT JOIN users ON users.id = assets_views.user_id
        GROUP BY 1
        """,
        _map,
    ),
    # VI-U10
    "category_views": (
        """
        SELECT level_type, CAST(categories.id AS INTEGER), count(*)
        FROM assets_views LEFT JOIN categories ON categories.id = assets_views.category_id
        GROUP BY 1, 2
        """,
        _map,
    ),
    # VI-U11
    "asset_metadata": (
        """
        SELECT CAST(assets.id AS BIGINT), name, language, value
        FROM assets JOIN assets_metadata ON assets_metadata.asset_id = assets.id
        """,
        _metadata,
    ),
    # VI-U12
    "category_metadata": (
        """
        SELECT CAST(categories.id AS INTEGER), name, language, value
        FROM categories JOIN categories_metadata ON categories_metadata.category_id = categories.id
        """,
        _metadata,
    ),
    # VI-U13
    "video_files": (
        """
        SELECT CAST(assets.id AS BIGINT), CAST(video_files.id AS BIGINT)
        FROM assets JOIN video_files ON video_files.asset_id = assets.id
        ORDER BY 2
        """,
        _lists,
    ),
    # VI-U14
    "files_published": (
        """
        SELECT CAST(file_id AS BIGINT), CAST(server_id AS INTEGER)
        FROM video_files JOIN video_files_published ON file_id = video_files.id
        """,
        set,
    ),
    "files_deleted": (
        """
        SELECT CAST(file_id AS BIGINT), CAST(server_id AS INTEGER)
        FROM video_files JOIN video_files_deleted ON file_id = video_files.id
        """,
        set,
    ),
    # VI-U15
    "profiles": ("SELECT gender, count(DISTINCT subprofileid) FROM users_profiles GROUP BY 1", _map),
    "profiles_of_user": (
        """
        SELECT CAST(users.id AS BIGINT), count(*)
        FROM users JOIN users_profiles ON users_profiles.user_id = users.id
        GROUP BY 1
        """,
        _map,
    ),
    # VI-007
    "asset_categories": (
        """
        SELECT CAST(assets.id AS BIGINT), CAST(categories.id AS INTEGER)
        FROM assets
        LEFT JOIN categories ON categories.asset_type_id = assets.asset_type_id AND is_home(level_type)
        """,
        _map,
    ),
    # VI-008
    "category_types": (
        """
        SELECT CAST(categories.id AS INTEGER), asset_types.name
        FROM categories JOIN asset_types ON asset_types.id = categories.asset_type_id
        WHERE is_home(level_type)
        """,
        _map,
    ),
    # VI-009
    "channel_of_show": (
        """
        SELECT CAST(series.id AS INTEGER), CAST(channel.id AS INTEGER)
        FROM categories series JOIN categories channel ON channel.id = series.parent_id
        WHERE series.level_type = 'show' AND channel.level_type = 'channel'
        """,
        _map,
    ),
    # VI-010
    "genre_of_channel": (
        """
        SELECT CAST(channel.id AS INTEGER), CAST(genre.id AS INTEGER)
        FROM categories channel JOIN categories genre ON genre.id = channel.parent_id
        WHERE channel.level_type = 'channel' AND genre.level_type = 'genre'
        """,
        _map,
    ),
    # VI-011
    "level_types": ("SELECT level_type, count(*) FROM categories GROUP BY 1", _map),
    # VI-012
    "published_categories": (
        """
        SELECT CAST(category_id AS INTEGER), platforms.name
        FROM categories_platforms JOIN platforms ON platforms.id = platform_id
        WHERE published = '1'
        """,
        set,
    ),
    # VI-013
    "published_assets": (
        """
        SELECT CAST(asset_id AS BIGINT), platforms.name
        FROM assets_platforms JOIN platforms ON platforms.id = platform_id
        WHERE published = '1'
        """,
        set,
    ),
    "live_assets": (
        """
        SELECT CAST(asset_id AS BIGINT), platforms.name
        FROM assets_platforms JOIN platforms ON platforms.id = platform_id
        WHERE live_published = '1'
        """,
        set,
    ),
    # VI-014
    "viewable_assets": (
        """
        SELECT CAST(asset_id AS BIGINT), platforms.name
        FROM assets_platforms JOIN platforms ON platforms.id = platform_id
        WHERE published = '1'
          AND (publish_start IS NULL OR instant(publish_start) <= asked())
          AND (publish_end IS NULL OR instant(publish_end) > asked())
        """,
        set,
    ),
    # VI-015
    "category_publishers": (
        """
        SELECT CAST(category_id AS INTEGER), publishers.name
        FROM categories_metadata JOIN publishers ON publishers.id = value
        WHERE categories_metadata.name = 'publisher-id'
        """,
        _map,
    ),
    # VI-016
    "asset_publishers": (
        """
        SELECT CAST(assets.id AS BIGINT), publishers.name
        FROM assets
        JOIN categories ON categories.asset_type_id = assets.asset_type_id AND is_home(level_type)
        JOIN categories_metadata ON category_id = categories.id AND categories_metadata.name = 'publisher-id'
        JOIN publishers ON publishers.id = value
        """,
        _map,
    ),
}


def known_answer(question: str, known: KnownAnswers) -> Any:
    """What a question's answer must be; never empty, so that it can be missed."""
    wanted = getattr(known, question)
    assert wanted, question
    return wanted


def wrong_answers(
    known: KnownAnswers, folder: Path, day: dt.date, questions: Iterable[str] = QUESTIONS
) -> list[str]:
    """The questions that the files of a day answer wrongly."""
    return [each for each in questions if answer(each, folder, day) != known_answer(each, known)]
