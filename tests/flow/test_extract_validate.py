"""The steps extract and validate, with a real source, staging and ledger."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from outfeed.demo_data import generate
from outfeed.errors import Action, OutfeedError, SupersededError, TerminalError, TransientError
from outfeed.ledger.records import PartRecord, RunState
from outfeed.plan import Part
from outfeed.sources.base import Extracted, OpenStaged, Progress
from outfeed.sources.work_orders import WorkOrderInspector, WorkOrdersSource
from outfeed.staging import Staging
from outfeed.steps import image_list, record_check
from outfeed.steps.context import RunContext
from outfeed.steps.extract import extract
from outfeed.steps.image_list import NameSet
from outfeed.steps.record_check import RecordCheck
from outfeed.steps.validate import validate
from outfeed.windows import Window
from tests.flow.platform import (
    END,
    NOON,
    OTHER_SITE,
    SITE,
    START,
    STATES,
    TIMELINE,
    Platform,
    make_part,
    uuid,
)
from tests.flow.world import World, config

LOCAL = {"name": "archive", "type": "local", "path": "acme", "export_images": True}
TIMELINE_KEY = f"{TIMELINE}/{SITE}"


@dataclasses.dataclass
class Night:
    """A platform, a customer of its two sites, and one run."""

    platform: Platform
    world: World
    run: RunContext

    def extract(self, source: Any = None) -> list[dict[str, Any]]:
        """One try of the step on every group."""
        source = source or self.platform.source()
        return [extract(self.run, group, source) for group in range(len(self.run.plan.groups))]

    def validate(self, images: Any = "store") -> list[dict[str, Any]]:
        """One try of the step on every group."""
        store = UPath(self.world.images) if images == "store" else images
        source = self.platform.source()
        return [validate(self.run, group, source, store) for group in range(len(self.run.plan.groups))]

    def both(self) -> dict[str, Any]:
        """Both steps; the validated result of the first site."""
        self.extract()
        self.validate()
        return self.result("validate")

    def again(self, attempt: str) -> None:
        """A new try of this run."""
        staging = Staging(self.run.staging.root, attempt)
        self.run = dataclasses.replace(self.run, staging=staging, attempt=attempt)

    def result(self, step: str, site: str = SITE) -> dict[str, Any]:
        """What a step published for a site."""
        found = self.run.staging.result(step, f"{self.run.plan.parts[0].mode}/{site}")
        assert found is not None
        return found

    def staged(self, relative: str) -> bytes:
        """A staged file."""
        content: bytes = self.run.staging.path(relative).read_bytes()
        return content

    def lines(self, relative: str) -> list[Any]:
        """A staged JSON Lines file."""
        return [json.loads(line) for line in self.staged(relative).splitlines()]

    def part(self, site: str = SITE) -> PartRecord:
        """What the ledger says of a part."""
        parts = self.world.ledger.parts("acme", self.run.plan.run_id)
        return next(part for part in parts if part.key.endswith(site))


@pytest.fixture
def make_night(tmp_path: Path) -> Callable[..., Night]:
    """Makes a night on an SQLite platform; keywords go to the customer's configuration."""

    def make(**changes: Any) -> Night:
        platform = Platform(f"sqlite:///{tmp_path}/platform.db", tmp_path)
        values = {"destinations": [LOCAL], "site_id": [SITE, OTHER_SITE]} | changes
        world = World(tmp_path, config(**values))
        return Night(platform, world, world.plan(window=Window(START, END)))

    return make


@pytest.fixture
def night(make_night: Callable[..., Night]) -> Night:
    """A timeline with images."""
    return make_night()


def add_order(night: Night, number: int, *, site: str = SITE, **values: Any) -> int:
    """A valid order with one input, whose image is in the store; returns the input's key."""
    order = night.platform.order(uuid(number), updated=NOON, site_id=site, name=f"order {number}", **values)
    entry = night.platform.input(night.platform.item(order), uuid(100 + number))
    night.world.image(f"{uuid(100 + number)}.png")
    return entry


# -- the whole of it

IN_PROCESS, IN_WORKERS = 1 << 60, 0


