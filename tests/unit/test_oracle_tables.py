"""Oracle's types and statements, with a stand-in for the driver: no Oracle server could be had.

What these tests can't show: that a server takes the statements, and gives the values that are assumed here.
"""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import oracledb
import pytest

from outfeed.connectors.base import Credentials
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError
from outfeed.formats.columns import Column, Kind
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.sources.engines import open_table_engine
from outfeed.sources.oracle_errors import explained
from outfeed.sources.oracle_tables import OracleTables
from outfeed.sources.server import Server
from outfeed.sources.tables import Delta, TableCopy
from outfeed.windows import Window

#: The driver's values have no zone.
NOW = dt.datetime.fromisoformat("2026-03-04 00:10:00.000005")
TYPES: list[tuple[str, str, int | None, int | None]] = [
    ("ID", "NUMBER", 19, 0),
    ("LIVE", "NUMBER", 1, 0),
    ("PRICE", "NUMBER", 12, 4),
    ("ANY_NUMBER", "NUMBER", None, None),
    ("SCORE", "BINARY_DOUBLE", None, None),
    ("TITLE", "VARCHAR2", None, None),
    ("NOTES", "CLOB", None, None),
    ("RAW_ID", "RAW", None, None),
    ("REGISTERED", "DATE", None, None),
    ("CREATED", "TIMESTAMP(6)", None, None),
    ("UPDATED", "TIMESTAMP(6) WITH TIME ZONE", None, None),
    ("SEEN", "TIMESTAMP(6) WITH LOCAL TIME ZONE", None, None),
    ("TERM", "INTERVAL DAY(2) TO SECOND(6)", None, None),
    ("PROPERTIES", "JSON", None, None),
]


class FakeCursor:
    """Answers by what a statement begins with, and remembers what was executed."""

    def __init__(self, connection: FakeConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.arraysize = 100
        self.prefetchrows = 2

    def __enter__(self) -> FakeCursor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, names: Any = None, **options: Any) -> FakeCursor:
        text = " ".join(statement.split())
        self._connection.executed.append((text, names, options))
        self._rows = next((rows for start, rows in self._connection.answers.items() if start in text), [])
        return self

    def fetchone(self) -> Any:
        return self._rows[0]

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchmany(self, size: int) -> list[Any]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken


class FakeConnection:
    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.executed: list[tuple[str, Any, Any]] = []
        self.answers = {"SYSTIMESTAMP": [(NOW,)], **answers}

    def cursor(self) -> FakeCursor:
        return FakeCursor(self)


SERVER = Server("oracle://db.example.com/PLATFORM", Credentials(login="reader", password="hidden"), 1521)


def opened(**answers: list[Any]) -> tuple[OracleTables, FakeConnection]:
    columns = [("SHOP", "ASSETS", *each) for each in TYPES]
    connection = FakeConnection({"all_tab_columns": columns, **answers})
    return OracleTables(connection, SERVER), connection


def copied(clock: tuple[str, ...] = (), rows: list[Any] | None = None) -> tuple[str, Any, FakeConnection]:
    tables, connection = opened(**{"count(*)": [(3,)], "ORDER BY": rows or []})
    connection.answers = {"count(*)": [(3,)], **connection.answers}
    columns = {column.name: column for column in tables.columns("assets")}
    window = Window(
        dt.datetime(2026, 3, 3, tzinfo=dt.UTC), dt.datetime(2026, 3, 4, 0, 0, 0, 1, tzinfo=dt.UTC)
    )
    delta = Delta(tuple(columns[name] for name in clock), window, None, 0) if clock else None
    wanted = TableCopy("assets", ("ID",), tuple(columns.values()), CsvDialect(), delta)
    stream = io.BytesIO()
    stream.close = lambda: None  # type: ignore[method-assign]
    done = tables.copy(wanted, lambda number: stream, lambda rows, count: None)
    return stream.getvalue().decode(), done, connection


def test_types_become_kinds() -> None:
    tables, _ = opened()
    found = {column.name: column for column in tables.columns("assets")}
    assert [column.kind for column in found.values()] == [
        *(Kind.INTEGER, Kind.INTEGER, Kind.DECIMAL, Kind.DECIMAL, Kind.FLOAT, Kind.TEXT, Kind.TEXT),
        *(Kind.BYTES, Kind.LOCAL, Kind.LOCAL, Kind.INSTANT, Kind.INSTANT, Kind.TEXT, Kind.JSON),
    ]
    assert found["PRICE"] == Column("PRICE", Kind.DECIMAL, 12, 4)
    assert tables.read_at == NOW.replace(tzinfo=dt.UTC)
    assert tables.state is None


