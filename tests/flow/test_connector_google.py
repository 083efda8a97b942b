"""What only Google Storage with an HMAC key has: its signature, its condition, one request for each file."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import logging
from typing import Any

import pytest

from outfeed.connectors import open_connector
from outfeed.connectors.base import CheckState, Credentials, OurSide
from outfeed.connectors.google_objects import GoogleObjects
from outfeed.connectors.google_signature import HmacKey, signed_headers
from outfeed.connectors.s3_parts import PART_SIZE
from outfeed.errors import Action, DestinationConflict, TerminalError, TransientError
from tests.conformance.contents import content, failure, outgoing
from tests.conformance.places import GooglePlace
from tests.servers.google_xml import GoogleXml

pytestmark = pytest.mark.servers

LARGE = 2 * PART_SIZE + 1


@pytest.fixture
def place(google: GoogleXml) -> GooglePlace:
    """An empty prefix of a bucket."""
    return GooglePlace(google)


def test_the_signature_is_the_one_that_google_computes() -> None:
    # VI-D21
    # The signature was published with a signer that is checked against the real service.
    signed = signed_headers(
        HmacKey("GOOGTESTACCESSKEY", "testsecretkey"),
        "PUT",
        "https://storage.googleapis.com/test-bucket/dir/obj.txt",
        {"X-Goog-If-Generation-Match": b"0", "User-Agent": "any"},
        dt.datetime(2026, 7, 3, tzinfo=dt.UTC),
    )
    assert signed["Authorization"] == (
        "GOOG4-HMAC-SHA256 Credential=GOOGTESTACCESSKEY/20260703/auto/storage/goog4_request, "
        "SignedHeaders=host;x-goog-content-sha256;x-goog-date;x-goog-if-generation-match, "
        "Signature=4f82e49c69753329afd4768ccf1db6b472dbbd86d082a08b5b9f9fe368fb6ef6"
    )


def test_requests_are_signed_googles_way_and_carry_nothing_of_amazons(place: GooglePlace) -> None:
    # VI-D17, VI-D18, VI-D21
    large = dataclasses.replace(outgoing("large ü+.csv", content(LARGE)), content_type="text/csv")
    unknown = outgoing("unknown", content(LARGE, 1), size=None, sha256=None)
    place.deliver(outgoing("small", b"small"), outgoing("empty", b""), large, unknown)
    place.deliver(outgoing("small", b"small"))

    requests = place.google.requests
    puts = [headers for method, _, headers in requests if method == "PUT"]
    assert len(puts) == 5
    for headers in puts:
        assert headers["x-goog-if-generation-match"] == "0"
        signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        assert {"x-goog-if-generation-match", "host", "content-type"} <= set(signed)
        assert "if-none-match" not in headers
    assert "text/csv" in {headers["content-type"] for headers in puts}
    for method, path, headers in requests:
        assert headers["authorization"].startswith("GOOG4-HMAC-SHA256 Credential=GOOGTESTACCESSKEY/")
        assert not any(
            name.startswith("x-amz-") or "checksum" in name or name == "trailer" for name in headers
        )
        assert headers.get("content-encoding") is None
        assert method in ("PUT", "HEAD", "GET")
        assert path.startswith(f"/{place.bucket}/{place.prefix}")


def test_a_file_of_any_size_is_sent_in_one_request(place: GooglePlace) -> None:
    data = content(LARGE)
    result = place.deliver(outgoing("large", data))["large"]

    assert (result.outcome, result.verified) == ("created", "md5")
    assert [method for method, _, _ in place.google.requests] == ["HEAD", "PUT", "HEAD"]
    with place.connector() as connector:
        found = connector.stat("large")
        assert found is not None
        assert found.checksum == hashlib.md5(data).hexdigest()


def test_large_content_under_a_taken_name_is_not_even_sent(place: GooglePlace) -> None:
    place.deliver(outgoing("large", content(LARGE)))
    place.google.requests.clear()
    result = place.deliver(outgoing("large", content(LARGE, 1)))["large"]

    assert isinstance(failure(result), DestinationConflict)
    assert "PUT" not in {method for method, _, _ in place.google.requests}


def test_large_content_that_loses_a_race_is_a_conflict(
    place: GooglePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.deliver(outgoing("large", content(LARGE)))
    monkeypatch.setattr(GoogleObjects, "_seen", lambda self, path: False)
    results = place.deliver(outgoing("large", content(LARGE, 1)), outgoing("other", b"other"))

    assert isinstance(failure(results["large"]), DestinationConflict)
    assert place.read("large") == content(LARGE)
    assert place.names() == {"large", "other"}
    same = place.deliver(outgoing("large", content(LARGE)))["large"]
    assert same.outcome == "identical"


def test_who_may_not_overwrite_meets_the_same_and_other_content(place: GooglePlace) -> None:
    place.deliver(outgoing("file", b"old"))
    place.google.may_overwrite = False
    assert place.deliver(outgoing("file", b"old"))["file"].outcome == "identical"
    assert isinstance(failure(place.deliver(outgoing("file", b"new"))["file"]), DestinationConflict)
    assert place.deliver(outgoing("new", b"new"))["new"].outcome == "created"


def test_what_has_no_md5_is_read_back(place: GooglePlace) -> None:
    place.google.reports_md5 = False
    for size in (10, LARGE):
        result = place.deliver(outgoing(f"{size}", content(size)))[f"{size}"]
        assert (result.outcome, result.verified) == ("created", "read-back")


def test_other_bytes_than_were_sent_are_an_error(place: GooglePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GoogleObjects, "checksum", lambda self, head: "0" * 32)
    monkeypatch.setattr(GoogleObjects, "remote_sha256", lambda self, path: "0" * 64)
    with pytest.raises(TransientError, match=f"reported as 4 bytes with MD5 {'0' * 32}"):
        place.deliver(outgoing("file", b"data"))


def test_a_store_that_ignores_the_condition_fails_the_preflight(
    place: GooglePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outfeed.connectors.google_objects._only_if_free", lambda params, **_: None)
    checks = {check.step: check for check in place.connector().preflight()}
    assert checks["no overwrite"].state is CheckState.FAILED
    assert "x-goog-if-generation-match" in checks["no overwrite"].message
    assert place.names() == set()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"login": None}, "has a secret key but no access key"),
        ({"password": None}, "has an access key but no secret key"),
        ({"login": None, "password": None}, "no HMAC key"),
    ],
)
def test_a_connection_without_a_whole_key_is_refused(
    place: GooglePlace, changes: dict[str, Any], message: str
) -> None:
    # VI-D18, VI-D19
    place.credentials = dataclasses.replace(place.credentials, **changes)
    with pytest.raises(TerminalError, match=message) as caught:
        place.deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.OPERATOR
    assert place.google.requests == []


def test_a_wrong_secret_is_the_operators_to_mend(place: GooglePlace) -> None:
    place.credentials = dataclasses.replace(place.credentials, password="not-the-secret")
    with pytest.raises(TerminalError, match="refuses our credentials") as caught:
        place.deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.OPERATOR
    assert "not-the-secret" not in str(caught.value)


def test_the_secret_is_in_no_log_and_in_no_request(
    place: GooglePlace, caplog: pytest.LogCaptureFixture
) -> None:
    # VI-D19, XX-06
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore").setLevel(logging.DEBUG)
    try:
        place.deliver(outgoing("file", b"data"), outgoing("large", content(LARGE)))
    finally:
        logging.getLogger("botocore").setLevel(logging.NOTSET)
    assert "storage/goog4_request" in str(place.google.requests)
    assert len(caplog.text) > 1000
    for shown in (caplog.text, str(place.google.requests), repr(place.credentials)):
        assert place.google.secret_key not in shown


def test_a_missing_permission_is_named_in_googles_words(place: GooglePlace) -> None:
    place.deliver(outgoing("file", b"data"))
    place.google.may_overwrite = False
    with place.connector() as connector:
        objects = connector._objects  # type: ignore[attr-defined]
        with pytest.raises(TerminalError, match=r"storage\.objects\.create") as caught:
            objects.try_put("file")
    assert caught.value.action is Action.CUSTOMER


def test_without_an_endpoint_requests_go_to_google(place: GooglePlace) -> None:
    # VI-D21
    connector = open_connector(place.options, Credentials("GOOGKEY", "a secret"), attempt="work.1")
    with connector:
        assert connector._objects._client.meta.endpoint_url == "https://storage.googleapis.com"  # type: ignore[attr-defined]


def test_the_sheet_says_what_to_prepare(place: GooglePlace) -> None:
    # VI-D18, VI-D21
    text = str(place.options.onboarding("acme", OurSide()))
    for words in (
        "HMAC key",
        "storage.objects.create",
        "storage.objects.get",
        "storage.objects.list",
        "secret key",
    ):
        assert words in text
    assert "storage.objects.delete" not in text
