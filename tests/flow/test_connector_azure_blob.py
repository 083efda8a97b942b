"""What only Azure has: blocks, leases, three ways to log in, its own error codes."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from airflow.providers.microsoft.azure.hooks.wasb import WasbHook

from outfeed.connectors import open_connector
from outfeed.connectors.azure_objects import BLOCK_SIZE, AzureObjects, block_size
from outfeed.connectors.base import CheckState, Credentials, Delivered, Outgoing
from outfeed.errors import Action, DestinationConflict, TerminalError, TransientError
from tests.conformance.contents import BrokenStream, content, failure, outgoing, stream
from tests.conformance.places import AzureBlobPlace
from tests.servers.azurite import AzuriteServer

pytestmark = pytest.mark.servers

LARGE = 2 * BLOCK_SIZE + 1

GIB = 1 << 30


@pytest.fixture
def place(azurite: AzuriteServer) -> AzureBlobPlace:
    """An empty container."""
    return AzureBlobPlace(azurite)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting."""
    monkeypatch.setattr("azure.core.pipeline.transport.HttpTransport.sleep", lambda self, duration: None)


def with_sas(place: AzureBlobPlace, permissions: str, hours: float = 1) -> AzureBlobPlace:
    """The place as a customer gives it to us: with a SAS."""
    token = place.server.sas(place.container, permissions, hours)
    place.credentials = Credentials(extra={"sas_token": token})
    return place


# -- files


@pytest.mark.parametrize("size", [100_000, LARGE])
def test_azures_own_tools_read_and_check_what_we_delivered(place: AzureBlobPlace, size: int) -> None:
    data = content(size)
    place.deliver(dataclasses.replace(outgoing("site/data.csv", data), content_type="text/csv"))

    with place.server.container(place.container) as client:
        blob = client.get_blob_client("testing/site/data.csv")
        stored = blob.get_blob_properties().content_settings
        assert bytes(stored.content_md5) == hashlib.md5(data).digest()
        assert stored.content_type == "text/csv"
        assert blob.download_blob(validate_content=True).readall() == data
    with place.connector() as connector:
        assert connector.stat("site/data.csv").checksum == hashlib.md5(data).hexdigest()  # type: ignore[union-attr]


