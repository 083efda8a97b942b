"""A small world for delivery tests: one customer, a staging folder, a ledger and hand-made packages."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from upath import UPath

from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.connectors.base import Credentials
from outfeed.ledger import Ledger
from outfeed.ledger.records import PartRecord, RunState
from outfeed.plan import Part, Reason
from outfeed.planning import RunRequest
from outfeed.staging import Staging
from outfeed.steps.context import RunContext
from outfeed.steps.start import start
from outfeed.steps.upload import upload
from outfeed.windows import Window

SITE_A = "433a60f6-9756-473e-b1e9-9e89e24bb787"
SITE_B = "5b0c7d52-41f0-4b1c-9a7e-6f8e2d9c3a10"
DAY = Window(dt.datetime(2026, 3, 27, 23, tzinfo=dt.UTC), dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC))
NAME = "2026-03-27_23:00:00_2026-03-28_23:00:00"


def config(destinations: Sequence[Mapping[str, Any]], **changes: Any) -> WorkOrdersConfig:
    """A live customer of two sites."""
    values: dict[str, Any] = {
        "type": "work-orders",
        "state": "live",
        "time_zone": "Europe/Paris",
        "start_date": "2026-03-01",
        "interval": "daily",
        "site_id": [SITE_A, SITE_B],
        "source": {"connection": "platform_db", "images_uri": "images"},
        "destinations": list(destinations),
    }
    return WorkOrdersConfig.model_validate(values | changes)


@dataclasses.dataclass
class World:
    """Where a customer's runs take place."""

    home: Path
    config: WorkOrdersConfig
    credentials: dict[str, Credentials] = dataclasses.field(default_factory=dict)
    runs: int = 0
    context: RunContext | None = None

    def __post_init__(self) -> None:
        self.images = self.home / "images"
        self.images.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(f"sqlite:///{self.home / 'ledger.db'}")
        self.ledger.migrate()

    def plan(self, reason: Reason = Reason.SCHEDULED, window: Window = DAY, **request: Any) -> RunContext:
        """Starts a new run and returns its first try."""
        self.runs += 1
        run_id = f"run-{self.runs}"
        staging = Staging(UPath(self.home / "staging" / run_id), "1-first")
        plan = start(
            RunRequest("acme", self.config.all_schedules()[0], window, run_id, reason, **request),
            config=self.config,
            config_file="dags/customers/acme.yaml",
            staging=staging,
            ledger=self.ledger,
            attempt="1-first",
        )
        self.context = RunContext(plan, staging, self.ledger, "1-first")
        return self.context

    def package(
        self, run: RunContext, records: Mapping[str, bytes], images: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Publishes packages as the first three steps would: by site, lines and image names."""
        fence = run.begin("package", "group-0")
        for part in run.plan.parts:
            if part.subject in records:
                self._package(run, part, records[part.subject], (images or {}).get(part.subject, ()))
                rows = records[part.subject].count(b"\n")
                record = PartRecord(
                    part.key, RunState.COMPLETE, rows_read=rows, rows_valid=rows, rows_rejected=0
                )
                run.ledger.record_part(fence, record)

    def _package(self, run: RunContext, part: Part, lines: bytes, names: Sequence[str]) -> None:
        relative, stream = run.staging.open_write("validate", part.key, "records.jsonl")
        with stream:
            stream.write(lines)
        listed = None
        if names:
            listed, stream = run.staging.open_write("validate", part.key, "images.jsonl")
            with stream:
                for name in names:
                    file = self.images / name
                    present = file.exists()
                    size = file.stat().st_size if present else None
                    state = "present" if present else "missing"
                    stream.write(orjson.dumps({"name": name, "state": state, "bytes": size}) + b"\n")
        result = {
            "segments": [relative],
            "wanted": bool(lines) or run.plan.config["empty_window"] == "file",
            "rows": lines.count(b"\n"),
            "bytes": len(lines),
            "sha256": hashlib.sha256(lines).hexdigest(),
            "rejected": 0,
            "images": listed,
            "details": {},
        }
        run.staging.publish("package", part.key, result)

    def upload(self, run: RunContext, destination: str, attempt: str = "1-first") -> dict[str, Any]:
        """One try of the upload to one destination."""
        again = dataclasses.replace(run, staging=Staging(run.staging.root, attempt), attempt=attempt)
        credentials = self.credentials.get(destination, Credentials())
        return upload(again, destination, credentials, UPath(self.images))

    def deliver(
        self,
        records: Mapping[str, bytes],
        images: Mapping[str, Sequence[str]] | None = None,
        reason: Reason = Reason.SCHEDULED,
        window: Window = DAY,
    ) -> dict[str, dict[str, Any]]:
        """A whole run to all destinations."""
        run = self.plan(reason, window)
        self.package(run, records, images)
        return {name: self.upload(run, name) for name in run.plan.destinations}

    def image(self, name: str, content: bytes = b"\x89PNG picture") -> str:
        """Puts an image into the platform's store."""
        (self.images / name).write_bytes(content + name.encode())
        return name


def tree(base: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {
        str(file.relative_to(base)): file.read_bytes() for file in sorted(base.rglob("*")) if file.is_file()
    }


def sha256sum_accepts(base: Path, sums: str) -> str:
    """What coreutils says of a checksum list, run from the base; raises if it refuses."""
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", sums], cwd=base, capture_output=True, text=True, check=True
    )
    return done.stdout
