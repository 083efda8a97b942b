"""What only Google Cloud Storage has: four permissions, no delete, conditional create (DX-057 to DX-063)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.cloud.storage import Blob

from outfeed.connectors.base import CheckState, Credentials, Delivered
from outfeed.connectors.gcs import PERMISSIONS
from outfeed.errors import Action, DestinationConflict, TerminalError, TransientError
from tests.conformance.contents import content, failure, outgoing
from tests.conformance.places import GcsPlace
from tests.servers.gcs import GcsServer
from tests.servers.http_proxy import http_proxy

pytestmark = pytest.mark.servers

#: The step of the preflight that tries each permission.
STEPS = {
    "storage.buckets.get": "bucket",
    "storage.objects.list": "list",
    "storage.objects.create": "write",
    "storage.objects.get": "read back",
}

FORBIDDEN = (403, '{"error": {"code": 403, "message": "does not have the permission"}}')


def permission_of(method: str, url: str) -> str | None:
    """The permission that Google demands for a request of the JSON API."""
    path = urlsplit(url).path
    if method == "DELETE":
        return "storage.objects.delete"
    if path.startswith("/upload/"):
        return "storage.objects.create"
    if re.fullmatch(r"/storage/v1/b/[^/]+", path):
        return "storage.buckets.get"
    if re.fullmatch(r"/storage/v1/b/[^/]+/o", path):
        return "storage.objects.list"
    if "/o/" in path:
        return "storage.objects.get"
    return None


def refusing(*permissions: str) -> Callable[[str, str], tuple[int, str] | None]:
    """A service account that lacks these permissions."""
    return lambda method, url: FORBIDDEN if permission_of(method, url) in permissions else None


def only_the_documented(method: str, url: str) -> tuple[int, str] | None:
    """The documented four and no more: also no overwrite, which needs delete, and no XML multipart."""
    query = parse_qs(urlsplit(url).query)
    starts_upload = method == "POST" and "uploadType" in query
    if starts_upload and query.get("ifGenerationMatch") != ["0"]:
        return FORBIDDEN
    continues = method == "PUT" and "upload_id" in query
    granted = permission_of(method, url) in PERMISSIONS or continues
    return None if granted and "uploads" not in query else FORBIDDEN


@pytest.fixture
def place(gcs: GcsServer) -> GcsPlace:
    """An empty prefix of a bucket."""
    return GcsPlace(gcs)


def through(place: GcsPlace, url: str) -> GcsPlace:
    place.credentials = Credentials(extra={"is_anonymous": True, "api_endpoint": url})
    return place


def test_four_permissions_are_enough_for_a_run_and_a_re_run(gcs: GcsServer, place: GcsPlace) -> None:
    # DX-062
    files = [
        outgoing("site/data/small.json", b"small"),
        outgoing("site/inputs/large.png", content(9_000_000)),
    ]
    with http_proxy(gcs.port, only_the_documented) as url:
        through(place, url)
        first = place.deliver(*files)
        second = place.deliver(*files)
        changed = place.deliver(outgoing("site/data/small.json", b"other"))
        checks = list(place.connector().preflight())

    assert [result.outcome for result in first.values()] == ["created", "created"]
    assert [result.outcome for result in second.values()] == ["identical", "identical"]
    assert isinstance(failure(changed["site/data/small.json"]), DestinationConflict)
    assert place.read("site/data/small.json") == b"small"
    assert {check.state for check in checks} == {CheckState.PASSED}
    # The test object can't be removed without a fifth permission: the check says where it stays.
    stays = next(check for check in checks if check.step == "clean up")
    left = place.names() - {file.path for file in files}
    assert len(left) == 1
    assert left.pop() in stays.message


@pytest.mark.parametrize("missing", PERMISSIONS)
def test_preflight_names_the_permission_that_is_missing(
    gcs: GcsServer, place: GcsPlace, missing: str
) -> None:
    # DX-058, DX-059, DX-060, DX-061
    with http_proxy(gcs.port, refusing(missing)) as url:
        checks = {check.step: check for check in through(place, url).connector().preflight()}

    failed = checks[STEPS[missing]]
    assert failed.state is CheckState.FAILED
    assert missing in failed.message
    assert "customer acts" in failed.message
    for other in set(PERMISSIONS) - {missing}:
        skipped = missing == "storage.objects.create" and other == "storage.objects.get"
        assert checks[STEPS[other]].state is (CheckState.SKIPPED if skipped else CheckState.PASSED)


def test_a_bucket_that_ignores_the_condition_fails_the_preflight(
    place: GcsPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-063
    checks = {check.step: check for check in place.connector().preflight()}
    assert "refuses to create over an existing object" in checks["no overwrite"].message

    upload = Blob.upload_from_string

    def unconditional(self: Blob, *values: Any, if_generation_match: int, **options: Any) -> None:
        upload(self, *values, **options)

    monkeypatch.setattr(Blob, "upload_from_string", unconditional)
    checks = {check.step: check for check in place.connector().preflight()}
    assert checks["no overwrite"].state is CheckState.FAILED
    assert "ifGenerationMatch" in checks["no overwrite"].message
    assert place.names() == set()


@pytest.mark.parametrize("missing", ["storage.buckets.get", "storage.objects.create"])
def test_a_delivery_names_the_permission_that_is_missing(
    gcs: GcsServer, place: GcsPlace, missing: str
) -> None:
    with (
        http_proxy(gcs.port, refusing(missing)) as url,
        pytest.raises(TerminalError, match=missing) as caught,
    ):
        through(place, url).deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.CUSTOMER
    assert place.names() == set()


def test_earlier_objects_are_never_touched(gcs: GcsServer, place: GcsPlace) -> None:
    # DX-063
    bucket = gcs.client().bucket(place.bucket)
    bucket.blob("testing/mine").upload_from_string("the customer's own")
    generation = bucket.get_blob("testing/mine").generation
    place.deliver(outgoing("mine", b"ours"), outgoing("other", b"ours"))

    assert bucket.get_blob("testing/mine").generation == generation
    assert place.read("mine") == b"the customer's own"


def test_a_service_that_is_busy_is_asked_again(gcs: GcsServer, place: GcsPlace) -> None:
    refusals = iter([(503, "{}"), (429, "{}")])

    def busy(method: str, url: str) -> tuple[int, str] | None:
        return next(refusals, None) if "/upload/" in url else None

    with http_proxy(gcs.port, busy) as url:
        result = through(place, url).deliver(outgoing("file", b"data"))["file"]
    assert isinstance(result, Delivered)
    assert place.read("file") == b"data"


def test_a_small_object_takes_one_request(gcs: GcsServer, place: GcsPlace) -> None:
    # DX-062, DX-091
    requests: list[tuple[str, str]] = []

    def noted(method: str, url: str) -> None:
        requests.append((method, urlsplit(url).path.rpartition("/")[2]))

    with http_proxy(gcs.port, noted) as url:
        result = through(place, url).deliver(outgoing("a b/ü+%.json", b"data"))["a b/ü+%.json"]
    assert (result.outcome, result.verified) == ("created", "crc32c")
    assert requests == [("GET", place.bucket), ("POST", "o")]
    assert place.read("a b/ü+%.json") == b"data"


def test_credentials_that_expire_on_the_way_are_the_operators_to_mend(
    gcs: GcsServer, place: GcsPlace
) -> None:
    with (
        http_proxy(gcs.port, lambda method, url: (401, "{}") if "/upload/" in url else None) as url,
        pytest.raises(TerminalError, match="refuses our credentials") as caught,
    ):
        through(place, url).deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.OPERATOR
    assert place.names() == set()


def test_a_create_whose_answer_was_lost_counts_as_ours(gcs: GcsServer, place: GcsPlace) -> None:
    place.deliver(outgoing("file", b"data"))
    # The first answer is lost, so the client repeats the request and finds the name taken.
    refusals = iter([(503, "{}")])
    with http_proxy(gcs.port, lambda method, url: next(refusals, None) if "/upload/" in url else None) as url:
        result = through(place, url).deliver(outgoing("file", b"data"))["file"]
    assert (result.outcome, result.verified) == ("identical", "crc32c")


def test_a_bucket_that_is_gone_is_the_customers_to_restore(place: GcsPlace) -> None:
    with pytest.raises(TerminalError, match="no such bucket") as caught:
        place.deliver(outgoing("file", b"data"), storage_uri="gs://gone-for-ever/prefix/")
    assert caught.value.action is Action.CUSTOMER


def test_an_unreachable_service_is_transient(place: GcsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud.storage import retry

    monkeypatch.setattr(retry.DEFAULT_RETRY, "_timeout", 1.0)
    with pytest.raises(TransientError):
        through(place, "http://127.0.0.1:1").deliver(outgoing("file", b"data"))


@pytest.mark.parametrize(
    "extra", [{"keyfile_dict": "{no json"}, {"keyfile_dict": {}}, {"key_path": "/no/such"}]
)
def test_credentials_that_cannot_be_read_are_the_operators_to_mend(
    place: GcsPlace, extra: dict[str, object]
) -> None:
    place.credentials = Credentials(extra=extra)
    with pytest.raises(TerminalError, match="credentials of this destination") as caught:
        place.deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.OPERATOR
