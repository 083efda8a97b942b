"""Nights of a platform-data customer: the library's steps, one after the other, on a real database."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from outfeed.config.platform_data import PlatformDataConfig
from outfeed.config.schedule import Schedule
from outfeed.connectors.base import Credentials
from outfeed.errors import OutfeedError
from outfeed.ledger import Ledger
from outfeed.plan import Reason
from outfeed.planning import RunRequest
from outfeed.sources import open_source
from outfeed.staging import Staging
from outfeed.steps.context import RunContext
from outfeed.steps.extract import extract
from outfeed.steps.package import package
from outfeed.steps.start import start
from outfeed.steps.upload import upload
from outfeed.steps.validate import validate
from outfeed.windows import Window

_NUMBERS = itertools.count(1)


def config(**changes: Any) -> PlatformDataConfig:
    """A live customer with one local destination."""
    values: dict[str, Any] = {
        "type": "platform-data",
        "state": "live",
        "source": {"connection": "platform_db"},
        "destinations": [{"name": "box", "type": "local", "path": "acme"}],
    }
    return PlatformDataConfig.model_validate(values | changes)


@dataclasses.dataclass
class Nights:
    """A customer, its platform and its ledger.

    `OUTFEED_HOME` must be `home`, so that local destinations lie there.
    """

    home: Path
    url: str
    config: PlatformDataConfig
    credentials: dict[str, Credentials] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(f"sqlite:///{self.home / 'ledger.db'}")
        self.ledger.migrate()

    @property
    def delivered(self) -> Path:
        """Where the first local destination lies."""
        return self.home / "delivered" / "acme"

    def schedule(self, cron: str) -> Schedule:
        """The schedule of a cron expression."""
        (found,) = [
            schedule
            for schedule in self.config.all_schedules()
            if schedule.rule is not None and schedule.rule.cron == cron
        ]
        return found

    def plan(
        self,
        tick: dt.datetime,
        *,
        cron: str = "10 0 * * *",
        reason: Reason = Reason.TEST,
        now: dt.datetime | None = None,
        **request: Any,
    ) -> RunContext:
        """Starts a new run for a tick of a schedule; a test export, because only that validates a place."""
        schedule = self.schedule(cron)
        assert schedule.rule is not None
        window = self.config.window(Window(schedule.rule.previous_boundary(tick), tick))
        run_id = f"run-{next(_NUMBERS)}"
        staging = Staging(UPath(self.home / "staging" / run_id), "1-first")
        asked = RunRequest("acme", schedule, window, run_id, reason, now or tick, **request)
        plan = start(
            asked,
            config=self.config,
            config_file="dags/customers/acme.yaml",
            staging=staging,
            ledger=self.ledger,
            attempt="1-first",
        )
        return RunContext(plan, staging, self.ledger, "1-first")

    def make(self, run: RunContext) -> list[OutfeedError]:
        """Extract, validate and package; what failed is returned, the rest goes on, as in the DAG."""
        source = open_source("platform-data", self.url, Credentials(), 2)
        failures = []
        for step in (
            lambda: extract(run, 0, source),
            lambda: validate(run, 0, source, None),
            lambda: package(run, 0),
        ):
            try:
                step()
            except OutfeedError as error:
                failures.append(error)
        return failures

    def upload(self, run: RunContext, destination: str, attempt: str = "1-first") -> dict[str, Any]:
        """One try of the upload to one destination."""
        again = dataclasses.replace(run, staging=Staging(run.staging.root, attempt), attempt=attempt)
        return upload(again, destination, self.credentials.get(destination, Credentials()), None)

    def night(self, tick: dt.datetime, **options: Any) -> dict[str, dict[str, Any]]:
        """A whole run to all destinations that it has anything for."""
        run = self.plan(tick, **options)
        failures = self.make(run)
        assert not failures, failures
        return {name: self.upload(run, name) for name in run.plan.destinations}

    def manifest(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest of a delivery to the first destination."""
        loaded: dict[str, Any] = json.loads((self.delivered / result["manifest"]).read_bytes())
        return loaded

    def paths(self) -> list[str]:
        """What the first destination holds, but for the delivery's own folder."""
        files = (path.relative_to(self.delivered) for path in self.delivered.rglob("*") if path.is_file())
        return sorted(str(path) for path in files if path.parts[0] != "_outfeed")
