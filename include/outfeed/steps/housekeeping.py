"""Removes what has outlived its purpose, and finds windows that nobody delivered."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from outfeed.config.models import CustomerConfig
from outfeed.config.schedule import Schedule
from outfeed.connectors.link_store import LinkStore
from outfeed.errors import OutfeedError
from outfeed.ledger import Ledger
from outfeed.windows import Window

log = logging.getLogger(__name__)

#: Staged data is needed while a run can still be retried or cleared.
STAGING_RETENTION = dt.timedelta(days=7)
#: Rejected records are kept longer, so that somebody can look at them and repair the platform.
QUARANTINE_RETENTION = dt.timedelta(days=30)
#: A delivery whose mails have not begun may still be retried as long as its staged data is there.
UNLINKED_RETENTION = STAGING_RETENTION + dt.timedelta(days=1)
#: A window is late this long after its release, and looked for no further back than this.
LATE_AFTER = dt.timedelta(hours=6)
LOOK_BACK = dt.timedelta(days=35)

QUARANTINE_PREFIX = "quarantine"


@dataclasses.dataclass(frozen=True)
class LateWindow:
    """A window that should have been delivered by now and was not."""

    customer: str
    destination: str
    window: Window

    def __str__(self) -> str:
        return f"{self.customer}: {self.window} is not complete at {self.destination}"


def remove_expired(staging_root: Any, now: dt.datetime) -> dict[str, int]:
    """No staged file is older than its retention: 7 days, 30 for quarantine (XX-09).

    Args:
        staging_root: folder of all runs, any UPath-like path.
    """
    removed = {"files": 0, "bytes": 0}
    fs = staging_root.fs
    if not fs.exists(staging_root.path):
        return removed
    for path, info in fs.find(staging_root.path, detail=True).items():
        quarantined = PurePosixPath(path).name.startswith(QUARANTINE_PREFIX)
        retention = QUARANTINE_RETENTION if quarantined else STAGING_RETENTION
        if now - _modified(fs, path, info) > retention:
            fs.rm_file(path)
            removed["files"] += 1
            removed["bytes"] += int(info.get("size") or 0)
    _remove_empty_folders(fs, staging_root.path)
    return removed


def remove_expired_links(
    ledger: Ledger, open_folder: Callable[[str], LinkStore], now: dt.datetime
) -> dict[str, int]:
    """No file waits in a store of ours longer than a day after its last link has ended (XX-09, DX-041).

    Args:
        open_folder: the folder of a URI, with the credentials that it needs.

    Raises:
        OutfeedError: the first folder that can't be removed; all others are.
    """
    removed, failures = {"deliveries": 0, "files": 0}, list[OutfeedError]()
    for folder in ledger.links.abandoned(now, UNLINKED_RETENTION):
        try:
            removed["files"] += open_folder(folder.root).remove()
        except OutfeedError as error:
            log.error("%s: %s", folder.customer, error)
            failures.append(error)
        else:
            ledger.links.record_removed(folder, now)
            removed["deliveries"] += 1
    if failures:
        raise failures[0]
    return removed


def _modified(fs: Any, path: str, info: dict[str, Any]) -> dt.datetime:
    stamp = info.get("mtime") or info.get("LastModified") or fs.modified(path)
    if isinstance(stamp, (int, float)):
        return dt.datetime.fromtimestamp(stamp, dt.UTC)
    if isinstance(stamp, str):
        stamp = dt.datetime.fromisoformat(stamp)
    aware: dt.datetime = stamp if stamp.tzinfo else stamp.replace(tzinfo=dt.UTC)
    return aware


def _remove_empty_folders(fs: Any, root: str) -> None:
    """Object stores have no folders of their own; file systems keep them."""
    if "file" not in fs.protocol:
        return
    for folder, _, _ in sorted(fs.walk(root), reverse=True):
        if folder.rstrip("/") != root.rstrip("/") and not fs.ls(folder):
            fs.rmdir(folder)


def late_windows(configs: Mapping[str, CustomerConfig], ledger: Ledger, now: dt.datetime) -> list[LateWindow]:
    """Every released window of every live customer that lacks a receipt at one of its destinations."""
    return [late for customer, config in configs.items() for late in _late_of(customer, config, ledger, now)]


def _late_of(customer: str, config: CustomerConfig, ledger: Ledger, now: dt.datetime) -> Iterator[LateWindow]:
    if config.state != "live":
        return
    due = now - config.release_delay - LATE_AFTER
    first = _first_expected(customer, config, ledger, now)
    for schedule in config.all_schedules():
        for window in _expected(config, schedule, first, due):
            for destination in config.receivers(schedule):
                receipts = ledger.deliveries_of_window(
                    customer, destination.location(), config.delivery(schedule), window.start, window.end
                )
                if not receipts:
                    yield LateWindow(customer, destination.name, window)


def _first_expected(customer: str, config: CustomerConfig, ledger: Ledger, now: dt.datetime) -> dt.datetime:
    """From when on windows are missed; a customer without a start date begins with its first run."""
    look_back = now - LOOK_BACK
    if config.first_instant is not None:
        return max(config.first_instant, look_back)
    return min((run.start for run in ledger.runs(customer, start=look_back)), default=now)


def _expected(
    config: CustomerConfig, schedule: Schedule, first: dt.datetime, due: dt.datetime
) -> Iterator[Window]:
    """The windows that were due; a one-time export has one."""
    if schedule.once is not None and schedule.once.end <= due:
        yield schedule.once
    if schedule.rule is not None:
        yield from (config.window(interval) for interval in schedule.rule.between(first, due))
