"""A platform-data customer's YAML: document 002's names and defaults, schedules, windows, lists, mistakes."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outfeed.config.advice import advice
from outfeed.config.catalogue import catalogue
from outfeed.config.document import Document
from outfeed.config.load import parse_document
from outfeed.config.platform_data import PlatformDataConfig
from outfeed.config.problems import InvalidConfigError
from outfeed.config.schedule import schedule_name
from outfeed.errors import ConfigError
from outfeed.plan import Reason
from outfeed.planning import RunRequest, make_plan
from outfeed.windows import Window

TEXT = """\
type: platform-data
state: live
source: {connection: platform_db}
destinations:
  - {name: box, type: local, path: acme/production}
"""


def parse(more: str = "") -> PlatformDataConfig:
    config = parse_document(Document(TEXT + more), "acme.yaml")
    assert isinstance(config, PlatformDataConfig)
    return config


def refused(more: str) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        parse(more)
    return [str(problem) for problem in caught.value.problems]


def warned(more: str) -> list[str]:
    document = Document(TEXT + more)
    return [str(problem) for problem in advice("acme", parse(more), document)]


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def window(config: PlatformDataConfig, tick: str) -> Window:
    return config.window(Window(at(tick) - dt.timedelta(hours=1), at(tick)))


def test_without_overrides_the_documents_schedules_hold() -> None:
    # VI-018 VI-030
    found = {(name, mode): cron for cron, jobs in parse().jobs().items() for name, mode in jobs}
    expected = {
        (name, mode): cron
        for name, entity in catalogue().items()
        for cron, modes in entity.jobs(name).values()
        for mode in modes
        if cron
    }
    assert found == expected
    assert set(parse().jobs()) == {"10 0 * * *", "15 0 * * *", "20 0 * * *", "30 0 * * *"}
    assert [schedule.name for schedule in parse().all_schedules()] == [
        "10_0_x_x_x",
        "30_0_x_x_x",
        "15_0_x_x_x",
        "20_0_x_x_x",
    ]
    off = {name for name, entity in catalogue().items() if entity.schedule == ""}
    assert len(off) == 12
    assert not off & {name for name, _ in found}


def test_a_schedule_can_be_changed_or_emptied() -> None:
    # VI-026 VI-027 VI-028
    config = parse(
        'schedules: {assets: "5  4 * * 1-5", tags: "", vvs_pools_delta: "", users_profiles: "1 2 3 * *"}\n'
    )
    jobs = config.jobs()
    assert jobs["5 4 * * 1-5"] == [("assets", "snapshot"), ("assets", "delta")]
    assert jobs["1 2 3 * *"] == [("users_profiles", "snapshot"), ("users_profiles", "delta")]
    everything = [job for listed in jobs.values() for job in listed]
    assert not [job for job in everything if job[0] == "tags"]
    assert [job for job in everything if job[0] == "vvs_pools"] == [("vvs_pools", "snapshot")]
    assert refused('schedules: {assets: "0 0 0 * * *"}\n') == [
        "6:21: '0 0 0 * * *' is no cron expression of five fields"
    ]
    assert refused('schedules: {asset: "0 0 * * *"}\n') == [
        "6:20: 'asset' is no entity of the catalogue (did you mean 'assets'?)"
    ]
    assert refused('schedules: {vvs_pools: "0 0 * * *"}\n') == [
        "6:24: 'vvs_pools' is no entity of the catalogue (did you mean 'vvs_pools_delta'?)"
    ]


@given(
    st.lists(st.sampled_from("0123456789*/,-"), min_size=1, max_size=6),
    st.lists(st.sampled_from("0123456789*/,-"), min_size=1, max_size=6),
)
def test_each_cron_expression_has_a_name_of_its_own(first: list[str], second: list[str]) -> None:
    one, other = (f"{''.join(field)} * * * *" for field in (first, second))
    assert (schedule_name(one) == schedule_name(other)) == (one == other)
    assert set(schedule_name(one)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.")


def test_the_delta_goes_back_from_the_hour_of_the_run() -> None:
    # VI-020 VI-021 VI-022 VI-024
    assert window(parse(), "2026-03-30T00:10:00Z") == Window(
        at("2026-03-29T00:00:00Z"), at("2026-03-30T00:00:00Z")
    )
    assert window(parse(), "2026-03-30T07:45:00Z") == Window(
        at("2026-03-29T07:00:00Z"), at("2026-03-30T07:00:00Z")
    )
    week = parse("data_delta_days: 7\n")
    assert window(week, "2026-03-30T00:10:00Z") == Window(
        at("2026-03-23T00:00:00Z"), at("2026-03-30T00:00:00Z")
    )
    for wrong in ("0", "-1"):
        assert refused(f"data_delta_days: {wrong}\n") == [
            f"6:18: data_delta_days: input should be greater than or equal to 1, not {wrong}"
        ]


@pytest.mark.parametrize(
    ("tick", "start", "end"),
    [
        ("2026-03-29T00:10:00Z", "2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00"),
        ("2026-03-30T00:10:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("2026-10-26T00:10:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        # In Oslo it is the 31st already.
        ("2026-03-30T22:30:00Z", "2026-03-30T00:00:00+02:00", "2026-03-31T00:00:00+02:00"),
    ],
)
def test_whole_days_of_a_zone(tick: str, start: str, end: str) -> None:
    # VI-022 VI-023 VI-025
    config = parse("data_delta_midnight_to_midnight: 1\ndata_delta_time_zone: Europe/Oslo\n")
    found = window(config, tick)
    assert found == Window(at(start), at(end))
    assert found.span in (dt.timedelta(hours=23), dt.timedelta(hours=24), dt.timedelta(hours=25))


def test_a_zone_that_nobody_knows_or_that_means_nothing_is_refused() -> None:
    # VI-025 VI-029
    (problem,) = refused("data_delta_midnight_to_midnight: 1\ndata_delta_time_zone: Europe/Olso\n")
    assert "'Europe/Olso' is no IANA time zone (did you mean 'Europe/Oslo'?)" in problem
    assert refused("data_delta_time_zone: Europe/Oslo\n") == [
        "6:23: data_delta_time_zone has a meaning only with data_delta_midnight_to_midnight"
    ]
    (problem,) = refused("time_zone: Europe/Oslo\n")
    assert problem.startswith("6:12: schedules of platform data are in UTC")


@given(st.dates(dt.date(2026, 1, 1), dt.date(2027, 12, 31)), st.times(), st.integers(1, 5))
def test_windows_abut_whenever_on_their_days_they_run(day: dt.date, time: dt.time, days: int) -> None:
    # VI-024
    config = parse(
        f"data_delta_midnight_to_midnight: 1\ndata_delta_time_zone: Europe/Oslo\ndata_delta_days: {days}\n"
    )
    oslo = ZoneInfo("Europe/Oslo")
    ticks = [dt.datetime.combine(each, time, oslo) for each in (day, day + dt.timedelta(days=days))]
    first, second = (
        config.window(Window(tick.astimezone(dt.UTC) - dt.timedelta(days=1), tick)) for tick in ticks
    )
    assert first.end == second.start
    assert second.end == dt.datetime.combine(day + dt.timedelta(days=days), dt.time(), oslo)


def test_snapshots_can_be_limited_to_a_list() -> None:
    # VI-C12
    def snapshots(more: str) -> set[str]:
        return {name for jobs in parse(more).jobs().values() for name, mode in jobs if mode == "snapshot"}

    everything = snapshots("")
    assert snapshots('csv_snapshot: ""\n') == snapshots("csv_snapshot: all\n") == everything
    some = snapshots("csv_snapshot: assets, USERS\n")
    kept = {name for name in everything if not catalogue()[name].has_delta or name.startswith("vvs_")}
    assert some == kept | {"assets", "users"}, "jobs of one kind are not asked"
    assert refused("csv_snapshot: [assets, userz]\n") == [
        "6:24: 'userz' is no entity of the catalogue (did you mean 'users'?)"
    ]


def test_csv_options_have_the_documents_names_and_defaults() -> None:
    # VI-C01 VI-C02 VI-C03 VI-C04 VI-C05 VI-C06 VI-C07 VI-C08
    dialect = parse().dialect()
    assert (dialect.header, dialect.separator, dialect.line_break) == (True, ",", None)
    assert (dialect.enclosure, dialect.escape, dialect.line_end) == ('"', '"', b"\r\n")
    assert dialect.date.text == "yyyy-MM-dd'T'HH:mm:ssZ"
    assert not parse().csv_md5
    changed = parse(
        "csv_include_header: 0\ncsv_field_separator: ;\ncsv_text_row_separator: ' '\n"
        'csv_text_enclosure: "\'"\n'
        'csv_escape_char: \'\\\'\ncsv_date_format: "yyyy-MM-dd’T’HH:mm:ssXXX"\ncsv_md5: "1"\n'
    )
    dialect = changed.dialect()
    assert (dialect.header, dialect.separator, dialect.line_break) == (False, ";", " ")
    assert (dialect.enclosure, dialect.escape, changed.csv_md5) == ("'", "\\", True)
    assert dialect.date.text == "yyyy-MM-dd'T'HH:mm:ssXXX", "typographic quotes come from documents"
    (problem,) = refused("csv_field_separator: '\"'\n")
    assert "both" in problem
    (problem,) = refused('csv_date_format: "YYYY-MM-dd"\n')
    assert "did you mean yyyy (year)?" in problem


def test_what_leaves_the_standard_is_warned_of() -> None:
    # VI-C15
    (found,) = warned("csv_date_format: yyyy-MM-dd HH:mm\n")
    assert found.startswith("6:18: dates like yyyy-MM-dd HH:mm do not say that they are UTC")
    (found,) = warned("csv_escape_char: '\\'\n")
    assert found.startswith("6:18: the escape character '\\\\' leaves RFC 4180")
    (found,) = warned('schedules: {tags: "", assets: "0 3 * * 0"}\n')
    assert "runs every 7 days, but a delta holds 1" in found
    assert warned("") == []


def test_a_file_name_must_tell_runs_apart() -> None:
    # VI-C11
    (problem,) = refused('schedules: {assets: "0 */6 * * *"}\n')
    assert "runs several times a day, but file_name does not tell the hour" in problem
    hourly = (
        "file_name: '{entity}/{entity}_{date:yyyy_MM_dd_HH}'\n"
        "delta_file_name: 'd/{entity}_{date:yyyyMMddHH}'\n"
    )
    assert parse('schedules: {assets: "0 */6 * * *"}\n' + hourly).jobs()["0 */6 * * *"]
    assert "needs {entity} and a date" in refused("file_name: '{entity}'\n")[0]
    assert "{site} is unknown" in refused("file_name: '{site}/{entity}_{date:yyyy}'\n")[0]
    assert "refused to deliver" in refused("file_name: '../{entity}_{date:yyyy}'\n")[0]
    assert "the same names" in refused("delta_file_name: '{entity}/{entity}_{date:yyyy_MM_dd}'\n")[0]


def test_the_date_of_a_file_is_the_runs_local_day() -> None:
    # VI-C11
    config = parse("entities: assets\ndata_delta_midnight_to_midnight: 1\ndata_delta_time_zone: Asia/Tokyo\n")
    (schedule,) = config.all_schedules()
    tick = at("2026-03-30T00:10:00Z")
    plan = make_plan(
        config,
        RunRequest(
            "acme",
            schedule,
            config.window(Window(tick - dt.timedelta(days=1), tick)),
            "r",
            Reason.MANUAL,
            tick,
        ),
    )
    assert plan.end == at("2026-03-30T00:00:00+09:00")
    assert [part.data_path("portable") for part in plan.parts] == [
        "assets/assets_2026_03_30.csv",
        "assets_delta/assets_delta_2026_03_30.csv",
    ]


def test_mistakes_in_lists_are_named_where_they_stand() -> None:
    assert refused("entities: [assets, usrs]\n") == [
        "6:20: 'usrs' is no entity of the catalogue (did you mean 'users'?)"
    ]
    text = TEXT.replace("path: acme/production", "path: acme/production, delivery: [tags, tgs]")
    with pytest.raises(
        InvalidConfigError, match=r"'tgs' is no entity of the catalogue \(did you mean 'tags'"
    ):
        parse_document(Document(text), "acme.yaml")
    all_off = "".join(f"  {job}: ''\n" for name in ("assets",) for job in catalogue()[name].jobs(name))
    assert refused("entities: assets\nschedules:\n" + all_off) == [
        "6:11: no entity has a schedule: nothing would ever be exported"
    ]


def test_a_schedule_that_never_happens_is_named_at_its_line() -> None:
    assert refused('schedules: {assets: "0 0 30 2 *"}\n') == [
        "6:21: '0 0 30 2 *' never happens: no year has such a day"
    ]


def test_an_empty_list_of_entities_is_no_wish_for_all_of_them() -> None:
    assert refused("entities: []\n") == [
        "6:1: entities: the list is empty: name entities in it, or write `all` for every one"
    ]
    every = parse()
    assert parse("entities: all\n").jobs() == every.jobs()
    assert PlatformDataConfig.model_validate(every.model_dump(mode="json")) == every


def to(delivery: str, more: str = "") -> str:
    return TEXT.replace("path: acme/production", f"path: acme/production, delivery: {delivery}") + more


def test_a_destination_that_never_receives_anything_is_refused() -> None:
    never = "would never receive anything: nothing of users is exported"
    for more in ("entities: [assets]\n", 'schedules: {users: ""}\n'):
        with pytest.raises(InvalidConfigError) as caught:
            parse_document(Document(to("[users]", more)), "acme.yaml")
        assert [str(one) for one in caught.value.problems] == [f"5:53: destination 'box' {never}"]


def test_what_nobody_receives_is_not_exported_and_warned_of_if_it_was_asked_for() -> None:
    document = Document(to("[assets]", 'entities: [assets, tags]\nschedules: {tags: "5 5 * * *"}\n'))
    config = parse_document(document, "acme.yaml")
    assert [config.subjects(schedule) for schedule in config.all_schedules()] == [("assets",)]
    (found,) = [str(problem) for problem in advice("acme", config, document)]
    assert found == "6:1: no destination receives tags: it is not exported"
    unasked = Document(to("[assets]"))
    config = parse_document(unasked, "acme.yaml")
    assert [config.subjects(schedule) for schedule in config.all_schedules()] == [("assets",)]
    assert list(advice("acme", config, unasked)) == []


def test_a_run_for_destinations_that_receive_nothing_of_it_says_so() -> None:
    second = TEXT + "  - {name: other, type: local, path: acme/production/2, delivery: [assets]}\n"
    config = parse_document(Document(second + "entities: [assets, tags]\n"), "acme.yaml")
    schedule = next(one for one in config.all_schedules() if "tags" in config.subjects(one))
    window = config.window(Window(at("2026-03-29T00:10:00Z"), at("2026-03-30T00:10:00Z")))
    request = RunRequest(
        "acme", schedule, window, "r", Reason.MANUAL, window.end, subjects=["tags"], destinations=["other"]
    )
    with pytest.raises(ConfigError, match="nothing can be delivered: other receives nothing of tags"):
        make_plan(config, request)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('csv_field_separator: "\\n"', "7:22: the separator can't be '\\n'"),
        ("csv_field_separator: ;;", "7:22: csv_field_separator: one character, not ';;'"),
        ("csv_field_separator: é", "7:22: the separator is 'é'"),
        ("csv_field_separator: '\"'", "7:22: field separator and enclosure are both"),
        ("csv_text_enclosure: ','", "7:21: field separator and enclosure are both"),
        ("csv_escape_char: ','", "7:18: field separator and escape character are both"),
        ("csv_text_row_separator: ','", "7:25: line breaks can't become ','"),
        ('csv_text_row_separator: "\\n"', "7:25: the replacement of line breaks must be one character"),
    ],
)
def test_a_dialect_that_no_reader_understands_is_refused_at_its_option(line: str, place: str) -> None:
    # VI-C03 VI-C04 VI-C05 VI-C06
    (problem,) = refused(f"csv_md5: 1\n{line}\n")
    assert problem.startswith(place)


def test_a_config_survives_the_plan(tmp_path: Any) -> None:
    # XX-02
    config = parse("entities: [assets, tags]\ncsv_md5: 1\ncompression: gzip\n")
    (schedule,) = config.all_schedules()
    tick = at("2026-03-30T00:10:00Z")
    plan = make_plan(
        config,
        RunRequest(
            "acme", schedule, config.window(Window(tick - dt.timedelta(days=1), tick)), "r", Reason.TEST, tick
        ),
    )
    again = type(plan).model_validate_json(plan.to_json())
    assert again == plan
    assert again.customer_config == config
    assert [part.extension for part in plan.parts] == [".csv.gz"] * 3
