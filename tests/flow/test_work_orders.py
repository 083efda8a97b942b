"""Extraction of work orders, the same on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from outfeed.connectors.base import Credentials
from outfeed.demo_data import amend, generate
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError
from outfeed.sources import open_source, postgresql
from tests.flow.platform import (
    END,
    MICROSECOND,
    NOON,
    OTHER_SITE,
    SITE,
    START,
    STATES,
    TIMELINE,
    Platform,
    make_part,
    text,
    uuid,
)
from tests.servers.postgres import PostgresServer

REPAIRED = Path(__file__).parents[1] / "data" / "work_order_repaired.json"

_databases = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Platform:
    """An empty platform on each engine."""
    if request.param == "sqlite":
        return Platform(f"sqlite:///{tmp_path}/platform.db", tmp_path)
    return on_postgresql(request.getfixturevalue("postgres"), tmp_path)


@pytest.fixture
def pg(postgres: PostgresServer, tmp_path: Path) -> Platform:
    """An empty platform on PostgreSQL."""
    return on_postgresql(postgres, tmp_path)


def on_postgresql(server: PostgresServer, folder: Path) -> Platform:
    return Platform(server.create_database(f"work_orders_{next(_databases)}"), folder)


# -- which orders


def test_the_window_is_half_open_to_the_microsecond(platform: Platform) -> None:
    # DX-100 D30 XX-02
    for number, instant in enumerate([START - MICROSECOND, START, NOON, END - MICROSECOND, END]):
        platform.order(uuid(number), created=START - dt.timedelta(days=90), updated=instant)
        platform.order(uuid(10 + number), created=instant)
    expected = [uuid(1), uuid(11), uuid(2), uuid(12), uuid(3), uuid(13)]
    assert platform.extract().ids == expected
    assert platform.extract(make_part(STATES)).ids == expected


def test_consecutive_windows_share_nothing_and_lose_nothing(platform: Platform) -> None:
    # DX-066 XX-02
    seconds = dt.timedelta(seconds=1)
    for number in range(20):
        platform.order(uuid(number), updated=START + number * seconds)
    bounds = [START, START + 7 * seconds, START + 8 * seconds, START + 20 * seconds]
    parts = [make_part(start=start, end=end) for start, end in itertools.pairwise(bounds)]
    found = [platform.extract(part).ids for part in parts]
    assert [id_ for ids in found for id_ in ids] == [uuid(number) for number in range(20)]
    assert [len(ids) for ids in found] == [7, 1, 12]


def test_an_updated_order_brings_all_its_analyses(platform: Platform) -> None:
    # DX-101
    order = platform.order(uuid(1), created=START - dt.timedelta(days=400), updated=NOON)
    item = platform.item(order)
    old = platform.input(
        item, uuid(11), created=START - dt.timedelta(days=400), analysed=START - dt.timedelta(days=400)
    )
    platform.job(old, task_name="old", analyzed_value="true")
    platform.input(item, uuid(12), created=END + dt.timedelta(days=3))
    (record,) = platform.extract().records
    assert [entry["id"] for entry in record["work_items"][0]["input"]] == [uuid(11), uuid(12)]
    assert record["work_items"][0]["input"][0]["job_conformity"][0]["task_name"] == "old"


def test_sites_never_mix(platform: Platform) -> None:
    # DX-103 XX-07
    platform.order(uuid(1), updated=NOON)
    platform.order(uuid(2), updated=NOON, site_id=OTHER_SITE)
    platform.order(uuid(3), updated=NOON, site_id=SITE.upper())
    assert platform.extract().ids == [uuid(1)]
    assert platform.extract(make_part(site_id=OTHER_SITE)).ids == [uuid(2)]


def test_a_late_row_is_in_the_next_reading_of_its_window(platform: Platform) -> None:
    platform.order(uuid(1), updated=NOON)
    first = platform.extract()
    assert platform.extract().content == first.content
    platform.order(uuid(2), updated=NOON - MICROSECOND)
    assert platform.extract().ids == [uuid(2), uuid(1)]


def test_records_that_no_site_can_claim_are_counted(platform: Platform) -> None:
    # D36
    platform.order(uuid(1), updated=NOON)
    platform.order(uuid(2), updated=NOON, site_id=None)
    platform.order(uuid(3), created=START, site_id=None)
    platform.order(uuid(4), updated=END, site_id=None)
    platform.order(uuid(5))
    platform.order(uuid(6), site_id=None)
    platform.order(uuid(7), site_id=OTHER_SITE)
    staged = platform.extract()
    assert staged.ids == [uuid(1)]
    assert staged.extracted.unplaced == 4


# -- in which order


def test_lines_are_in_the_order_of_update_and_id(platform: Platform) -> None:
    # D37
    for id_, instant in [
        ("b", NOON),
        ("B", NOON),
        (None, NOON),
        ("a", NOON),
        ("z", START),
        ("é", NOON),
        ("~", NOON),
    ]:
        platform.order(id_, updated=instant)
    platform.order("a", created=NOON, name="second of the same id")
    staged = platform.extract()
    assert staged.ids == ["z", None, "B", "a", "a", "b", "~", "é"]
    assert [record["name"] for record in staged.records if record["id"] == "a"] == [
        None,
        "second of the same id",
    ]


def test_children_are_in_a_fixed_order(platform: Platform) -> None:
    # D37
    order = platform.order(uuid(1), updated=NOON)
    second, first = platform.item(order, position=2), platform.item(order, position=1)
    third = platform.item(order, position=2, id=uuid(900))
    for id_, created in [("d", None), ("b", NOON), ("a", NOON), (None, NOON), ("c", START), (None, None)]:
        entry = platform.input(first, id_, created=created)
        for position in (2, 0, 1):
            platform.check(entry, position, check=f"check {position}")
            platform.job(entry, position, task_name=f"task {position}")
    (record,) = platform.extract().records
    assert [item["id"] for item in record["work_items"]] == [uuid(first), uuid(second), uuid(900)]
    assert third
    inputs = record["work_items"][0]["input"]
    assert [entry["id"] for entry in inputs] == ["c", "a", "b", None, "d", None]
    for entry in inputs:
        assert [check["check"] for check in entry["data_conformity"]] == ["check 0", "check 1", "check 2"]
        assert [job["task_name"] for job in entry["job_conformity"]] == ["task 0", "task 1", "task 2"]


# -- states


@pytest.mark.parametrize(
    ("inputs", "last"),
    [
        ([("a", START), ("b", NOON), ("c", START)], "b"),
        ([("a", NOON), ("b", NOON + MICROSECOND)], "b"),
        ([("b", NOON), ("a", NOON), ("c", NOON)], "a"),  # ties by id
        ([("a", None), ("b", START), ("c", None)], "b"),  # a date wins over none
        ([("b", None), ("a", None)], "a"),
        ([(None, NOON), ("z", NOON)], "z"),
        ([("z", START), (None, NOON)], None),
    ],
)
def test_states_hold_the_last_input_of_each_work_item(
    platform: Platform, inputs: list[tuple[str | None, dt.datetime | None]], last: str | None
) -> None:
    # DX-104 DX-105 D16
    order = platform.order(uuid(1), updated=NOON)
    item, empty = platform.item(order, position=0), platform.item(order, position=1)
    for id_, created in inputs:
        platform.input(item, id_, created=created)
    (record,) = platform.extract(make_part(STATES)).records
    assert [[entry["id"] for entry in found["input"]] for found in record["work_items"]] == [[last], []]
    assert record["work_items"][1]["id"] == uuid(empty)
    (timeline,) = platform.extract().records
    assert len(timeline["work_items"][0]["input"]) == len(inputs)
    kept = [entry for entry in timeline["work_items"][0]["input"] if entry["id"] == last]
    assert record["work_items"][0]["input"] == kept


# -- what a record says


def test_the_documents_example_survives_the_export(platform: Platform) -> None:
    # DX-131 DX-146 DX-152 DX-153 D6
    document = json.loads(REPAIRED.read_text())
    load(platform, document)
    window = make_part(
        start=dt.datetime(2025, 3, 19, tzinfo=dt.UTC), end=dt.datetime(2025, 3, 20, tzinfo=dt.UTC)
    )
    staged = platform.extract(window)
    assert staged.content == json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    assert b'"analyzed_value":0.0,' in staged.content
    assert b'"create_date":"2025-03-19T14:21:40.105568+00:00"' in staged.content


def load(platform: Platform, document: dict[str, Any]) -> None:
    """Puts a record of the contract into the platform's tables."""
    instant = dt.datetime.fromisoformat
    order = platform.order(
        document["id"],
        created=instant(document["create_date"]),
        updated=instant(document["update_date"]),
        site_id=document["site_id"],
        name=document["name"],
        metadata=json.dumps(document["metadata"], separators=(",", ":")),
        progress_score=document["progress_score"],
    )
    for number, item in enumerate(document["work_items"]):
        item_pk = platform.item(order, item["name"], number, item["id"])
        for entry in item["input"]:
            input_pk = platform.input(
                item_pk,
                entry["id"],
                created=instant(entry["create_date"]),
                extension=entry["file_extension"],
                metadata=json.dumps(entry["metadata"], separators=(",", ":")),
            )
            for position, job in enumerate(entry["job_conformity"]):
                values = {key: json.dumps(job[key]) for key in ("analyzed_value", "corrected_value")}
                platform.job(input_pk, position, **{**job, **values})


