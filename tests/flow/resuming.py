"""Large uploads that end in the middle, on real servers behind a proxy that counts what is sent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import TypeAdapter

from outfeed.connectors import DestinationModel, open_connector
from outfeed.connectors.base import Credentials, DestinationOptions, Outgoing
from outfeed.errors import TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.store import now
from outfeed.ledger.unfinished import KEPT, UnfinishedRecord, UploadKey
from outfeed.steps.unfinished import tracked_upload
from tests.conformance.contents import BrokenStream, failure
from tests.conformance.places import Place
from tests.hostile.armed import Armed
from tests.hostile.http_wire import Answer, HttpWire, Request
from tests.hostile.patience import patience

AnyPlace = TypeVar("AnyPlace", bound=Place)

NAME = "large.csv"

NO_LIMIT = 1 << 30


class NotingWire(HttpWire):
    """Lets parts through until there are enough of them, and notes which ones.

    Attributes:
        parts: the requests with content that the store has answered.
        limit: how many of them get through; what comes later finds the service busy.
        before: looks at each request first; may answer it.
        after: looks at each answer, and may change it.
    """

    def __init__(self, target: int) -> None:
        self.limit = NO_LIMIT
        self.parts: list[Request] = []
        self.before: Callable[[Request], Answer | None] = lambda request: None
        self.after: Callable[[Request, Answer], None] = lambda request, answer: None
        self._passing = 0
        self._changed = threading.Condition()
        super().__init__(Armed(), target)

    def forward(self, request: Request, body: bytes | None = None) -> Answer:
        answer = self.before(request) or self._limited(request)
        self.after(request, answer)
        return answer

    def _limited(self, request: Request) -> Answer:
        if self.kind_of(request) != "part" or not request.body:
            return super().forward(request)
        with self._changed:
            if self._passing >= self.limit:
                return self.refusal(503, "SlowDown")
            self._passing += 1
        answer = super().forward(request)
        with self._changed:
            self.parts.append(request)
            self._changed.notify_all()
        return answer

    def wait_for(self, count: int) -> None:
        """Waits until so many parts have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.parts) >= count, 120), len(self.parts)

    def begin(self, limit: int = NO_LIMIT) -> None:
        """Forgets what was noted."""
        self.limit, self._passing, self.parts = limit, 0, []

    @property
    def bytes(self) -> int:
        """How much of contents has arrived."""
        return sum(len(request.body) for request in self.parts)


def behind(wire: NotingWire, place: AnyPlace, setting: str) -> AnyPlace:
    """The place, found through the proxy: a setting of its connection has the address."""
    extra = place.credentials.extra | {setting: f"http://127.0.0.1:{wire.port}"}
    place.credentials = dataclasses.replace(place.credentials, extra=extra)
    return place


def source_file(path: Path, size: int, altered: int | None = None) -> Path:
    """A large file, most of it a hole, in which no two MiB are the same; one byte may be another."""
    with path.open("wb") as stream:
        stream.truncate(size)
        for offset in range(0, size, 1 << 20):
            stream.seek(offset)
            stream.write((offset + 1).to_bytes(8, "big"))
        if altered is not None:
            stream.seek(altered)
            stream.write(b"!")
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclasses.dataclass
class Tries:
    """Tries of one delivery of one large file, by the rules of the steps: each is fenced in the ledger."""

    home: Path
    options: DestinationOptions
    credentials: Credentials
    source: Path
    count: int = 0

    def __post_init__(self) -> None:
        self.url = f"sqlite:///{self.home / 'ledger.db'}"
        self.ledger = Ledger(self.url)
        self.ledger.migrate()

    def outgoing(self, declared: Path | None = None) -> Outgoing:
        """The file as a new try has it; it may be declared to be another one than it is."""
        self.count += 1
        return _tracked(self.ledger, self.options, self.source, declared or self.source, self.count)

    def send(self, outgoing: Outgoing) -> Any:
        """What becomes of the file."""
        with open_connector(self.options, self.credentials, attempt=f"work.{self.count}") as connector:
            (result,) = connector.deliver([outgoing])
        return result

    def deliver(self, declared: Path | None = None) -> Any:
        """A new try, and what becomes of the file."""
        return self.send(self.outgoing(declared))

    def begin(self) -> subprocess.Popen[bytes]:
        """A try in a process of its own, with a home of its own."""
        self.count += 1
        root = Path(__file__).resolve().parents[2]
        home = self.home / f"home-{self.count}"
        home.mkdir()
        environment = {"PYTHONPATH": f"{root / 'include'}:{root}", "OUTFEED_HOME": str(home)}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.flow.resuming"],
            stdin=subprocess.PIPE,
            cwd=home,
            env={**os.environ, **environment},
        )
        task = {
            "options": self.options.model_dump(mode="json"),
            "credentials": dataclasses.asdict(self.credentials),
            "ledger": self.url,
            "source": str(self.source),
            "count": self.count,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        return process

    def killed(self, wire: NotingWire, parts: int) -> None:
        """A try whose process is killed when so many parts have arrived, and others are on their way."""
        wire.begin(limit=parts)
        with self.begin() as process:
            wire.wait_for(parts)
            process.kill()
        wire.settle()

    def cut(self, wire: NotingWire, parts: int) -> TransientError:
        """A try after whose first parts the service is busy for good, and its error."""
        wire.begin(limit=parts)
        with patience(silent=False), pytest.raises(TransientError) as caught:
            self.deliver()
        wire.settle()
        wire.begin()
        return caught.value

    def unreadable_after(self, wire: NotingWire, size: int) -> None:
        """A try whose source can't be read beyond its first bytes."""
        begun = self.source.read_bytes()[:size]
        broken = BrokenStream(begun, OSError(5, "Input/output error"))
        result = self.send(dataclasses.replace(self.outgoing(), open=lambda: broken))
        assert isinstance(failure(result), TransientError)
        wire.begin()

    def with_other_state(self, change: Callable[[str], str]) -> Any:
        """What becomes of the file in a try that finds something else than was saved."""
        (record,) = self.unfinished()
        outgoing = self.outgoing()
        assert outgoing.unfinished is not None
        outgoing.unfinished.save(change(record.state))
        return self.send(outgoing)

    def unfinished(self) -> list[UnfinishedRecord]:
        """What the ledger has of the upload."""
        return self.ledger.unfinished.abandoned("acme", self.options.location(), now() + 2 * KEPT)


def _tracked(
    ledger: Ledger, options: DestinationOptions, source: Path, declared: Path, count: int
) -> Outgoing:
    fence = ledger.begin_attempt("acme", "run-1", "upload", options.name, f"try-{count}")
    key = UploadKey("acme", options.location(), NAME, declared.stat().st_size, sha256(declared))
    upload = tracked_upload(ledger, fence, key)
    assert upload is not None
    return Outgoing(NAME, lambda: source.open("rb"), size=key.size, sha256=key.sha256, unfinished=upload)


def _main() -> None:
    task = json.load(sys.stdin)
    options = TypeAdapter(DestinationModel).validate_python(task["options"])
    credentials = Credentials(**task["credentials"])
    source = Path(task["source"])
    outgoing = _tracked(Ledger(task["ledger"]), options, source, source, task["count"])
    with open_connector(options, credentials, attempt=f"work.{task['count']}") as connector:
        list(connector.deliver([outgoing]))


if __name__ == "__main__":
    _main()
