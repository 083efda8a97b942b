"""The command line: what people read, and that nothing but `schema --write` touches anything."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from outfeed.cli import COMMANDS, main
from outfeed.config.schema import json_schema
from outfeed.home import home, ledger_url
from outfeed.ledger import Ledger
from outfeed.ledger.records import DeliveryRecord, RunRecord, RunState

ROOT = Path(__file__).parents[2]
SITES = ["433a60f6-9756-473e-b1e9-9e89e24bb787", "5b0c7d52-41f0-4b1c-9a7e-6f8e2d9c3a10"]
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1dYRNWdSUcQQFGsS0IVxDHvZH2mAR9HRbKt0jBOqm5"
CUSTOMER: dict[str, Any] = {
    "type": "work-orders",
    "interval": "daily",
    "time_zone": "Europe/Paris",
    "source": {"connection": "platform_db", "images_uri": "images"},
    "site_id": SITES,
    "export_type": "work-orders-states",
    "destinations": [
        {
            "name": "bucket",
            "type": "gcs",
            "storage_uri": "gs://acme-exports/production",
            "export_images": True,
        },
        {
            "name": "server",
            "type": "sftp",
            "sftp_host": "sftp.acme.example",
            "sftp_port": 2222,
            "sftp_remote_path": "/outfeed/production",
            "username": "outfeed",
            "host_public_key": HOST_KEY,
            "connection": "acme_sftp",
            "filename_style": "portable",
        },
    ],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one customer, in the current folder."""
    (tmp_path / "dags" / "customers").mkdir(parents=True)
    write(tmp_path, "acme", CUSTOMER)
    monkeypatch.chdir(tmp_path)
    for name in ("OUTFEED_PROJECT", "OUTFEED_HOME", "OUTFEED_LEDGER_URL", "OUTFEED_IP_RANGES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(project: Path, customer: str, content: dict[str, Any]) -> Path:
    path = project / "dags" / "customers" / f"{customer}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def outfeed(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- validate


def test_validate_says_ok_for_every_customer_of_the_project(project: Path) -> None:
    # XX-01
    write(project, "borealis", CUSTOMER)
    result = outfeed("validate")
    assert result.output == "dags/customers/acme.yaml: OK\ndags/customers/borealis.yaml: OK\n"
    assert result.exit_code == 0


def test_validate_prints_every_problem_and_ends_with_one(project: Path) -> None:
    # XX-01
    write(project, "broken", CUSTOMER | {"interval": "hourly", "colour": "red"})
    (project / "dags" / "customers" / "wrong.yml").write_text("{}")
    result = outfeed("validate")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == "dags/customers/acme.yaml: OK"
    assert lines[1].startswith("dags/customers/broken.yaml:2:11: interval: 'hourly' is not 'once', ")
    assert lines[2].startswith("dags/customers/broken.yaml:")
    assert "unknown key 'colour'" in lines[2]
    assert lines[3].startswith("dags/customers/wrong.yml: a customer's file must end in .yaml")
    assert len(lines) == 4


def test_validate_takes_files(project: Path) -> None:
    broken = write(project, "broken", {"type": "work-orders"})
    assert outfeed("validate", "dags/customers/acme.yaml").exit_code == 0
    result = outfeed("validate", str(broken), "absent.yaml")
    assert result.exit_code == 1
    assert f"{broken}:1:1: the key 'site_id' is missing" in result.output
    assert "absent.yaml: the file can't be read" in result.output


def test_validate_prints_warnings_and_still_says_ok(project: Path) -> None:
    # DX-055
    destinations = [{"name": "archive", "type": "local", "path": "acme"}]
    write(project, "acme", CUSTOMER | {"destinations": destinations})
    result = outfeed("validate")
    assert result.exit_code == 0
    warning, verdict = result.output.splitlines()
    assert warning.startswith(
        "dags/customers/acme.yaml:12:9: warning: destination 'archive' has no folder for "
    )
    assert verdict == "dags/customers/acme.yaml: OK"


def test_what_validate_finds_goes_to_standard_error(project: Path) -> None:
    destinations = [{"name": "archive", "type": "local", "path": "acme"}]
    write(project, "acme", CUSTOMER | {"destinations": destinations})
    write(project, "broken", {"type": "work-orders"})
    result = outfeed("validate")
    assert result.stdout == "dags/customers/acme.yaml: OK\n"
    warning, *problems = result.stderr.splitlines()
    assert "warning: destination 'archive' has no folder" in warning
    assert problems[0].startswith("dags/customers/broken.yaml:1:1: the key ")


def test_no_file_keeps_validate_from_the_others(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # XX-07
    write(project, "broken", CUSTOMER | {"interval": None, "cron": "0 0 30 2 *"})
    (project / "dags" / "customers" / "deep.yaml").write_text("[" * 5000)
    (project / "dags" / "customers" / "folder.yaml").mkdir()
    write(project, "good", CUSTOMER)
    result = outfeed("validate")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["dags/customers/acme.yaml: OK", "dags/customers/good.yaml: OK"]
    cron, deep, folder = result.stderr.splitlines()
    assert "'0 0 30 2 *' never happens: no year has such a day" in cron
    assert deep.startswith("dags/customers/deep.yaml:1:21: the file is nested more than 20 deep")
    assert folder.startswith("dags/customers/folder.yaml: this is a folder, not a customer's file")

    def failing(customer: str, *_: object) -> list[object]:
        raise KeyError("s3cret" if customer == "acme" else customer)

    monkeypatch.setattr("outfeed.cli.validate.advice", failing)
    lines = outfeed("validate").stderr.splitlines()
    assert "acme.yaml: the check of this file failed with KeyError: a mistake of Outfeed's" in lines[0]
    assert "good.yaml: the check of this file failed with KeyError" in lines[-1]
    assert "s3cret" not in "".join(lines)


def test_validate_of_nothing_says_that_it_is_a_folder(project: Path) -> None:
    for folder in ("", ".", "dags/customers"):
        result = outfeed("validate", folder)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{folder or '.'}: this is a folder, not a customer's file" in result.stderr


def test_a_file_with_the_other_ending_does_not_hide_the_right_one(project: Path) -> None:
    (project / "dags" / "customers" / "acme.yml").write_text("{}")
    (project / "dags" / "customers" / "only.yml").write_text("{}")
    assert outfeed("plan", "acme").exit_code == 0
    assert "# Onboarding of acme" in outfeed("onboarding", "acme").stdout
    lines = outfeed("validate").stderr.splitlines()
    assert "acme.yaml exists already: remove one of the two" in lines[0]
    assert "rename it to only.yaml" in lines[1]
    assert "must end in .yaml" in outfeed("plan", "only").stderr


def test_the_project_is_found_from_below_or_by_its_name(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "docs" / "deep").mkdir(parents=True)
    monkeypatch.chdir(project / "docs" / "deep")
    assert "acme.yaml: OK" in outfeed("validate").output
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    result = outfeed("validate")
    assert result.exit_code == 1
    assert "there is no folder dags/customers here or above" in result.output
    monkeypatch.setenv("OUTFEED_PROJECT", str(project))
    assert "acme.yaml: OK" in outfeed("validate").output


# -- schema


def test_schema_prints_and_writes(project: Path) -> None:
    before = files_of(project)
    assert json.loads(outfeed("schema").output) == json_schema()
    assert files_of(project) == before
    assert outfeed("schema", "--write").output == "wrote docs/customer.schema.json\n"
    assert json.loads((project / "docs" / "customer.schema.json").read_text()) == json_schema()


# -- plan


def test_plan_shows_windows_parts_and_paths(project: Path) -> None:
    # DX-064 DX-065 DX-067 XX-02
    before = files_of(project)
    result = outfeed("plan", "acme", "--from", "2026-03-29", "--to", "2026-03-31")
    first, second = SITES
    states = "work-orders-states"
    assert result.output.splitlines()[:19] == [
        "acme: work-orders-states, 2 site(s), as json, 0 0 * * * Europe/Paris, draft",
        "",
        "window [2026-03-28T23:00:00Z, 2026-03-29T22:00:00Z), due 2026-03-29T22:10:00Z",
        "  local: 2026-03-29 00:00 to 2026-03-30 00:00",
        f"  part {states}/{first}",
        f"  part {states}/{second}",
        "  to bucket, gs://acme-exports/production/",
        f"    {first}/data/{states}/2026-03-28_23:00:00_2026-03-29_22:00:00.json",
        f"    {first}/inputs/<input id><file extension>",
        f"    {second}/data/{states}/2026-03-28_23:00:00_2026-03-29_22:00:00.json",
        f"    {second}/inputs/<input id><file extension>",
        f"    _outfeed/{states}/2026-03-28_23:00:00_2026-03-29_22:00:00/",
        "  to server, sftp://outfeed@sftp.acme.example:2222/outfeed/production",
        f"    {first}/data/{states}/2026-03-28T230000Z_2026-03-29T220000Z.json",
        f"    {second}/data/{states}/2026-03-28T230000Z_2026-03-29T220000Z.json",
        f"    _outfeed/{states}/2026-03-28T230000Z_2026-03-29T220000Z/",
        "",
        "window [2026-03-29T22:00:00Z, 2026-03-30T22:00:00Z), due 2026-03-30T22:10:00Z",
        "  local: 2026-03-30 00:00 to 2026-03-31 00:00",
    ]
    assert result.output.count("window [") == 2
    assert files_of(project) == before


def test_plan_without_days_shows_the_last_complete_window(project: Path) -> None:
    write(project, "often", CUSTOMER | {"interval": None, "cron": "*/30 * * * *", "release_delay": "1h"})
    before = dt.datetime.now(dt.UTC)
    (line,) = [line for line in outfeed("plan", "often").output.splitlines() if line.startswith("window ")]
    end = dt.datetime.fromisoformat(line.split(", ")[1].rstrip(")"))
    assert before - dt.timedelta(minutes=91) < end <= dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)


def test_plan_of_a_one_time_export(project: Path) -> None:
    # DX-017
    once = {"interval": "once", "start_date": dt.date(2026, 10, 1), "end_date": dt.date(2026, 11, 1)}
    write(project, "once", CUSTOMER | once)
    expected = "window [2026-09-30T22:00:00Z, 2026-10-31T23:00:00Z)"
    assert outfeed("plan", "once").output.count(expected) == 1
    assert expected in outfeed("plan", "once", "--from", "2026-10-01", "--to", "2026-11-01").output
    for days in (("2026-10-02", "2026-11-01"), ("2026-10-01", "2026-10-31")):
        result = outfeed("plan", "once", "--from", days[0], "--to", days[1])
        assert "no whole window lies between these days" in result.output


def test_plan_refuses_what_it_does_not_understand(project: Path) -> None:
    assert outfeed("plan", "acme", "--from", "2026-03-29").exit_code == 2
    result = outfeed("plan", "acme", "--from", "2026-03-29", "--to", "2026-03-29")
    assert (result.exit_code, "--to is not after --from" in result.output) == (1, True)
    result = outfeed("plan", "nobody")
    assert result.exit_code == 1
    assert "there is no customer 'nobody' [operator acts: known: acme]" in result.output
    write(project, "broken", {"type": "work-orders"})
    result = outfeed("plan", "broken")
    assert (result.exit_code, "broken.yaml:1:1: " in result.output) == (1, True)


def test_plan_refuses_days_that_no_calendar_reaches(project: Path) -> None:
    for days in (("0001-01-01", "0001-01-03"), ("9999-12-29", "9999-12-31"), ("2026-01-01", "9999-12-31")):
        result = outfeed("plan", "acme", "--from", days[0], "--to", days[1])
        assert result.exit_code == 1
        assert "lies outside the years 1900 to 2999 [operator acts: correct the date]" in result.stderr
    result = outfeed("plan", "acme", "--from", "2999-12-30", "--to", "2999-12-31")
    assert result.output.count("window [") == 1


def test_plan_shows_no_more_windows_than_a_person_reads(project: Path) -> None:
    lines = outfeed("plan", "acme", "--from", "1900-01-01", "--to", "2999-01-01").output.splitlines()
    assert sum(line.startswith("window [") for line in lines) == 400
    assert lines[-1] == "only the first 400 windows are shown; go on with --from 1901-02-05"
    lines = outfeed("plan", "acme", "--from", "1901-02-05", "--to", "1901-02-07").output.splitlines()
    assert sum(line.startswith("window [") for line in lines) == 2
    assert not lines[-1].startswith("only")
    year = outfeed("plan", "acme", "--from", "2028-01-01", "--to", "2029-01-01").output
    assert (year.count("window ["), "only the first" in year) == (366, False)


# -- deliveries and runs

START = dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC)
END = dt.datetime(2026, 3, 29, 22, tzinfo=dt.UTC)
DELIVERED = dt.datetime(2026, 3, 29, 22, 11, 5, 123456, tzinfo=dt.UTC)
RECEIPT = DeliveryRecord(
    customer="acme",
    destination="bucket",
    location="gs://acme-exports/production/",
    run_id="scheduled__1",
    reason="scheduled",
    start=START,
    end=END,
    dataset="work-orders-states",
    revision=1,
    manifest_path="_outfeed/MANIFEST",
    files=2,
    images=1200,
    images_missing=3,
    rows=45_678,
    rows_rejected=9,
    bytes=1_234_567,
    delivered_at=DELIVERED,
)