def test_missing_values_are_null_and_missing_children_are_empty_lists(platform: Platform) -> None:
    # D2 D4 D5 D6
    order = platform.order(None, updated=NOON)
    platform.input(platform.item(order), None, created=None, extension=None)
    platform.execute("UPDATE work_item SET id = NULL, name = NULL")
    assert platform.extract().content == (
        b'{"id":null,"name":null,"site_id":"433a60f6-9756-473e-b1e9-9e89e24bb787","create_date":null,'
        b'"update_date":"2025-03-16T12:00:00.000000+00:00","metadata":null,"progress_score":null,'
        b'"work_items":[{"id":null,"name":null,"input":[{"id":null,"create_date":null,"file_extension":null,'
        b'"metadata":null,"data_conformity":[],"job_conformity":[]}]}]}\n'
    )


def test_values_pass_through_unchanged(platform: Platform) -> None:
    # DX-137 DX-146 DX-147 DX-150 D6
    metadata = '{"b":1.10,"a":[1e2,0.0,-0,true,null,"\\u00e9\\n"],"a":{}}'
    order = platform.order(uuid(1), updated=NOON, metadata=metadata, progress_score="0.50")
    entry = platform.input(platform.item(order), uuid(2), metadata="[]")
    values = ["0.0", "true", "false", "null", '"UNAVAILABLE"', "-1.50e-3", "12345678901234567890", None]
    for position, value in enumerate(values):
        job = {"analyzed_value": value, "corrected_value": value, "corrected_date": text(NOON)}
        platform.job(entry, position, is_conformity_validated=[True, False, None][position % 3], **job)
    line = platform.extract().content.decode()
    assert f'"metadata":{metadata},"progress_score":0.50,' in line
    for value in values:
        assert f'"analyzed_value":{value or "null"},"corrected_value":{value or "null"},' in line
    assert '"corrected_date":"2025-03-16T12:00:00.000000+00:00"' in line
    jobs = json.loads(line)["work_items"][0]["input"][0]["job_conformity"]
    assert [job["is_conformity_validated"] for job in jobs][:4] == [True, False, None, True]


