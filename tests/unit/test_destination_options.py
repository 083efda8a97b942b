"""What a destination in a customer YAML may say: good accepted, bad refused with a hint."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from outfeed.connectors import CONNECTORS, DestinationModel, open_connector
from outfeed.connectors.base import Credentials, OurSide
from outfeed.errors import Action, TerminalError

MODEL: TypeAdapter[Any] = TypeAdapter(DestinationModel)

BLOB = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", b"k" * 32))
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"

SFTP = {
    "type": "sftp",
    "name": "bi",
    "sftp_host": "files.example.com",
    "sftp_remote_path": "/upload",
    "username": "outfeed",
    "host_public_key": KEY,
    "connection": "acme_sftp",
}
GCS = {"type": "gcs", "name": "bi", "storage_uri": "gs://acme-exports/production/"}
S3 = {"type": "s3", "name": "bi", "s3_bucket": "acme-exports", "s3_key_prefix": "production"}
GOOGLE = {
    "type": "google",
    "name": "bi",
    "google_bucket": "acme-exports",
    "google_key_prefix": "production",
    "connection": "acme_google",
}
AZURE = {
    "type": "azure_blob",
    "name": "bi",
    "storage_account": "acmeexports",
    "container": "acme",
    "prefix": "production",
}
LOCAL = {"type": "local", "name": "bi", "path": "acme"}


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


@pytest.mark.parametrize(
    "values", [SFTP, GCS, GOOGLE, S3, AZURE, LOCAL], ids=lambda values: str(values["type"])
)
def test_a_destination_survives_the_plan(values: dict[str, Any]) -> None:
    options = MODEL.validate_python(values)
    assert isinstance(options, CONNECTORS[values["type"]].options_model)
    assert MODEL.validate_json(options.model_dump_json()) == options
    with pytest.raises(ValidationError):
        MODEL.validate_python(values | {"password": "secret"})


@pytest.mark.parametrize(
    "values", [SFTP, GCS, GOOGLE, S3, AZURE, LOCAL], ids=lambda values: str(values["type"])
)
def test_location_and_pool_name_hold_what_they_may(values: dict[str, Any]) -> None:
    options = MODEL.validate_python(values)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,250}", options.pool_name())
    assert "acme" in options.location() or "files.example.com" in options.location()
    other = MODEL.validate_python(values | {"name": "other", "parallel": 3})
    assert other.location() == options.location()


@pytest.mark.parametrize(
    ("written", "kind"),
    [("GCP", "gcs"), ("gcp connector", "gcs"), ("SFTP", "sftp"), ("sftp connector", "sftp"), ("S3", "s3")],
)
def test_document_names_of_connectors_are_understood(written: str, kind: str) -> None:
    # DX-015
    values = {"gcs": GCS, "sftp": SFTP, "s3": S3}[kind]
    options = MODEL.validate_python(without(values, "type") | {"connector_type": written})
    assert options.type == kind


def test_an_unknown_connector_and_foreign_keys_are_refused() -> None:
    # DX-015, DX-016
    for values in (GCS | {"type": "ftp"}, GCS | {"sftp_host": "x"}, SFTP | {"storage_uri": "gs://abc/"}):
        with pytest.raises(ValidationError):
            MODEL.validate_python(values)


# -- SFTP


def test_sftp_port_has_its_default_and_its_limits() -> None:
    # DX-073
    assert MODEL.validate_python(SFTP).sftp_port == 22
    assert MODEL.validate_python(SFTP | {"sftp_port": 2222}).sftp_port == 2222
    for bad in (0, -1, 65536, 70000, "x", 22.5, None):
        with pytest.raises(ValidationError):
            MODEL.validate_python(SFTP | {"sftp_port": bad})


@pytest.mark.parametrize("name", ["sftp_host", "sftp_remote_path", "username", "connection"])
def test_sftp_needs_host_path_user_and_connection(name: str) -> None:
    # DX-072, DX-074, DX-077
    with pytest.raises(ValidationError):
        MODEL.validate_python(without(SFTP, name))
    with pytest.raises(ValidationError):
        MODEL.validate_python(SFTP | {name: ""})


@pytest.mark.parametrize(
    "host", ["sftp://files.example.com", "user@files.example.com", "files.example.com:22", "a b", "a/b"]
)
def test_a_host_is_nothing_but_a_host(host: str) -> None:
    # DX-072
    with pytest.raises(ValidationError, match=r"sftp\.example\.com"):
        MODEL.validate_python(SFTP | {"sftp_host": host})


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("Files.Example.COM", "sftp://outfeed@files.example.com:22/upload"),
        ("192.0.2.7", "sftp://outfeed@192.0.2.7:22/upload"),
        ("2001:db8::7", "sftp://outfeed@[2001:db8::7]:22/upload"),
        ("[2001:db8::7]", "sftp://outfeed@[2001:db8::7]:22/upload"),
    ],
)
def test_location_of_a_host(host: str, place: str) -> None:
    options = MODEL.validate_python(SFTP | {"sftp_host": host})
    assert options.location() == place
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", options.pool_name())


def test_a_base_directory_is_the_same_with_and_without_a_slash() -> None:
    # DX-074
    places = {
        MODEL.validate_python(SFTP | {"sftp_remote_path": path}).location()
        for path in ("/upload", "/upload/", "//upload/.", "/upload//")
    }
    assert len(places) == 1
    relative = MODEL.validate_python(SFTP | {"sftp_remote_path": "upload"}).location()
    assert relative == "sftp://outfeed@files.example.com:22/~/upload"
    for bad in ("../up", "/a/../b", "/a\n", "a\\b"):
        with pytest.raises(ValidationError):
            MODEL.validate_python(SFTP | {"sftp_remote_path": bad})


def test_host_keys_in_openssh_form() -> None:
    # DX-076
    assert MODEL.validate_python(SFTP | {"host_public_key": f"{KEY} root@files"}).host_public_key == (KEY,)
    assert MODEL.validate_python(SFTP | {"host_public_key": [KEY, KEY]}).host_public_key == (KEY,)
    documented = without(SFTP, "host_public_key") | {"host public key": KEY}
    assert MODEL.validate_python(documented).host_public_key == (KEY,)


@pytest.mark.parametrize(
    "key",
    [
        KEY.split()[1],
        f"files.example.com {KEY}",
        KEY[:40],
        KEY.replace("ssh-ed25519", "ssh-rsa", 1),
        "SHA256:AAAA",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_host_key_is_refused(key: str) -> None:
    # DX-076
    with pytest.raises(ValidationError, match="key"):
        MODEL.validate_python(SFTP | {"host_public_key": key})


def test_an_unauthenticated_server_needs_an_operators_switch() -> None:
    # D20
    bare = without(SFTP, "host_public_key")
    with pytest.raises(ValidationError, match="trust_on_first_use"):
        MODEL.validate_python(bare)
    assert "not confirmed" in str(MODEL.validate_python(bare | {"trust_on_first_use": True}).warning())
    with pytest.raises(ValidationError, match="no meaning"):
        MODEL.validate_python(SFTP | {"trust_on_first_use": True})
    assert MODEL.validate_python(SFTP).warning() is None


# -- GCS


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("gs://acme", "gs://acme/"),
        ("gs://acme/", "gs://acme/"),
        ("gs://acme/a/b", "gs://acme/a/b/"),
        ("gs://acme/a/b/", "gs://acme/a/b/"),
        ("gs://acme_1.example-2/testing", "gs://acme_1.example-2/testing/"),
    ],
)
def test_a_storage_uri_is_a_bucket_and_a_prefix(uri: str, place: str) -> None:
    # DX-051
    options = MODEL.validate_python(GCS | {"storage_uri": uri})
    assert options.location() == place
    assert f"gs://{options.bucket}/{options.prefix}" == place


@pytest.mark.parametrize(
    "uri",
    [
        "s3://acme/x/",
        "acme/x",
        "gs://",
        "gs:///x",
        "gs://ab",
        "gs://Acme/x",
        "gs://-acme",
        "gs://acme-",
        "gs://192.168.1.1/x",
        "gs://goog-acme",
        "gs://my-google-bucket",
        f"gs://{'a' * 64}",
        "gs://a..b/x",
        "gs://acme/../x",
        "gs://acme//x",
        "gs://acme/x?y",
        "gs://acme/x*",
        "gs://user@acme/x",
    ],
)
def test_what_is_no_gcs_path_is_refused(uri: str) -> None:
    # DX-051
    with pytest.raises(ValidationError):
        MODEL.validate_python(GCS | {"storage_uri": uri})


# -- S3 and local


def test_an_s3_prefix_is_the_same_with_and_without_slashes() -> None:
    # VI-D02, VI-D06
    places = {
        MODEL.validate_python(S3 | {"s3_key_prefix": prefix}).location()
        for prefix in ("production", "production/", "/production/")
    }
    assert places == {"s3://acme-exports/production/"}
    assert MODEL.validate_python(without(S3, "s3_key_prefix")).location() == "s3://acme-exports/"


@pytest.mark.parametrize(
    "bucket", ["ab", "Acme", "a..b", "192.168.1.1", "acme/x", "s3://acme", "-acme", "a" * 64]
)
def test_what_is_no_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ValidationError):
        MODEL.validate_python(S3 | {"s3_bucket": bucket})


@pytest.mark.parametrize("prefix", ["a//b", "../a", "a/./b", "a\\b", "a\nb"])
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    # VI-D06
    for values in (S3 | {"s3_key_prefix": prefix}, GOOGLE | {"google_key_prefix": prefix}):
        with pytest.raises(ValidationError, match="is no prefix"):
            MODEL.validate_python(values)


def test_an_s3_bucket_is_needed_but_no_connection() -> None:
    # VI-D02, VI-D05
    assert MODEL.validate_python(S3).connection_id is None
    for values in (without(S3, "s3_bucket"), S3 | {"s3_bucket": ""}):
        with pytest.raises(ValidationError):
            MODEL.validate_python(values)


def test_a_role_is_named_by_its_arn() -> None:
    # VI-D08
    role = "arn:aws:iam::123456789012:role/path/outfeed-writer"
    options = MODEL.validate_python(S3 | {"s3_assume_role": role, "s3_external_id": "acme:7"})
    assert (options.s3_assume_role, options.s3_external_id) == (role, "acme:7")
    assert options.location() == MODEL.validate_python(S3).location()
    for bad in ("outfeed-writer", "arn:aws:iam::123456789012:user/x", "arn:aws:s3:::bucket", role + " "):
        with pytest.raises(ValidationError):
            MODEL.validate_python(S3 | {"s3_assume_role": bad})
    with pytest.raises(ValidationError, match="only with s3_assume_role"):
        MODEL.validate_python(S3 | {"s3_external_id": "acme:7"})


@pytest.mark.parametrize(
    ("login", "password", "message"),
    [
        ("AKIAEXAMPLE", None, "has an access key but no secret key"),
        ("AKIAEXAMPLE", "", "has an access key but no secret key"),
        (None, "s3cr3t-value", "has a secret key but no access key"),
    ],
)
def test_half_a_key_is_refused(login: str | None, password: str | None, message: str) -> None:
    # VI-D03, VI-D04
    options = MODEL.validate_python(S3 | {"connection": "acme_s3"})
    credentials = Credentials(login=login, password=password)
    with pytest.raises(TerminalError, match=message) as caught:
        open_connector(options, credentials, attempt="a.1").__enter__()
    assert caught.value.action is Action.OPERATOR
    assert caught.value.where == "s3://acme-exports/production/"
    assert "s3cr3t-value" not in str(caught.value)


# -- Google by HMAC key


def test_a_google_bucket_needs_its_name_and_a_connection() -> None:
    # VI-D17, VI-D18
    options = MODEL.validate_python(GOOGLE)
    assert (options.google_bucket, options.connection_id) == ("acme-exports", "acme_google")
    assert options.location() == "gs://acme-exports/production/"
    assert MODEL.validate_python(without(GOOGLE, "google_key_prefix")).location() == "gs://acme-exports/"
    for name in ("google_bucket", "connection"):
        with pytest.raises(ValidationError):
            MODEL.validate_python(without(GOOGLE, name))
    for bucket in ("ab", "Acme", "a..b", "192.168.1.1", "acme/x", "gs://acme", "goog-x", "a" * 64):
        with pytest.raises(ValidationError):
            MODEL.validate_python(GOOGLE | {"google_bucket": bucket})


# -- Azure


def test_an_azure_place_is_named_by_account_container_and_prefix() -> None:
    options = MODEL.validate_python(AZURE)
    assert options.endpoint == "https://acmeexports.blob.core.windows.net"
    assert options.location() == "azure://acmeexports/acme/production/"
    assert options.pool_name() == "destination_azure_acmeexports_acme"
    assert options.connection_id is None
    url = without(AZURE, "storage_account") | {"account_url": "https://AcmeExports.blob.core.windows.net/"}
    assert MODEL.validate_python(url).location() == options.location()
    assert MODEL.validate_python(without(AZURE, "prefix")).location() == "azure://acmeexports/acme/"
    china = MODEL.validate_python(url | {"account_url": "https://acmeexports.blob.core.chinacloudapi.cn"})
    assert china.location() == "azure://acmeexports.blob.core.chinacloudapi.cn/acme/production/"
    assert china.account == "acmeexports"
    emulator = MODEL.validate_python(url | {"account_url": "http://127.0.0.1:10000/acme"})
    assert emulator.location() == "azure://127.0.0.1:10000/acme/acme/production/"
    assert emulator.account == "acme"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"storage_account": "Acme"}, "match pattern"),
        ({"storage_account": None}, "either storage_account or account_url"),
        ({"account_url": "https://acme.blob.core.windows.net"}, "either storage_account or account_url"),
        ({"account_url": "http://acme.blob.core.windows.net"}, "write https://"),
        ({"account_url": "https://"}, "write https://"),
        ({"account_url": "https://acme.blob.core.windows.net/?sig=S3CR3T"}, "a SAS belongs"),
        ({"account_url": "https://me:S3CR3T@acme.example"}, "a SAS belongs"),
        ({"container": "Acme"}, "no container name"),
        ({"container": "a--b"}, "no container name"),
        ({"container": "ab"}, "no container name"),
        ({"container": "$root"}, "no container name"),
        ({"prefix": "a/../b"}, "is no prefix"),
    ],
)
def test_what_is_no_azure_place_is_refused(changes: dict[str, Any], message: str) -> None:
    # XX-06
    with pytest.raises(ValidationError, match=message) as caught:
        MODEL.validate_python(AZURE | changes)
    assert "S3CR3T" not in str([error["msg"] for error in caught.value.errors()])


def test_the_sheet_says_what_to_prepare_at_azure() -> None:
    text = str(MODEL.validate_python(AZURE).onboarding("acme", OurSide()))
    for words in (
        "container acme",
        "acmeexports",
        "rwcl",
        "Storage Blob Data Contributor",
        "never by e-mail",
    ):
        assert words in text


@pytest.mark.parametrize("path", ["../x", "a/../../x", "", "a\nb"])
def test_a_local_folder_does_not_climb(path: str) -> None:
    with pytest.raises(ValidationError):
        MODEL.validate_python(LOCAL | {"path": path})


def s3_sheet(**changes: str) -> tuple[dict[str, Any], str]:
    """The policy in the sheet of an S3 destination, and the whole sheet."""
    text = "\n".join(
        line
        for lines in MODEL.validate_python(S3 | changes).onboarding("acme", OurSide()).values()
        for line in lines
    )
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    return json.loads(block), text


def test_the_sheet_has_the_smallest_policy_for_a_bucket_of_s3() -> None:
    policy, text = s3_sheet()
    allowed = {action: one["Resource"] for one in policy["Statement"] for action in one["Action"]}
    objects, bucket = "arn:aws:s3:::acme-exports/production/*", "arn:aws:s3:::acme-exports"
    assert allowed == {
        "s3:PutObject": objects,
        "s3:GetObject": objects,
        "s3:AbortMultipartUpload": objects,
        "s3:ListMultipartUploadParts": objects,
        "s3:ListBucket": bucket,
        "s3:ListBucketMultipartUploads": bucket,
    }
    assert {one["Effect"] for one in policy["Statement"]} == {"Allow"}
    for words in (
        "Bucket owner enforced",
        "aborts incomplete multipart uploads",
        "the region of the bucket",
        "never by e-mail",
        "or, better, in a role of yours that trusts our identity with an external id",
    ):
        assert words in text, words


def test_the_sheet_names_the_role_and_its_external_id() -> None:
    # VI-D08
    role = "arn:aws-cn:iam::123456789012:role/exports"
    policy, text = s3_sheet(s3_assume_role=role, s3_external_id="outfeed-7", s3_key_prefix="")
    assert f"in your role {role}: its trust policy allows our identity" in text
    assert "sts:AssumeRole with the external id outfeed-7 as condition sts:ExternalId" in text
    assert "access key" not in text
    assert {one["Resource"] for one in policy["Statement"]} == {
        "arn:aws-cn:s3:::acme-exports",
        "arn:aws-cn:s3:::acme-exports/*",
    }


FTP = {
    "type": "ftp",
    "name": "bi",
    "ftp_host": "files.example.com",
    "ftp_username": "outfeed",
    "connection": "ftp",
}
EMAIL = {"type": "email", "name": "bi", "emails": ["bi@customer.example"]}


@pytest.mark.parametrize("kind", sorted(CONNECTORS))
def test_every_kind_of_destination_says_on_the_sheet_what_to_prepare_or_to_know(kind: str) -> None:
    examples = {values["type"]: values for values in (SFTP, GCS, S3, GOOGLE, AZURE, LOCAL, FTP, EMAIL)}
    sheet = MODEL.validate_python(examples[kind]).onboarding("acme", OurSide())
    assert sheet
    assert all(lines for lines in sheet.values())


def test_the_sheet_says_what_a_folder_needs() -> None:
    (lines,) = MODEL.validate_python(LOCAL).onboarding("acme", OurSide()).values()
    assert any("every worker" in line and "delivered/acme" in line for line in lines)
