"""Tables of each engine as delivered bytes: all 57 of the demo platform, and what breaks exports."""

from __future__ import annotations

import csv
import datetime as dt
import io
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from outfeed.connectors.base import Credentials
from outfeed.demo_data.platform_data import generate
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError
from outfeed.sources.relational import RelationalSource
from tests.flow.table_platform import (
    DAY,
    END,
    ENTITIES,
    MIDNIGHT,
    Place,
    Read,
    Reading,
    entity_part,
    make_part,
    same,
    spelt,
)
from tests.hostile_texts import HOSTILE_ROWS
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer

ENGINES = ("postgresql", "sqlite", "mariadb")

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def places(
    postgres: PostgresServer, mariadb: MariadbServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Place]:
    """The same platform on each engine."""
    folder = tmp_path_factory.mktemp("platforms")
    urls = {
        "postgresql": postgres.create_database("tables"),
        "sqlite": f"sqlite:///{folder}/tables.db",
        "mariadb": mariadb.create_database("tables"),
    }
    for url in urls.values():
        generate(url, scale=2, days=3, end=END, seed=5)
    return {engine: Place(engine, url) for engine, url in urls.items()}


@pytest.fixture(params=ENGINES)
def platform(request: pytest.FixtureRequest, places: dict[str, Place]) -> Place:
    """The demo platform of an engine."""
    return places[request.param]


@pytest.fixture(params=ENGINES)
def empty(
    request: pytest.FixtureRequest, postgres: PostgresServer, mariadb: MariadbServer, tmp_path: Path
) -> Place:
    """An empty database of an engine."""
    return _empty(request.param, postgres, mariadb, tmp_path)


def _empty(engine: str, postgres: PostgresServer, mariadb: MariadbServer, folder: Path) -> Place:
    if engine == "sqlite":
        (folder / "database").mkdir(exist_ok=True)
        place = Place(engine, f"sqlite:///{folder}/database/empty.db")
        place.run("PRAGMA journal_mode = WAL")
        return place
    server: Any = postgres if engine == "postgresql" else mariadb
    return Place(engine, server.create_database("empty"))


def read(place: Place, folder: Path, *parts: Any) -> list[Read]:
    with place.reading(folder) as reading:
        return [reading.extract(part) for part in parts]


# -- the demo platform


def declared_types(places: dict[str, Place], table: str) -> dict[str, str]:
    return {row[1]: row[2] for row in places["sqlite"].rows(f'PRAGMA table_info("{table}")')}


def windowed(entity: str) -> str:
    """The delta's rows, said in another way than the engines say it."""
    clock = ENTITIES[entity].clock
    newest = f'"{clock[0]}"'
    if len(clock) > 1:
        first, second = (f'"{name}"' for name in clock)
        newest = f"CASE WHEN {second} > {first} OR {first} IS NULL THEN {second} ELSE {first} END"
    start, end = (f"{day:%Y-%m-%d} 00:00:00" for day in (MIDNIGHT - DAY, MIDNIGHT))
    return f"({newest}) >= '{start}' AND ({newest}) < '{end}'"


@pytest.mark.parametrize("mode", ["snapshot", "delta"])
def test_every_table_holds_what_plain_sql_says(
    platform: Place, places: dict[str, Place], tmp_path: Path, mode: str
) -> None:
    # VI-020 VI-023
    """Each field of each row, and no other row: another driver reads the table, pyarrow the file."""
    entities = [entity for entity in ENTITIES if mode == "snapshot" or ENTITIES[entity].clock]
    parts = [entity_part(entity, delta=mode == "delta") for entity in entities]
    rows = 0
    for entity, found in zip(entities, read(platform, tmp_path, *parts), strict=True):
        table, key = ENTITIES[entity].table, ENTITIES[entity].key
        types = declared_types(places, table)
        names = [name for name in types if name not in ENTITIES[entity].never]
        where = f" WHERE {windowed(entity)}" if mode == "delta" else ""
        columns = ", ".join(f'"{name}"' for name in names)
        expected = platform.rows(f'SELECT {columns} FROM "{table}"{where}')
        assert found.names == names
        assert found.extracted.rows == len(found.rows) == len(expected), entity
        keys = [names.index(name) for name in key]

        def by_key(row: Any, keys: list[int] = keys) -> tuple[str, ...]:
            return tuple(str(row[index]) for index in keys)

        for got, row in zip(sorted(found.rows, key=by_key), sorted(expected, key=by_key), strict=True):
            for name, field, value in zip(names, got, row, strict=True):
                assert same(field, spelt(value, types[name])), (entity, name, field, value)
        rows += len(expected)
    assert len(entities) == (57 if mode == "snapshot" else len(entities))
    assert rows > 1000


