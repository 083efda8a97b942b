"""What document 002's FTP options mean in a customer YAML: FTP, FTPS, or SFTP on port 22."""

from __future__ import annotations

import base64
import re
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from outfeed.connectors import CONNECTORS, DestinationModel, FtpOptions, SftpOptions
from outfeed.connectors.base import Credentials, OurSide
from tests.servers.certificates import make_certificates

MODEL: TypeAdapter[Any] = TypeAdapter(DestinationModel)

BLOB = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", b"k" * 32))
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"

FTP = {
    "type": "ftp",
    "name": "bi",
    "ftp_host": "ftp.example.com",
    "ftp_username": "outfeed",
    "connection": "acme_ftp",
}
#: The same customer's server, spoken to by SFTP.
SFTP = {
    "type": "sftp",
    "name": "bi",
    "sftp_host": "ftp.example.com",
    "sftp_remote_path": "/",
    "username": "outfeed",
    "host_public_key": KEY,
    "connection": "acme_ftp",
}


def refused(**changes: Any) -> str:
    values = {name: value for name, value in (FTP | changes).items() if value is not None}
    with pytest.raises(ValidationError) as caught:
        MODEL.validate_python(values)
    return str(caught.value)


def test_the_documents_names_and_defaults() -> None:
    # VI-D11, VI-D12, VI-D13, VI-D15
    options = MODEL.validate_python(FTP)
    assert isinstance(options, FtpOptions)
    assert (options.ftp_host, options.ftp_port, options.ftp_username) == ("ftp.example.com", 21, "outfeed")
    assert (options.ftp_remote_directory, options.ftp_protocol) == ("/", "ftp")
    assert MODEL.validate_json(options.model_dump_json()) == options
    for name in ("ftp_host", "ftp_username", "connection"):
        assert "Field required" in refused(**{name: None})
        refused(**{name: ""})
    for port in (0, 65536, "x", 21.5):
        refused(ftp_port=port)


@pytest.mark.parametrize(
    "host", ["ftp://ftp.example.com", "user@ftp.example.com", "ftp.example.com:21", "a b", "a/b"]
)
def test_a_host_is_nothing_but_a_name_or_an_address(host: str) -> None:
    # VI-D11
    assert "ftp.example.com, no scheme" in refused(ftp_host=host)
    for good in ("192.0.2.7", "2001:db8::7", "FTP.Example.Com"):
        assert MODEL.validate_python(FTP | {"ftp_host": good}).ftp_host == good.lower()


@pytest.mark.parametrize("name", ["a b", "domain\\user", "user@example.com", "Jürgen"])
def test_user_names_as_ftp_servers_have_them(name: str) -> None:
    # VI-D13
    options = MODEL.validate_python(FTP | {"ftp_username": name})
    assert options.server(Credentials(password="x")).username == name
    assert re.fullmatch(r"ftp://[A-Za-z0-9%._-]+@ftp\.example\.com:21/", options.location())


@pytest.mark.parametrize("name", ["a\r\nDELE x", "a:b", " a", "a\n"])
def test_a_user_name_is_one_line(name: str) -> None:
    # VI-D13
    assert "no user name" in refused(ftp_username=name)


@pytest.mark.parametrize("key", ["password", "ftp_password", "FTP_PASSWORD"])
def test_a_password_has_no_place_in_the_file(key: str) -> None:
    # VI-D14, XX-06
    assert "Extra inputs are not permitted" in refused(**{key: "secret"})


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("/", "ftp://outfeed@ftp.example.com:21/"),
        ("/upload", "ftp://outfeed@ftp.example.com:21/upload"),
        ("//upload/./a/", "ftp://outfeed@ftp.example.com:21/upload/a"),
        ("upload", "ftp://outfeed@ftp.example.com:21/~/upload"),
        ("/mit Leerzeichen/ü", "ftp://outfeed@ftp.example.com:21/mit%20Leerzeichen/%C3%BC"),
    ],
)
def test_one_directory_is_one_place(written: str, place: str) -> None:
    # VI-D15
    options = MODEL.validate_python(FTP | {"ftp_remote_directory": written})
    assert options.location() == place
    assert MODEL.validate_python(options.model_dump() | {"ftp_protocol": "ftps"}).location() == place
    assert options.pool_name() == "destination_ftp_ftp.example.com_21"


