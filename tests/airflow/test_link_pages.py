"""The pages behind links, over real HTTP: what opens, what is counted, what a stranger can do."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from outfeed.connectors.base import Credentials
from outfeed.steps.housekeeping import remove_expired_links
from tests.airflow.link_world import ANN, BOB, FIRST, LinkWorld, link_world
from tests.flow.world import SITE_A
from tests.servers.gcs import GcsServer
from tests.servers.s3 import S3Server
from tests.servers.smtp import SmtpSink

pytestmark = [pytest.mark.airflow, pytest.mark.servers]


@pytest.fixture
def links(tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkWorld]:
    """Two recipients have links to a delivery in a folder."""
    with link_world(tmp_path, smtp, monkeypatch) as made:
        made.deliver()
        yield made


def clicks(links: LinkWorld) -> int:
    return sum(use.clicks for use in links.ledger.links.uses("acme"))


def test_a_page_shows_each_file_with_what_it_takes_to_check_it(links: LinkWorld) -> None:
    # DX-040
    page = httpx.get(links.page(ANN))
    files = links.ledger.files_of_run("acme", "run-1", "email:mail")
    assert len(files) == 5
    for file in files:
        assert file.path in page.text
        assert str(file.sha256) in page.text
        assert f">{file.bytes:,}<" in page.text
    assert page.text.count("<form method=post") == len(files) + 1
    hidden = [str(links.home), "run-1", "links/acme", ANN, BOB, "file://"]
    assert not [text for text in hidden if text in page.text]


def test_a_scanner_that_opens_everything_changes_nothing(links: LinkWorld) -> None:
    # DX-040
    body = links.smtp.to(ANN)[0].message.get_body(("html",))
    assert body is not None
    addresses = set(re.findall(r"https?://[^\s\"<>]+", body.get_content()))
    page = links.page(ANN)
    assert page in addresses
    html = httpx.get(page).text
    assert not re.findall(r"(?:href|src)\s*=", html), "nothing to follow"
    addresses |= {f"{links.url}/outfeed/links/{action}" for action in re.findall(r'action="([^"]+)"', html)}
    before = links.ledger.links.uses("acme")
    for _ in range(3):
        for address in sorted(addresses):
            for method in ("GET", "HEAD", "OPTIONS"):
                answer = httpx.request(method, address)
                expected = 200 if address == page and method != "OPTIONS" else 405
                assert answer.status_code == expected, (method, address)
                assert "set-cookie" not in answer.headers
    assert links.ledger.links.uses("acme") == before
    assert clicks(links) == 0


def test_each_click_is_recorded_with_who_and_what(links: LinkWorld) -> None:
    # XX-08
    page, agent = links.page(ANN), b"Mozilla/5.0 \x85" + b"x" * 300
    name = links.names(page)[0]
    httpx.post(f"{page}/files/0", headers={"user-agent": agent})
    httpx.post(f"{page}/all", headers={"user-agent": "curl/8"})
    (ann,) = (use.link for use in links.ledger.links.uses("acme") if use.link.recipient == ANN)
    first, every = links.ledger.links.clicks(ann.id)
    assert (first.path, every.path) == (name, None)
    assert (first.client, every.user_agent) == ("127.0.0.1", "curl/8")
    assert first.user_agent == "Mozilla/5.0 ?" + "x" * 187
    assert len(first.user_agent) == 200
    assert ann.token_sha256.startswith(first.token_prefix)
    assert abs(first.at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)


def test_a_link_is_over_when_it_has_expired(links: LinkWorld) -> None:
    # DX-041
    page = links.page(ANN)
    ticket = httpx.post(f"{page}/files/0").headers["location"]
    links.clock.ahead = dt.timedelta(days=6, hours=23)
    assert httpx.get(page).status_code == 200
    links.clock.ahead = dt.timedelta(days=7, minutes=1)
    for method, address in (
        ("GET", page),
        ("HEAD", page),
        ("POST", f"{page}/files/0"),
        ("POST", f"{page}/all"),
    ):
        answer = httpx.request(method, address)
        assert answer.status_code == 410, (method, address)
    assert "Please ask whoever sent you the mail" in httpx.get(page).text
    assert httpx.get(httpx.URL(f"{page}/files/0").join(ticket)).status_code == 410
    assert clicks(links) == 1


def test_a_revoked_link_is_over_at_once_for_downloads_too(links: LinkWorld) -> None:
    # DX-041
    page = links.page(ANN)
    address = httpx.URL(f"{page}/files/0").join(httpx.post(f"{page}/files/0").headers["location"])
    assert httpx.get(address).content == FIRST[SITE_A]
    (ann,) = (use.link for use in links.ledger.links.uses("acme") if use.link.recipient == ANN)
    links.ledger.links.revoke(ann.id, links.clock())
    assert [httpx.get(page).status_code, httpx.get(address).status_code] == [410, 410]
    assert httpx.get(links.page(BOB)).status_code == 200


def test_a_ticket_is_good_for_some_minutes(links: LinkWorld) -> None:
    page = links.page(ANN)
    address = httpx.URL(f"{page}/files/0").join(httpx.post(f"{page}/files/0").headers["location"])
    links.clock.ahead = dt.timedelta(minutes=9)
    assert httpx.get(address).status_code == 200
    links.clock.ahead = dt.timedelta(minutes=11)
    assert httpx.get(address).status_code == 410
    assert httpx.get(page).status_code == 200


def test_what_is_no_token_leads_nowhere(links: LinkWorld) -> None:
    # XX-07
    token = links.token(ANN)
    swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
    tampered = [swapped, token[:-1], token + "A", token.swapcase(), "x", "%00", "..%2f..%2fetc%2fpasswd", "é"]
    bodies = set()
    for wrong in tampered:
        answer = httpx.get(f"{links.url}/outfeed/links/{wrong}")
        assert answer.status_code == 404, wrong
        assert httpx.post(f"{links.url}/outfeed/links/{wrong}/all").status_code == 404
        bodies.add(answer.text)
    assert len(bodies) == 1, "all strangers hear the same"


def test_guessing_ends_soon_and_harms_nobody_else(links: LinkWorld) -> None:
    def ask(address: str, path: str) -> int:
        transport = httpx.HTTPTransport(local_address=address)
        with httpx.Client(transport=transport) as client:
            return client.get(f"{links.url}/outfeed/links/{path}").status_code

    answers = [ask("127.0.0.9", f"guess-{number}") for number in range(25)]
    assert answers == [404] * 20 + [429] * 5
    assert ask("127.0.0.9", "download/guess") == 429
    assert ask("127.0.0.10", links.token(ANN)) == 200


@pytest.mark.parametrize(
    "number",
    ["5", "-1", "99", "1e3", "0x0", "1000000000", "9" * 5000, "²", "..", "%2e%2e%2f%2e%2e%2fledger.db"],
)
def test_only_the_numbers_of_files_are_understood(links: LinkWorld, number: str) -> None:
    answer = httpx.post(f"{links.page(ANN)}/files/{number}")
    assert answer.status_code == 404 or (number == ".." and answer.status_code == 405)
    assert clicks(links) == 0


def test_every_answer_is_guarded(links: LinkWorld) -> None:
    page = links.page(ANN)
    download = httpx.URL(f"{page}/files/0").join(httpx.post(f"{page}/files/0").headers["location"])
    answers = [httpx.get(page), httpx.get(download), httpx.post(f"{page}/all"), httpx.get(f"{page}x")]
    answers += [httpx.get(f"{links.url}/outfeed/links/"), httpx.get(f"{page}/files/0")]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert answers[1].headers["content-type"] == "application/octet-stream"
    assert answers[1].headers["content-disposition"].startswith("attachment; ")
    assert answers[1].headers["content-length"] == str(len(FIRST[SITE_A]))


def test_a_download_can_be_resumed(links: LinkWorld) -> None:
    page = links.page(ANN)
    address = httpx.URL(f"{page}/files/0").join(httpx.post(f"{page}/files/0").headers["location"])
    whole = httpx.get(address)
    headers = {"range": "bytes=9-", "if-range": whole.headers["etag"]}
    rest = httpx.get(address, headers=headers)
    assert (rest.status_code, rest.content) == (206, FIRST[SITE_A][9:])
    other = httpx.get(address, headers=headers | {"if-range": '"other"'})
    assert (other.status_code, other.content) == (200, FIRST[SITE_A])
    head = httpx.head(address)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "18")
    assert clicks(links) == 1


def test_all_files_come_as_an_archive_that_checks_itself(links: LinkWorld, tmp_path: Path) -> None:
    # DX-040
    page = links.page(ANN)
    answer = httpx.post(f"{page}/all", follow_redirects=True)
    assert answer.headers["content-type"] == "application/zip"
    assert httpx.head(answer.url).content == b""
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        assert sorted(packed.namelist()) == sorted(links.names(page))
        packed.extractall(folder)
    (sums,) = folder.rglob("SHA256SUMS")
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", sums], cwd=folder, capture_output=True, text=True, check=True
    )
    assert checked.stdout.count(": OK") == 3


def test_no_token_and_no_ticket_reaches_a_log(links: LinkWorld, caplog: pytest.LogCaptureFixture) -> None:
    # XX-06
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    page = links.page(ANN)
    ticket = httpx.post(f"{page}/files/0").headers["location"].rpartition("/")[2]
    httpx.get(httpx.URL(f"{page}/files/0").join(f"../../download/{ticket}"))
    httpx.get(f"{page}?token={links.token(ANN)}")
    httpx.get(f"{page}x")
    links.stored()[-1].unlink()
    for path in links.stored():
        path.unlink()
    assert httpx.post(f"{page}/files/0", follow_redirects=True).status_code == 503
    logged = caplog.text + "".join(str(record.args) for record in caplog.records)
    assert "/outfeed/links/hidden" in logged
    assert "is not in the store of links" in logged
    assert links.token(ANN) not in logged
    assert ticket not in logged


def s3_credentials(s3: S3Server) -> Credentials:
    extra = {"endpoint_url": s3.endpoint, "region_name": s3.region, "addressing_style": "path"}
    return Credentials(login=s3.access_key, password=s3.secret_key, extra=extra)


def test_a_bucket_hands_its_files_out_by_signed_urls(
    s3: S3Server, tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-040, DX-041
    bucket = s3.make_bucket("outfeed-links")
    store = f"s3://store@{bucket}/waiting/{tmp_path.name}"
    opened = link_world(tmp_path, smtp, monkeypatch, credentials=s3_credentials(s3), storage_uri=store)
    with opened as links:
        links.deliver()
        page = links.page(ANN)
        names = links.names(page)
        assert {n[:36]: links.download(page, n) for n in names if not n.startswith("_")} == FIRST
        assert s3.endpoint in httpx.get(page).headers["content-security-policy"]
        assert s3.access_key not in httpx.get(page).text

        answer = httpx.post(f"{page}/files/0")
        assert answer.status_code == 303
        signed = urlsplit(answer.headers["location"])
        assert f"{signed.scheme}://{signed.netloc}" == s3.endpoint
        assert parse_qs(signed.query)["X-Amz-Expires"] == ["300"]
        got = httpx.get(answer.headers["location"])
        assert got.headers["content-disposition"].startswith("attachment; filename*=utf-8''433a60f6")
        assert got.headers["content-type"] == "application/octet-stream"
        assert got.headers["cache-control"] == "no-store"
        assert (
            httpx.get(answer.headers["location"].replace("X-Amz-Signature=", "X-Amz-Signature=0")).status_code
            == 403
        )
        assert httpx.get(f"{signed.scheme}://{signed.netloc}{signed.path}").status_code == 403
        assert links.ledger.links.uses("acme")[-1].clicks + links.ledger.links.uses("acme")[0].clicks == 3

        with zipfile.ZipFile(io.BytesIO(httpx.post(f"{page}/all", follow_redirects=True).content)) as packed:
            assert sorted(packed.namelist()) == sorted(names)
            assert packed.testzip() is None

        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=8, minutes=1)
        assert remove_expired_links(links.ledger, links.open_folder, later)["files"] == len(names)
        listed = s3.client().list_objects_v2(Bucket=bucket, Prefix=f"waiting/{tmp_path.name}")
        assert listed["KeyCount"] == 0


def test_a_bucket_that_can_not_sign_is_read_by_us(
    gcs: GcsServer, tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcs.make_bucket("outfeed-links")
    credentials = Credentials(extra={"is_anonymous": True, "api_endpoint": gcs.endpoint})
    store = f"gs://store@outfeed-links/{tmp_path.name}"
    with link_world(tmp_path, smtp, monkeypatch, credentials=credentials, storage_uri=store) as links:
        links.deliver()
        page = links.page(ANN)
        names = links.names(page)
        assert {n[:36]: links.download(page, n) for n in names if not n.startswith("_")} == FIRST
        address = httpx.URL(f"{page}/files/0").join(httpx.post(f"{page}/files/0").headers["location"])
        for answer in (httpx.head(address), httpx.get(address)):
            assert answer.headers["content-length"] == "18"
        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=8, minutes=1)
        assert remove_expired_links(links.ledger, links.open_folder, later)["files"] == len(names)


def test_a_google_key_signs_urls_without_asking_anybody(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    from outfeed.connectors.link_store import open_store

    private = generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": "links@project.iam.gserviceaccount.com",
        "private_key": private.decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    store = open_store("gs://store@bucket/x", Credentials(extra={"keyfile_dict": json.dumps(account)}))
    signed = store.url("a/b.csv", "b.csv", seconds=300)
    assert signed is not None
    query = parse_qs(urlsplit(signed).query)
    assert urlsplit(signed).path == "/bucket/x/a/b.csv"
    assert query["X-Goog-Expires"] == ["300"]
    assert query["response-content-disposition"] == ["attachment; filename*=utf-8''b.csv"]
    assert store.origin() == "https://storage.googleapis.com"
