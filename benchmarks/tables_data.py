"""The table that exports are measured with, filled by the database itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.servers.postgres import PostgresServer

#: Twelve columns of mixed types, about 206 bytes of CSV: commas, quotes, LF, CRLF, non-ASCII, NULL and ''.
NAME = "media"
DDL = f"""
    CREATE TABLE {NAME} (
        id bigint NOT NULL, account_id integer NOT NULL, title text, note text, city text NOT NULL,
        amount numeric(12,4), ratio double precision, active boolean NOT NULL,
        created timestamptz NOT NULL, changed timestamp, day date, reference uuid NOT NULL
    )
"""
_ROWS = """
    SELECT n,
           (n * 7919 % 250007)::int,
           CASE n % 5 WHEN 0 THEN 'Série "' || n % 977 || '", saison ' || n % 9
                WHEN 1 THEN 'Plain title ' || n
                WHEN 2 THEN 'a, b, c; ' || n % 10007 WHEN 3 THEN '' ELSE NULL END,
           CASE n % 7 WHEN 0 THEN NULL WHEN 1 THEN 'first line' || chr(10) || 'second line of ' || n
                WHEN 2 THEN 'he said "no, thanks"' || chr(13) || chr(10) || 'and left, ' || md5(n::text)
                WHEN 3 THEN 'nothing that needs an enclosure, but a comma ' || md5(n::text)
                ELSE 'words without anything special in them at all ' || md5(n::text) END,
           (ARRAY['Zürich', 'København', 'São Paulo', '東京', 'Łódź', 'Paris', 'New York'])[1 + n % 7],
           CASE WHEN n % 11 = 0 THEN NULL ELSE (n * 104729 % 100000000)::numeric / 10000 END,
           CASE WHEN n % 13 = 0 THEN NULL ELSE sqrt(n::float8) END,
           n % 3 = 0,
           timestamptz '2024-01-01 00:00:00+00' + n * interval '9.87654 second',
           CASE WHEN n % 4 = 0 THEN NULL ELSE timestamp '2025-01-01' + n * interval '1.5 second' END,
           CASE WHEN n % 17 = 0 THEN NULL ELSE date '2000-01-01' + (n % 9000)::int END,
           md5(n::text)::uuid
    FROM generate_series({first}::bigint, {last}::bigint) AS n
"""


def filled(server: PostgresServer, rows: int) -> str:
    """A database whose table `NAME` has so many rows; returns its URL."""
    import psycopg

    database = f"tables_{rows}"
    url = server.create_database(database)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DDL)
        connection.execute(f"INSERT INTO {NAME} {_ROWS.format(first=1, last=rows)}")
        connection.execute(f"ALTER TABLE {NAME} ADD PRIMARY KEY (id)")
        # Peers read by one connection: so do the references and we but for the ranges that we make.
        for setting in ("max_parallel_workers_per_gather = 0", "jit = off", "synchronize_seqscans = off"):
            connection.execute(f"ALTER DATABASE {database} SET {setting}")
        connection.execute("VACUUM (ANALYZE, FREEZE)")
        connection.execute("CHECKPOINT")
    return url


#: As SQLite declares it; dates are texts as PostgreSQL writes them in UTC.
_SQLITE_DDL = f"""
    CREATE TABLE {NAME} (
        id BIGINT PRIMARY KEY, account_id INTEGER NOT NULL, title TEXT, note TEXT, city TEXT NOT NULL,
        amount DECIMAL(12,4), ratio DOUBLE PRECISION, active BOOLEAN NOT NULL,
        created TIMESTAMPTZ NOT NULL, changed TIMESTAMP, day DATE, reference UUID NOT NULL
    )
"""
_AS_TEXTS = (
    "id, account_id, title, note, city, amount::text, ratio, active::int, created::text, changed::text,"
    " day::text, reference::text"
)


def filled_sqlite(url: str, path: Path) -> None:
    """Makes a SQLite file of the table in a database that `filled` made."""
    import psycopg

    with (
        psycopg.connect(url, options="-c timezone=UTC") as source,
        closing(sqlite3.connect(path, isolation_level=None)) as target,
        source.cursor(name="rows") as cursor,
    ):
        cursor.itersize = 5000
        cursor.execute(f"SELECT {_AS_TEXTS} FROM {NAME} ORDER BY id".encode())
        target.execute("PRAGMA synchronous = OFF")
        target.execute(_SQLITE_DDL)
        target.execute("BEGIN")
        target.executemany(f"INSERT INTO {NAME} VALUES ({', '.join('?' * 12)})", cursor)
        target.execute("COMMIT")
