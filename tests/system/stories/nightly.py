"""Two sites, two destinations: a draft, a test, a night, and what people ask for by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import httpx

from outfeed.ledger.records import RunRecord
from tests.faults.harness import everything_below
from tests.system.stories.stage import IMAGES, NIGHTLY, SOURCE, Stage

if TYPE_CHECKING:
    from tests.system.conftest import Site


@dataclasses.dataclass(frozen=True)
class Story:
    """What was seen.

    Attributes:
        refused: what Airflow said to a regular run of the draft.
        draft_runs: types of the draft's runs.
        midnights: the local midnights that began the last two days, when the story began and when it ended.
        states: how the runs ended, by their part in the story.
        runs: the ledger's record of each.
        tasks: states of the tasks of each.
        tested, night, tree: everything delivered after the test, after the night, in the end.
    """

    refused: str
    draft_runs: list[str]
    midnights: list[tuple[dt.datetime, dt.datetime]]
    states: dict[str, str]
    runs: dict[str, RunRecord]
    tasks: dict[str, dict[str, str | None]]
    tested: dict[str, bytes | None]
    night: dict[str, bytes | None]
    tree: dict[str, bytes | None]


def tell(site: Site) -> Story:
    """See the module."""
    stage = Stage(site, "lyon")
    options = f"interval: daily\nsource: {{connection: {SOURCE}, images_uri: {IMAGES}}}"
    destinations = {"archive": ", export_images: true", "analytics": ", filename_style: portable"}
    stage.add(stage.config(NIGHTLY, destinations, options))
    midnights = [_last_day()]

    refused = _refused(stage)
    day = {"window_start": "2026-03-19T00:00:00+01:00", "window_end": "2026-03-20T00:00:00+01:00"}
    ids = {"test": stage.start(**day)}
    states = {"test": stage.end(ids["test"])}
    draft_runs = [run["run_type"] for run in site.rest.runs(stage.name)]
    tested = everything_below(stage.delivered)

    ids["night"] = stage.go_live()
    states["night"] = stage.end(ids["night"])
    midnights.append(_last_day())
    night = everything_below(stage.delivered)

    ids["no window"] = stage.start()
    ids["window"] = stage.start(
        window_start="2026-03-27T00:00:00+01:00", window_end="2026-03-29T00:00:00+01:00"
    )
    ids["choice"] = stage.start(
        window_start="2026-03-21T00:00:00+01:00",
        window_end="2026-03-22T00:00:00+01:00",
        sites=[NIGHTLY[1]],
        destinations=["analytics"],
        note="asked for by phone",
    )
    states |= {part: stage.end(ids[part]) for part in ("no window", "window", "choice")}
    records = {record.run_id: record for record in stage.ledger.runs(stage.name)}
    return Story(
        refused=refused,
        draft_runs=draft_runs,
        midnights=midnights,
        states=states,
        runs={part: records[run_id] for part, run_id in ids.items()},
        tasks={part: site.rest.task_states(stage.name, run_id) for part, run_id in ids.items()},
        tested=tested,
        night=night,
        tree=everything_below(stage.delivered),
    )


def _refused(stage: Stage) -> str:
    try:
        stage.start(reason="manual")
    except httpx.HTTPStatusError as error:
        return str(error)
    return "started"


def _last_day() -> tuple[dt.datetime, dt.datetime]:
    """The last complete day in Paris, as two instants."""
    paris = ZoneInfo("Europe/Paris")
    today = dt.datetime.now(paris).date()
    begin, end = (dt.datetime.combine(day, dt.time(), paris) for day in (today - dt.timedelta(days=1), today))
    return begin.astimezone(dt.UTC), end.astimezone(dt.UTC)