@pytest.fixture
def ledger(project: Path) -> Ledger:
    """A ledger with two receipts and two runs, where the command line looks for it."""
    opened = Ledger(ledger_url())
    opened.migrate()
    fence = opened.begin_attempt("acme", "scheduled__1", "upload", "bucket", "1")
    opened.record_delivery(fence, RECEIPT)
    values = {name: getattr(RECEIPT, name) for name in RECEIPT.__dataclass_fields__}
    values |= {
        "customer": "borealis",
        "destination": "server",
        "revision": 2,
        "warning": "unconfirmed host key",
    }
    values |= {"delivered_at": DELIVERED + dt.timedelta(hours=1), "rows": 7}
    opened.record_delivery(fence, DeliveryRecord(**values))
    for customer in ("acme", "borealis"):
        opened.start_run(
            RunRecord(
                customer, "scheduled__1", "scheduled", START, END, "work-orders-states", "0" * 64, "file:///p"
            )
        )
    opened.finish_run("borealis", "scheduled__1", RunState.FAILED, "the disk is full\nsecond line")
    return opened


def test_deliveries_are_a_table_that_lines_up(ledger: Ledger) -> None:
    # XX-08
    lines = outfeed("deliveries").output.splitlines()
    assert lines[0].split() == [
        *("delivered", "customer", "destination", "reason", "window", "rev", "rows", "rejected"),
        *("files", "images", "missing", "bytes", "warning"),
    ]
    assert lines[1].split() == [
        *("2026-03-29T23:11:05Z", "borealis", "server", "scheduled"),
        *("2026-03-28T23:00:00Z/2026-03-29T22:00:00Z", "2", "7", "9", "2", "1,200", "3", "1,234,567"),
        *("unconfirmed", "host", "key"),
    ]
    assert lines[2].split() == [
        *("2026-03-29T22:11:05Z", "acme", "bucket", "scheduled"),
        *("2026-03-28T23:00:00Z/2026-03-29T22:00:00Z", "1", "45,678", "9", "2", "1,200", "3", "1,234,567"),
    ]
    end = lines[0].index("bytes") + len("bytes")
    assert lines[1][:end].endswith("1,234,567")
    assert lines[2][:end].endswith("1,234,567")
    assert "borealis" not in outfeed("deliveries", "acme").output