def test_never_columns_are_in_no_file(platform: Place, tmp_path: Path) -> None:
    # VI-017
    guarded = [entity for entity in ENTITIES if ENTITIES[entity].never]
    assert guarded
    for found in read(platform, tmp_path, *(entity_part(entity, delta=False) for entity in ENTITIES)):
        assert b"never-" not in found.content


OPTIONS: list[dict[str, Any]] = [
    {},
    {"csv_field_separator": ";", "csv_text_row_separator": " ", "csv_date_format": "dd.MM.yyyy HH:mm"},
    {"csv_escape_char": "\\", "csv_line_end": "lf", "csv_date_format": "yyyy-MM-dd HH:mm:ss.SSSXXX"},
    {"csv_quote": "text", "csv_text_enclosure": "'", "csv_escape_char": "'", "csv_include_header": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options) or "defaults")
def test_the_same_data_gives_the_same_bytes_on_each_engine(
    places: dict[str, Place], tmp_path: Path, options: dict[str, Any]
) -> None:
    # VI-C13 VI-C14 VI-004
    """Whole tables come in each engine's own order, so their lines are sorted; deltas come by key on all.

    MariaDB has an order of its own for UUIDs, too.

    JSON is left out: PostgreSQL's `jsonb` has its own order of keys and spaces. So are numbers of no set
    scale: SQLite does not keep zeros at their end.
    """
    parts = []
    for delta in (False, True):
        for entity, settings in ENTITIES.items():
            types = declared_types(places, settings.table)
            different = [name for name, type_ in types.items() if type_ in ("JSON", "NUMERIC")]
            if settings.clock or not delta:
                parts.append(entity_part(entity, delta=delta, without=different, **options))
    found = {engine: read(place, tmp_path, *parts) for engine, place in places.items()}
    for part, reads in zip(parts, zip(*found.values(), strict=True), strict=True):
        assert part.table is not None
        types = declared_types(places, part.table.table)
        contents = [each.content for each in reads]
        if part.mode == "snapshot" or "UUID" in [types[name] for name in part.table.key]:
            contents = [b"".join(sorted(content.splitlines(keepends=True))) for content in contents]
        for engine, content in zip(found, contents, strict=True):
            assert content == contents[0], (part.key, engine)


# -- what breaks exports


COLUMNS = {
    "postgresql": (
        "id bigint PRIMARY KEY, txt text, num double precision, yes boolean, at timestamptz, "
        "plain timestamp, day date, price numeric(12,4), raw bytea, clock time"
    ),
    "sqlite": (
        "id BIGINT PRIMARY KEY, txt TEXT, num DOUBLE PRECISION, yes BOOLEAN, at TIMESTAMPTZ, "
        "plain TIMESTAMP, day DATE, price DECIMAL(12,4), raw BLOB, clock TIME"
    ),
    "mariadb": (
        "id bigint PRIMARY KEY, txt longtext CHARACTER SET utf8mb4, num double, yes boolean, "
        "at timestamp(6) NULL DEFAULT NULL, plain datetime(6), day date, price decimal(12,4), raw blob, "
        "clock time(6)"
    ),
}
NAMES = ("id", "txt", "num", "yes", "at", "plain", "day", "price", "raw", "clock")


def fill(place: Place, rows: list[dict[str, Any]], *, table: str = "t") -> None:
    """Makes the table and adds rows; what they do not name is NULL."""
    place.run(f"CREATE TABLE {table} ({COLUMNS[place.engine]})")
    add(place, rows, table=table)


