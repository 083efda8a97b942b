"""The questions and the generator agree, through CSV files that PostgreSQL itself writes.

So a wrong answer from delivered files is the export's fault.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from outfeed.datasets import dataset_folder
from outfeed.demo_data.platform_data import KnownAnswers, generate
from tests.flow.user_stories import QUESTIONS, answer, entities_asked, known_answer, wrong_answers
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer

END = dt.date(2026, 3, 30)
CATALOGUE = yaml.safe_load((dataset_folder("platform-data") / "catalogue.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def platform(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, KnownAnswers, Path]:
    """A generated platform, its answers, and a folder of snapshots of all entities."""
    url = postgres.create_database("user_stories")
    known = generate(url, scale=2, days=3, end=END, seed=7)
    folder = tmp_path_factory.mktemp("delivered")
    with psycopg.connect(url) as connection:
        for entity, settings in CATALOGUE["entities"].items():
            (folder / entity).mkdir()
            path = folder / entity / f"{entity}_{END:%Y_%m_%d}.csv"
            write_csv(connection, settings["table"], settings["never"], path)
    return url, known, folder


def write_csv(connection: psycopg.Connection[Any], table: str, never: list[str], path: Path) -> None:
    """Writes a table by PostgreSQL's own CSV, with line ends as RFC 4180 wants them."""
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
        " ORDER BY ordinal_position",
        [table],
    ).fetchall()
    chosen = [
        sql.SQL("{} AS {}").format(_value(name, type_), sql.Identifier(name))
        for name, type_ in columns
        if name not in never
    ]
    copy = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv, HEADER)").format(
        sql.SQL(", ").join(chosen), sql.Identifier(table)
    )
    with connection.cursor().copy(copy) as rows, path.open("wb") as stream:
        for row in rows:
            # One message is one row.
            stream.write(bytes(row).removesuffix(b"\n") + b"\r\n")


def _value(name: str, type_: str) -> sql.Composable:
    column = sql.Identifier(name)
    if type_ == "boolean":
        return sql.SQL("CAST({} AS integer)").format(column)
    if type_.startswith("timestamp"):
        utc = sql.SQL("{} AT TIME ZONE 'UTC'" if type_ == "timestamp with time zone" else "{}").format(column)
        return sql.SQL("to_char({}, 'YYYY-MM-DD\"T\"HH24:MI:SS+0000')").format(utc)
    return column


@pytest.mark.servers
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered(question: str, platform: tuple[str, KnownAnswers, Path]) -> None:
    _, known, folder = platform
    assert answer(question, folder, END) == known_answer(question, known)


@pytest.mark.servers
def test_every_row_is_there(platform: tuple[str, KnownAnswers, Path]) -> None:
    url, known, _ = platform
    with psycopg.connect(url) as connection:
        for table, count in known.rows.items():
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            assert connection.execute(query).fetchone() == (count,), table


@pytest.mark.servers
@pytest.mark.parametrize(
    ("entity", "damage", "wrong"),
    [
        ("users", lambda content: content.replace(b"+0000", b"-1100"), ["sign_ups"]),
        ("categories_metadata", lambda content: content.replace(b',"",', b",,"), ["category_metadata"]),
        (
            "video_files_published",
            lambda content: content[: content[:-2].rindex(b"\r\n") + 2],
            ["files_published"],
        ),
    ],
    ids=["zone", "empty-texts", "last-row"],
)
def test_a_damaged_file_answers_wrongly(
    platform: tuple[str, KnownAnswers, Path],
    tmp_path: Path,
    entity: str,
    damage: Callable[[bytes], bytes],
    wrong: list[str],
) -> None:
    _, known, folder = platform
    for name in entities_asked():
        (tmp_path / name).mkdir()
        file = Path(name) / f"{name}_{END:%Y_%m_%d}.csv"
        content = (folder / file).read_bytes()
        (tmp_path / file).write_bytes(damage(content) if name == entity else content)
    assert wrong_answers(known, tmp_path, END) == wrong


@pytest.mark.servers
def test_mariadb_holds_the_same(mariadb: MariadbServer, platform: tuple[str, KnownAnswers, Path]) -> None:
    url, known, _ = platform
    made = mariadb.create_database("user_stories")
    assert generate(made, scale=2, days=3, end=END, seed=7) == known
    with mariadb.connect("user_stories") as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        assert_same_tables(url, cursor)


@pytest.mark.servers
def test_sqlite_holds_the_same(tmp_path: Path, platform: tuple[str, KnownAnswers, Path]) -> None:
    url, known, _ = platform
    assert generate(f"sqlite:///{tmp_path}/platform.db", scale=2, days=3, end=END, seed=7) == known
    with closing(sqlite3.connect(tmp_path / "platform.db")) as connection:
        assert_same_tables(url, connection.cursor())


def assert_same_tables(url: str, other: Any) -> None:
    """Every row and column of every table is the same as in PostgreSQL."""
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        for entity in CATALOGUE["entities"].values():
            table = entity["table"]
            other.execute(f"SELECT * FROM {table}")
            mine = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            assert mine.description is not None
            assert [column[0] for column in mine.description] == [column[0] for column in other.description]
            rows = [sorted([_plain(value) for value in row] for row in each) for each in (mine, other)]
            assert rows[0], table
            assert rows[0] == rows[1], table


def _plain(value: Any) -> str:
    """One form for what the drivers give, so that rows can be compared and sorted."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(value, int | float | Decimal):
        return str(float(value))
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    return str(sorted(value.items()) if isinstance(value, dict) else value)
