"""The plan: names that customers rely on, and one immutable answer for a config and a window."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from outfeed.config.models import MAX_SPAN_DAYS
from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.connectors.base import FilenameStyle
from outfeed.errors import Action, ConfigError
from outfeed.plan import Plan, Reason
from outfeed.planning import History, RunRequest, make_plan
from outfeed.planning.groups import MAX_GROUPS, balance
from outfeed.planning.work_orders import window_name
from outfeed.windows import Window, parse_instant

SITE = "433a60f6-9756-473e-b1e9-9e89e24bb787"
OTHER = "5b0c7d52-41f0-4b1c-9a7e-6f8e2d9c3a10"
DAY = Window(parse_instant("2025-03-16T00:00:00Z"), parse_instant("2025-03-17T00:00:00Z"))
STATES = "work-orders-states"


def config(**changes: Any) -> WorkOrdersConfig:
    base = {
        "type": "work-orders",
        "interval": "daily",
        "source": {"connection": "platform_db", "images_uri": "images"},
        "site_id": [SITE, OTHER],
        "export_type": STATES,
        "destinations": [
            {"name": "bucket", "type": "gcs", "storage_uri": "gs://acme/x", "export_images": True},
            {"name": "archive", "type": "local", "path": "acme", "filename_style": "portable"},
        ],
    }
    return WorkOrdersConfig.model_validate(base | changes)


def plan(**changes: Any) -> Plan:
    base = {
        "customer": "acme",
        "config": config(),
        "window": DAY,
        "run_id": "scheduled__2025-03-17",
        "reason": Reason.SCHEDULED,
    }
    values = base | changes
    made, weights = values.pop("config"), values.pop("weights", {})
    request = RunRequest(schedule=made.all_schedules()[0], **values)
    return make_plan(made, request, History(weights=weights))


def test_data_lies_where_document_000_says() -> None:
    # DX-054 DX-064 DX-065 D11
    first, second = plan().parts
    folder = f"{SITE}/data/work-orders-states"
    assert (
        first.data_path(FilenameStyle.DEEPOMATIC) == f"{folder}/2025-03-16_00:00:00_2025-03-17_00:00:00.json"
    )
    assert first.data_path(FilenameStyle.PORTABLE) == f"{folder}/2025-03-16T000000Z_2025-03-17T000000Z.json"
    assert second.data_path(FilenameStyle.DEEPOMATIC).startswith(f"{OTHER}/data/work-orders-states/")
    (timeline,) = plan(config=config(export_type="work-orders-timeline", site_id=[SITE])).parts
    assert timeline.data_path(FilenameStyle.DEEPOMATIC) == (
        f"{SITE}/data/work-orders-timeline/2025-03-16_00:00:00_2025-03-17_00:00:00.json"
    )


def test_a_correction_has_its_own_name() -> None:
    # D27 DX-063
    part = plan().parts[0]
    folder = f"{SITE}/data/work-orders-states"
    assert part.data_path(FilenameStyle.DEEPOMATIC, 2) == (
        f"{folder}/2025-03-16_00:00:00_2025-03-17_00:00:00__r2.json"
    )
    assert part.data_path(FilenameStyle.PORTABLE, 12) == (
        f"{folder}/2025-03-16T000000Z_2025-03-17T000000Z__r12.json"
    )
    assert part.data_path(FilenameStyle.DEEPOMATIC, 1) == part.data_path(FilenameStyle.DEEPOMATIC)


def test_images_lie_where_document_000_says() -> None:
    # DX-067
    part = plan().parts[0]
    image = "338e3fda-4aab-4d20-8aa0-e9b234ae4779.png"
    assert part.image_path(image) == f"{SITE}/inputs/{image}"


def test_names_show_utc_whatever_the_customers_zone() -> None:
    # DX-065 D30
    paris = config(time_zone="Europe/Paris", interval="daily")
    rule = paris.rule
    assert rule is not None
    windows = list(rule.between(parse_instant("2026-03-27T23:00:00Z"), parse_instant("2026-03-29T22:00:00Z")))
    assert [window_name(window, FilenameStyle.DEEPOMATIC) for window in windows] == [
        "2026-03-27_23:00:00_2026-03-28_23:00:00",
        "2026-03-28_23:00:00_2026-03-29_22:00:00",
    ]


@given(
    st.integers(946_684_800, 4_102_444_800),  # the seconds of this century
    st.integers(1, 10**7),
    st.sampled_from(FilenameStyle),
)
def test_names_sort_like_windows(second: int, later: int, style: FilenameStyle) -> None:
    # DX-066
    first, second_window = (
        Window(start, start + dt.timedelta(days=1))
        for start in (dt.datetime.fromtimestamp(moment, dt.UTC) for moment in (second, second + later))
    )
    assert window_name(first, style) < window_name(second_window, style)
    assert ":" not in window_name(first, FilenameStyle.PORTABLE)


def test_a_part_for_each_site() -> None:
    # DX-054 DX-103 D29
    parts = plan().parts
    assert [(part.key, part.subject, part.mode, part.window) for part in parts] == [
        (f"{STATES}/{SITE}", SITE, STATES, DAY),
        (f"{STATES}/{OTHER}", OTHER, STATES, DAY),
    ]


def test_sites_and_destinations_can_be_chosen() -> None:
    chosen = plan(subjects=[OTHER.upper()], destinations=["archive"])
    assert [part.subject for part in chosen.parts] == [OTHER]
    assert chosen.destinations == ("archive",)
    assert chosen.destination("archive").name == "archive"
    # The order is the configuration's, whatever the request's.
    assert plan(destinations=["archive", "bucket"]).destinations == ("bucket", "archive")


def test_an_unknown_site_or_destination_is_the_operators_mistake() -> None:
    # XX-07
    for wrong, known in (("subjects", SITE), ("destinations", "bucket")):
        with pytest.raises(ConfigError, match="is not in this customer's configuration") as caught:
            plan(**{wrong: ["9d1f6c1e-7a35-4c52-8f0b-2b6a4e0d7c21"]})
        assert caught.value.action is Action.OPERATOR
        assert known in caught.value.remedy


def test_images_are_planned_only_when_somebody_gets_them() -> None:
    # DX-053 DX-056
    assert {part.images for part in plan().parts} == {True}
    assert {part.images for part in plan(destinations=["archive"]).parts} == {False}
    without_store = config(source={"connection": "platform_db"})
    assert {part.images for part in plan(config=without_store).parts} == {False}


def test_a_window_that_is_too_long_is_refused_with_the_way_out() -> None:
    # DX-020 D34
    start = parse_instant("2025-01-01T00:00:00Z")
    longest = Window(start, start + dt.timedelta(days=MAX_SPAN_DAYS))
    assert plan(window=longest).window == longest
    # A customer's 400 days hold an hour more when the clock goes back.
    assert plan(window=Window(start, longest.end + dt.timedelta(hours=1))).parts
    with pytest.raises(ConfigError) as caught:
        plan(window=Window(start, longest.end + dt.timedelta(days=1)))
    assert str(caught.value) == (
        "the window [2025-01-01T00:00:00Z, 2026-02-06T00:00:00Z) spans 401 days, more than the 400 allowed"
        " [operator acts: start a backfill instead, it delivers one file per interval]"
    )


def test_the_same_request_gives_the_same_bytes() -> None:
    # XX-02
    assert plan().to_json() == plan().to_json()
    reordered = config(destinations=[d.model_dump() for d in config().destinations])
    assert plan(config=reordered).to_json() == plan().to_json()
    assert plan().config_sha256 != plan(config=config(description="other")).config_sha256


def test_a_plan_survives_json() -> None:
    # XX-02
    full = config(
        time_zone="Europe/Paris",
        release_delay="90m",
        notify={"customer": ["bi@acme.example"]},
        validation={"max_rejected_percent": 2.5},
    )
    made = plan(config=full, weights={f"{STATES}/{SITE}": 5})
    read = Plan.model_validate(orjson.loads(made.to_json()))
    assert read == made
    assert read.to_json() == made.to_json()
    assert read.config_sha256 == made.config_sha256
    # Later tasks see the configuration as it was.
    assert read.customer_config == full
    assert read.destination("bucket") == full.destinations[0]
    assert read.window == DAY


def test_a_one_time_customer_survives_json() -> None:
    once = config(interval="once", start_date="2025-03-01", end_date="2025-04-01")
    assert Plan.model_validate(orjson.loads(plan(config=once).to_json())).customer_config == once


def test_a_plan_can_not_be_changed() -> None:
    # XX-02
    with pytest.raises(ValidationError, match="frozen"):
        plan().customer = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Plan.model_validate(orjson.loads(plan().to_json()) | {"surprise": 1})


def test_a_plan_of_an_unknown_kind_says_so() -> None:
    made = plan().model_copy(update={"config": {"type": "telemetry"}})
    with pytest.raises(ConfigError, match="unknown configuration type 'telemetry'"):
        _ = made.customer_config


# -- groups

keys = st.text("abcdefgh", min_size=1, max_size=4)
weights = st.dictionaries(keys, st.integers(0, 10**12), max_size=40)


@given(weights, st.sets(keys, min_size=1, max_size=60), st.integers(1, 12))
def test_every_part_is_in_one_of_few_groups(known: dict[str, int], keys: set[str], limit: int) -> None:
    groups = balance(sorted(keys), known, limit)
    assert sorted(key for group in groups for key in group) == sorted(keys)
    assert len(groups) == min(limit, len(keys))
    assert all(groups)
    assert balance(sorted(keys, reverse=True), known, limit) == groups


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.integers(1, 12))
def test_no_group_weighs_much_more_than_it_must(sizes: list[int], limit: int) -> None:
    known = {f"part-{number}": size for number, size in enumerate(sizes)}
    loads = [sum(known[key] for key in group) for group in balance(list(known), known, limit)]
    assert max(loads) <= sum(sizes) / len(loads) + max(sizes)
    if len(sizes) <= limit:
        assert max(loads) == max(sizes)


def test_a_plan_with_many_sites_has_eight_groups() -> None:
    sites = [f"433a60f6-9756-473e-b1e9-{number:012d}" for number in range(30)]
    made = plan(config=config(site_id=sites))
    assert len(made.groups) == MAX_GROUPS == 8
    assert sorted(part.key for index in range(8) for part in made.group(index)) == sorted(
        part.key for part in made.parts
    )
    assert len(plan().groups) == 2


def _groups(bytes_per_site: int, **changes: Any) -> int:
    sites = [f"433a60f6-9756-473e-b1e9-{number:012d}" for number in range(30)]
    no_images = {"source": {"connection": "platform_db"}, "site_id": sites}
    known = {f"{STATES}/{site}": bytes_per_site for site in sites}
    images = changes.pop("images", False)
    chosen = config(site_id=sites) if images else config(**no_images)
    return len(plan(config=chosen, weights=known, **changes).groups)


def test_small_parts_share_the_cost_of_few_tasks() -> None:
    megabyte = 1 << 20
    assert _groups(bytes_per_site=0) == 1
    assert _groups(bytes_per_site=5 * megabyte) == 3
    assert _groups(bytes_per_site=100 * megabyte) == MAX_GROUPS
    assert _groups(bytes_per_site=megabyte, images=False) == 1
    assert _groups(bytes_per_site=megabyte, images=True) == MAX_GROUPS


def test_a_window_of_another_size_than_the_schedules_may_be_large() -> None:
    year = Window(parse_instant("2024-03-16T00:00:00Z"), parse_instant("2025-03-16T00:00:00Z"))
    shifted = Window(parse_instant("2025-03-16T06:00:00Z"), parse_instant("2025-03-17T06:00:00Z"))
    assert _groups(bytes_per_site=0, window=year) == MAX_GROUPS
    assert _groups(bytes_per_site=0, window=shifted) == MAX_GROUPS
    once = config(interval="once", start_date="2025-03-16", end_date="2025-03-17")
    assert len(plan(config=once, weights={part.key: 0 for part in plan().parts}).groups) == 2


def test_a_site_that_was_never_exported_may_be_large() -> None:
    assert len(plan(weights={f"{STATES}/{SITE}": 0}).groups) == 2
    assert len(plan(weights={f"{STATES}/{SITE}": 0, f"{STATES}/{OTHER}": 0}).groups) == 1


def test_one_heavy_part_has_a_group_of_its_own() -> None:
    keys = [f"part-{number}" for number in range(9)]
    groups = balance(keys, dict.fromkeys(keys, 1) | {"part-3": 1000}, 3)
    assert ("part-3",) in groups
    assert sorted(len(group) for group in groups) == [1, 4, 4]
