"""Delivery to local folders, step by step: what arrives, under which names, in which order."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from outfeed.connectors.base import Delivered, Outgoing, Undelivered
from outfeed.connectors.local import LocalConnector
from outfeed.errors import Action, ConfigError, TerminalError
from outfeed.ledger.records import FileKind, FileState
from outfeed.plan import Reason
from tests.flow.world import DAY, NAME, SITE_A, SITE_B, World, config, sha256sum_accepts, tree

DATA = "data/work-orders-timeline"
FOLDER = f"_outfeed/work-orders-timeline/{NAME}"
FIRST = {SITE_A: b'{"id":1}\n{"id":2}\n', SITE_B: b'{"id":3}\n'}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where the only destination puts its files."""
    return tmp_path / "base"


@pytest.fixture
def world(tmp_path: Path, base: Path) -> World:
    """A customer whose destination has been validated by a test export of another day."""
    made = World(
        tmp_path, config([{"name": "box", "type": "local", "path": str(base), "export_images": True}])
    )
    made.ledger.record_validation("acme", made.config.destinations[0].location(), "earlier")
    return made


def test_the_tree_is_the_documents_tree(world: World, base: Path) -> None:
    # DX-052, DX-054, DX-064, DX-065, DX-067, DX-103, DX-107
    image = world.image("9a739279-0904-4710-b740-53971660f2ae.png")
    world.deliver(FIRST, {SITE_A: [image]})
    assert set(tree(base)) == {
        f"{SITE_A}/{DATA}/{NAME}.json",
        f"{SITE_B}/{DATA}/{NAME}.json",
        f"{SITE_A}/inputs/9a739279-0904-4710-b740-53971660f2ae.png",
        f"{FOLDER}/IMAGES",
        f"{FOLDER}/MANIFEST",
        f"{FOLDER}/SHA256SUMS",
        f"{FOLDER}/_SUCCESS",
    }
    assert tree(base)[f"{SITE_A}/{DATA}/{NAME}.json"] == FIRST[SITE_A]


def test_coreutils_accepts_every_delivered_file(world: World, base: Path) -> None:
    # XX-05
    world.deliver(FIRST, {SITE_B: [world.image("a.png"), world.image("b.pdf")]})
    said = sha256sum_accepts(base, f"{FOLDER}/SHA256SUMS")
    assert sorted(line.split(": ")[0] for line in said.splitlines()) == sorted(
        [
            f"{SITE_A}/{DATA}/{NAME}.json",
            f"{SITE_B}/{DATA}/{NAME}.json",
            f"{SITE_B}/inputs/a.png",
            f"{SITE_B}/inputs/b.pdf",
            f"{FOLDER}/IMAGES",
            f"{FOLDER}/MANIFEST",
        ]
    )


def test_no_glob_of_the_documented_tree_meets_our_own_files(world: World, base: Path) -> None:
    # DX-064
    world.deliver(FIRST, {SITE_A: [world.image("a.png")]})
    assert {file.name for file in base.rglob("*.json")} == {f"{NAME}.json"}
    assert {file.name for file in base.glob("*/inputs/*")} == {"a.png"}


def test_the_manifest_counts_what_was_delivered(world: World, base: Path) -> None:
    # XX-05, XX-08
    world.deliver(FIRST, {SITE_A: [world.image("a.png"), "gone.png"]})
    manifest = orjson.loads((base / FOLDER / "MANIFEST").read_bytes())
    assert manifest["window"] == {
        "start": "2026-03-27T23:00:00Z",
        "end": "2026-03-28T23:00:00Z",
        "bounds": "[start, end)",
    }
    assert (manifest["revision"], manifest["supersedes"], manifest["reason"]) == (1, None, "scheduled")
    assert [(f["path"], f["rows"], f["bytes"], f["revision"]) for f in manifest["files"]] == [
        (f"{SITE_A}/{DATA}/{NAME}.json", 2, 18, 1),
        (f"{SITE_B}/{DATA}/{NAME}.json", 1, 9, 1),
    ]
    assert manifest["totals"] == {"files": 2, "rows": 3, "bytes": 27, "rejected_rows": 0}
    assert (manifest["images"]["delivered"], manifest["images"]["missing"]) == (1, 1)
    assert manifest["schema"]["id"] == "urn:outfeed:contract:work-orders:1"
    assert len(manifest["schema"]["sha256"]) == 64
    marker = orjson.loads((base / FOLDER / "_SUCCESS").read_bytes())
    assert marker["delivery_id"] == manifest["delivery_id"]
    receipt = world.ledger.deliveries("acme")[0]
    assert (receipt.files, receipt.rows, receipt.images, receipt.images_missing) == (2, 3, 1, 1)