def test_text_is_escaped_and_stays_what_it_was(platform: Platform) -> None:
    # DX-013 DX-102 D11
    rng = random.Random(7)
    names = [chr(code) for code in range(1, 0x180)]
    names += [
        '"',
        "\\",
        '\\"',
        "\\.",
        "line\nfeed\r\n\ttab",
        "🛠 𝔘",
        "\u2028\u2029\ufeff",
        "'; DROP TABLE x;--",
        "%s :x",
    ]
    names += [
        "".join(
            chr(rng.choice([rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x110000)])) for _ in range(8)
        )
        for _ in range(200)
    ]
    order = platform.order(uuid(1), updated=NOON, name=names[0])
    entry = platform.input(platform.item(order), uuid(2))
    for position, name in enumerate(names):
        platform.job(entry, position, task_name=name, message=name)
        platform.check(entry, position, check=name, level=name)
    staged = platform.extract()
    assert staged.content.count(b"\n") == 1
    (found,) = staged.records[0]["work_items"][0]["input"]
    assert [job["task_name"] for job in found["job_conformity"]] == names
    assert [job["message"] for job in found["job_conformity"]] == names
    assert [check["check"] for check in found["data_conformity"]] == names


def test_raw_line_breaks_in_json_become_spaces(platform: Platform) -> None:
    # DX-013 DX-102
    platform.order(uuid(1), updated=NOON, metadata='{\n\t"a":\r\n"x\\ny"}')
    platform.order(uuid(2), updated=NOON)
    staged = platform.extract()
    assert len(staged.records) == 2
    assert b'"metadata":{ \t"a":  "x\\ny"}' in staged.content
    assert staged.records[0]["metadata"] == {"a": "x\ny"}