def test_airflows_hook_reads_it_with_the_same_connection(
    place: AzureBlobPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = place.server
    sas = server.sas(place.container, "rcwl")
    forms: dict[str, dict[str, Any]] = {
        "key": {"login": server.account, "password": server.key},
        "string": {"extra": {"connection_string": server.connection_string}},
        "sas": {"extra": {"sas_token": sas}},
    }
    for name, form in forms.items():
        place.credentials = Credentials(**form)
        place.deliver(outgoing(name, name.encode()))

        connection = form | {"conn_type": "wasb", "host": server.account_url}
        monkeypatch.setenv(f"AIRFLOW_CONN_AZURE_{name.upper()}", json.dumps(connection))
        hook = WasbHook(f"azure_{name}")
        assert hook.read_file(place.container, f"testing/{name}") == name
    assert place.names() == set(forms)


def test_unfinished_blocks_are_seen_by_nobody_and_go_with_the_next_try(place: AzureBlobPlace) -> None:
    data = content(LARGE)
    broken = Outgoing("large", stream(lambda: BrokenStream(data[:-1], OSError("disk"))), LARGE)
    assert isinstance(failure(place.deliver(broken)["large"]), TransientError)
    with place.server.container(place.container) as client:
        blob = client.get_blob_client("testing/large")
        assert len(blob.get_block_list("uncommitted")[1]) == 2
        assert not blob.exists()
        assert place.names() == set()

        assert isinstance(place.deliver(outgoing("large", data), attempt="work.2")["large"], Delivered)
        assert [len(blocks) for blocks in blob.get_block_list("all")] == [3, 0]
    assert place.read("large") == data


def test_large_content_under_a_taken_name_is_not_even_sent(
    place: AzureBlobPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.deliver(outgoing("large", content(LARGE)))
    staged: list[str] = []
    original = AzureObjects._stage

    def counted(self: AzureObjects, path: str, block_id: str, block: bytes) -> None:
        staged.append(path)
        original(self, path, block_id, block)

    monkeypatch.setattr(AzureObjects, "_stage", counted)
    results = place.deliver(outgoing("large", content(LARGE, 1)), outgoing("other", content(LARGE)))

    assert isinstance(failure(results["large"]), DestinationConflict)
    assert staged == ["other"] * 3


@pytest.mark.parametrize("seed", [0, 1], ids=["same", "other"])
def test_who_completes_a_large_blob_first_wins(place: AzureBlobPlace, seed: int) -> None:
    ours, theirs = content(LARGE), content(LARGE, seed)

    class Overtaken(io.BytesIO):
        """The other try delivers when we have sent our first block."""

        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= BLOCK_SIZE and not place.names():
                place.deliver(outgoing("large", theirs), attempt="work.2")
            return super().read(size)

    result = place.deliver(Outgoing("large", lambda: Overtaken(ours), LARGE))["large"]

    assert place.read("large") == theirs
    if ours == theirs:
        assert (result.outcome, result.verified) == ("identical", "read-back")
    else:
        assert isinstance(failure(result), DestinationConflict)
    assert place.names() == {"large"}


def test_a_blob_under_the_customers_lease_is_compared_and_left(place: AzureBlobPlace) -> None:
    place.deliver(outgoing("file", b"old"), outgoing("large", content(LARGE)))
    with place.server.container(place.container) as client:
        for name in ("file", "large"):
            client.get_blob_client(f"testing/{name}").acquire_lease()
    assert place.deliver(outgoing("file", b"old"))["file"].outcome == "identical"
    for name, data in (("file", b"new"), ("large", content(LARGE, 1))):
        assert isinstance(failure(place.deliver(outgoing(name, data))[name]), DestinationConflict)
    assert place.read("file") == b"old"


def test_other_bytes_than_were_sent_are_an_error(
    place: AzureBlobPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AzureObjects, "checksum", lambda self, head: "0" * 32)
    with pytest.raises(TransientError, match=f"reported as 4 bytes with MD5 {'0' * 32}"):
        place.deliver(outgoing("file", b"data"))


def test_no_file_needs_more_blocks_than_azure_takes() -> None:
    for size in (0, 1, BLOCK_SIZE, 49_000 * BLOCK_SIZE, 49_000 * BLOCK_SIZE + 1, 5_000 * GIB, 190_000 * GIB):
        assert block_size(size) >= BLOCK_SIZE
        assert -(-size // block_size(size)) <= 50_000
        assert block_size(size) <= 4_000 << 20
    sizes = [block_size(None, number) for number in range(50_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] == BLOCK_SIZE
    assert max(sizes) <= 4_000 << 20
    assert sum(sizes) > 40 * 10**12


# -- rights and credentials


def test_a_sas_without_the_right_to_delete_is_enough(place: AzureBlobPlace) -> None:
    with_sas(place, "rcwl")
    for size in (10, LARGE):
        assert isinstance(place.deliver(outgoing(f"{size}", content(size)))[f"{size}"], Delivered)
    checks = {check.step: check for check in place.connector().preflight()}
    assert {check.state for check in checks.values()} == {CheckState.PASSED}
    assert "stays" in checks["clean up"].message
    assert "the right to delete" in checks["clean up"].message


def test_a_sas_that_may_not_write_names_the_missing_right(place: AzureBlobPlace) -> None:
    with_sas(place, "rl")
    for size in (10, LARGE):
        with pytest.raises(TerminalError, match="the right to write is missing") as caught:
            place.deliver(outgoing("file", content(size)))
        assert caught.value.action is Action.CUSTOMER
        assert "permission 'w' of a SAS" in caught.value.remedy
    checks = {check.step: check.state for check in place.connector().preflight()}
    assert checks["list"] is CheckState.PASSED
    assert checks["write"] is CheckState.FAILED
    assert checks["read back"] is CheckState.SKIPPED


def test_an_expired_sas_and_a_wrong_key_are_refused_without_being_repeated(place: AzureBlobPlace) -> None:
    # XX-06
    other_key = base64.b64encode(b"other").decode()
    with_sas(place, "rcwl", hours=-1)
    expired = place.credentials
    wrong = Credentials(login=place.server.account, password=other_key)
    for credentials, secret in ((expired, expired.extra["sas_token"]), (wrong, other_key)):
        place.credentials = credentials
        # The stand-in's code for both; Azure's own is AuthenticationFailed, see below.
        with pytest.raises(TerminalError, match="AuthorizationFailure") as caught:
            place.deliver(outgoing("file", b"data"))
        assert secret not in str(caught.value)
        assert caught.value.__suppress_context__
    assert place.names() == set()


@pytest.mark.parametrize(
    ("credentials", "problem"),
    [
        ({"login": "acme"}, "has an account name but no key"),
        ({"login": "an id", "extra": {"tenant_id": "a tenant"}}, "has a tenant_id, but no client id"),
        ({"extra": {"connection_string": "S3CR3T"}}, "values that the client can't read"),
        (
            {"extra": {"connection_string": "AccountName=other;AccountKey=S3CR3T"}},
            "of another account than the configuration names",
        ),
        ({"extra": {"connection_string": "BlobEndpoint={url}"}}, "with neither key nor SAS"),
    ],
)
def test_values_that_can_not_be_used_are_the_operators_to_mend(
    place: AzureBlobPlace, credentials: dict[str, Any], problem: str
) -> None:
    extra = {
        name: value.format(url=place.server.account_url)
        for name, value in credentials.get("extra", {}).items()
    }
    place.credentials = Credentials(**(credentials | {"extra": extra}))
    with pytest.raises(TerminalError, match=problem) as caught:
        place.deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.OPERATOR
    assert caught.value.where == place.options.location()
    assert "S3CR3T" not in str(caught.value)


def test_a_connection_string_may_hold_a_sas(place: AzureBlobPlace) -> None:
    sas = place.server.sas(place.container, "rcwl")
    for written in (sas, f"?{sas}"):
        string = f"BlobEndpoint={place.server.account_url}/;SharedAccessSignature={written}"
        place.credentials = Credentials(extra={"connection_string": string})
        assert isinstance(place.deliver(outgoing("file", b"data"))["file"], Delivered)
    place.credentials = Credentials(extra={"sas_token": f"https://any.example/{place.container}?{sas}"})
    assert place.deliver(outgoing("file", b"data"))["file"].outcome == "identical"


@pytest.mark.usefixtures("_impatient")
def test_without_a_connection_the_worker_is_itself(
    place: AzureBlobPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    class Identity:
        def get_token(self, *scopes: str, **_: Any) -> None:
            from azure.identity import CredentialUnavailableError

            asked.append(scopes)
            raise CredentialUnavailableError("S3CR3T")

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Identity)
    secure = place.options.model_copy(update={"account_url": "https://127.0.0.1:1/acme"})
    with (
        open_connector(secure, Credentials(), attempt="work.1") as connector,
        pytest.raises(TerminalError, match="no identity could be proved") as caught,
    ):
        connector.stat("file")
    assert set(asked) == {("https://storage.azure.com/.default",)}
    assert caught.value.action is Action.OPERATOR
    assert "S3CR3T" not in str(caught.value)


def test_neither_key_nor_sas_is_in_any_log(place: AzureBlobPlace, caplog: pytest.LogCaptureFixture) -> None:
    # XX-06
    caplog.set_level(logging.DEBUG)
    place.deliver(outgoing("file", b"data"), outgoing("large", content(LARGE)))
    signature = with_sas(place, "rcwl").credentials.extra["sas_token"].partition("sig=")[2]
    place.deliver(outgoing("other", b"data"), outgoing("file", b"data"))
    for secret in (place.server.key, signature):
        assert secret not in caplog.text
        assert secret not in repr(place.credentials)


# -- what the service answers


def test_a_container_that_is_gone_is_the_customers_to_restore(place: AzureBlobPlace) -> None:
    for size in (10, LARGE):
        with pytest.raises(TerminalError, match="no such container") as caught:
            place.deliver(outgoing("file", content(size)), container="gone-for-ever")
        assert caught.value.action is Action.CUSTOMER


@pytest.mark.usefixtures("_impatient")
def test_an_unreachable_service_is_transient(place: AzureBlobPlace) -> None:
    place.credentials = Credentials(extra={"sas_token": "sp=rw&sig=S3CR3T"})
    with pytest.raises(TransientError, match="could not be reached") as caught:
        place.deliver(outgoing("file", b"data"), account_url="http://127.0.0.1:1/acme")
    assert caught.value.__suppress_context__


@contextlib.contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """A service that answers every request so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("x-ms-error-code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_HEAD = do_GET = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/acme"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("status", "code", "message", "action"),
    [
        (503, "ServerBusy", "the service is busy", None),
        (429, "TooManyRequests", "the service is busy", None),
        (500, "InternalError", "the service is busy", None),
        (400, "Md5Mismatch", "Md5Mismatch", None),
        (409, "LeaseIdMismatchWithBlobOperation", "somebody holds a lease", None),
        (403, "AccountIsDisabled", "it is disabled", Action.CUSTOMER),
        (409, "ContainerDisabled", "it is disabled", Action.CUSTOMER),
        (403, "AuthorizationFailure", "the right to write is missing", Action.CUSTOMER),
        (403, "AuthorizationPermissionMismatch", "the right to write is missing", Action.CUSTOMER),
        (507, "", "the account is full", Action.CUSTOMER),
        (403, "AccountQuotaExceeded", "the account is full", Action.CUSTOMER),
        (403, "AuthenticationFailed", "refuses our credentials", Action.OPERATOR),
        (401, "NoAuthenticationInformation", "refuses our credentials", Action.OPERATOR),
        (400, "InvalidHeaderValue", "refuses the request", Action.ENGINEER),
    ],
)
def test_an_answer_says_whose_action_ends_it(
    place: AzureBlobPlace, status: int, code: str, message: str, action: Action | None
) -> None:
    with (
        answering(status, code) as url,
        pytest.raises((TransientError, TerminalError), match=message) as caught,
    ):
        place.deliver(outgoing("file", b"data"), account_url=url)
    assert isinstance(caught.value, TransientError) == (action is None)
    assert action is None or caught.value.action is action


def test_a_store_that_ignores_the_condition_fails_the_preflight(
    place: AzureBlobPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = requests.Session.request

    def unconditional(session: Any, method: str, url: str, **given: Any) -> Any:
        given["headers"].pop("If-None-Match", None)
        return original(session, method, url, **given)

    # The condition is part of what the key signs, but not of what a SAS signs.
    with_sas(place, "rcwld")
    monkeypatch.setattr(requests.Session, "request", unconditional)
    checks = {check.step: check for check in place.connector().preflight()}
    assert checks["no overwrite"].state is CheckState.FAILED
    assert "If-None-Match" in checks["no overwrite"].message
    assert place.names() == set()