def test_the_transaction_only_reads_and_begins_last() -> None:
    _, connection = opened()
    statements = [statement for statement, _, _ in connection.executed]
    assert statements[-1] == "SET TRANSACTION READ ONLY"
    assert "ALTER SESSION SET TIME_ZONE = '+00:00'" in statements


def test_rows_become_lines() -> None:
    moment = dt.datetime.fromisoformat("2026-03-03 12:00:00.999999")
    row = (
        *(Decimal(7), Decimal(1), Decimal("3.5"), Decimal("0.10"), 0.1 + 0.2, 'a "b"', None),
        *(b"\x00\xff", moment, moment, moment, moment, "+02 03:04:05", '{"a": 1}'),
    )
    text, done, connection = copied(rows=[row, (Decimal(8), *[None] * 13)])
    date = "2026-03-03T12:00:00+0000"
    assert text.splitlines()[1:] == [
        '7,1,3.5000,0.10,0.30000000000000004,"a ""b""",,00ff,'
        f'{",".join([date] * 4)},+02 03:04:05,"{{""a"": 1}}"',
        "8" + "," * 13,
    ]
    assert (done.rows, done.late, done.undated) == (2, 0, 0)
    statement, _, options = connection.executed[-1]
    assert statement.endswith('FROM "SHOP"."ASSETS" ORDER BY "ID"')
    assert 'SYS_EXTRACT_UTC(CAST("UPDATED" AS TIMESTAMP WITH TIME ZONE))' in statement
    assert options == {"fetch_lobs": False, "fetch_decimals": True}


def test_a_delta_compares_in_the_types_of_its_clocks() -> None:
    _, done, connection = copied(clock=("REGISTERED", "UPDATED"))
    statement = connection.executed[-1][0]
    assert "\"REGISTERED\" >= TO_DATE('2026-03-03 00:00:00', 'YYYY-MM-DD HH24:MI:SS')" in statement
    # No date has a fraction of a second, but the end has.
    assert "\"REGISTERED\" < TIMESTAMP'2026-03-04 00:00:00.000001'" in statement
    assert "\"UPDATED\" >= TIMESTAMP'2026-03-03 00:00:00.000000 +00:00'" in statement
    assert done.undated == 3


def test_a_table_that_nobody_sees() -> None:
    tables, connection = opened()
    connection.answers["all_tab_columns"] = []
    with pytest.raises(TerminalError, match="there is no table nowhere") as caught:
        tables.columns("nowhere")
    assert caught.value.action is Action.ENGINEER


def refused(message: str) -> oracledb.Error:
    """An error with the details that the driver gives."""
    return oracledb.DatabaseError(SimpleNamespace(message=message, full_code=message.partition(":")[0]))


@pytest.mark.parametrize(
    ("message", "class_", "action"),
    [
        ("ORA-01017: invalid username/password; logon denied", TerminalError, Action.OPERATOR),
        ("ORA-01031: insufficient privileges", TerminalError, Action.OPERATOR),
        ('ORA-00904: "X": invalid identifier', TerminalError, Action.ENGINEER),
        ("ORA-01555: snapshot too old", TransientError, Action.OPERATOR),
        ("DPY-4011: the database or network closed the connection", TransientError, Action.OPERATOR),
    ],
)
def test_errors_tell_whose_action_ends_them(message: str, class_: type[OutfeedError], action: Action) -> None:
    with pytest.raises(OutfeedError) as caught, explained(SERVER, "ASSETS"):
        raise refused(message)
    assert (type(caught.value), caught.value.action) == (class_, action)
    assert caught.value.what == f"ASSETS: {message}"


def test_an_unknown_error_shows_no_data() -> None:
    # XX-06
    with pytest.raises(TerminalError) as caught, explained(SERVER):
        raise refused("ORA-01722: invalid number 'private'")
    assert caught.value.what == "error ORA-01722"


def test_a_server_that_is_not_there_is_tried_again() -> None:
    """The real driver says so, without any server."""
    engine = open_table_engine("oracle://127.0.0.1:1/PLATFORM", Credentials(login="a", password="hidden"), 1)
    with pytest.raises(TransientError) as caught, engine.tables():
        pass
    assert "hidden" not in str(caught.value)