def test_images_go_first_then_data_then_manifest_and_the_marker_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-04
    order: list[str] = []
    deliver = LocalConnector.deliver

    def spy(self: LocalConnector, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        for result in deliver(self, files):
            order.append(result.path)
            yield result

    monkeypatch.setattr(LocalConnector, "deliver", spy)
    world.deliver(FIRST, {SITE_A: [world.image("a.png")]})
    assert order[0] == f"{SITE_A}/inputs/a.png"
    assert set(order[1:3]) == {f"{SITE_A}/{DATA}/{NAME}.json", f"{SITE_B}/{DATA}/{NAME}.json"}
    assert order[3:] == [f"{FOLDER}/{name}" for name in ("IMAGES", "MANIFEST", "SHA256SUMS", "_SUCCESS")]


def test_the_same_content_is_not_delivered_twice(world: World, base: Path) -> None:
    # XX-03, DX-063
    image = world.image("a.png")
    world.deliver(FIRST, {SITE_A: [image]})
    before = {path: (base / path).stat().st_mtime_ns for path in tree(base)}
    again = world.deliver(FIRST, {SITE_A: [image]}, reason=Reason.BACKFILL)
    assert again["box"]["outcome"] == "nothing-new"
    assert {path: (base / path).stat().st_mtime_ns for path in tree(base)} == before
    assert len(world.ledger.deliveries("acme")) == 1


def test_changed_content_becomes_a_revision_that_names_what_it_supersedes(world: World, base: Path) -> None:
    # XX-03, DX-063
    world.deliver(FIRST)
    before = tree(base)
    first = orjson.loads((base / FOLDER / "MANIFEST").read_bytes())
    result = world.deliver(FIRST | {SITE_A: b'{"id":9}\n'}, reason=Reason.BACKFILL)
    assert result["box"]["revision"] == 2
    after = tree(base)
    assert {path: after[path] for path in before} == before, "revision 1 is untouched"
    assert after[f"{SITE_A}/{DATA}/{NAME}__r2.json"] == b'{"id":9}\n'
    assert f"{SITE_B}/{DATA}/{NAME}__r2.json" not in after
    manifest = orjson.loads(after[f"{FOLDER}__r2/MANIFEST"])
    assert (manifest["revision"], manifest["supersedes"]) == (2, first["delivery_id"])
    by_path = {file["path"]: file for file in manifest["files"]}
    assert by_path[f"{SITE_A}/{DATA}/{NAME}__r2.json"]["supersedes"] == f"{SITE_A}/{DATA}/{NAME}.json"
    assert by_path[f"{SITE_B}/{DATA}/{NAME}.json"]["unchanged"] is True
    assert sha256sum_accepts(base, f"{FOLDER}__r2/SHA256SUMS").count("OK") == 2


def test_files_that_the_customer_deleted_are_not_sent_again(world: World, base: Path) -> None:
    # DX-090
    image = world.image("a.png")
    world.deliver(FIRST, {SITE_A: [image]})
    shutil.rmtree(base)
    again = world.deliver(FIRST, {SITE_A: [image]})
    assert again["box"]["outcome"] == "nothing-new"
    assert tree(base) == {} if base.exists() else True
    other = world.deliver({SITE_A: b'{"id":5}\n', SITE_B: b""}, window=type(DAY)(DAY.end, DAY.end + DAY.span))
    assert other["box"]["outcome"] == "delivered"


def test_an_image_is_delivered_once_however_many_windows_name_it(world: World, base: Path) -> None:
    # DX-056, DX-106
    image = world.image("a.png")
    world.deliver(FIRST, {SITE_A: [image]})
    later = type(DAY)(DAY.end, DAY.end + DAY.span)
    result = world.deliver({SITE_A: b'{"id":4}\n', SITE_B: b""}, {SITE_A: [image]}, window=later)
    assert result["box"]["images"] == 0
    assert len(list(base.rglob("a.png"))) == 1


def test_an_image_missing_in_its_store_is_listed_and_follows_when_it_appears(
    world: World, base: Path
) -> None:
    # DX-068, DX-108
    world.deliver(FIRST, {SITE_A: ["late.png"]})
    listed = orjson.loads((base / FOLDER / "IMAGES").read_bytes())
    assert listed == {"path": f"{SITE_A}/inputs/late.png", "state": "missing", "bytes": None, "sha256": None}
    world.image("late.png", b"now here ")
    later = type(DAY)(DAY.end, DAY.end + DAY.span)
    result = world.deliver({SITE_A: b"", SITE_B: b""}, window=later)
    assert result["box"]["images"] == 1
    assert (base / SITE_A / "inputs" / "late.png").read_bytes() == b"now here late.png"
    assert world.ledger.outstanding_images("acme", world.config.destinations[0].location()) == []


def test_an_image_that_vanishes_between_validation_and_upload_is_missing_not_fatal(
    world: World, base: Path
) -> None:
    # DX-056
    image = world.image("a.png")
    run = world.plan()
    world.package(run, FIRST, {SITE_A: [image]})
    (world.images / image).unlink()
    assert world.upload(run, "box")["images_missing"] == 1
    recorded = world.ledger.files_of_run("acme", run.plan.run_id)
    assert [r.state for r in recorded if r.kind is FileKind.IMAGE] == [FileState.MISSING]


def test_a_foreign_file_under_our_name_is_kept_and_ours_goes_beside_it(world: World, base: Path) -> None:
    # DX-063, XX-03
    foreign = base / SITE_A / DATA / f"{NAME}.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"the customer's own\n")
    picture = base / SITE_A / "inputs" / "a.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"another picture")
    world.deliver(FIRST, {SITE_A: [world.image("a.png")]})
    assert foreign.read_bytes() == b"the customer's own\n"
    assert (base / SITE_A / DATA / f"{NAME}__r2.json").read_bytes() == FIRST[SITE_A]
    assert picture.read_bytes() == b"another picture"
    assert (base / SITE_A / "inputs" / "a__r2.png").read_bytes() == b"\x89PNG picturea.png"
    sha256sum_accepts(base, f"{FOLDER}/SHA256SUMS")


def test_a_part_that_failed_withholds_manifest_and_marker_but_not_the_others(
    world: World, base: Path
) -> None:
    # XX-04, DX-103
    run = world.plan()
    world.package(run, {SITE_A: FIRST[SITE_A]})
    with pytest.raises(TerminalError, match="1 of 2 parts were not packaged") as caught:
        world.upload(run, "box")
    assert caught.value.action is Action.OPERATOR
    assert set(tree(base)) == {f"{SITE_A}/{DATA}/{NAME}.json"}
    assert world.ledger.deliveries("acme") == []
    world.package(run, {SITE_B: FIRST[SITE_B]})
    assert world.upload(run, "box", "2-second")["files"] == 2
    assert (base / FOLDER / "_SUCCESS").exists()


def test_an_empty_window_gives_an_empty_file_or_none(tmp_path: Path) -> None:
    # DX-103
    for wanted, expected in (("file", 2), ("none", 0)):
        home = tmp_path / wanted
        base = home / "base"
        world = World(
            home, config([{"name": "box", "type": "local", "path": str(base)}], empty_window=wanted)
        )
        world.ledger.record_validation("acme", world.config.destinations[0].location(), "earlier")
        world.deliver({SITE_A: b"", SITE_B: b""})
        assert len(list(base.rglob("*.json"))) == expected
        assert (base / FOLDER / "_SUCCESS").exists(), "an empty window is complete, and says so"


def test_a_window_that_has_become_empty_supersedes_what_it_had(tmp_path: Path) -> None:
    # XX-03
    base = tmp_path / "base"
    world = World(
        tmp_path, config([{"name": "box", "type": "local", "path": str(base)}], empty_window="none")
    )
    world.ledger.record_validation("acme", world.config.destinations[0].location(), "earlier")
    world.deliver(FIRST)
    world.deliver({SITE_A: b"", SITE_B: FIRST[SITE_B]})
    assert (base / SITE_A / DATA / f"{NAME}__r2.json").read_bytes() == b""


def test_only_a_test_export_may_be_the_first_delivery(tmp_path: Path) -> None:
    # DX-005, DX-088, DX-089, XX-10
    base = tmp_path / "base"
    world = World(tmp_path, config([{"name": "box", "type": "local", "path": str(base)}]))
    with pytest.raises(TerminalError, match="has not been validated") as caught:
        world.deliver(FIRST)
    assert caught.value.action is Action.OPERATOR
    assert not base.exists()
    assert world.deliver(FIRST, reason=Reason.TEST)["box"]["outcome"] == "delivered"
    later = type(DAY)(DAY.end, DAY.end + DAY.span)
    assert world.deliver(FIRST, window=later)["box"]["outcome"] == "delivered"


def test_a_test_export_validates_only_what_it_finds_at_the_destination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-088
    base = tmp_path / "base"
    world = World(tmp_path, config([{"name": "box", "type": "local", "path": str(base)}]))
    stat = LocalConnector.stat

    def swept(self: LocalConnector, path: str) -> Any:
        (base / path).unlink(missing_ok=True)
        return stat(self, path)

    monkeypatch.setattr(LocalConnector, "stat", swept)
    with pytest.raises(TerminalError, match="no bytes of it instead of"):
        world.deliver(FIRST, reason=Reason.TEST)
    assert world.ledger.validated_at("acme", world.config.destinations[0].location()) is None


def test_a_draft_runs_only_test_exports(tmp_path: Path) -> None:
    # DX-005
    draft = config([{"name": "box", "type": "local", "path": str(tmp_path / "base")}], state="draft")
    world = World(tmp_path, draft)
    with pytest.raises(ConfigError, match="acme is a draft: only a test export may run"):
        world.plan(Reason.MANUAL)
    assert world.plan(Reason.TEST).plan.reason is Reason.TEST


def test_a_destination_that_is_down_does_not_stop_the_other(tmp_path: Path) -> None:
    # XX-07, DX-091
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    good = tmp_path / "good"
    world = World(
        tmp_path,
        config(
            [
                {"name": "down", "type": "local", "path": str(blocked / "inside")},
                {"name": "up", "type": "local", "path": str(good)},
            ]
        ),
    )
    for destination in world.config.destinations:
        world.ledger.record_validation("acme", destination.location(), "earlier")
    run = world.plan()
    world.package(run, FIRST)
    with pytest.raises(TerminalError):
        world.upload(run, "down")
    assert world.upload(run, "up")["outcome"] == "delivered"
    sha256sum_accepts(good, f"{FOLDER}/SHA256SUMS")


def test_portable_names_have_no_colon(tmp_path: Path) -> None:
    # DX-065
    base = tmp_path / "base"
    options = {"name": "box", "type": "local", "path": str(base), "filename_style": "portable"}
    world = World(tmp_path, config([options]))
    world.ledger.record_validation("acme", world.config.destinations[0].location(), "earlier")
    world.deliver(FIRST)
    names = list(tree(base))
    assert f"{SITE_A}/{DATA}/2026-03-27T230000Z_2026-03-28T230000Z.json" in names
    assert not [name for name in names if ":" in name]


def test_without_export_images_no_image_is_delivered(tmp_path: Path) -> None:
    # DX-053, DX-075
    base = tmp_path / "base"
    world = World(tmp_path, config([{"name": "box", "type": "local", "path": str(base)}]))
    world.ledger.record_validation("acme", world.config.destinations[0].location(), "earlier")
    world.deliver(FIRST, {SITE_A: [world.image("a.png")]})
    assert not list(base.rglob("inputs"))
    assert not (base / FOLDER / "IMAGES").exists()


def test_the_same_delivery_has_the_same_bytes_whoever_makes_it(tmp_path: Path) -> None:
    # XX-02
    trees = []
    for home in (tmp_path / "one", tmp_path / "two"):
        world = World(
            home, config([{"name": "box", "type": "local", "path": "acme/box", "export_images": True}])
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OUTFEED_HOME", str(home))
            world.ledger.record_validation("acme", world.config.destinations[0].location(), "earlier")
            world.runs = len(trees) * 10
            world.deliver(FIRST, {SITE_B: [world.image("x.png")]})
        trees.append(tree(home / "delivered"))
    assert trees[0] == trees[1]
    assert len(trees[0]) == 7