def add(place: Place, rows: list[dict[str, Any]], *, table: str = "t") -> None:
    marks = ", ".join(["?" if place.engine == "sqlite" else "%s"] * len(NAMES))
    with place.connect() as connection:
        connection.cursor().executemany(
            f"INSERT INTO {table} VALUES ({marks})", [[row.get(name) for name in NAMES] for row in rows]
        )


def fields(found: Read, *names: str) -> list[tuple[str | None, ...]]:
    """Some columns, in the order of the first one's numbers."""
    at = [found.names.index(name) for name in names]
    return [tuple(row[index] for index in at) for row in sorted(found.rows, key=lambda row: int(row[0] or 0))]


def test_hostile_texts_come_out_as_they_went_in(empty: Place, tmp_path: Path) -> None:
    # VI-C03 VI-C05
    """Also NULL and the empty text, which differ, and marks that the engines' own ways might stumble over."""
    texts = [value for row in HOSTILE_ROWS for value in row]
    texts += ["\x1e", "\x1f", "a\x1e\x1fb", "\x1e" * 26, "I", "1.5", "", None, "x" * 300_000]
    fill(empty, [{"id": number, "txt": text} for number, text in enumerate(texts)])
    (found,) = read(empty, tmp_path, make_part())
    assert fields(found, "id", "txt") == [(str(number), text) for number, text in enumerate(texts)]


def test_values_are_spelt_alike_on_each_engine(empty: Place, tmp_path: Path) -> None:
    # VI-C13 VI-C14 VI-004
    """With a zone or without: both are UTC. The numbers are those that rounding would change."""
    numbers = [0.1 + 0.2, 1 / 3, 2 / 3 * 1e9, 1e-7, 5e-324, 1.7976931348623157e308, 1e22, -0.5, 4.0, 0.0]
    rows = [{"id": number, "num": value, "price": "-0.0500"} for number, value in enumerate(numbers)]
    instant = "2018-01-09 14:56:13.987654"
    values: dict[str, Any] = {
        "at": instant,
        "plain": instant,
        "day": "2018-01-09",
        "raw": b"\x00\xff'",
        "clock": "14:56:13.5",
        "price": "99999999.9999",
        "yes": True,
    }
    rows.append({"id": 10, **values})
    rows.append({"id": 11, "yes": False, "price": "100", "txt": "0012", "clock": "14:56:13"})
    fill(empty, rows)
    (found,) = read(empty, tmp_path, make_part())
    got = fields(found, *NAMES)
    assert [float(row[2] or "nan") for row in got[:10]] == numbers
    assert [row[2] for row in got[:2]] == ["0.30000000000000004", "0.3333333333333333"]
    assert {row[7] for row in got[:10]} == {"-0.0500"}
    date = "2018-01-09T14:56:13+0000"
    assert got[10] == (
        "10",
        None,
        None,
        "1",
        date,
        date,
        "2018-01-09",
        "99999999.9999",
        "00ff27",
        "14:56:13.5",
    )
    assert got[11] == ("11", "0012", None, "0", None, None, None, "100.0000", None, "14:56:13")


@pytest.mark.parametrize("column", ["at", "plain", "day"])
def test_a_window_holds_its_first_instant_and_not_its_end(empty: Place, tmp_path: Path, column: str) -> None:
    # VI-020 VI-023
    start, end = "2026-03-03", "2026-03-04"
    instants = {
        "2026-03-02 23:59:59.999999": False,
        f"{start} 00:00:00.000000": True,
        f"{start} 23:59:59.999999": True,
        f"{end} 00:00:00.000000": False,
    }
    if column == "day":
        instants = {"2026-03-02": False, start: True, end: False}
    fill(empty, [{"id": number, column: instant} for number, instant in enumerate(instants)])
    add(empty, [{"id": 99}])
    (found,) = read(empty, tmp_path, make_part(clock=[column]))
    wanted = [str(number) for number, inside in enumerate(instants.values()) if inside]
    assert [row[0] for row in found.rows] == wanted
    # The row without a date is in no delta, and reported.
    assert found.extracted.unplaced == 1
    assert found.extracted.late == 0


