"""A large table is read in ranges by two connections: the file and the counts are those of one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
import pytest

from outfeed.demo_data.platform_data import KnownAnswers, generate
from outfeed.sources import postgresql_tables
from tests.flow.night import Nights, config
from tests.flow.test_platform_data import END, TICK
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module")
def platform(postgres: PostgresServer) -> tuple[str, KnownAnswers]:
    """Views on many pages."""
    url = postgres.create_database("table_ranges")
    return url, generate(url, scale=20, days=3, end=END, seed=7)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    return tmp_path


def test_the_ranges_together_are_the_table(
    home: Path, platform: tuple[str, KnownAnswers], monkeypatch: pytest.MonkeyPatch
) -> None:
    # D37 XX-02
    url, known = platform
    nights = Nights(home, url, config(entities=["assets_views"], csv_line_end="lf"))
    path = nights.delivered / "assets_views" / "assets_views_2026_03_30.csv"
    nights.night(TICK)
    whole = path.read_bytes()
    with psycopg.connect(url) as connection:
        pages = connection.execute("SELECT pg_relation_size('assets_views') / 8192").fetchone()
    assert pages is not None
    assert pages[0] > 16, "each range has pages"

    monkeypatch.setattr(postgresql_tables, "_WORTH_SPLITTING", 0)
    run = nights.plan(TICK)
    assert nights.make(run) == [], "among them: as many rows as the source says"
    extracted = run.staging.result("extract", "snapshot/assets_views")
    assert extracted is not None
    assert len(extracted["segments"]) == 8
    assert extracted["rows"] == known.rows["assets_views"]
    staged = b"".join(run.staging.path(segment).read_bytes() for segment in extracted["segments"])
    assert staged == whole


def test_a_compressed_table_is_the_same_file_each_time(
    home: Path, platform: tuple[str, KnownAnswers], monkeypatch: pytest.MonkeyPatch
) -> None:
    # D37 XX-03
    url, _ = platform
    monkeypatch.setattr(postgresql_tables, "_WORTH_SPLITTING", 0)
    nights = Nights(home, url, config(entities=["assets_views"], compression="gzip"))
    digests = set()
    for _ in range(4):
        run = nights.plan(TICK)
        assert nights.make(run) == []
        extracted = run.staging.result("extract", "snapshot/assets_views")
        assert extracted is not None
        staged = b"".join(run.staging.path(segment).read_bytes() for segment in extracted["segments"])
        digests.add(hashlib.sha256(staged).hexdigest())
    assert len(digests) == 1