def test_a_date_without_end_is_written_out_and_not_lost(pg: Platform) -> None:
    # DX-148: the contract rejects it
    entry = pg.input(pg.item(pg.order(uuid(1), updated=NOON)), uuid(2))
    pg.job(entry, task_name="t", corrected_date="infinity")
    assert b'"corrected_date":"infinity"' in pg.extract().content


def test_codes_are_numbers_or_null_and_the_rest_is_counted(platform: Platform) -> None:
    # DX-140 D3
    codes = ["101", "-4", "1.50", "1e3", "E-BLUR", "0x1F", "NaN", "", "true", "01", "1.", None]
    order = platform.order(uuid(1), updated=NOON)
    entry = platform.input(platform.item(order), uuid(2))
    for position, code in enumerate(codes):
        platform.check(entry, position, code=code)
    other = platform.input(platform.item(platform.order(uuid(3), updated=END)), uuid(4))
    platform.check(other, code="not in the window")
    staged = platform.extract()
    checks = staged.records[0]["work_items"][0]["input"][0]["data_conformity"]
    assert [check["code"] for check in checks] == [101, -4, 1.5, 1000.0] + [None] * 8
    assert b'"code":1.50,' in staged.content
    assert staged.extracted.noticed == {"data_conformity code is no number: exported as null": 7}


def test_extensions_are_lower_case_with_their_dot(platform: Platform) -> None:
    # DX-136 D9
    given = [".png", "png", ".JPG", "PDF", ".tar.gz", "", None]
    item = platform.item(platform.order(uuid(1), updated=NOON))
    for number, extension in enumerate(given):
        platform.input(item, uuid(number), extension=extension)
    staged = platform.extract(make_part(images=True))
    entries = staged.records[0]["work_items"][0]["input"]
    assert [entry["file_extension"] for entry in entries] == [
        ".png",
        ".png",
        ".jpg",
        ".pdf",
        ".tar.gz",
        "",
        None,
    ]
    assert staged.images == [
        f"{uuid(n)}{e}" for n, e in enumerate([".png", ".png", ".jpg", ".pdf", ".tar.gz"])
    ]


# -- images


def test_images_are_those_analysed_in_the_window(platform: Platform) -> None:
    # DX-106 D15
    item = platform.item(platform.order(uuid(1), updated=START - dt.timedelta(days=9)))
    for number, instant in enumerate([START - MICROSECOND, START, NOON, END - MICROSECOND, END, None]):
        platform.input(item, uuid(number), created=START - dt.timedelta(days=9), analysed=instant)
    elsewhere = platform.item(platform.order(uuid(2), updated=NOON, site_id=OTHER_SITE))
    platform.input(elsewhere, uuid(20))
    platform.input(item, None)
    staged = platform.extract(make_part(images=True))
    assert staged.ids == []
    assert staged.images == [f"{uuid(number)}.png" for number in (1, 2, 3)]
    assert platform.extract(make_part(STATES, images=True)).extracted.images is None
    assert platform.extract(make_part(images=False)).extracted.images is None


# -- both engines, any number of connections