def test_microseconds_of_a_window_count(empty: Place, tmp_path: Path) -> None:
    # VI-023
    micro = dt.timedelta(microseconds=1)
    start = MIDNIGHT.replace(hour=5, minute=30)
    moments = [start - micro, start, start + micro, start + 2 * micro]
    fill(empty, [{"id": n, "at": f"{at:%Y-%m-%d %H:%M:%S.%f}"} for n, at in enumerate(moments)])
    (found,) = read(empty, tmp_path, make_part(clock=["at"], start=start, end=start + 2 * micro))
    assert [row[0] for row in found.rows] == ["1", "2"]


def test_the_greatest_clock_decides(empty: Place, tmp_path: Path) -> None:
    # VI-020
    before, inside, after = (f"2026-03-0{day} 12:00:00.000000" for day in (1, 3, 5))
    pairs = [
        (before, None),
        (inside, None),
        (None, inside),
        (before, inside),
        (inside, after),
        (inside, before),
        (None, None),
        (after, before),
    ]
    fill(empty, [{"id": n, "at": at, "plain": plain} for n, (at, plain) in enumerate(pairs)])
    (found,) = read(empty, tmp_path, make_part(clock=["at", "plain"]))
    assert [row[0] for row in found.rows] == ["1", "2", "3", "5"]
    assert found.extracted.unplaced == 1


def test_rows_committed_between_two_tables_are_not_seen(empty: Place, tmp_path: Path) -> None:
    # VI-019
    fill(empty, [{"id": 1}])
    fill(empty, [{"id": 1}], table="u")
    with empty.reading(tmp_path) as reading:
        first = reading.extract(make_part("t"))
        add(empty, [{"id": 2}])
        add(empty, [{"id": 2}], table="u")
        second, again = reading.extract(make_part("u")), reading.extract(make_part("t"))
    assert [row[0] for read_ in (first, second, again) for row in read_.rows] == ["1"] * 3
    (later,) = read(empty, tmp_path, make_part("u"))
    assert [row[0] for row in later.rows] == ["1", "2"]


def test_the_session_refuses_to_write(empty: Place, tmp_path: Path) -> None:
    # XX-06
    fill(empty, [])
    with empty.source()._engine.tables() as snapshot:
        statement = "INSERT INTO t (id) VALUES (7)"
        tables: Any = snapshot
        with pytest.raises((sqlite3.OperationalError, TerminalError), match=r"(?i)read.?only"):
            if empty.engine == "sqlite":
                tables._connection.execute(statement)
            else:
                tables._run(tables._rows("t", statement)) if empty.engine == "postgresql" else tables._rows(
                    "t", statement
                )
    assert empty.rows("SELECT count(*) FROM t") == [(0,)]


# -- refusals


def refusal(place: Place, folder: Path, part: Any, credentials: Credentials | None = None) -> OutfeedError:
    source = RelationalSource(place.source_url, credentials or place.credentials)
    with pytest.raises(OutfeedError) as caught, source.reading() as reader:
        Reading(reader, folder).extract(part)
    return caught.value


def test_a_missing_table_is_named(empty: Place, tmp_path: Path) -> None:
    # XX-05
    error = refusal(empty, tmp_path, make_part("nowhere"))
    assert (type(error), error.action) == (TerminalError, Action.ENGINEER)
    assert "nowhere" in error.what


def test_a_missing_column_is_named(empty: Place, tmp_path: Path) -> None:
    fill(empty, [])
    error = refusal(empty, tmp_path, make_part(columns=["vanished"]))
    assert (type(error), error.action) == (TerminalError, Action.ENGINEER)
    assert "t lacks the columns vanished" in error.what


