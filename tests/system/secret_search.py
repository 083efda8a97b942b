"""Finds a secret in what an installation leaves behind, however it was written there."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus


def forms(secret: str) -> set[bytes]:
    """How a secret may stand in a log, a URL, a header, a JSON document, a Python text or a page."""
    escaped = json.dumps(secret)[1:-1]
    texts = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(escaped)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
    }
    return {text.encode() for text in texts} | set(_base64(secret.encode()))


def _base64(secret: bytes) -> Iterator[bytes]:
    """Wherever it begins in what was encoded; the first and the last character hold neighbours' bits."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret).rstrip(b"=")
        core = encoded[-(-before * 8 // 6) : -1]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def found_in(places: Iterable[tuple[str, bytes]], secrets: Mapping[str, str]) -> list[str]:
    """Where which secret stands; never the secret itself."""
    wanted = {name: forms(secret) for name, secret in secrets.items()}
    return [
        f"{name} in {place}"
        for place, content in places
        for name, ways in wanted.items()
        if any(way in content for way in ways)
    ]


def files_below(folder: Path, *, without: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Each file by its path; one that goes meanwhile is none."""
    left_out = set(without)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file not in left_out:
            yield str(file.relative_to(folder)), file.read_bytes()


def rows_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Each value of each table of a PostgreSQL database, by the table's and the column's name."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for schema, table in tables:
            cursor = connection.execute(
                sql.SQL("SELECT * FROM {}.{}").format(sql.Identifier(schema), sql.Identifier(table))
            )
            names = [column.name for column in cursor.description or ()]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    yield f"{table}.{name}", _bytes(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False).encode()
    return str(value).encode()
