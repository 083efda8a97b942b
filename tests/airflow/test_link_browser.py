"""The page of a link in a real browser: its policy lets the buttons work, and nothing else happens."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.link_world import ANN, BOB, FIRST, LinkWorld, link_world
from tests.airflow.test_link_pages import clicks, s3_credentials
from tests.flow.world import SITE_A
from tests.servers.process import binary
from tests.servers.s3 import S3Server
from tests.servers.smtp import SmtpSink

pytestmark = [pytest.mark.airflow, pytest.mark.servers]

INSTALL = "apt-get install -y chromium fonts-dejavu-core"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


@contextlib.contextmanager
def browser_page(said: list[str]) -> Iterator[Any]:
    """A page of Chromium; what its console says, and requests that fail, are added to `said`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary("chromium", INSTALL), args=FLAGS)
        page = browser.new_context(accept_downloads=True).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        browser.close()


@pytest.fixture(params=["folder", "bucket"])
def links(
    request: pytest.FixtureRequest, tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LinkWorld]:
    """A delivery in a folder, and one in a bucket whose URLs lead to another host."""
    options: dict[str, Any] = {}
    if request.param == "bucket":
        s3: S3Server = request.getfixturevalue("s3")
        bucket = s3.make_bucket("outfeed-links")
        options = {"credentials": s3_credentials(s3), "storage_uri": f"s3://store@{bucket}/{tmp_path.name}"}
    with link_world(tmp_path, smtp, monkeypatch, **options) as made:
        made.deliver()
        yield made


def test_a_person_downloads_one_file_and_all_files(links: LinkWorld, tmp_path: Path) -> None:
    # DX-040
    said: list[str] = []
    with browser_page(said) as page:
        page.goto(links.page(ANN))
        assert page.get_by_role("heading", level=1).inner_text() == "acme: work-orders-timeline"
        assert page.get_by_role("row").count() == 6
        name = links.names(links.page(ANN))[0]
        assert name.startswith(SITE_A)
        with page.expect_download() as one:
            page.get_by_role("button", name=f"Download: {name}", exact=True).click()
        saved = Path(one.value.path())
        assert saved.read_bytes() == FIRST[SITE_A]
        assert one.value.suggested_filename == name.replace("/", "_")

        page.goto(links.page(ANN))
        with page.expect_download() as every:
            page.get_by_role("button", name="Download all files").click()
        with zipfile.ZipFile(every.value.path()) as packed:
            assert packed.testzip() is None
            assert len(packed.namelist()) == 5
        assert every.value.suggested_filename.endswith("_r1.zip")
        # The style sheet of the page is allowed by its policy.
        button = page.get_by_role("button", name="Download all files")
        assert button.evaluate("b => getComputedStyle(b).backgroundColor") == "rgb(11, 87, 208)"
        assert page.context.cookies() == []
    assert said == []
    assert clicks(links) == 2


def test_a_person_whose_link_is_over_reads_whom_to_ask(links: LinkWorld) -> None:
    # DX-041
    (bob,) = (use.link for use in links.ledger.links.uses("acme") if use.link.recipient == BOB)
    links.ledger.links.revoke(bob.id, links.clock())
    with browser_page([]) as page:
        answer = page.goto(links.page(BOB))
        assert answer.status == 410
        assert page.get_by_role("heading", level=1).inner_text() == "This link is over"
        assert page.get_by_text("Please ask whoever sent you the mail").is_visible()
        assert page.get_by_role("button").count() == 0