@pytest.mark.parametrize("worth_workers", [IN_PROCESS, IN_WORKERS])
def test_a_night_of_demo_data_is_read_checked_and_accounted_for(
    night: Night, worth_workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = psutil.Process().children()
    # DX-124 DX-125 XX-08, design §4.2
    monkeypatch.setattr(record_check, "_WORTH_WORKERS", worth_workers)
    monkeypatch.setattr(record_check, "_BLOCK_SIZE", 100_000)
    made = generate(
        night.platform.url,
        night.world.images,
        sites=[SITE, OTHER_SITE],
        orders_per_day=120,
        days=3,
        end=END.date() + dt.timedelta(days=1),
        seed=3,
        broken_share=0.05,
    )
    assert made.missing_images > 0
    extracted, validated = night.extract(), night.validate()
    assert [summary["parts"] for summary in extracted + validated] == [1, 1, 1, 1]
    for site in (SITE, OTHER_SITE):
        first, second = night.result("extract", site), night.result("validate", site)
        read = b"".join(night.staged(segment) for segment in first["segments"]).splitlines(keepends=True)
        good = [line for line in read if is_good(line)]
        content = night.staged(second["segments"][0])
        assert content == b"".join(good)
        assert second["rows"] == len(good)
        assert second["bytes"] == len(content)
        assert second["sha256"] == hashlib.sha256(content).hexdigest()
        quarantined = night.lines(second["quarantine"])
        bad = [line.decode().rstrip("\n") for line in read if not is_good(line)]
        assert [entry["record"] for entry in quarantined] == bad
        assert len(bad) == second["rejected"] > 0
        assert all(entry["reasons"] and entry["part"] == f"{TIMELINE}/{site}" for entry in quarantined)
        check_images(night, first, second, good)
        part = night.part(site)
        assert (part.state, part.rows_read, part.rows_valid, part.rows_rejected) == (
            RunState.COMPLETE,
            *(len(read), len(good), len(bad)),
        )
        assert (part.bytes, part.sha256) == (len(content), second["sha256"])
        assert (part.images, part.images_missing) == (second["images_present"], second["images_missing"])
        assert part.unplaced > 0
        assert part.longest_query_seconds is not None
    parts = [night.part(site) for site in (SITE, OTHER_SITE)]
    assert sum(summary["rows"] for summary in extracted) == sum(part.rows_read for part in parts)
    assert sum(summary["rows"] for summary in validated) == sum(part.rows_valid or 0 for part in parts)
    noticed = night.result("validate")["noticed"]
    assert noticed["data_conformity level 'notice' is not error, information or warning"] == sum(
        line.count(b'"level":"notice"')
        for line in night.staged(night.result("validate")["segments"][0]).splitlines()
    )
    assert [child for child in psutil.Process().children() if child not in before] == []


def is_good(line: bytes) -> bool:
    """Our own reading of the rules, by the standard library and the reference validator."""
    import jsonschema

    from outfeed.datasets import dataset_folder

    schema = json.loads((dataset_folder("work-orders") / "contract.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    record = json.loads(line)
    inputs = [entry for item in record["work_items"] for entry in item["input"]]
    return validator.is_valid(record) and all(entry["id"] is not None for entry in inputs)


def check_images(night: Night, first: dict[str, Any], second: dict[str, Any], good: list[bytes]) -> None:
    """DX-056 DX-106 D15: referenced and analysed images, each once, with what the store has of them."""
    referenced = {
        f"{entry['id']}{entry['file_extension']}"
        for line in good
        for item in json.loads(line)["work_items"]
        for entry in item["input"]
        if entry["file_extension"]
    }
    analysed = set(night.staged(first["images"]).decode().splitlines())
    usable = {name for name in analysed if "-4sfa-" not in name}
    listed = night.lines(second["images"])
    assert [entry["name"] for entry in listed] == sorted(referenced | usable)
    assert referenced - analysed
    assert usable - referenced
    for entry in listed:
        file = night.world.images / entry["name"]
        expected = ("present", file.stat().st_size) if file.exists() else ("missing", None)
        assert (entry["state"], entry["bytes"]) == expected
    missing = [entry for entry in listed if entry["state"] == "missing"]
    assert second["images_missing"] == len(missing)
    assert second["images_present"] == len(listed) - len(missing)


def test_an_empty_window_gives_an_empty_file(night: Night) -> None:
    done = night.both()
    assert night.staged(done["segments"][0]) == b""
    assert (done["rows"], done["bytes"], done["rejected"], done["quarantine"]) == (0, 0, 0, None)
    assert done["sha256"] == hashlib.sha256(b"").hexdigest()
    assert night.part().state is RunState.COMPLETE


# -- tries


class Unreadable(WorkOrdersSource):
    """A source that must not be read."""

    def extract(self, part: Part, open_staged: OpenStaged, progress: Progress) -> Extracted:
        raise AssertionError("read again")


def unreadable(night: Night) -> Unreadable:
    return Unreadable(night.platform.source_url, night.platform.credentials)


def test_what_is_done_is_not_done_again(night: Night) -> None:
    # XX-03
    add_order(night, 1)
    first = night.both()
    night.again("2-second")
    add_order(night, 2)
    night.extract(unreadable(night))
    night.validate()
    assert night.result("validate") == first
    assert not list(Path(night.run.staging.root.path).rglob("try=2*"))
    assert night.part().rows_valid == 1


class Failing(WorkOrdersSource):
    """A source that has trouble with one site."""

    error: Exception = TransientError("the database went away")

    def extract(self, part: Part, open_staged: OpenStaged, progress: Progress) -> Extracted:
        if part.subject == SITE:
            open_staged("half.jsonl")[1].close()
            raise self.error
        return super().extract(part, open_staged, progress)


@pytest.mark.parametrize(
    ("error", "expected", "action"),
    [
        (TransientError("the database went away"), TransientError, Action.OPERATOR),
        (TerminalError("no such table", action=Action.ENGINEER), TerminalError, Action.ENGINEER),
        (OSError(28, "No space left on device"), TerminalError, Action.OPERATOR),
        (PermissionError(13, "Permission denied"), TerminalError, Action.OPERATOR),
        (OSError(5, "Input/output error"), TransientError, Action.OPERATOR),
        (ValueError("a bug"), TransientError, Action.ENGINEER),
    ],
)
def test_a_part_that_fails_does_not_stop_the_others(
    make_night: Callable[..., Night], error: Exception, expected: type[OutfeedError], action: Action
) -> None:
    # design §2
    night = make_night()
    source = Failing(night.platform.source_url, night.platform.credentials)
    source.error = error
    one_group = night.run.plan.model_copy(update={"groups": (tuple(p.key for p in night.run.plan.parts),)})
    night.run = dataclasses.replace(night.run, plan=one_group)
    add_order(night, 1)
    add_order(night, 2, site=OTHER_SITE)
    night.platform.flush()
    with pytest.raises(expected) as caught:
        night.extract(source)
    assert caught.value.action is action
    assert TIMELINE_KEY in str(caught.value)
    assert night.result("extract", OTHER_SITE)["rows"] == 1
    assert night.run.staging.result("extract", TIMELINE_KEY) is None
    assert (night.part().state, night.part().action) == (RunState.FAILED, action)
    night.validate()
    assert night.part(OTHER_SITE).state is RunState.COMPLETE
    assert night.run.staging.result("validate", TIMELINE_KEY) is None

    night.again("2-second")
    night.extract()
    night.validate()
    assert night.part().state is RunState.COMPLETE
    assert night.part().error is None


class Raced(WorkOrdersSource):
    """A source during whose reading another try finishes the same part."""

    def __init__(self, night: Night) -> None:
        super().__init__(night.platform.source_url, night.platform.credentials)
        self.night = night

    def extract(self, part: Part, open_staged: OpenStaged, progress: Progress) -> Extracted:
        other = Staging(self.night.run.staging.root, "other")
        extracted = super().extract(part, lambda name: other.open_write("extract", part.key, name), progress)
        other.publish("extract", part.key, dataclasses.asdict(extracted))
        return super().extract(part, open_staged, progress)


def test_of_two_tries_at_once_the_first_to_finish_wins(night: Night) -> None:
    # design §2
    add_order(night, 1)
    night.platform.flush()
    night.extract(Raced(night))
    (segment,) = night.result("extract")["segments"]
    assert "try=other" in segment
    night.validate()
    assert night.result("validate")["rows"] == 1


class Overtaken(WorkOrdersSource):
    """A source during whose reading a newer try begins."""

    def __init__(self, night: Night) -> None:
        super().__init__(night.platform.source_url, night.platform.credentials)
        self.night = night

    def extract(self, part: Part, open_staged: OpenStaged, progress: Progress) -> Extracted:
        for group in range(len(self.night.run.plan.groups)):
            self.night.run.begin("extract", f"group-{group}")
        return super().extract(part, open_staged, progress)


def test_a_superseded_try_records_nothing(night: Night) -> None:
    # design §2
    add_order(night, 1)
    night.platform.flush()
    with pytest.raises(SupersededError):
        night.extract(Overtaken(night))
    assert night.world.ledger.parts("acme", night.run.plan.run_id) == []


# -- quarantine


def test_bad_records_go_to_quarantine_with_their_reasons(night: Night) -> None:
    # D31 DX-121 DX-126 DX-146
    add_order(night, 1)
    add_order(night, 2, metadata='["no object"]')
    night.platform.job(add_order(night, 3), task_name="t", analyzed_value='{"a":1}', corrected_value="[]")
    night.platform.order("no uuid", updated=NOON, name="order 4")
    order = night.platform.order(uuid(5), updated=NOON, name="order 5")
    night.platform.input(night.platform.item(order), None)
    add_order(night, 6)
    done = night.both()
    assert [record["name"] for record in night.lines(done["segments"][0])] == ["order 1", "order 6"]
    quarantined = {json.loads(entry["record"])["name"]: entry for entry in night.lines(done["quarantine"])}
    job = "/work_items/0/input/0/job_conformity/0"
    kinds = '"null", "boolean", "number", "string"'
    assert {name: entry["reasons"] for name, entry in quarantined.items()} == {
        "order 2": ['/metadata: the value is not of types "null", "object"'],
        "order 3": [
            f"{job}/analyzed_value: the value is not of types {kinds}",
            f"{job}/corrected_value: the value is not of types {kinds}",
        ],
        "order 4": ['/id: the value is not a "uuid"'],
        "order 5": ["/work_items/*/input/*/id: is null, so its image has no name"],
    }
    assert done["reasons"] == {
        '/metadata: the value is not of types "null", "object"': 1,
        f"{job.replace('0', '*')}/analyzed_value: the value is not of types {kinds}": 1,
        f"{job.replace('0', '*')}/corrected_value: the value is not of types {kinds}": 1,
        '/id: the value is not a "uuid"': 1,
        "/work_items/*/input/*/id: is null, so its image has no name": 1,
    }
    assert (night.part().rows_read, night.part().rows_rejected) == (6, 4)


def test_another_sites_record_is_never_delivered(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-07 D36
    import shutil

    from outfeed.datasets import dataset_folder

    folder = tmp_path / "datasets" / "work_orders"
    shutil.copytree(dataset_folder("work-orders"), folder)
    statement = folder / "sqlite" / "work-orders-timeline.sql"
    statement.write_text(statement.read_text().replace("o.site_id = :site_id", "1 = 1"))
    monkeypatch.setenv("OUTFEED_DATASETS", str(folder.parent))
    add_order(night, 1)
    add_order(night, 2, site=OTHER_SITE)
    night.platform.order(uuid(3), updated=NOON, site_id=None)
    done = night.both()
    assert [record["id"] for record in night.lines(done["segments"][0])] == [uuid(1)]
    assert done["reasons"] == {
        "/site_id: is another site than the one that was exported": 1,
        "/site_id: is null, so the record has no folder": 1,
    }
    assert f"{uuid(102)}.png" not in night.staged(done["images"]).decode()


@pytest.mark.parametrize(
    ("limits", "fails"),
    [
        ({}, None),
        ({"max_rejected_records": 2}, None),
        ({"max_rejected_records": 1}, "more than the 1 that validation.max_rejected_records allows"),
        ({"max_rejected_percent": 25}, None),
        ({"max_rejected_percent": 24.9}, "more than the 24.9 % that validation.max_rejected_percent allows"),
        ({"max_rejected_records": 0, "max_rejected_percent": 50}, "more than the 0 that"),
    ],
)
def test_too_many_rejected_records_fail_the_part(
    make_night: Callable[..., Night], limits: dict[str, Any], fails: str | None
) -> None:
    night = make_night(validation=limits)
    for number in range(8):
        add_order(night, number, metadata="[]" if number < 2 else None)
    if fails is None:
        assert night.both()["rejected"] == 2
        return
    night.extract()
    with pytest.raises(TerminalError) as caught:
        night.validate()
    assert caught.value.action is Action.OPERATOR
    assert f"2 of 8 records were rejected, {fails}" in str(caught.value)
    assert '/metadata: the value is not of types "null", "object" (2)' in str(caught.value)
    assert night.run.staging.result("validate", TIMELINE_KEY) is None
    assert night.part().state is RunState.FAILED
    assert night.part().rows_read == 8
    (quarantine,) = Path(night.run.staging.root.path).rglob("quarantine.jsonl")
    assert str(quarantine) in str(caught.value)
    assert len(quarantine.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("cut", [1, 40, 5000])
def test_a_staged_file_that_lost_its_end_is_not_taken_for_whole(night: Night, cut: int) -> None:
    # design §4.2
    for number in range(20):
        add_order(night, number)
    night.extract()
    (segment,) = night.result("extract")["segments"]
    path = Path(night.run.staging.path(segment).path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(TransientError, match=r"20 records in .* were staged"):
        night.validate()
    assert night.run.staging.result("validate", TIMELINE_KEY) is None


def test_a_full_disk_fails_the_part_and_says_so(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    add_order(night, 1)
    night.extract()

    def open_full(self: Staging, step: str, part: str, name: str) -> tuple[str, BinaryIO]:
        return name, Path("/dev/full").open("wb", buffering=0)

    monkeypatch.setattr(Staging, "open_write", open_full)
    with pytest.raises(TerminalError, match="No space left") as caught:
        night.validate()
    assert caught.value.action is Action.OPERATOR
    assert night.run.staging.result("validate", TIMELINE_KEY) is None


class Deadly(WorkOrderInspector):
    """An inspector that the system kills, as it does for want of memory."""

    def images(self, record: dict[str, Any]) -> list[str]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


def test_a_worker_that_dies_fails_the_part(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    before = psutil.Process().children()
    monkeypatch.setattr(record_check, "_WORTH_WORKERS", IN_WORKERS)
    monkeypatch.setattr(WorkOrdersSource, "inspector", lambda self, part: Deadly(part.subject))
    add_order(night, 1)
    night.extract()
    with pytest.raises(TransientError, match="ended with code -9"):
        night.validate()
    assert night.run.staging.result("validate", TIMELINE_KEY) is None
    assert psutil.Process().children() == before


def test_workers_end_when_the_step_breaks_off(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    before = psutil.Process().children()
    monkeypatch.setattr(record_check, "_WORTH_WORKERS", IN_WORKERS)
    monkeypatch.setattr(record_check, "_BLOCK_SIZE", 1_000)
    for number in range(50):
        add_order(night, number)
    night.extract()

    def interrupted(self: NameSet, names: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(NameSet, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        night.validate()
    assert psutil.Process().children() == before


def test_a_worker_ends_with_its_parent(night: Night) -> None:
    script = (
        "import os, signal; from outfeed.steps.check_worker import _Worker;"
        "from outfeed.sources.work_orders import WorkOrderInspector;"
        "worker = _Worker('work-orders', WorkOrderInspector('x'));"
        "print(worker._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while lives(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may still wait for its parent to notice."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# -- images


def test_images_are_listed_once_with_what_the_store_has(night: Night) -> None:
    # DX-056 DX-106 DX-107 D15
    add_order(night, 1)
    analysed_only = night.platform.order(uuid(2), updated=START - dt.timedelta(days=5))
    night.platform.input(night.platform.item(analysed_only), uuid(102))
    night.platform.input(night.platform.item(analysed_only), "13ead234c-8236-4sfa-b748-sdfb409cfe5")
    night.platform.input(night.platform.item(analysed_only), "../../secret", extension=".pem")
    order = night.platform.order(uuid(3), updated=NOON)
    night.platform.input(night.platform.item(order), uuid(103), analysed=START - dt.timedelta(days=5))
    (night.world.images / f"{uuid(103)}.png").write_bytes(b"")
    (night.world.images / f"{uuid(102)}.png").mkdir()
    done = night.both()
    size = (night.world.images / f"{uuid(101)}.png").stat().st_size
    assert night.lines(done["images"]) == [
        {"name": f"{uuid(101)}.png", "state": "present", "bytes": size},
        {"name": f"{uuid(102)}.png", "state": "missing", "bytes": None},
        {"name": f"{uuid(103)}.png", "state": "present", "bytes": 0},
    ]
    assert (done["images_present"], done["images_missing"]) == (2, 1)
    assert done["noticed"] == {"analysed image whose name is no <uuid><extension>: left out": 2}


def test_the_images_of_rejected_records_are_not_referenced(night: Night) -> None:
    add_order(night, 1)
    order = night.platform.order(uuid(2), updated=NOON, metadata="[]")
    night.platform.input(night.platform.item(order), uuid(102), analysed=None)
    done = night.both()
    assert [entry["name"] for entry in night.lines(done["images"])] == [f"{uuid(101)}.png"]


def test_a_states_export_lists_only_what_its_file_names(make_night: Callable[..., Night]) -> None:
    # DX-056 DX-068
    night = make_night(export_type=STATES)
    order = night.platform.order(uuid(1), updated=NOON)
    item = night.platform.item(order)
    night.platform.input(item, uuid(101), created=START)
    night.platform.input(item, uuid(102), created=NOON)
    night.world.image(f"{uuid(102)}.png")
    done = night.both()
    assert [entry["name"] for entry in night.lines(done["images"])] == [f"{uuid(102)}.png"]


def test_without_images_none_are_listed(make_night: Callable[..., Night]) -> None:
    # DX-053
    night = make_night(destinations=[{**LOCAL, "export_images": False}])
    order = night.platform.order(uuid(1), updated=NOON)
    night.platform.input(night.platform.item(order), uuid(101))
    night.extract()
    night.validate(None)
    done = night.result("validate")
    assert night.result("extract")["images"] is None
    assert (done["images"], done["images_present"], done["images_missing"]) == (None, 0, 0)


def test_a_store_in_the_cloud_is_asked_for_each_image(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_list, "_NAMES_PER_LOOKUP", 3)
    monkeypatch.setattr(image_list, "_LOOKUPS_IN_FLIGHT", 2)
    store = UPath("memory://image-store")
    item = night.platform.item(night.platform.order(uuid(1), updated=NOON))
    for number in range(20):
        night.platform.input(item, uuid(number))
        if number % 3:
            (store / f"{uuid(number)}.png").write_bytes(b"x" * number)
    night.extract()
    night.validate(store)
    listed = night.lines(night.result("validate")["images"])
    assert [(entry["name"], entry["bytes"]) for entry in listed] == [
        (f"{uuid(number)}.png", number if number % 3 else None) for number in range(20)
    ]


@pytest.mark.parametrize(
    ("store", "expected", "what"),
    [
        (None, TerminalError, "there is no image store"),
        ("nowhere", TerminalError, "the image store does not exist"),
        ("file", TransientError, "NotADirectoryError"),
    ],
)
def test_a_store_that_can_not_answer_fails_the_part(
    night: Night, store: str | None, expected: type[OutfeedError], what: str
) -> None:
    add_order(night, 1)
    night.extract()
    (night.world.home / "file").write_text("no folder")
    with pytest.raises(expected, match=what):
        night.validate(store and UPath(night.world.home / store))
    assert night.run.staging.result("validate", TIMELINE_KEY) is None


def test_names_are_kept_apart_by_case_and_given_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_list, "_NAMES_IN_MEMORY", 10)
    lower, upper = "abcdef00-0000-4000-8000-00000000000a.png", "ABCDEF00-0000-4000-8000-00000000000A.png"
    names = [f"{uuid(number)}.jpg" for number in range(50)]
    with NameSet() as found:
        for _ in range(3):
            found.add([lower, upper])
            for start in range(0, 50, 7):
                found.add(names[start : start + 7])
        assert list(found) == sorted([*names, lower, upper])
        folder = Path(found._folder.name)
        assert list(folder.iterdir())
    assert not folder.exists()


# -- blocks


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["good", "bad", "long"]), max_size=12), max_size=4), st.integers(1, 400)
)
def test_blocks_may_end_anywhere(segments: list[list[str]], block_size: int) -> None:
    import io

    record = {"id": None, "name": "x", "site_id": SITE, "create_date": None, "update_date": None}
    good = json.dumps({**record, "metadata": None, "work_items": []}).encode() + b"\n"
    long = json.dumps({**record, "name": "x" * 1500, "metadata": None, "work_items": []}).encode() + b"\n"
    kinds = {"good": good, "bad": b'{"id":"no uuid"}\n', "long": long}
    written: dict[str, io.BytesIO] = {}

    class Kept(io.BytesIO):
        def close(self) -> None:
            """Stays readable."""

    def open_staged(name: str) -> tuple[str, BinaryIO]:
        written[name] = Kept()
        return name, written[name]

    check = RecordCheck(make_part(), WorkOrderInspector(SITE), open_staged, lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_check, "_BLOCK_SIZE", block_size)
        streams = (io.BytesIO(b"".join(kinds[kind] for kind in segment)) for segment in segments)
        check.run(streams, 0, lambda rows, count: None)
    flat = [kind for segment in segments for kind in segment]
    expected = b"".join(kinds[kind] for kind in flat if kind != "bad")
    assert written["records.jsonl"].getvalue() == expected
    assert check.sha256 == hashlib.sha256(expected).hexdigest()
    assert (check.rows, check.rejected) == (len(flat) - flat.count("bad"), flat.count("bad"))
    assert check.read == sum(len(kinds[kind]) for kind in flat)
    quarantine = written["quarantine.jsonl"].getvalue() if flat.count("bad") else b""
    assert quarantine.count(b"\n") == flat.count("bad")