@pytest.mark.parametrize("written", ["../up", "/a/../b", "/a\r\nDELE x", "a\\b", ""])
def test_a_directory_does_not_climb(written: str) -> None:
    # VI-D15
    refused(ftp_remote_directory=written)


@pytest.mark.parametrize(
    "changes",
    [
        {"ftp_port": 22},
        {"ftp_port": "22"},
        {"ftp_protocol": "sftp"},
        {"ftp_protocol": "sftp", "ftp_port": 22},
    ],
    ids=["port", "port as text", "protocol", "both"],
)
def test_port_22_or_the_protocol_means_the_sftp_connector(changes: dict[str, Any]) -> None:
    # VI-D12
    options = MODEL.validate_python(FTP | changes | {"host_public_key": KEY})
    assert options == MODEL.validate_python(SFTP)
    assert options.location() == "sftp://outfeed@ftp.example.com:22/"
    assert MODEL.validate_json(options.model_dump_json()) == options


def test_the_sftp_rules_hold_there() -> None:
    # VI-D12
    assert "host_public_key is missing" in refused(ftp_port=22)
    trusting = MODEL.validate_python(FTP | {"ftp_port": 22, "trust_on_first_use": True})
    assert isinstance(trusting, SftpOptions)
    assert trusting.warning()
    elsewhere = {
        "ftp_protocol": "sftp",
        "ftp_port": 2222,
        "ftp_remote_directory": "up/",
        "host_public_key": KEY,
    }
    options = MODEL.validate_python(FTP | elsewhere)
    assert options.location() == "sftp://outfeed@ftp.example.com:2222/~/up"
    problem = refused(ftp_port=22, host_public_key=KEY, ftp_host="a/b")
    assert "ftp_host" in problem.splitlines()[1]


def test_the_protocol_decides_against_the_port() -> None:
    # VI-D12
    for protocol in ("ftp", "ftps"):
        options = MODEL.validate_python(FTP | {"ftp_port": 22, "ftp_protocol": protocol})
        assert isinstance(options, FtpOptions)
        assert options.ftp_port == 22
    assert "host_public_key" in refused(host_public_key=KEY)
    for protocol in ("FTPS", "tls", ""):
        refused(ftp_protocol=protocol)


def test_only_ftps_takes_a_ca_and_only_certificates_are_one() -> None:
    certificates = make_certificates("ftp.example.com")
    options = MODEL.validate_python(FTP | {"ftp_protocol": "ftps", "ftps_ca": certificates.ca})
    assert options.server(Credentials()).ca == certificates.ca
    assert "only with ftp_protocol: ftps" in refused(ftps_ca=certificates.ca)
    refused(ftp_protocol="ftps", ftps_ca="")
    for wrong in ("nonsense", certificates.ca[:200], certificates.key):
        assert "no certificate" in refused(ftp_protocol="ftps", ftps_ca=wrong)


def test_what_the_customer_is_asked_for() -> None:
    # VI-D09, VI-D10
    sheet = MODEL.validate_python(FTP).onboarding("acme", OurSide(address_ranges=("192.0.2.0/24",)))
    assert sheet["We connect from"] == ["192.0.2.0/24"]
    prepared = " ".join(sheet["You prepare"])
    assert "create directories and to upload" in prepared
    assert "passive ports" in prepared
    assert "none is ever overwritten" in prepared


def test_the_published_schema_knows_all_three_protocols() -> None:
    # VI-D12
    schema = MODEL.json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    for good in (
        FTP,
        FTP | {"ftp_protocol": "ftps"},
        FTP | {"ftp_protocol": "sftp", "host_public_key": KEY},
        FTP | {"ftp_port": 22, "trust_on_first_use": True},
        SFTP,
    ):
        validator.validate(good)
        MODEL.validate_python(good)
    for bad in (FTP | {"ftp_protocol": "tls"}, FTP | {"ftp_hots": "x"}, FTP | {"ftp_port": 0}):
        assert not validator.is_valid(bad)


def test_the_connector_is_registered() -> None:
    assert CONNECTORS["ftp"].options_model is FtpOptions
    assert CONNECTORS["ftp"].__name__ == "FtpConnector"
