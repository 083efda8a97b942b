"""The pages of links in Airflow's own API server, beside its login."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from outfeed.connectors.base import Credentials
from outfeed.connectors.email_link import check_public_url
from tests.airflow.conftest import LOCAL
from tests.airflow.link_world import ANN, FIRST, LinkWorld, link_world
from tests.servers.process import free_ports, log_end, running
from tests.servers.s3 import S3Server
from tests.servers.smtp import SmtpSink

pytestmark = [pytest.mark.airflow, pytest.mark.servers]


@pytest.fixture
def served(
    tmp_path: Path,
    smtp: SmtpSink,
    s3: S3Server,
    airflow_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LinkWorld]:
    """A delivery to a bucket whose keys the API server finds in an Airflow connection."""
    from tests.airflow.test_link_pages import s3_credentials

    credentials = s3_credentials(s3)
    _define("link_store", credentials)
    bucket = s3.make_bucket("outfeed-links")
    store = f"s3://link_store@{bucket}/{tmp_path.name}"
    (port,) = free_ports(1)
    env = {
        **os.environ,
        **LOCAL.settings(),
        "OUTFEED_HOME": str(tmp_path),
        "AIRFLOW__API__PORT": str(port),
    }
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
    with link_world(tmp_path, smtp, monkeypatch, credentials=credentials, storage_uri=store) as made:
        log = tmp_path / "api-server.log"
        with running([*command, "--workers", "1"], port=port, log=log, env=env, seconds=120):
            made.url = f"http://127.0.0.1:{port}"
            monkeypatch.setenv("OUTFEED_PUBLIC_URL", made.url)
            _wait(made.url, log)
            yield made


def _define(conn_id: str, credentials: Credentials) -> None:
    """As an operator defines a connection: in Airflow's database."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id == conn_id).delete()
        login, password = credentials.login, credentials.password
        extra = json.dumps(credentials.extra)
        session.add(Connection(conn_id=conn_id, conn_type="aws", login=login, password=password, extra=extra))


def _wait(url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/outfeed/links/", timeout=30).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(log_end(log))


def test_the_api_server_has_the_pages_and_keeps_tokens_out_of_its_log(
    served: LinkWorld, tmp_path: Path
) -> None:
    # DX-003, DX-040, XX-06
    assert check_public_url(served.url) == f"{served.url}/outfeed/links/ answers"
    served.deliver()
    page = served.page(ANN)
    names = [name for name in served.names(page) if not name.startswith("_outfeed/")]
    assert {name[:36]: served.download(page, name) for name in names} == FIRST
    packed = httpx.post(f"{page}/all", follow_redirects=True, headers={"accept-encoding": "gzip"})
    assert packed.content.startswith(b"PK")
    assert packed.headers["content-encoding"] == "identity"
    assert "x-frame-options" in httpx.get(page).headers
    # Without a token nobody is let in, and Airflow's own API still asks for a login.
    assert httpx.get(page[:-1] + "*").status_code == 404
    assert httpx.get(f"{served.url}/api/v2/dags").status_code == 401

    log = (tmp_path / "api-server.log").read_text()
    assert "/outfeed/links/hidden" in log
    assert served.token(ANN) not in log
    assert packed.url.path.rpartition("/")[2] not in log
    (ann,) = (use for use in served.ledger.links.uses("acme") if use.link.recipient == ANN)
    assert ann.clicks == 3
