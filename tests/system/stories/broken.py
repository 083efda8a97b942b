"""Customers of whom one destination is down, or whose platform can't be reached."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from outfeed.ledger.records import DeliveryRecord
from tests.faults.harness import everything_below
from tests.system.stories.stage import DEAD_SOURCE, HALF, IMAGES, SOURCE, Stage, text_of

if TYPE_CHECKING:
    from tests.system.conftest import Site

WINDOW = {"window_start": "2026-03-28T00:00:00+01:00", "window_end": "2026-03-29T00:00:00+01:00"}


@dataclasses.dataclass(frozen=True)
class Look:
    """What there is at one moment."""

    state: str
    tasks: dict[str, str | None]
    tries: dict[str, int]
    tree: dict[str, bytes | None]
    receipts: list[DeliveryRecord]
    #: Subject and text of each mail so far, by role.
    mails: dict[str, list[tuple[str, str]]]


@dataclasses.dataclass(frozen=True)
class DestinationStory:
    """Looks while the destination is down, and after its repair."""

    down: Look
    repaired: Look


@dataclasses.dataclass(frozen=True)
class SourceStory:
    """The look at the end, and the logs of the extract task's tries."""

    look: Look
    logs: list[str]


def tell_destination(site: Site) -> DestinationStory:
    """One of two destinations is blocked until an operator removes what is in the way."""
    stage = Stage(site, "half")
    options = f"interval: daily\nsource: {{connection: {SOURCE}, images_uri: {IMAGES}}}"
    images = ", export_images: true"
    stage.add(stage.config((HALF,), {"good": images, "blocked": images}, options))
    obstacle = stage.delivered / "blocked"
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("a file where the folder should be")
    run_id = stage.start(**WINDOW)
    down = _look(stage, run_id)

    obstacle.unlink()
    stage.clear(run_id, "upload.blocked", "notify")
    return DestinationStory(down, _look(stage, run_id))


def tell_source(site: Site) -> SourceStory:
    """Nothing listens where the platform's database should be."""
    stage = Stage(site, "unread")
    options = f"interval: daily\nsource: {{connection: {DEAD_SOURCE}}}"
    stage.add(stage.config((HALF,), {"box": ""}, options))
    run_id = stage.start(**WINDOW)
    look = _look(stage, run_id)
    tries = range(1, look.tries["parts.extract"] + 1)
    return SourceStory(look, [stage.log(run_id, "parts.extract", attempt, 0) for attempt in tries])


def _look(stage: Stage, run_id: str) -> Look:
    state = stage.end(run_id)
    return Look(
        state=state,
        tasks=stage.site.rest.task_states(stage.name, run_id),
        tries=stage.tries(run_id),
        tree=everything_below(stage.delivered),
        receipts=stage.ledger.deliveries(stage.name),
        mails={
            role: [(str(mail["Subject"]), text_of(mail)) for mail in stage.mails(role)]
            for role in ("data", "ops")
        },
    )