@pytest.mark.parametrize("mode", [TIMELINE, STATES])
def test_the_bytes_are_the_same_on_both_engines_and_however_many_connections_read(
    pg: Platform, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-02 D37
    monkeypatch.setattr(postgresql, "_WORTH_SPLITTING", 10)
    end = dt.date(2025, 3, 18)
    lite = Platform(f"sqlite:///{tmp_path}/lite.db", tmp_path)
    for platform in (lite, pg):
        generate(platform.url, None, sites=[SITE, OTHER_SITE], orders_per_day=150, days=3, end=end, seed=5)
    part = make_part(mode, images=True, start=START - dt.timedelta(days=1), end=END + dt.timedelta(hours=3))
    reference = lite.extract(part)
    whole = pg.extract(part, max_parallel=1)
    assert len(whole.extracted.segments) == 1
    assert whole.content == reference.content
    assert len(reference.ids) > 200
    for max_parallel in (2, 3):
        split = pg.extract(part, max_parallel=max_parallel)
        assert len(split.extracted.segments) == 4 * max_parallel
        assert split.content == reference.content
        assert split.extracted.noticed == reference.extracted.noticed
        assert split.extracted.unplaced == reference.extracted.unplaced
        if mode == TIMELINE:
            assert split.images == reference.images


def test_orders_of_one_instant_stay_in_one_piece(pg: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_WORTH_SPLITTING", 1)
    for number in range(9):
        pg.order(uuid(number), updated=NOON)
    staged = pg.extract()
    assert staged.ids == [uuid(number) for number in range(9)]
    assert len(staged.extracted.segments) <= 2


def test_all_connections_see_one_snapshot(pg: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    # XX-02
    monkeypatch.setattr(postgresql, "_WORTH_SPLITTING", 10)
    for number in range(40):
        pg.order(uuid(number), updated=NOON + number * MICROSECOND)
    before = pg.extract().content

    def disturb() -> None:
        pg.order(uuid(99), updated=NOON)
        pg.execute("UPDATE work_order SET name = 'changed meanwhile'")

    staged = extract_with(pg, once(disturb))
    assert staged == before
    assert b"changed meanwhile" in pg.extract().content


def extract_with(platform: Platform, hook: Callable[[], None]) -> bytes:
    """Extracts, calling `hook` each time that a staged file is opened."""

    def open_staged(name: str) -> tuple[str, BinaryIO]:
        hook()
        return platform.open_staged(name)

    extracted = platform.source().extract(make_part(), open_staged, lambda rows, count: None)
    return b"".join(Path(segment).read_bytes() for segment in extracted.segments)


def once(action: Callable[[], None]) -> Callable[[], None]:
    """Acts at the first call; calls from other threads wait until that is done."""
    lock, calls = threading.Lock(), itertools.count()

    def call() -> None:
        with lock:
            if next(calls) == 0:
                action()

    return call


def test_an_amended_day_gives_other_bytes_in_the_same_window(platform: Platform) -> None:
    # D27
    generate(platform.url, None, sites=[SITE], orders_per_day=30, days=1, end=END.date(), seed=1)
    for mode in (TIMELINE, STATES):
        before = platform.extract(make_part(mode))
        assert amend(platform.url, START.date(), seed=len(mode)) > 0
        after = platform.extract(make_part(mode))
        assert after.ids == before.ids
        assert after.content != before.content


def test_progress_is_told(platform: Platform) -> None:
    for number in range(5):
        platform.order(uuid(number), updated=NOON)
    told: list[tuple[int, int]] = []
    extracted = platform.source().extract(
        make_part(), platform.open_staged, lambda rows, count: told.append((rows, count))
    )
    assert told
    assert told == sorted(told)
    assert told[-1][0] <= extracted.rows == 5


# -- what goes wrong


def failure(source: Any, platform: Platform) -> OutfeedError:
    with pytest.raises(OutfeedError) as caught:
        source.extract(make_part(), platform.open_staged, lambda rows, count: None)
    assert "outfeed-secret" not in str(caught.value)
    return caught.value


def test_an_unreachable_server_is_worth_a_retry(pg: Platform) -> None:
    # XX-06
    credentials = Credentials(login="outfeed", password="outfeed-secret")
    error = failure(open_source("work-orders", "postgresql://127.0.0.1:1/platform", credentials), pg)
    assert isinstance(error, TransientError)
    assert "postgresql://127.0.0.1:1/platform" in str(error)
    assert "refused" in error.what


@pytest.mark.parametrize(
    ("login", "database", "what"),
    [("outfeed", None, "password authentication failed"), ("nobody", None, "password authentication failed")],
)
def test_a_refused_login_needs_the_operator(
    pg: Platform, login: str, database: str | None, what: str
) -> None:
    # XX-06
    credentials = Credentials(login=login, password="outfeed-secret")
    error = failure(open_source("work-orders", pg.source_url, credentials), pg)
    assert isinstance(error, TerminalError)
    assert error.action is Action.OPERATOR
    assert what in error.what
    assert "Airflow connection" in error.remedy


def test_a_password_in_the_url_is_used_but_never_shown(pg: Platform) -> None:
    # XX-06
    pg.order(uuid(1), updated=NOON)
    pg.flush()
    source = open_source("work-orders", pg.url, Credentials())
    extracted = source.extract(make_part(), pg.open_staged, lambda rows, count: None)
    assert extracted.rows == 1
    wrong = pg.url.replace("outfeed:outfeed@", "outfeed:outfeed-secret@")
    error = failure(open_source("work-orders", wrong, Credentials()), pg)
    assert isinstance(error, TerminalError)
    assert "@" not in error.where


def test_a_missing_database_needs_the_operator(pg: Platform) -> None:
    url = pg.source_url.rpartition("/")[0] + "/no_such_database"
    error = failure(open_source("work-orders", url, pg.credentials), pg)
    assert isinstance(error, TerminalError)
    assert error.action is Action.OPERATOR
    assert 'database "no_such_database" does not exist' in error.what


def test_a_missing_permission_needs_the_operator_and_names_file_and_table(pg: Platform) -> None:
    pg.execute("DROP ROLE IF EXISTS reader")
    pg.execute("CREATE ROLE reader LOGIN PASSWORD 'outfeed-secret'")
    pg.execute("GRANT SELECT ON work_order, work_item, data_conformity TO reader")
    credentials = Credentials(login="reader", password="outfeed-secret")
    error = failure(open_source("work-orders", pg.source_url, credentials), pg)
    pg.execute("DROP OWNED BY reader")
    assert isinstance(error, TerminalError)
    assert error.action is Action.OPERATOR
    assert error.what == "work_orders/postgresql/noticed.sql: permission denied for table input"
    assert "SELECT" in error.remedy


def test_a_missing_table_needs_the_engineer_and_names_file_and_table(platform: Platform) -> None:
    platform.execute("DROP TABLE job_conformity")
    error = failure(platform.source(), platform)
    assert isinstance(error, TerminalError)
    assert error.action is Action.ENGINEER
    assert "work-orders-timeline.sql: " in error.what
    assert "job_conformity" in error.what


def test_a_missing_sqlite_file_needs_the_operator(tmp_path: Path) -> None:
    platform = Platform(f"sqlite:///{tmp_path}/platform.db", tmp_path)
    error = failure(open_source("work-orders", f"sqlite:///{tmp_path}/none.db", Credentials()), platform)
    assert isinstance(error, TerminalError)
    assert error.action is Action.OPERATOR
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("no database " * 100)
    error = failure(open_source("work-orders", f"sqlite:///{tmp_path}/text.db", Credentials()), platform)
    assert isinstance(error, TerminalError)
    assert "not a database" in error.what


def test_an_unknown_kind_of_database_is_refused() -> None:
    with pytest.raises(TerminalError, match="no source can read a 'mysql' database"):
        open_source("work-orders", "mysql://localhost/x", Credentials())
    with pytest.raises(TerminalError, match="no source reads the dataset 'nonsense'"):
        open_source("nonsense", "sqlite:///x", Credentials())


def test_a_message_never_quotes_the_data(
    pg: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-06
    pg.order(uuid(1), updated=NOON, name="outfeed-secret")
    own_records(monkeypatch, tmp_path, "SELECT name::int FROM work_order WHERE site_id = %(site_id)s")
    error = failure(pg.source(), pg)
    assert isinstance(error, TerminalError)
    assert error.action is Action.ENGINEER
    assert (
        error.what
        == "work_orders/postgresql/work-orders-timeline.sql: InvalidTextRepresentation (SQLSTATE 22P02)"
    )


@pytest.mark.parametrize(
    "query",
    ["SELECT 'a', 'b'", "SELECT E'\\x01'", "SELECT E'a\\x02b'", "SELECT E'a\\x02\\nb'"],
)
def test_a_statement_that_gives_no_json_lines_is_refused(
    pg: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    pg.order(uuid(1), updated=NOON)
    own_records(monkeypatch, tmp_path, f"{query} FROM work_order WHERE site_id = %(site_id)s")
    error = failure(pg.source(), pg)
    assert isinstance(error, TerminalError)
    assert "more than one column" in error.what


def own_records(monkeypatch: pytest.MonkeyPatch, folder: Path, sql: str) -> None:
    """A dataset of another platform: other SQL for the records."""
    import shutil

    from outfeed.datasets import dataset_folder

    shutil.copytree(dataset_folder("work-orders"), folder / "datasets" / "work_orders")
    (folder / "datasets" / "work_orders" / "postgresql" / "work-orders-timeline.sql").write_text(sql)
    monkeypatch.setenv("OUTFEED_DATASETS", str(folder / "datasets"))


def test_another_platforms_tables_need_other_sql_only(
    pg: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.execute("CREATE TABLE jobs (body json, site text)")
    pg.execute("INSERT INTO jobs VALUES (?, ?)", ['{"id": "x", "share": "100 %"}', SITE])
    own_records(
        monkeypatch,
        tmp_path,
        "SELECT body FROM jobs WHERE site = %(site_id)s AND body->>'share' LIKE '100 %%'",
    )
    assert pg.extract().content == b'{"id": "x", "share": "100 %"}\n'


def test_a_lock_that_lasts_is_worth_a_retry(pg: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg2

    monkeypatch.setattr(postgresql, "_LOCK_TIMEOUT", "200ms")
    with psycopg2.connect(pg.url) as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE work_order IN ACCESS EXCLUSIVE MODE")
        error = failure(pg.source(), pg)
    blocker.close()
    assert isinstance(error, TransientError)
    assert "lock timeout" in error.what


def test_a_connection_lost_in_mid_read_is_worth_a_retry(
    pg: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_WORTH_SPLITTING", 10)
    for number in range(40):
        pg.order(uuid(number), updated=NOON + number * MICROSECOND)

    def kill() -> None:
        pg.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outfeed'"
        )

    with pytest.raises(TransientError):
        extract_with(pg, once(kill))
    assert sessions(pg) == 0


def test_an_interrupted_read_leaves_no_statement_behind(
    pg: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.order(uuid(1), updated=NOON)
    own_records(
        monkeypatch, tmp_path, "SELECT pg_sleep(1e6)::text FROM work_order WHERE site_id = %(site_id)s"
    )

    def interrupt(rows: int, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pg.source().extract(make_part(), pg.open_staged, interrupt)
    assert sessions(pg) == 0


def sessions(platform: Platform) -> int:
    """Connections of sources that the server still has."""
    import time

    from outfeed.demo_data.database import open_database

    deadline = time.monotonic() + 10
    while True:
        with open_database(platform.url) as database:
            ((count,),), _ = database.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outfeed'"
            )
        if count == 0 or time.monotonic() > deadline:
            return int(count)
        time.sleep(0.1)


def test_a_full_disk_ends_the_read(pg: Platform) -> None:
    pg.order(uuid(1), updated=NOON)

    def open_full(name: str) -> tuple[str, BinaryIO]:
        return name, Path("/dev/full").open("wb", buffering=0)

    with pytest.raises(OSError, match="No space left"):
        pg.source().extract(make_part(), open_full, lambda rows, count: None)
    assert sessions(pg) == 0


def test_a_site_that_nobody_knows_is_an_error_not_an_empty_file(platform: Platform) -> None:
    # DX-010
    stranger = "7e57ab1e-0000-4000-8000-000000000000"
    assert platform.extract(make_part(site_id=SITE)).records == [], "a known site may have a quiet day"
    with pytest.raises(TerminalError, match=f"the platform knows no site {stranger}") as caught:
        platform.extract(make_part(site_id=stranger))
    assert caught.value.action is Action.ENGINEER