def test_a_refused_table_does_not_harm_the_next_one(empty: Place, tmp_path: Path) -> None:
    fill(empty, [{"id": 1}])
    with empty.reading(tmp_path) as reading:
        with pytest.raises(TerminalError):
            reading.extract(make_part("nowhere"))
        assert [row[0] for row in reading.extract(make_part()).rows] == ["1"]


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_wrong_password_is_terminal_and_not_shown(
    places: dict[str, Place], tmp_path: Path, engine: str
) -> None:
    # XX-06
    place = places[engine]
    wrong = Credentials(login=place.credentials.login, password="not-the-secret")
    error = refusal(place, tmp_path, make_part(), wrong)
    assert (type(error), error.action) == (TerminalError, Action.OPERATOR)
    assert "not-the-secret" not in str(error)
    assert "login, password" in error.remedy


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_no_permission_names_the_table(places: dict[str, Place], tmp_path: Path, engine: str) -> None:
    place = places[engine]
    if engine == "mariadb":
        place.run(
            "CREATE OR REPLACE USER nobody IDENTIFIED BY 'x'", "GRANT SELECT ON tables.assets TO nobody"
        )
    else:
        place.run("DROP ROLE IF EXISTS nobody", "CREATE ROLE nobody LOGIN PASSWORD 'x'")
    error = refusal(
        place, tmp_path, entity_part("users", delta=False), Credentials(login="nobody", password="x")
    )
    assert (type(error), error.action) == (TerminalError, Action.OPERATOR)
    assert "users" in error.what
    assert "SELECT" in error.remedy


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_server_that_is_not_there_is_tried_again(engine: str, tmp_path: Path) -> None:
    from tests.servers.process import free_ports

    (port,) = free_ports(1)
    place = Place(engine, f"{engine}://somebody:x@127.0.0.1:{port}/nothing")
    error = refusal(place, tmp_path, make_part())
    assert (type(error), error.action) == (TransientError, Action.OPERATOR)
    assert str(port) in error.where


def test_a_missing_file_is_terminal(tmp_path: Path) -> None:
    error = refusal(Place("sqlite", f"sqlite:///{tmp_path}/none.db"), tmp_path, make_part())
    assert (type(error), error.action) == (TerminalError, Action.OPERATOR)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_killed_session_is_tried_again(places: dict[str, Place], tmp_path: Path, engine: str) -> None:
    """In the middle of a table: the reader has written some of it."""
    place = places[engine]
    killed: list[int] = []

    def kill(rows: int, count: int) -> None:
        if killed:
            return
        found = place.rows(SESSIONS[engine])
        killed.extend(number for (number,) in found)
        place.run(
            *(f"KILL {n}" if engine == "mariadb" else f"SELECT pg_terminate_backend({n})" for n in killed)
        )

    place.run("DROP TABLE IF EXISTS large", *LARGE[engine])
    with pytest.raises(TransientError), place.source().reading() as reader:
        reader.extract(make_part("large"), lambda name: (name, io.BytesIO()), kill)
    assert killed


SESSIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE application_name = 'outfeed'",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE id <> connection_id()",
}
LARGE = {
    "postgresql": [
        "CREATE TABLE large AS SELECT g AS id, repeat('x', 1000) AS txt FROM generate_series(1, 40000) g"
    ],
    "mariadb": [
        "CREATE TABLE large (id bigint PRIMARY KEY, txt text)",
        "INSERT INTO large SELECT seq, repeat('x', 1000) FROM seq_1_to_40000",
    ],
}


# -- SQLite, where a value may have any type


def sqlite_table(folder: Path, declaration: str, rows: list[tuple[Any, ...]]) -> Place:
    place = Place("sqlite", f"sqlite:///{folder}/odd.db")
    place.run(declaration)
    marks = ", ".join("?" * len(rows[0]))
    with place.connect() as connection:
        connection.executemany(f"INSERT INTO t VALUES ({marks})", rows)
    return place


