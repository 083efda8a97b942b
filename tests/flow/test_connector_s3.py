"""What only S3 has: parts, unfinished uploads, checksum modes, its own error codes."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from outfeed.connectors.base import CheckState, Credentials, Delivered, Outgoing
from outfeed.connectors.http_direct import Connections, Response
from outfeed.connectors.s3_direct import Answer, DirectPuts
from outfeed.connectors.s3_parts import PART_SIZE, part_size
from outfeed.errors import Action, DestinationConflict, TerminalError, TransientError
from tests.conformance.contents import GeneratedStream, content, failure, outgoing, stream
from tests.conformance.places import S3Place
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers

LARGE = 2 * PART_SIZE + 1


@pytest.fixture
def place(s3: S3Server) -> S3Place:
    """An empty prefix of a bucket."""
    return S3Place(s3)


def test_the_store_holds_the_checksum_of_what_we_sent(place: S3Place) -> None:
    data = content(100_000)
    place.deliver(outgoing("file", data))
    head = place.server.client().head_object(
        Bucket=place.bucket, Key=f"{place.prefix}file", ChecksumMode="ENABLED"
    )
    assert base64.b64decode(head["ChecksumSHA256"]) == hashlib.sha256(data).digest()
    assert head["ContentType"] == "application/octet-stream"
    with place.connector() as connector:
        assert connector.stat("file").checksum == hashlib.sha256(data).hexdigest()  # type: ignore[union-attr]


def test_a_store_without_additional_checksums_is_compared_by_size(place: S3Place) -> None:
    assert place.connector(checksum_mode="when_required").capabilities.checksum is None
    for size in (0, 100_000, LARGE):
        data = content(size)
        result = place.deliver(outgoing(f"{size}", data), checksum_mode="when_required")[f"{size}"]
        assert (result.outcome, result.verified) == ("created", "size")
        assert place.read(f"{size}") == data
        again = place.deliver(outgoing(f"{size}", data), checksum_mode="when_required")[f"{size}"]
        assert (again.outcome, again.verified) == ("identical", "read-back")


def test_what_a_killed_try_left_unfinished_is_aborted(place: S3Place) -> None:
    client = place.server.client()
    for name in ("large", "large-other"):
        upload = client.create_multipart_upload(Bucket=place.bucket, Key=f"{place.prefix}{name}")["UploadId"]
        client.upload_part(
            Bucket=place.bucket,
            Key=f"{place.prefix}{name}",
            UploadId=upload,
            PartNumber=1,
            Body=content(PART_SIZE),
        )
    place.deliver(outgoing("large", content(LARGE)))
    assert place.names() == {"large", "large-other?unfinished"}
    assert place.read("large") == content(LARGE)


def test_large_content_under_a_taken_name_is_not_even_sent(place: S3Place) -> None:
    place.deliver(outgoing("large", content(LARGE)))
    with sent() as requests:
        place.deliver(outgoing("large", content(LARGE, 1)), outgoing("other", content(LARGE)))

    assert sum(method == "POST" and "?uploads" in url for method, url, _ in requests) == 1
    assert sum(method == "PUT" for method, _, _ in requests) == 3


@contextlib.contextmanager
def sent() -> Iterator[list[tuple[str, str, int]]]:
    """Notes method, URL and status of each request."""
    from botocore.httpsession import URLLib3Session

    requests: list[tuple[str, str, int]] = []
    original, direct = URLLib3Session.send, Connections.send

    def noted(self: URLLib3Session, request: Any) -> Any:
        response = original(self, request)
        requests.append((request.method, request.url, response.status_code))
        return response

    def noted_direct(self: Connections, method: str, url: str, *values: Any) -> Response:
        response = direct(self, method, url, *values)
        requests.append((method, url, response.status))
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(URLLib3Session, "send", noted)
        patch.setattr(Connections, "send", noted_direct)
        yield requests


@contextlib.contextmanager
def spying(
    operations: list[str], *, drop: str = "", arguments: dict[str, dict[str, object]] | None = None
) -> Iterator[None]:
    """Notes what boto is asked for; `drop` is an argument that gets lost on the way."""
    kept = {} if arguments is None else arguments
    import botocore.client

    original = botocore.client.BaseClient._make_api_call

    def noted(self: object, operation: str, given: dict[str, object]) -> object:
        operations.append(operation)
        kept[operation] = given
        return original(self, operation, {name: value for name, value in given.items() if name != drop})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
        yield


@contextlib.contextmanager
def refused(rule: Callable[[str, str], tuple[int, str] | None]) -> Iterator[None]:
    """The service refuses what the rule says, by status and code, before it looks at it."""
    from botocore.awsrequest import AWSResponse
    from botocore.httpsession import URLLib3Session

    original, direct = URLLib3Session.send, Connections.send

    def send(self: URLLib3Session, request: Any) -> Any:
        refusal = rule(request.method, request.url)
        if refusal is None:
            return original(self, request)
        body = f"<Error><Code>{refusal[1]}</Code><Message>no</Message></Error>".encode()
        response = AWSResponse(request.url, refusal[0], {}, None)
        response._content = body
        return response

    def send_direct(self: Connections, method: str, url: str, *values: Any) -> Response:
        refusal = rule(method, url)
        return direct(self, method, url, *values) if refusal is None else Response(refusal[0], {}, b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(URLLib3Session, "send", send)
        patch.setattr(Connections, "send", send_direct)
        yield


def test_small_content_takes_one_request_whose_answer_confirms_it(place: S3Place) -> None:
    # DX-091
    data = content(100_000)
    with sent() as requests:
        result = place.deliver(outgoing("a b/ü+%.json", data))["a b/ü+%.json"]
        again = place.deliver(outgoing("a b/ü+%.json", data))["a b/ü+%.json"]

    assert (result.outcome, result.verified) == ("created", "sha256")
    assert [(method, status) for method, _, status in requests] == [("PUT", 200), ("PUT", 412), ("HEAD", 200)]
    assert again.outcome == "identical"
    assert place.read("a b/ü+%.json") == data


@pytest.mark.parametrize("headers", [{}, {"x-amz-checksum-sha256": "another"}])
def test_what_the_answer_does_not_confirm_is_looked_at(
    place: S3Place, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    put = DirectPuts.put

    def unconfirmed(self: DirectPuts, *values: Any) -> Answer | None:
        answer = put(self, *values)
        return answer and dataclasses.replace(answer, headers=headers)

    monkeypatch.setattr(DirectPuts, "put", unconfirmed)
    with sent() as requests:
        result = place.deliver(outgoing("file", b"data"))["file"]
    assert [method for method, _, _ in requests] == ["PUT", "HEAD"]
    assert (result.outcome, result.verified) == ("created", "sha256")


@pytest.mark.parametrize("size", [100_000, LARGE])
def test_content_that_changed_on_the_way_is_refused_by_the_service(
    place: S3Place, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    send = Connections.send

    def damaged(self: Connections, method: str, url: str, headers: Any, content: list[bytes]) -> Response:
        altered = bytes([content[0][0] ^ 1]) + content[0][1:]
        return send(self, method, url, headers, [altered])

    with monkeypatch.context() as patch:
        patch.setattr(Connections, "send", damaged)
        # boto3 sends it again, by connections of its own.
        result = place.deliver(outgoing("file", content(size)))["file"]
    assert result.outcome == "created"
    assert place.read("file") == content(size)


@pytest.mark.parametrize("size", [100_000, LARGE])
def test_a_service_that_is_busy_is_asked_again(place: S3Place, size: int) -> None:
    refusals = iter([(503, "SlowDown"), (503, "SlowDown")])
    with refused(lambda method, url: next(refusals, None) if method == "PUT" else None):
        result = place.deliver(outgoing("file", content(size)))["file"]
    assert (result.outcome, result.verified) == ("created", "sha256")
    assert place.read("file") == content(size)
    assert next(refusals, None) is None


def test_a_service_that_stays_busy_is_transient(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    with (
        refused(lambda method, url: (503, "SlowDown") if method == "PUT" else None),
        pytest.raises(TransientError, match="busy"),
    ):
        place.deliver(outgoing("file", b"data"))
    assert place.names() == set()


@pytest.mark.parametrize("size", [100_000, LARGE])
def test_credentials_that_expire_on_the_way_are_the_operators_to_mend(place: S3Place, size: int) -> None:
    # XX-06
    with (
        refused(lambda method, url: (400, "ExpiredToken") if method == "PUT" else None),
        pytest.raises(TerminalError, match="refuses our credentials") as caught,
    ):
        place.deliver(outgoing("file", content(size)))
    assert caught.value.action is Action.OPERATOR
    assert place.server.secret_key not in str(caught.value)
    assert place.names() == set()


def test_a_store_that_refuses_direct_requests_gets_boto3s(place: S3Place) -> None:
    refusals = iter([(400, "XAmzContentSHA256Mismatch")])
    files = [outgoing(f"{number}", content(1000, number)) for number in range(5)]
    with sent() as requests, refused(lambda method, url: next(refusals, None) if method == "PUT" else None):
        results = place.deliver(*files, parallel=1)
    assert {result.outcome for result in results.values()} == {"created"}
    # boto3's answers are not looked into, so each file is looked at.
    assert [method for method, _, _ in requests] == ["PUT", "HEAD"] * 5
    assert place.read("3") == content(1000, 3)


#: Sends parts and then hangs.
_HANGING_PROCESS = """
import json, sys, time
from outfeed.connectors import DestinationModel, open_connector
from outfeed.connectors.base import Credentials, Outgoing
from pydantic import TypeAdapter
from tests.conformance.contents import BrokenStream, content

