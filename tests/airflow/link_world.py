"""A customer who gets links by mail: real mails to a real sink, real pages over HTTP, a clock that jumps."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from outfeed.connectors.base import Credentials
from outfeed.connectors.link_store import LinkStore, open_store
from outfeed.ledger import Ledger
from outfeed.plan import Reason
from outfeed.staging import Staging
from outfeed.steps.context import RunContext
from outfeed.steps.links import Post
from outfeed.steps.notify import Message
from outfeed.steps.upload import upload
from tests.flow.world import SITE_A, SITE_B, World, config
from tests.servers.process import free_ports
from tests.servers.smtp import SmtpSink

ANN, BOB = "ann@acme.example", "bob@acme.example"
FIRST = {SITE_A: b'{"id":1}\n{"id":2}\n', SITE_B: b'{"id":3}\n'}
SECOND = {SITE_A: FIRST[SITE_A], SITE_B: b'{"id":3}\n{"id":4}\n'}

_TOKEN = re.compile(r"/outfeed/links/([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")


@dataclasses.dataclass
class Clock:
    """The time that the pages believe in."""

    ahead: dt.timedelta = dt.timedelta()

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead


@dataclasses.dataclass
class LinkWorld:
    """See the module."""

    home: Path
    smtp: SmtpSink
    url: str
    clock: Clock
    credentials: Credentials
    world: World

    @property
    def ledger(self) -> Ledger:
        """The ledger of the customer's runs."""
        return self.world.ledger

    def plan(self, records: Mapping[str, bytes] = FIRST, reason: Reason = Reason.SCHEDULED) -> RunContext:
        """A new run whose packages are ready for upload."""
        run = self.world.plan(reason)
        self.world.package(run, records)
        return run

    def upload(
        self, run: RunContext, attempt: str = "1-first", send: Callable[[Message], None] | None = None
    ) -> dict[str, Any]:
        """One try of the upload."""
        again = dataclasses.replace(run, staging=Staging(run.staging.root, attempt), attempt=attempt)
        return upload(again, "mail", self.credentials, None, Post(send or self.send, self.probe))

    def deliver(
        self, records: Mapping[str, bytes] = FIRST, reason: Reason = Reason.SCHEDULED
    ) -> dict[str, Any]:
        """A whole run."""
        return self.upload(self.plan(records, reason))

    @staticmethod
    def send(message: Message) -> None:
        """By the product's own way to the mail server."""
        from outfeed_airflow.mail import send_mail

        send_mail("smtp_default", message)

    @staticmethod
    def probe(address: str | None) -> None:
        """By the product's own way to the mail server."""
        from outfeed_airflow.mail import probe_mail

        probe_mail("smtp_default", address)

    def killed(self, run: RunContext, owner: type, method: str, *, after: bool) -> None:
        """An upload whose process is ended by SIGKILL before or after a call."""
        child = os.fork()
        if not child:
            original = getattr(owner, method)

            def deadly(*args: Any, **kwargs: Any) -> Any:
                if after:
                    original(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(owner, method, staticmethod(deadly) if owner is LinkWorld else deadly)
            try:
                self.upload(run)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL

    def open_folder(self, root: str) -> LinkStore:
        """What the app uses to read the store."""
        return open_store(root, self.credentials)

    def token(self, recipient: str, number: int = -1) -> str:
        """The token in a mail to somebody, as its text has it; the same as in its HTML."""
        message = self.smtp.to(recipient)[number].message
        found = set()
        for kind in ("plain", "html"):
            body = message.get_body((kind,))
            assert body is not None
            found |= set(_TOKEN.findall(body.get_content()))
        (token,) = found
        return token

    def page(self, recipient: str, number: int = -1) -> str:
        """The address in a mail to somebody."""
        return f"{self.url}/outfeed/links/{self.token(recipient, number)}"

    def names(self, page: str) -> list[str]:
        """The files that a page shows, in order."""
        answer = httpx.get(page)
        assert answer.status_code == 200, answer.text
        return re.findall(r"<tr><td>([^<]*)</td>", answer.text)

    def download(self, page: str, name: str) -> bytes:
        """The content of a file, got as a browser does: by its button and what follows."""
        answer = httpx.post(f"{page}/files/{self.names(page).index(name)}", follow_redirects=True)
        assert answer.status_code == 200, answer.text
        return answer.content

    def expire(self) -> None:
        """All links that there are have expired an hour ago."""
        from sqlalchemy import create_engine, text

        past = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).replace(tzinfo=None).isoformat(" ")
        with create_engine(f"sqlite:///{self.home / 'ledger.db'}").begin() as connection:
            connection.execute(text("UPDATE links SET expires_at = :past"), {"past": past})

    def stored(self) -> list[Path]:
        """The files in a store that is a folder."""
        return sorted(path for path in (self.home / "links").rglob("*") if path.is_file())


@contextlib.contextmanager
def serving(app: Any, port: int) -> Iterator[None]:
    """An ASGI application over real HTTP on the loopback interface."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def link_world(
    home: Path,
    smtp: SmtpSink,
    monkeypatch: pytest.MonkeyPatch,
    *,
    credentials: Credentials | None = None,
    notify: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[LinkWorld]:
    """A live customer with one validated destination, and the pages."""
    from fastapi import FastAPI

    from outfeed_airflow.link_app import make_app

    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    extra = {"disable_ssl": True, "disable_tls": True, "retry_limit": 0, "from_email": "outfeed@example.com"}
    connection = {"conn_type": "smtp", "host": smtp.host, "port": smtp.port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("OUTFEED_HOME", str(home))
    monkeypatch.setenv("OUTFEED_PUBLIC_URL", url)
    destination = {"name": "mail", "type": "email", "emails": [ANN, BOB], **options}
    world = World(home, config([destination], notify=notify or {}))
    world.ledger.record_validation("acme", "email:mail", "earlier")
    made = LinkWorld(home, smtp, url, Clock(), credentials or Credentials(), world)
    root = FastAPI()
    root.mount("/outfeed/links", make_app(lambda: made.ledger, made.open_folder, made.clock))
    with serving(root, port):
        yield made
