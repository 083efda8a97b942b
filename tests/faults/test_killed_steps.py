"""Every step, killed by SIGKILL at every place that matters, leaves what an undisturbed run leaves."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from outfeed.demo_data import generate
from tests.faults.harness import Outcome, Processes, Request, Runs, open_attempts
from tests.faults.kill_points import POINTS

SITES = ["433a60f6-9756-473e-b1e9-9e89e24bb787", "5b0c7d52-41f0-4b1c-9a7e-6f8e2d9c3a10"]
CONFIG = f"""\
type: work-orders
time_zone: Europe/Paris
interval: daily
site_id: [{", ".join(SITES)}]
source:
  connection: platform_db
  images_uri: images
destinations:
  - {{name: archive, type: local, path: acme/archive, export_images: true}}
  - {{name: analytics, type: local, path: acme/analytics, filename_style: portable}}
notify:
  customer: [data@acme.example]
  operators: [exports@platform.example]
"""
STEPS = ("plan", "extract", "validate", "package", "upload", "notify")


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    """The short night of two sites, with images, some of them missing, and with records to be rejected."""
    platform = tmp_path_factory.mktemp("platform")
    database = f"sqlite:///{platform / 'platform.db'}"
    generate(
        database,
        platform / "images",
        sites=SITES,
        orders_per_day=20,
        days=4,
        end=dt.date(2026, 3, 30),
        seed=7,
        broken_share=0.05,
    )
    return Request(
        customer="acme",
        config=CONFIG,
        window=("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        reason="test",
        database=database,
        images=str(platform / "images"),
    )


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Where runs take place."""
    with Processes() as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(request_: Request, processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What must be there in the end."""
    return Runs(tmp_path_factory.mktemp("undisturbed") / "home", request_, processes).undisturbed()


def test_the_undisturbed_run_is_worth_comparing_with(undisturbed: Outcome) -> None:
    parts = undisturbed.facts["parts"]
    assert len(parts) == 2
    files = Counter((row[5], row[6]) for row in undisturbed.facts["files"])
    assert files["data", "delivered"] == 4
    assert files["image", "delivered"] > 50
    assert files["image", "missing"] > 0
    assert files["marker", "delivered"] == 2
    assert sum(row[6] for row in parts) > 0, "some records were rejected"
    assert len(undisturbed.facts["deliveries"]) == len(undisturbed.facts["validations"]) == 2
    assert set(undisturbed.mails.values()) == {1}
    assert sorted(mail[0] for mail in undisturbed.mails) == ["data@acme.example", "exports@platform.example"]


def test_every_step_has_places_at_which_it_dies() -> None:
    assert {name.partition("-")[0] for name in POINTS} == set(STEPS)


@pytest.mark.parametrize("place", POINTS)
def test_a_step_that_is_killed_anywhere_loses_and_doubles_nothing(
    place: str, request_: Request, processes: Processes, undisturbed: Outcome, tmp_path: Path
) -> None:
    # XX-03, XX-04
    outcome = Runs(tmp_path / "home", request_, processes).killed_at(place)
    assert outcome.tree == undisturbed.tree
    assert outcome.facts == undisturbed.facts
    # Better the same mail twice, under one Message-ID, than never.
    twice = {"data@acme.example"} if place == "notify-before-record" else set()
    assert outcome.mails == undisturbed.mails + Counter(
        mail for mail in undisturbed.mails if mail[0] in twice
    )
    assert open_attempts(tmp_path / "home" / "ledger.db") == []


def test_a_run_whose_every_try_is_killed_once_more_still_ends_well(
    request_: Request, processes: Processes, undisturbed: Outcome, tmp_path: Path
) -> None:
    # XX-03, XX-04
    outcome = Runs(tmp_path / "home", request_, processes).killed_at(*POINTS)
    assert outcome.tree == undisturbed.tree
    assert outcome.facts == undisturbed.facts
    assert set(outcome.mails) == set(undisturbed.mails)