def test_deliveries_as_json_hold_every_field(ledger: Ledger) -> None:
    # XX-08
    (found,) = json.loads(outfeed("deliveries", "acme", "--json").output)
    assert found.keys() == RECEIPT.__dataclass_fields__.keys()
    assert (found["rows"], found["bytes"], found["supersedes"]) == (45_678, 1_234_567, None)
    assert (found["start"], found["delivered_at"]) == ("2026-03-28T23:00:00Z", "2026-03-29T22:11:05.123456Z")


def test_runs_tell_their_state_and_error(ledger: Ledger) -> None:
    # XX-08
    lines = outfeed("runs").output.splitlines()
    assert len(lines) == 3
    (failed,) = [line for line in lines if "borealis" in line]
    assert "failed" in failed
    assert failed.endswith("scheduled__1  the disk is full second line")
    (running,) = json.loads(outfeed("runs", "acme", "--json").output)
    assert (running["state"], running["finished_at"], running["error"]) == ("running", None, None)


def test_the_ledger_is_named_by_option_environment_or_home(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert home() == project / ".outfeed"
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path / "elsewhere"))
    assert home() == tmp_path / "elsewhere"
    assert ledger_url() == f"sqlite:///{tmp_path}/elsewhere/ledger.db"
    for name in ("environment", "option"):
        Ledger(f"sqlite:///{tmp_path}/{name}.db").migrate()
    monkeypatch.setenv("OUTFEED_LEDGER_URL", f"sqlite:///{tmp_path}/environment.db")
    assert ledger_url() == f"sqlite:///{tmp_path}/environment.db"
    assert outfeed("deliveries").output == "nothing was delivered yet\n"
    assert outfeed("runs", "--ledger", f"sqlite:///{tmp_path}/option.db").output == "nothing has run yet\n"
    assert outfeed("runs", "--ledger", f"sqlite:///{tmp_path}/absent.db").exit_code == 1


