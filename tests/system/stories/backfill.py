"""A customer of Paris: days around the change of the clock are delivered, again, and again after a change."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import TYPE_CHECKING

from outfeed.ledger.records import DeliveryRecord
from tests.faults.harness import everything_below
from tests.system.stories.stage import BACKFILLED, IMAGES, PLATFORM, SOURCE, Stage

if TYPE_CHECKING:
    from tests.system.conftest import Site

FIRST, LAST = "2026-03-27T00:00:00+01:00", "2026-03-31T00:00:00+02:00"
DAYS = 5
#: The day with 23 hours, as the platform's timestamps bound it.
SHORT_DAY = ("2026-03-28T23:00:00.000000+00:00", "2026-03-29T22:00:00.000000+00:00")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What is there after a backfill.

    Attributes:
        windows: bounds of each backfill run's data interval, as Airflow says them, by start.
        states: of those runs.
        tree: all bytes below the destination; None for a folder.
        times: when each file was last modified.
        receipts: what the ledger holds for the windows of the backfill.
    """

    windows: list[tuple[str, str]]
    states: set[str]
    tree: dict[str, bytes | None]
    times: dict[str, int]
    receipts: list[DeliveryRecord]


@dataclasses.dataclass(frozen=True)
class Story:
    """Snapshots after the first backfill, after the same again, and after one with changed records.

    Attributes:
        platform: by start of each window, how many records the platform has in it.
        changed: how many of them were changed before the last backfill.
    """

    first: Snapshot
    again: Snapshot
    changed: Snapshot
    changed_records: int
    mails: int


def tell(site: Site) -> Story:
    """See the module."""
    stage = Stage(site, "paris")
    options = f"interval: daily\nsource: {{connection: {SOURCE}, images_uri: {IMAGES}}}"
    stage.add(stage.config((BACKFILLED,), {"box": ", export_images: true"}, options))
    stage.tested("2026-03-24T00:00:00+01:00", "2026-03-25T00:00:00+01:00")
    stage.end(stage.go_live())

    first = _backfill(stage)
    again = _backfill(stage, reprocess_behavior="completed")
    records = _change_short_day(site)
    changed = _backfill(stage, reprocess_behavior="completed")
    return Story(first, again, changed, records, len(stage.mails("ops")))


def _backfill(stage: Stage, **options: str) -> Snapshot:
    rest = stage.site.rest
    backfill = rest.backfill(stage.name, FIRST, LAST, max_active_runs=DAYS, **options)
    stage.site.wait(
        f"backfill {backfill}",
        lambda: rest.request("GET", f"/backfills/{backfill}")["completed_at"],
        seconds=300,
    )
    runs = [run for run in rest.runs(stage.name) if run["run_type"] == "backfill"]
    box = stage.delivered / "box"
    windows = sorted((run["data_interval_start"], run["data_interval_end"]) for run in runs)
    receipts = [receipt for receipt in stage.ledger.deliveries(stage.name) if receipt.reason == "backfill"]
    return Snapshot(
        windows=windows,
        states={run["state"] for run in runs},
        tree=everything_below(box),
        times={str(file.relative_to(box)): file.stat().st_mtime_ns for file in box.rglob("*")},
        receipts=sorted(receipts, key=lambda receipt: (receipt.start, receipt.revision)),
    )


def _change_short_day(site: Site) -> int:
    """The platform corrects every record of one day; their dates, and so their window, stay."""
    with sqlite3.connect(site.airflow.home / PLATFORM, timeout=30) as platform:
        dated = "coalesce(update_date, create_date)"
        done = platform.execute(
            f"UPDATE work_order SET progress_score = '1' WHERE site_id = ? AND {dated} >= ? AND {dated} < ?",
            (BACKFILLED, *SHORT_DAY),
        )
        return done.rowcount
