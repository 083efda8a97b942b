"""Platform data from a real database to the customer's folder: files, names, sidecars, lists, failures."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from outfeed.config.catalogue import catalogue
from outfeed.demo_data.platform_data import KnownAnswers, generate
from outfeed.errors import Action, ConfigError, TerminalError
from outfeed.plan import Reason
from outfeed.planning import RunRequest, make_plan
from outfeed.windows import Window
from tests.flow.night import Nights, config
from tests.flow.user_stories import wrong_answers
from tests.servers.postgres import PostgresServer

END = dt.date(2026, 3, 30)
TICK = dt.datetime(2026, 3, 30, 0, 10, tzinfo=dt.UTC)

#: Every entity at one time of the day, also those that are off by default.
ALWAYS = {job: "10 0 * * *" for name, entity in catalogue().items() for job in entity.jobs(name)}


@pytest.fixture(scope="module")
def platform(postgres: PostgresServer) -> tuple[str, KnownAnswers]:
    """A generated platform that no test changes, and what is known of it."""
    url = postgres.create_database("platform_data")
    return url, generate(url, scale=2, days=3, end=END, seed=11)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    return tmp_path


def rows_of(content: bytes) -> list[list[str]]:
    """The rows of a CSV file, read by the standard library."""
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


def tables(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True)


def test_every_entity_is_delivered_and_answers_the_user_stories(
    home: Path, platform: tuple[str, KnownAnswers]
) -> None:
    # VI-001 VI-002 VI-007 VI-008 VI-009 VI-010 VI-012 VI-013 VI-014 VI-015 VI-016 VI-017 VI-018 VI-C11
    # VI-U01 VI-U02 VI-U03 VI-U04 VI-U05 VI-U06 VI-U07 VI-U08 VI-U09 VI-U10 VI-U11 VI-U12 VI-U13 VI-U14 VI-U15
    url, known = platform
    nights = Nights(home, url, config(schedules=ALWAYS))
    result = nights.night(TICK)["box"]

    snapshots = [f"{name}/{name}_2026_03_30.csv" for name in catalogue()]
    deltas = [
        f"{name}_delta/{name}_delta_2026_03_30.csv"
        for name, entity in catalogue().items()
        if entity.has_delta
    ]
    assert len(snapshots) == 57
    assert nights.paths() == sorted(snapshots + deltas)
    assert wrong_answers(known, nights.delivered, END) == []
    manifest = nights.manifest(result)
    rows = {entry["part"]: entry["rows"] for entry in manifest["files"]}
    for name, entity in catalogue().items():
        content = (nights.delivered / f"{name}/{name}_2026_03_30.csv").read_bytes()
        header, *body = rows_of(content)
        assert len(body) == rows[f"snapshot/{name}"] == known.rows[entity.table]
        assert not set(entity.never) & set(header)
        assert content.endswith(b"\r\n")
        assert b"never-" not in content
    assert manifest["entities"] == sorted(catalogue())
    subprocess.run(
        ["sha256sum", "-c", "--quiet", *(nights.delivered / "_outfeed").glob("*/*/SHA256SUMS")],
        cwd=nights.delivered,
        check=True,
    )


def test_a_delta_holds_the_rows_of_its_window(home: Path, platform: tuple[str, KnownAnswers]) -> None:
    # VI-020 VI-023 VI-C13 VI-C14
    url, _ = platform
    nights = Nights(home, url, config(schedules=ALWAYS))
    nights.night(TICK)
    with tables(url) as connection:
        for name, clock in (
            ("assets_views", "registered"),
            ("users", "greatest(registration_date, updated)"),
            ("products", "greatest(created, updated)"),
        ):
            found = connection.execute(
                f"SELECT count(*) FROM {name} WHERE {clock} >= '2026-03-29 00:00+00'"
                f" AND {clock} < '2026-03-30 00:00+00'"
            ).fetchone()
            delivered = rows_of((nights.delivered / f"{name}_delta/{name}_delta_2026_03_30.csv").read_bytes())
            assert found is not None
            assert len(delivered) - 1 == found[0] > 0, name
    # The generator puts rows on both bounds of each day.
    header, *views = rows_of(
        (nights.delivered / "assets_views_delta/assets_views_delta_2026_03_30.csv").read_bytes()
    )
    moments = [row[header.index("registered")] for row in views]
    assert min(moments) == "2026-03-29T00:00:00+0000"
    assert max(moments) == "2026-03-29T23:59:59+0000"


def test_schedules_are_groups_of_their_own(home: Path, platform: tuple[str, KnownAnswers]) -> None:
    # VI-026 VI-027 VI-031
    url, _ = platform
    changed = config(schedules={"assets": "40 6 * * *", "tags": "", "users": "40 6 * * *"})
    nights = Nights(home, url, changed)
    early = nights.plan(TICK)
    late = nights.plan(dt.datetime(2026, 3, 30, 6, 40, tzinfo=dt.UTC), cron="40 6 * * *")
    assert [part.key for part in late.plan.parts] == [
        "snapshot/assets",
        "delta/assets",
        "snapshot/users",
        "delta/users",
    ]
    assert late.plan.window == Window(
        dt.datetime(2026, 3, 29, 6, tzinfo=dt.UTC), dt.datetime(2026, 3, 30, 6, tzinfo=dt.UTC)
    ), "from the run's hour, a day back"
    keys = {part.subject for part in early.plan.parts}
    assert "tags" not in keys
    assert "assets" not in keys
    assert early.plan.delivery != late.plan.delivery


def test_delivery_lists_and_several_places(home: Path, platform: tuple[str, KnownAnswers]) -> None:
    # VI-005 VI-D01 VI-D07 VI-D16
    url, _ = platform
    places = [
        {"name": "box", "type": "local", "path": "acme", "delivery": "all"},
        {"name": "few", "type": "local", "path": "few", "delivery": "assets, TAGS"},
    ]
    nights = Nights(home, url, config(destinations=places))
    results = nights.night(TICK)
    few = {path.parent.name for path in (home / "delivered" / "few").rglob("*.csv")}
    assert few == {"assets", "assets_delta", "tags"}
    assert results["box"]["files"] > results["few"]["files"] == 3
    manifest = json.loads((home / "delivered" / "few" / results["few"]["manifest"]).read_bytes())
    assert manifest["entities"] == ["assets", "tags"]
    assert len(nights.paths()) == results["box"]["files"]
    # A schedule of which a place wants nothing has no task for it.
    audits = nights.plan(dt.datetime(2026, 3, 30, 0, 30, tzinfo=dt.UTC), cron="30 0 * * *")
    assert audits.plan.destinations == ("box",)


def test_sidecars_let_md5sum_check_in_place(home: Path, platform: tuple[str, KnownAnswers]) -> None:
    # VI-C08 VI-C09 VI-C10
    url, _ = platform
    nights = Nights(home, url, config(csv_md5="1", entities=["assets", "tags"]))
    nights.night(TICK)
    assert nights.paths() == [
        "assets/assets_2026_03_30.csv",
        "assets/assets_2026_03_30.csv.md5",
        "assets_delta/assets_delta_2026_03_30.csv",
        "assets_delta/assets_delta_2026_03_30.csv.md5",
        "tags/tags_2026_03_30.csv",
        "tags/tags_2026_03_30.csv.md5",
    ]
    checked = subprocess.run(
        ["md5sum", "-c", "assets_2026_03_30.csv.md5"],
        cwd=nights.delivered / "assets",
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout == "assets_2026_03_30.csv: OK\n"


def test_a_sidecar_that_a_killed_try_left_out_comes_with_the_next(
    home: Path, platform: tuple[str, KnownAnswers], monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-C08 XX-03
    url, _ = platform
    nights = Nights(home, url, config(csv_md5=1, entities=["tags"]))
    run = nights.plan(TICK)
    assert nights.make(run) == []

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("outfeed.steps.upload.deliver_sidecars", dies)
        nights.upload(run, "box")
    assert nights.paths() == ["tags/tags_2026_03_30.csv"]
    nights.upload(run, "box", "2-second")
    assert nights.paths() == ["tags/tags_2026_03_30.csv", "tags/tags_2026_03_30.csv.md5"]


def test_the_second_run_of_a_window_delivers_nothing_new_and_a_change_is_a_revision(
    home: Path, postgres: PostgresServer
) -> None:
    # XX-03 D27 VI-D10
    url = postgres.create_database("platform_revision")
    generate(url, scale=1, days=2, end=END, seed=3)
    nights = Nights(home, url, config(entities=["tags", "assets"], csv_md5=True))
    nights.night(TICK)
    assert nights.night(TICK)["box"]["outcome"] == "nothing-new"
    with tables(url) as connection:
        connection.execute("UPDATE tags SET name = name || '!' WHERE id = (SELECT min(id) FROM tags)")
    result = nights.night(TICK)["box"]
    assert (result["revision"], result["files"]) == (2, 1)
    assert "tags/tags_2026_03_30__r2.csv" in nights.paths()
    assert "tags/tags_2026_03_30__r2.csv.md5" in nights.paths()
    entries = {entry["path"]: entry for entry in nights.manifest(result)["files"]}
    assert entries["tags/tags_2026_03_30__r2.csv"]["supersedes"] == "tags/tags_2026_03_30.csv"
    assert entries["assets/assets_2026_03_30.csv"]["unchanged"]


def test_one_broken_entity_does_not_hold_up_the_others_and_is_retried_alone(
    home: Path, postgres: PostgresServer
) -> None:
    # XX-05
    url = postgres.create_database("platform_broken")
    generate(url, scale=1, days=2, end=END, seed=3)
    nights = Nights(home, url, config(entities=["tags", "assets", "platforms"]))
    with tables(url) as connection:
        connection.execute("ALTER TABLE assets RENAME TO assets_moved")
    run = nights.plan(TICK)
    (extracted,) = nights.make(run)
    assert isinstance(extracted, TerminalError)
    assert "there is no table assets" in str(extracted)
    assert extracted.action is Action.ENGINEER
    with pytest.raises(TerminalError, match="2 of 4 parts were not packaged"):
        nights.upload(run, "box")
    before = {path: (nights.delivered / path).stat().st_mtime_ns for path in nights.paths()}
    assert sorted(before) == ["platforms/platforms_2026_03_30.csv", "tags/tags_2026_03_30.csv"]
    assert not list((nights.delivered).rglob("_SUCCESS"))
    with tables(url) as connection:
        connection.execute("ALTER TABLE assets_moved RENAME TO assets")
        connection.execute("UPDATE tags SET name = 'changed since'")
    assert nights.make(run) == []
    assert nights.upload(run, "box", "2-second")["outcome"] == "delivered"
    after = {path: (nights.delivered / path).stat().st_mtime_ns for path in nights.paths()}
    assert before.items() < after.items(), "what was done is not redone"
    assert len(after) == 4


def test_columns_that_the_document_names_must_be_there(home: Path, postgres: PostgresServer) -> None:
    # VI-011
    url = postgres.create_database("platform_columns")
    generate(url, scale=1, days=1, end=END, seed=3)
    nights = Nights(home, url, config(entities=["categories"]))
    with tables(url) as connection:
        connection.execute("ALTER TABLE categories RENAME level_type TO kind")
    (failure,) = nights.make(nights.plan(TICK))
    assert "categories lacks the columns level_type" in str(failure)
    assert failure.action is Action.ENGINEER


def test_a_snapshot_of_the_past_is_left_out_or_marked(home: Path, platform: tuple[str, KnownAnswers]) -> None:
    # VI-019
    url, _ = platform
    now = dt.datetime(2026, 4, 2, 9, tzinfo=dt.UTC)
    nights = Nights(home, url, config(entities=["assets", "tags"]))
    run = nights.plan(TICK, now=now)
    assert [part.key for part in run.plan.parts] == ["delta/assets"]
    assert run.plan.omitted == {
        "snapshot/assets": "a snapshot can't be taken in the past",
        "snapshot/tags": "a snapshot can't be taken in the past",
    }
    assert nights.make(run) == []
    manifest = nights.manifest(nights.upload(run, "box"))
    assert manifest["omitted"] == run.plan.omitted

    with pytest.raises(ConfigError, match="nothing can be delivered"):
        nights.plan(TICK, now=now, subjects=["tags"])

    nights = Nights(home, url, config(entities=["tags"], backfilled_snapshot="today"))
    result = nights.night(TICK, now=now)["box"]
    assert "tags/tags_2026_03_30_as_of_2026_04_02.csv" in nights.paths()
    (entry,) = nights.manifest(result)["files"]
    assert dt.datetime.fromisoformat(entry["read_at"]) > dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def test_a_window_of_ones_own_does_not_look_like_a_correction(
    home: Path, platform: tuple[str, KnownAnswers]
) -> None:
    # D27
    url, _ = platform
    nights = Nights(home, url, config(entities=["assets"], data_delta_days=2))
    daily = nights.plan(TICK)
    assert daily.plan.window.span == dt.timedelta(days=2)  # VI-021
    assert [part.data_path("portable") for part in daily.plan.parts] == [
        "assets/assets_2026_03_30.csv",
        "assets_delta/assets_delta_2026_03_30.csv",
    ]
    window = Window(TICK - dt.timedelta(days=9), TICK)
    asked = RunRequest("acme", nights.schedule("10 0 * * *"), window, "own", Reason.MANUAL, TICK)
    (part,) = make_plan(nights.config, asked).parts
    assert part.data_path("portable") == (
        "assets_delta/assets_delta_2026_03_30_from_20260321T001000Z_to_20260330T001000Z.csv"
    )


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_files_hold_the_same(
    home: Path, platform: tuple[str, KnownAnswers], compression: str
) -> None:
    url, _ = platform
    plain = Nights(home, url, config(entities=["assets"]))
    plain.night(TICK)
    packed = Nights(
        home,
        url,
        config(
            entities=["assets"],
            compression=compression,
            csv_md5=True,
            destinations=[{"name": "packed", "type": "local", "path": "packed"}],
        ),
    )
    result = packed.night(TICK)["packed"]
    suffix = {"gzip": ".gz", "zstd": ".zst"}[compression]
    file = home / "delivered" / "packed" / "assets" / f"assets_2026_03_30.csv{suffix}"
    content = gzip.decompress(file.read_bytes()) if compression == "gzip" else _unzstd(file)
    assert content == (plain.delivered / "assets" / "assets_2026_03_30.csv").read_bytes()
    assert subprocess.run(["md5sum", "-c", f"{file.name}.md5"], cwd=file.parent, check=False).returncode == 0
    assert result["files"] == 2


def _unzstd(file: Path) -> bytes:
    import pyarrow

    with pyarrow.input_stream(str(file), compression="zstd") as stream:
        content: bytes = stream.read()
    return content


def test_parquet_has_the_source_s_types(home: Path, platform: tuple[str, KnownAnswers]) -> None:
    url, known = platform
    nights = Nights(
        home, url, config(entities=["assets", "users_access"], format="parquet", schedules=ALWAYS)
    )
    nights.night(TICK)
    file = nights.delivered / "assets" / "assets_2026_03_30.parquet"
    types = dict(
        duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM '{file}')").fetchall()
    )
    assert types["id"] == "BIGINT"
    assert types["created"] == "TIMESTAMP WITH TIME ZONE"
    assert types["live"] == "BOOLEAN"
    assert types["title"] == "VARCHAR"
    assert types["rating"].startswith(("DECIMAL", "DOUBLE"))
    with tables(url) as connection:
        wanted = connection.execute("SELECT id, title, description, live FROM assets ORDER BY id").fetchall()
    found = duckdb.sql(f"SELECT id, title, description, live FROM '{file}' ORDER BY id").fetchall()
    assert found == wanted
    assert len(found) == known.rows["assets"]