def test_a_values_own_type_decides_how_it_is_written(tmp_path: Path) -> None:
    odd: list[Any] = [1, 1.5, "text, too", b"\x00\xff", None, "", 2**60, 0.1 + 0.2]
    kinds = (
        "a INTEGER, b BOOLEAN, c TEXT, d, e TIMESTAMP, f DECIMAL(9,2), g REAL, h UUID, i JSON, j BLOB, k DATE"
    )
    place = sqlite_table(
        tmp_path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {kinds})",
        [(number, *[value] * 11) for number, value in enumerate(odd)],
    )
    (found,) = read(place, tmp_path, make_part())
    rows = [dict(zip(found.names, row, strict=True)) for row in found.rows]
    assert set(rows[2].values()) == {"2", "text, too"}
    assert set(rows[3].values()) == {"3", "00ff"}
    assert set(rows[4].values()) == {"4", None}
    assert set(rows[5].values()) == {"5", ""}
    assert (rows[0]["f"], rows[1]["f"], rows[7]["f"]) == ("1.00", "1.50", "0.30000000000000004")
    assert [row["d"] for row in rows] == [
        "1",
        "1.5",
        "text, too",
        "00ff",
        None,
        "",
        str(2**60),
        repr(0.1 + 0.2),
    ]
    assert [row["a"] for row in rows] == [row["d"] for row in rows]
    assert rows[0]["e"] == "1"


@pytest.mark.parametrize(
    "declaration",
    [
        "CREATE TABLE t (id TEXT, at TIMESTAMP, PRIMARY KEY (id)) WITHOUT ROWID",
        "CREATE TABLE t (id TEXT PRIMARY KEY, _rowid_ TIMESTAMP)",
        "CREATE TABLE t (id TEXT PRIMARY KEY, at TIMESTAMP)",
    ],
)
def test_tables_with_and_without_rowids_agree(tmp_path: Path, declaration: str) -> None:
    """So do views, and dates as different programs write them."""
    dates = [
        "2026-03-03 12:00:00",
        "2026-03-03T12:00:00.000Z",
        "2026-03-03 12:00:00.5+00:00",
        "2026-03-03T14:00:00+02:00",
        "not a date",
        "2026-03-03",
        None,
    ]
    place = sqlite_table(tmp_path, declaration, [(f"k{n:02}", date) for n, date in enumerate(dates * 3)])
    place.run("CREATE VIEW v AS SELECT * FROM t")
    table, view = read(place, tmp_path, make_part("t"), make_part("v"))
    assert table.content == view.content
    noon = "2026-03-03T12:00:00+0000"
    assert [row[1] for row in table.rows[:7]] == [noon] * 4 + ["not a date", "2026-03-03", None]


def test_rowids_may_be_far_apart_and_negative(tmp_path: Path) -> None:
    ids = [-(2**63), -5, 0, 1, *range(100_000, 120_000), 2**63 - 1]
    place = sqlite_table(
        tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY, txt TEXT)", [(n, "x") for n in ids]
    )
    (found,) = read(place, tmp_path, make_part())
    assert [int(row[0] or "") for row in found.rows] == ids


def test_text_that_is_not_utf8_is_refused_without_showing_it(tmp_path: Path) -> None:
    # XX-06
    place = sqlite_table(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY, txt TEXT)", [(1, "x")])
    place.run("INSERT INTO t VALUES (2, CAST(x'70726976617465ff' AS TEXT))")
    error = refusal(place, tmp_path, make_part())
    assert isinstance(error, TerminalError)
    assert "t: " in error.what
    assert "private" not in str(error)


def test_clocks_with_a_letter_between_date_and_time(tmp_path: Path) -> None:
    # VI-023
    times = ["2026-03-03T00:00:00", "2026-03-03T05:29:59.9", "2026-03-03T05:30:00Z", "2026-03-03 05:29:59"]
    place = sqlite_table(
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP)",
        list(enumerate([*times, "soon", 5])),
    )
    end = dt.datetime(2026, 3, 3, 5, 30, tzinfo=dt.UTC)
    (found,) = read(place, tmp_path, make_part(clock=["at"], start=end - DAY, end=end))
    assert [row[0] for row in found.rows] == ["0", "1", "3"]
    assert found.extracted.unplaced == 2


def test_python_reads_the_same(platform: Place, tmp_path: Path) -> None:
    """Another reader than the one that the other tests use."""
    (found,) = read(platform, tmp_path, entity_part("assets", delta=False))
    rows = list(csv.reader(io.StringIO(found.content.decode(), newline=""), strict=True))
    assert rows == [found.names, *([value or "" for value in row] for row in found.rows)]
