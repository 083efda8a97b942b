"""A customer in whose one run each of the five steps is killed once."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import kill_points
from tests.faults.harness import Outcome, Processes, Request, Runs, everything_below
from tests.system.stories.stage import IMAGES, KILLED, PLATFORM, SOURCE, Stage

if TYPE_CHECKING:
    from tests.system.conftest import Site

PLACES = (
    "extract-while-writing",
    "validate-before-pointer",
    "package-after-pointer",
    "upload-before-marker",
    "notify-before-record",
)
WINDOW = ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00")


@dataclasses.dataclass(frozen=True)
class Story:
    """What was seen.

    Attributes:
        killed: the places at which processes died.
        logs: of the tries that died, by task.
        undisturbed: what the same run leaves without Airflow and without a kill.
        message_ids: of the mails that each role got.
    """

    state: str
    killed: list[str]
    tries: dict[str, int]
    logs: dict[str, str]
    tree: dict[str, bytes | None]
    undisturbed: Outcome
    message_ids: dict[str, list[str]]


def tell(site: Site) -> Story:
    """See the module."""
    stage = Stage(site, "killed")
    options = f"interval: daily\nsource: {{connection: {SOURCE}, images_uri: {IMAGES}}}"
    config = stage.config((KILLED,), {"box": ", export_images: true"}, options)
    for place in PLACES:
        kill_points.arm(site.kill_points, place, dag_id=stage.name)
    stage.add(config)
    run_id = stage.start(window_start=WINDOW[0], window_end=WINDOW[1])
    state = stage.end(run_id)

    tasks = {"parts.extract": 0, "parts.validate": 0, "parts.package": 0, "upload.box": -1, "notify": -1}
    request = Request(
        customer=stage.name,
        config=config,
        window=WINDOW,
        reason="test",
        database=f"sqlite:///{site.airflow.home / PLATFORM}",
        images=str(site.airflow.home / IMAGES),
    )
    with tempfile.TemporaryDirectory(prefix="outfeed-undisturbed-") as folder, Processes() as processes:
        undisturbed = Runs(Path(folder) / "home", request, processes).undisturbed()
    return Story(
        state=state,
        killed=kill_points.killed(site.kill_points),
        tries=stage.tries(run_id),
        logs={task: stage.log(run_id, task, 1, index) for task, index in tasks.items()},
        tree=everything_below(stage.delivered.parent, stage.name),
        undisturbed=undisturbed,
        message_ids={
            role: [str(mail["Message-ID"]) for mail in stage.mails(role)] for role in ("data", "ops")
        },
    )
