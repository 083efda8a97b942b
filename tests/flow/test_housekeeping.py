"""What is removed when, and which windows are missed."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from upath import UPath

from outfeed.steps.housekeeping import late_windows, remove_expired
from outfeed.windows import Window
from tests.flow.test_delivery import FIRST
from tests.flow.world import World, config

NOW = dt.datetime(2026, 4, 1, 12, tzinfo=dt.UTC)


def _aged(file: Path, days: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"12345")
    stamp = (NOW - dt.timedelta(days=days)).timestamp()
    os.utime(file, (stamp, stamp))
    return file


def test_staging_goes_after_seven_days_and_quarantine_after_thirty(tmp_path: Path) -> None:
    # XX-09
    run = tmp_path / "staging" / "acme" / "run-1" / "validate" / "part" / "try=1"
    old = _aged(run / "records.jsonl", 7.1)
    young = _aged(run / "records-2.jsonl", 6.9)
    kept = _aged(run / "quarantine.jsonl", 29.9)
    gone = _aged(
        tmp_path / "staging" / "acme" / "run-0" / "validate" / "p" / "try=1" / "quarantine.jsonl", 30.1
    )
    removed = remove_expired(UPath(tmp_path / "staging"), NOW)
    assert removed == {"files": 2, "bytes": 10}
    assert [old.exists(), young.exists(), kept.exists(), gone.exists()] == [False, True, True, False]
    assert not (tmp_path / "staging" / "acme" / "run-0").exists(), "empty folders go too"


def test_a_released_window_without_a_receipt_is_late(tmp_path: Path) -> None:
    # DX-018, DX-019
    live = config([{"name": "box", "type": "local", "path": str(tmp_path / "base")}], start_date="2026-03-27")
    world = World(tmp_path, live)
    world.ledger.record_validation("acme", live.destinations[0].location(), "earlier")
    day = Window(dt.datetime(2026, 3, 27, 23, tzinfo=dt.UTC), dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC))
    world.deliver(FIRST, window=day)
    late = late_windows({"acme": live}, world.ledger, NOW)
    assert [(w.destination, w.window.start.isoformat()) for w in late] == [
        ("box", "2026-03-26T23:00:00+00:00"),
        ("box", "2026-03-28T23:00:00+00:00"),
        ("box", "2026-03-29T22:00:00+00:00"),
        ("box", "2026-03-30T22:00:00+00:00"),
    ]
    early = dt.datetime(2026, 3, 28, 5, 0, tzinfo=dt.UTC)
    assert len(late_windows({"acme": live}, world.ledger, early)) == 0, "six hours of grace, and the delay"


def test_drafts_are_never_late(tmp_path: Path) -> None:
    # DX-005
    draft = config([{"name": "box", "type": "local", "path": "x"}], state="draft", start_date="2026-03-27")
    assert late_windows({"acme": draft}, World(tmp_path, draft).ledger, NOW) == []


def test_without_a_start_date_windows_are_owed_from_the_first_run_on(tmp_path: Path) -> None:
    # DX-018, DX-019
    live = config([{"name": "box", "type": "local", "path": str(tmp_path / "base")}], start_date=None)
    world = World(tmp_path, live)
    assert late_windows({"acme": live}, world.ledger, NOW) == [], "it may not have begun"
    world.ledger.record_validation("acme", live.destinations[0].location(), "earlier")
    day = Window(dt.datetime(2026, 3, 27, 23, tzinfo=dt.UTC), dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC))
    world.deliver(FIRST, window=day)
    late = late_windows({"acme": live}, world.ledger, NOW)
    assert [w.window.start.isoformat() for w in late] == [
        "2026-03-28T23:00:00+00:00",
        "2026-03-29T22:00:00+00:00",
        "2026-03-30T22:00:00+00:00",
    ]