class HangingStream(BrokenStream):
    def read(self, size=-1):
        return self._data.read(size) or time.sleep(600)

options, credentials, size = json.load(sys.stdin)
options = TypeAdapter(DestinationModel).validate_python(options)
with open_connector(options, Credentials(**credentials), attempt="work.1") as connector:
    list(connector.deliver([Outgoing("large", lambda: HangingStream(content(size)[:-1], None), size)]))
"""


def test_a_process_that_is_killed_between_parts_leaves_nothing_under_the_name(place: S3Place) -> None:
    # XX-04, DX-091
    root = Path(__file__).resolve().parents[2]
    client = place.server.client()

    def parts() -> int:
        uploads = client.list_multipart_uploads(Bucket=place.bucket, Prefix=place.prefix).get("Uploads", [])
        return sum(
            len(
                client.list_parts(Bucket=place.bucket, Key=one["Key"], UploadId=one["UploadId"]).get(
                    "Parts", []
                )
            )
            for one in uploads
        )

    with subprocess.Popen(
        [sys.executable, "-c", _HANGING_PROCESS],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root / 'include'}:{root}"},
    ) as process:
        assert process.stdin is not None
        task = [place.options.model_dump(mode="json"), dataclasses.asdict(place.credentials), LARGE]
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        deadline = time.monotonic() + 60
        while parts() < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        process.kill()
    assert parts() == 2
    assert place.names() == {"large?unfinished"}

    assert place.deliver(outgoing("large", content(LARGE)), attempt="work.2")["large"].outcome == "created"
    assert place.names() == {"large"}
    assert place.read("large") == content(LARGE)


def test_many_large_files_in_flight_do_not_fill_the_memory(place: S3Place) -> None:
    files = [
        Outgoing(f"{number}", stream(lambda: GeneratedStream(PART_SIZE + 1)), PART_SIZE + 1)
        for number in range(16)
    ]
    tracemalloc.start()
    try:
        results = place.deliver(*files, parallel=16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {result.outcome for result in results.values()} == {"created"}
    assert peak < 90_000_000


def test_other_large_content_is_a_conflict_and_leaves_no_parts(place: S3Place) -> None:
    place.deliver(outgoing("large", content(LARGE)))
    result = place.deliver(outgoing("large", content(LARGE, 1)))["large"]
    assert isinstance(failure(result), DestinationConflict)
    assert place.names() == {"large"}
    assert place.read("large") == content(LARGE)


def test_the_number_of_parts_stays_below_the_limit() -> None:
    for size in (None, 0, PART_SIZE, 10**9, 10**11, 5 * 10**12):
        assert part_size(size) >= PART_SIZE
        assert -(-(size or 0) // part_size(size)) <= 10_000


def test_a_read_only_key_names_the_missing_permission(place: S3Place, s3: S3Server) -> None:
    place.credentials = dataclasses.replace(
        place.credentials, login=s3.reader_access_key, password=s3.reader_secret_key
    )
    for size in (10, LARGE):
        with pytest.raises(TerminalError, match="s3:PutObject") as caught:
            place.deliver(outgoing("file", content(size)))
        assert caught.value.action is Action.CUSTOMER
    checks = {check.step: check.state for check in place.connector().preflight()}
    assert checks["list"] is CheckState.PASSED
    assert checks["write"] is CheckState.FAILED
    assert checks["read back"] is CheckState.SKIPPED


def test_a_role_is_assumed_where_the_connection_names_one(
    place: S3Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.endpoint)
    in_role = place.credentials.extra | {"role_arn": s3.role_arn}
    place.credentials = dataclasses.replace(
        place.credentials, login=s3.reader_access_key, password=s3.reader_secret_key, extra=in_role
    )
    assert isinstance(place.deliver(outgoing("file", b"data"))["file"], Delivered)

    place.credentials = dataclasses.replace(
        place.credentials, login=s3.access_key, password=s3.secret_key, extra=in_role
    )
    with pytest.raises(TerminalError, match="sts:AssumeRole"):
        place.deliver(outgoing("other", b"data"))
    assert place.names() == {"file"}


def test_a_role_is_assumed_where_the_option_names_one(
    place: S3Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-D08
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.endpoint)
    place.credentials = dataclasses.replace(
        place.credentials, login=s3.reader_access_key, password=s3.reader_secret_key
    )
    with pytest.raises(TerminalError, match="s3:PutObject"):
        place.deliver(outgoing("file", b"data"))
    role = {"s3_assume_role": s3.role_arn}
    assert isinstance(place.deliver(outgoing("file", b"data"), **role)["file"], Delivered)
    with pytest.raises(TerminalError, match="sts:AssumeRole"):
        place.deliver(outgoing("other", b"data"), s3_assume_role=f"{s3.role_arn}-of-nobody")
    assert place.names() == {"file"}


@pytest.mark.parametrize("where", ["option", "connection"])
def test_the_role_is_asked_for_with_the_external_id(
    place: S3Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    # VI-D08
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.endpoint)
    options = {"s3_assume_role": s3.role_arn}
    extra = dict(place.credentials.extra)
    if where == "option":
        options["s3_external_id"] = "acme:7"
    else:
        extra["external_id"] = "acme:7"
    place.credentials = Credentials(s3.reader_access_key, s3.reader_secret_key, extra=extra)
    asked: dict[str, dict[str, object]] = {}
    with spying([], arguments=asked):
        place.deliver(outgoing("file", b"data"), **options)
    assert asked["AssumeRole"]["ExternalId"] == "acme:7"
    assert asked["AssumeRole"]["RoleArn"] == s3.role_arn


def test_without_a_connection_the_worker_is_itself(
    place: S3Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # VI-D05
    place.credentials = Credentials()
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3.region)
    with pytest.raises(TerminalError, match="NoCredentialsError"):
        place.deliver(outgoing("file", b"data"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    assert isinstance(place.deliver(outgoing("file", b"data"))["file"], Delivered)


def test_the_secret_is_in_no_log(place: S3Place, caplog: pytest.LogCaptureFixture) -> None:
    # VI-D04, XX-06
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore").setLevel(logging.DEBUG)
    try:
        place.deliver(outgoing("file", b"data"), outgoing("large", content(LARGE)))
    finally:
        logging.getLogger("botocore").setLevel(logging.NOTSET)
    assert len(caplog.text) > 1000
    assert place.server.secret_key not in caplog.text


def test_wrong_keys_are_the_operators_to_mend(place: S3Place) -> None:
    place.credentials = dataclasses.replace(place.credentials, password="wrong")
    with pytest.raises(TerminalError, match="refuses our credentials") as caught:
        place.deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.OPERATOR
    assert "wrong" not in str(caught.value)


def test_a_bucket_that_is_gone_is_the_customers_to_restore(place: S3Place) -> None:
    with pytest.raises(TerminalError, match="no such bucket") as caught:
        place.deliver(outgoing("file", b"data"), s3_bucket="gone-for-ever")
    assert caught.value.action is Action.CUSTOMER


def test_an_unreachable_service_is_transient(place: S3Place) -> None:
    place.credentials = dataclasses.replace(
        place.credentials, extra=place.credentials.extra | {"endpoint_url": "http://127.0.0.1:1"}
    )
    with pytest.raises(TransientError, match="could not be reached"):
        place.deliver(outgoing("file", b"data"))


def test_a_store_that_ignores_the_condition_fails_the_preflight(place: S3Place) -> None:
    with spying([], drop="IfNoneMatch"):
        checks = {check.step: check for check in place.connector().preflight()}
    assert checks["no overwrite"].state is CheckState.FAILED
    assert "If-None-Match" in checks["no overwrite"].message
    assert place.names() == set()


def test_delivered_objects_are_those_of_the_prefix(place: S3Place) -> None:
    result = place.deliver(outgoing("a/b", b"data"))["a/b"]
    assert isinstance(result, Delivered)
    assert place.options.location() == f"s3://{place.bucket}/{place.prefix}"
