"""Steps of a platform-data run, killed by SIGKILL: what is delivered is what an undisturbed run delivers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outfeed.demo_data.platform_data import generate
from tests.faults.harness import Outcome, Processes, Request, Runs, open_attempts
from tests.faults.kill_points import TABLE_POINTS

CONFIG = """\
type: platform-data
source: {connection: video_db}
entities: [assets, tags, users_profiles]
schedules: {users_profiles: "10 0 * * *"}
csv_md5: 1
compression: gzip
# The run is one of days ago: its snapshots are today's, and say so.
backfilled_snapshot: today
destinations:
  - {name: lake, type: local, path: acme/lake}
  - {name: agency, type: local, path: acme/agency, delivery: assets}
notify:
  operators: [exports@platform.example]
"""

PLACES = (
    *TABLE_POINTS,
    "extract-before-pointer",
    "extract-after-record",
    "validate-before-pointer",
    "package-after-pointer",
    "upload-half-a-file",
    "upload-data-not-recorded",
    "upload-before-manifest",
    "upload-marker-not-recorded",
    "upload-before-receipt",
)


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    """A night of three entities."""
    database = f"sqlite:///{tmp_path_factory.mktemp('platform') / 'video.db'}"
    generate(database, scale=1, days=3, end=dt.date(2026, 3, 30), seed=2)
    window = ("2026-03-28T00:00:00Z", "2026-03-29T00:00:00Z")
    return Request("acme", CONFIG, window, "test", database, "")


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(request_: Request, processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What must be there in the end."""
    return Runs(tmp_path_factory.mktemp("undisturbed") / "home", request_, processes).undisturbed()


def files(outcome: Outcome) -> dict[str, bytes | None]:
    """What was delivered, without the manifests: they tell when the database was read."""
    return {path: content for path, content in outcome.tree.items() if "/_outfeed/" not in path}


def facts(outcome: Outcome) -> list[tuple[Any, ...]]:
    """What the ledger knows of parts and of delivered files."""
    kinds = ("data", "sidecar")
    return outcome.facts["parts"] + [row for row in outcome.facts["files"] if row[5] in kinds]


def test_the_undisturbed_run_is_worth_comparing_with(undisturbed: Outcome) -> None:
    named = [path for path, content in files(undisturbed).items() if content is not None]
    assert len([path for path in named if path.endswith(".csv.gz")]) == 5 + 2
    assert len([path for path in named if path.endswith(".csv.gz.md5")]) == 5 + 2
    assert len([path for path in undisturbed.tree if path.endswith("/_SUCCESS")]) == 2


@pytest.mark.parametrize("place", PLACES)
def test_a_step_that_is_killed_anywhere_loses_and_doubles_nothing(
    place: str, request_: Request, processes: Processes, undisturbed: Outcome, tmp_path: Path
) -> None:
    # XX-03, XX-04
    outcome = Runs(tmp_path / "home", request_, processes).killed_at(place)
    assert files(outcome) == files(undisturbed)
    assert facts(outcome) == facts(undisturbed)
    assert len([path for path in outcome.tree if path.endswith("/_SUCCESS")]) == 2
    assert not [path for path in outcome.tree if "__r" in path]
    assert open_attempts(tmp_path / "home" / "ledger.db") == []