@pytest.mark.parametrize("command", ["deliveries", "runs", "links", "links revoke 12"])
def test_looking_creates_no_ledger(project: Path, command: str) -> None:
    result = outfeed(*command.split())
    assert result.exit_code == 1
    assert f"ledger {project}/.outfeed/ledger.db: there is no ledger here" in result.stderr
    assert "nothing has run yet, or this is the wrong folder: set OUTFEED_HOME" in result.stderr
    assert not (project / ".outfeed").exists()


@pytest.mark.parametrize("command", ["deliveries", "runs", "links"])
def test_a_customer_whom_nobody_knows_is_an_error_not_an_empty_list(
    ledger: Ledger, command: str, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    write(project, "new", CUSTOMER)
    known = "known: acme, borealis, new]"
    for more in ([], ["--json"]):
        result = outfeed(command, "typo", *more)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"there is no customer 'typo' [operator acts: {known}" in result.stderr
        assert outfeed(command, "new", *more).exit_code == 0
    # The ledger also knows those whose file is gone, and can be looked at where no project is.
    (project / "dags" / "customers" / "acme.yaml").unlink()
    assert outfeed(command, "acme").exit_code == 0
    monkeypatch.setenv("OUTFEED_PROJECT", str(project / "dags"))
    assert outfeed(command, "acme").exit_code == 0
    assert "known: acme, borealis]" in outfeed(command, "typo").stderr


def test_a_ledgers_password_is_not_shown(project: Path) -> None:
    # XX-06
    result = outfeed("deliveries", "--ledger", "postgresql://outfeed:s3cret-w0rd@127.0.0.1:1/ledger")
    assert result.exit_code == 1
    assert "ledger postgresql://127.0.0.1:1/ledger" in result.output
    assert "s3cret-w0rd" not in result.output


# -- onboarding


def key_file(folder: Path, key: Any) -> Path:
    path = folder / "key.pub"
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path.write_bytes(public + b" outfeed@host\n")
    return path


def test_the_onboarding_sheet_of_a_google_bucket(project: Path) -> None:
    # DX-057 DX-058 DX-059 DX-060 DX-061 DX-084
    output = outfeed("onboarding", "acme", "--google-project", "outfeed-prod").output
    bucket = output.split("## Destination ")[1]
    assert "- customer-acme@outfeed-prod.iam.gserviceaccount.com\n" in bucket
    listed = [line.removeprefix("- ") for line in bucket.splitlines() if line.startswith("- storage.")]
    assert listed == [
        "storage.objects.create",
        "storage.objects.list",
        "storage.objects.get",
        "storage.buckets.get",
    ]
    assert "Place: `gs://acme-exports/production/`" in bucket
    tree = bucket.split("```")[1].splitlines()[1:]
    for site in SITES:
        at = tree.index(f"{site}/")
        assert tree[at + 1 : at + 6] == [
            "  data/",
            "    work-orders-states/",
            "      2025-03-15_23:00:00_2025-03-16_23:00:00.json",
            "  inputs/",
            "    <input id><file extension>",
        ]


def test_the_sheet_shows_windows_as_they_will_be(project: Path) -> None:
    # DX-084
    weekly = CUSTOMER | {"interval": "weekly", "time_zone": "Asia/Tokyo"}
    write(project, "weekly", weekly)
    assert "  2025-03-09_15:00:00_2025-03-16_15:00:00.json\n" in outfeed("onboarding", "weekly").output
    once = {"interval": "once", "start_date": dt.date(2026, 10, 1), "end_date": dt.date(2026, 11, 1)}
    write(project, "once", CUSTOMER | once)
    assert "  2026-09-30_22:00:00_2026-10-31_23:00:00.json\n" in outfeed("onboarding", "once").output


def test_the_sheet_is_printed_whole_or_not_at_all(project: Path) -> None:
    write(project, "rare", CUSTOMER | {"interval": None, "cron": "0 0 29 2 *"})
    result = outfeed("onboarding", "rare")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "spans 1461 days, more than the 400 allowed" in result.stderr


def test_a_name_that_no_service_account_can_have_is_said_first(project: Path) -> None:
    # DX-057 D33
    write(project, "acme_with_a_long_name_", CUSTOMER)
    output = outfeed("onboarding", "acme_with_a_long_name_").output
    assert (
        "**To be settled first:** 'customer-acme_with_a_long_name_' can't be a Google service account"
        in output
    )


def test_the_onboarding_sheet_of_an_sftp_server(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # DX-080 DX-081 DX-082 DX-083 DX-084
    monkeypatch.setenv("OUTFEED_IP_RANGES", "198.51.100.0/24, 2001:db8::/48 203.0.113.7/32")
    path = key_file(project, ed25519.Ed25519PrivateKey.generate())
    server = outfeed("onboarding", "acme", "--public-key", str(path)).output.split("## Destination ")[2]
    # The comment names a machine of ours: it stays here.
    assert f"- {path.read_text().removesuffix(' outfeed@host' + chr(10))}{chr(10)}" in server
    for line in ("198.51.100.0/24", "2001:db8::/48", "203.0.113.7/32", f"pinned: {HOST_KEY}"):
        assert f"- {line}\n" in server
    assert "- outfeed@sftp.acme.example, port 2222\n" in server
    assert "- base directory /outfeed/production\n" in server
    assert "authorized_keys" in server
    assert "the right to list, create, write and rename below /outfeed/production" in server
    assert "a firewall that lets our networks reach port 2222" in server
    tree = server.split("```")[1]
    # No images here, and names without colons.
    assert "inputs/" not in tree
    assert "2025-03-15T230000Z_2025-03-16T230000Z.json" in tree


def test_what_is_not_known_yet_is_a_gap_in_the_sheet(project: Path) -> None:
    output = outfeed("onboarding", "acme").output
    assert "- customer-acme@<project>.iam.gserviceaccount.com\n" in output
    assert "- <public half of the key in Airflow connection acme_sftp>\n" in output
    assert "- <our address ranges>\n" in output


def test_the_sheet_promises_validation_before_the_first_delivery(project: Path) -> None:
    # DX-080 D19
    steps = outfeed("onboarding", "acme").output.split("## From here to the first delivery")[1]
    assert "test export" in steps
    assert "Only after that the regular exports begin" in steps
    assert "You may delete delivered files at any time" in steps


@pytest.mark.parametrize("ranges", ["198.51.100.7/24", "everywhere", "198.51.100.0/33", "300.1.1.1"])
def test_a_range_that_is_no_network_is_refused(project: Path, ranges: str) -> None:
    # DX-083
    result = outfeed("onboarding", "acme", "--ip-ranges", f"203.0.113.0/24,{ranges}")
    assert result.exit_code == 1
    assert f"{ranges!r} is no network" in result.output


def test_a_private_key_is_refused_and_not_shown(project: Path) -> None:
    # DX-082 XX-06
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (project / "key").write_bytes(private)
    result = outfeed("onboarding", "acme", "--public-key", "key")
    assert result.exit_code == 1
    assert "key: this is no public key in OpenSSH form" in result.output
    for line in private.decode().splitlines():
        assert line not in result.output


def test_only_strong_public_keys_are_handed_over(project: Path) -> None:
    # DX-082
    strong = key_file(project, rsa.generate_private_key(65537, 3072))
    assert "- ssh-rsa AAAA" in outfeed("onboarding", "acme", "--public-key", str(strong)).output
    weak = key_file(project, rsa.generate_private_key(65537, 2048))
    assert "2048 bits is too weak" in outfeed("onboarding", "acme", "--public-key", str(weak)).output
    other = key_file(project, ec.generate_private_key(ec.SECP256R1()))
    assert (
        "neither an Ed25519 nor an RSA key"
        in outfeed("onboarding", "acme", "--public-key", str(other)).output
    )
    assert outfeed("onboarding", "acme", "--public-key", "absent").exit_code == 1


# -- the command itself


def test_every_command_has_help_and_is_listed() -> None:
    listed = outfeed("--help").output
    for name in COMMANDS:
        assert f"  {name} " in listed
        assert outfeed(name, "--help").exit_code == 0
    assert outfeed("delivery").exit_code == 2


def test_the_command_runs_as_a_module() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "include")}
    command = [sys.executable, "-m", "outfeed", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "dags/customers/acme-telecom.yaml: OK" in done.stdout
