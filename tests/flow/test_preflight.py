"""The preflight as a whole: one order of steps, the gate of a test export, on record, on the screen."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml
from click.testing import CliRunner, Result

from outfeed.cli import main
from outfeed.config.load import load_config
from outfeed.connectors.base import PREFLIGHT_STEPS, Check, CheckState, Credentials
from outfeed.errors import Action, TerminalError, TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.records import RunState
from outfeed.plan import Reason
from outfeed.steps.notify import Message, notify
from outfeed.steps.preflight import run_preflight
from outfeed.steps.preflight_step import preflight
from tests.conformance.places import FtpPlace, GcsPlace, LocalPlace, Place, S3Place, SftpPlace
from tests.flow.world import SITE_A, SITE_B, World, config, tree
from tests.servers.odd_ftp import odd_ftp_server
from tests.servers.sshd import SshServer, public_line

pytestmark = pytest.mark.servers

RECORDS = {SITE_A: b'{"id":1}\n', SITE_B: b'{"id":2}\n'}

KINDS: dict[str, Callable[[Any, Path], Place]] = {
    "ftp": lambda request, _: FtpPlace(request.getfixturevalue("ftp")),
    "ftps": lambda request, _: FtpPlace(request.getfixturevalue("ftp"), "ftps"),
    "gcs": lambda request, _: GcsPlace(request.getfixturevalue("gcs")),
    "local": lambda _, folder: LocalPlace(folder / "base"),
    "s3": lambda request, _: S3Place(request.getfixturevalue("s3")),
    "sftp": lambda request, _: SftpPlace(request.getfixturevalue("sshd")),
}

#: What every delivery needs, and each kind has.
EVERYWHERE = {"write", "read back", "clean up"}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty destination of each kind."""
    return KINDS[request.param](request, tmp_path)


def test_all_kinds_have_their_steps_in_one_order(place: Place) -> None:
    # DX-086
    steps = [check.step for check in place.connector().preflight()]
    assert steps == sorted(steps, key=PREFLIGHT_STEPS.index)
    assert len(set(steps)) == len(steps)
    assert set(steps) >= EVERYWHERE


def test_credentials_that_are_missing_are_a_failed_step(place: Place) -> None:
    def undefined() -> Credentials:
        raise TerminalError("the Airflow connection is not defined", action=Action.OPERATOR)

    told: list[Check] = []
    found = run_preflight(place.options, undefined, "work.1", told.append)
    (check,) = found.checks
    assert (check.step, check.state, found.failed) == ("credentials", CheckState.FAILED, True)
    assert found.obstacle == check
    assert told == [check]
    assert place.names() == set()


# -- before the first delivery


def sftp_world(sshd: SshServer, home: Path, **changes: Any) -> tuple[World, SftpPlace]:
    """A customer whose only destination is an SFTP server, never validated."""
    place = SftpPlace(sshd)
    options = {name: value for name, value in place.options.model_dump().items() if value is not None}
    world = World(
        home,
        config(
            [json.loads(json.dumps(options)) | {"name": "server"} | changes],
            notify={"customer": ["data@acme.example"], "operators": ["ops@platform.example"]},
        ),
    )
    world.credentials["server"] = place.credentials
    return world, place


def test_a_test_export_runs_the_preflight_first_and_records_it(sshd: SshServer, tmp_path: Path) -> None:
    # DX-088, DX-089
    world, place = sftp_world(sshd, tmp_path)
    location = world.config.destinations[0].location()
    with pytest.raises(TerminalError, match="has not been validated"):
        world.deliver(RECORDS)
    assert world.ledger.last_preflight("acme", location) == []

    world.deliver(RECORDS, reason=Reason.TEST)
    steps = world.ledger.last_preflight("acme", location)
    assert [step.step for step in steps] == [
        *("resolve", "connect", "host key", "authenticate", "sftp"),
        *("list", "mkdir", "write", "rename", "read back", "clean up"),
    ]
    assert {step.state for step in steps} == {"passed"}
    assert {step.run_id for step in steps} == {"run-2"}
    assert next(step for step in steps if step.step == "host key").setting == (
        f"host public key: {sshd.host_public_key}"
    )
    assert world.ledger.validated_at("acme", location) is not None
    # A regular run connects once and tests nothing.
    world.deliver({SITE_A: b'{"id":3}\n', SITE_B: b'{"id":2}\n'})
    assert {step.run_id for step in world.ledger.last_preflight("acme", location)} == {"run-2"}
    assert len([name for name in place.names() if name.endswith("__r2.json")]) == 1


def test_a_failed_preflight_fails_the_test_export_and_says_whose_action_it_is(
    sshd: SshServer, tmp_path: Path
) -> None:
    # DX-086, DX-089
    world, place = sftp_world(sshd, tmp_path)
    os.chown(place.folder, 0, 0)
    run = world.plan(Reason.TEST)
    world.package(run, RECORDS)
    with pytest.raises(TerminalError, match=r"preflight failed at 'mkdir'.*nothing was delivered") as caught:
        world.upload(run, "server")
    assert caught.value.action is Action.CUSTOMER
    assert "DX-086" in caught.value.remedy

    (attempt,) = [one for one in world.ledger.attempts("acme", "run-1") if one.step == "upload"]
    assert (attempt.state, attempt.action) == (RunState.FAILED, Action.CUSTOMER)
    states = {
        s.step: s.state for s in world.ledger.last_preflight("acme", world.config.destinations[0].location())
    }
    assert (states["list"], states["mkdir"], states["write"]) == ("passed", "failed", "skipped")
    sent: list[Message] = []
    with pytest.raises(TerminalError):
        notify(run, sent.append)
    mail = next(message for message in sent if message.to == "data@acme.example")
    assert "preflight failed at 'mkdir'" in mail.text
    assert "customer acts: let the user" in mail.text
    assert place.names() == set()
    os.chown(place.folder, sshd.user.pw_uid, sshd.user.pw_gid)
    assert world.upload(run, "server", "2-again")["outcome"] == "delivered"


def test_a_preflight_of_its_own_task_is_not_repeated_by_the_upload(sshd: SshServer, tmp_path: Path) -> None:
    # DX-088
    world, place = sftp_world(sshd, tmp_path)
    location = world.config.destinations[0].location()
    run = world.plan(Reason.TEST)
    assert preflight(run, "server", place.credentials) == {"destination": "server", "outcome": "passed"}
    tested = world.ledger.last_preflight("acme", location)
    assert {step.state for step in tested} == {"passed"}
    assert place.names() == set()

    world.package(run, RECORDS)
    assert world.upload(run, "server")["outcome"] == "delivered"
    assert world.ledger.last_preflight("acme", location) == tested
    assert world.ledger.validated_at("acme", location) is not None


def test_an_upload_after_a_failed_preflight_tries_again_what_the_customer_has_mended(
    sshd: SshServer, tmp_path: Path
) -> None:
    # DX-086, DX-088
    world, place = sftp_world(sshd, tmp_path)
    location = world.config.destinations[0].location()
    os.chown(place.folder, 0, 0)
    run = world.plan(Reason.TEST)
    with pytest.raises(TerminalError, match=r"preflight failed at 'mkdir'"):
        preflight(run, "server", place.credentials)
    (attempt,) = [one for one in world.ledger.attempts("acme", "run-1") if one.step == "preflight"]
    assert (attempt.target, attempt.state, attempt.action) == ("server", RunState.FAILED, Action.CUSTOMER)

    world.package(run, RECORDS)
    with pytest.raises(TerminalError, match=r"preflight failed at 'mkdir'.*nothing was delivered"):
        world.upload(run, "server")
    os.chown(place.folder, sshd.user.pw_uid, sshd.user.pw_gid)
    assert world.upload(run, "server", "2-again")["outcome"] == "delivered"
    assert {step.state for step in world.ledger.last_preflight("acme", location)} == {"passed"}


def test_a_server_that_does_not_answer_is_tried_again(sshd: SshServer, tmp_path: Path) -> None:
    # DX-087
    world, _ = sftp_world(sshd, tmp_path, sftp_port=1)
    run = world.plan(Reason.TEST)
    world.package(run, RECORDS)
    with pytest.raises(TransientError, match=r"preflight failed at 'connect'.*refuses connections"):
        world.upload(run, "server")


def test_an_unknown_host_key_stops_the_run_and_our_operators_read_how_to_pin_it(
    sshd: SshServer, tmp_path: Path
) -> None:
    # DX-076
    other = public_line(asyncssh.generate_private_key("ssh-ed25519"))
    world, place = sftp_world(sshd, tmp_path, host_public_key=[other])
    world.ledger.record_validation("acme", world.config.destinations[0].location(), "earlier")
    run = world.plan()
    world.package(run, RECORDS)
    with pytest.raises(TerminalError, match="nothing was sent"):
        world.upload(run, "server")

    sent: list[Message] = []
    with pytest.raises(TerminalError):
        notify(run, sent.append)
    mails = {message.to: message.text for message in sent}
    shown = asyncssh.import_public_key(sshd.host_public_key).get_fingerprint()
    assert shown in mails["ops@platform.example"]
    assert (
        "operator acts: ask the customer, not by this server, whether the key was replaced"
        in (mails["ops@platform.example"])
    )
    assert f"add to host_public_key: {sshd.host_public_key}" in mails["ops@platform.example"]
    # Whoever has taken the server over may read the customer's mail as well.
    assert shown not in mails["data@acme.example"]
    assert place.names() == set()


def test_rights_that_only_weaken_a_promise_do_not_hold_up_a_test_export(tmp_path: Path) -> None:
    # VI-D09, DX-088
    with odd_ftp_server(rights="elmw") as server:
        options = {
            "name": "ftp",
            "type": "ftp",
            "ftp_host": "127.0.0.1",
            "ftp_port": server.port,
            "ftp_username": server.username,
            "ftp_remote_directory": "/base",
            "filename_style": "portable",
            "connection": "acme_ftp",
        }
        (server.folder / "base").mkdir(exist_ok=True)
        world = World(tmp_path, config([options]))
        world.credentials["ftp"] = Credentials(login=server.username, password=server.password)
        assert world.deliver(RECORDS, reason=Reason.TEST)["ftp"]["outcome"] == "delivered"
        steps = world.ledger.last_preflight("acme", world.config.destinations[0].location())
        assert {step.step for step in steps if step.state == "failed"} >= {"read back"}
        assert sum(name.endswith(".json") for name in tree(server.folder / "base")) == 2


# -- on the command line


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project without customers, in the current folder."""
    (tmp_path / "dags" / "customers").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in ("OUTFEED_PROJECT", "OUTFEED_HOME", "OUTFEED_LEDGER_URL"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path


def write_customer(project: Path, *destinations: dict[str, Any]) -> Path:
    """The file of a customer `acme`."""
    content = {
        "type": "work-orders",
        "state": "draft",
        "interval": "daily",
        "time_zone": "Europe/Paris",
        "source": {"connection": "platform_db"},
        "site_id": [SITE_A],
        "destinations": list(destinations),
    }
    path = project / "dags" / "customers" / "acme.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def server_options(place: SftpPlace, **changes: Any) -> dict[str, Any]:
    """A destination as a person writes it."""
    options = place.options.model_dump(exclude_unset=True)
    options = {name: value for name, value in options.items() if name != "host_public_key"}
    pinned = {"host public key": place.server.host_public_key}
    return options | {"name": "server", "connection": "acme_sftp"} | pinned | changes


def define(monkeypatch: pytest.MonkeyPatch, name: str, **extra: Any) -> None:
    """Defines an Airflow connection as Airflow's own environment variable does."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "sftp", "extra": extra}))


def outfeed(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_preflight_names_each_step_and_ends_with_zero_if_all_passed(
    project: Path, sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-086
    place = SftpPlace(sshd)
    write_customer(project, server_options(place), {"name": "folder", "type": "local", "path": "acme"})
    define(monkeypatch, "acme_sftp", private_key=sshd.private_key)
    result = outfeed("preflight", "acme")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert (
        lines[0] == f"server: {load_config(project / 'dags/customers/acme.yaml').destinations[0].location()}"
    )
    assert [line.split()[0] for line in lines if line.startswith("  ") and "YAML" not in line] == [
        "PASSED"
    ] * 16
    assert "folder: local:acme" in lines
    assert place.names() == set()
    assert (
        outfeed("preflight", "acme", "--destination", "folder").stdout.splitlines()[0] == "folder: local:acme"
    )
    unknown = outfeed("preflight", "acme", "--destination", "nowhere")
    assert (unknown.exit_code, "known: server, folder" in unknown.output) == (1, True)


def test_the_host_key_that_was_seen_can_be_pasted_into_the_yaml(
    project: Path, sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-076, DX-081
    place = SftpPlace(sshd)
    trusting = server_options(place, trust_on_first_use=True)
    del trusting["host public key"]
    path = write_customer(project, trusting)
    define(monkeypatch, "acme_sftp", private_key=sshd.private_key)
    (line,) = [line for line in outfeed("preflight", "acme").stdout.splitlines() if "for the YAML:" in line]
    pinned = line.split("for the YAML: ")[1]
    assert pinned == f"host public key: {sshd.host_public_key}"

    text = path.read_text().replace("trust_on_first_use: true", pinned)
    path.write_text(text)
    assert load_config(path).destinations[0].model_dump()["host_public_key"] == (sshd.host_public_key,)
    again = outfeed("preflight", "acme")
    assert again.exit_code == 0
    assert "is the expected key" in again.stdout


def test_an_unknown_host_key_is_reported_with_a_setting_that_accepts_both(
    project: Path, sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-076
    place = SftpPlace(sshd)
    old = public_line(asyncssh.generate_private_key("ssh-ed25519"))
    path = write_customer(project, server_options(place, **{"host public key": old}))
    define(monkeypatch, "acme_sftp", private_key=sshd.private_key)
    result = outfeed("preflight", "acme")
    assert result.exit_code == 1
    (failed,) = [line for line in result.stdout.splitlines() if line.startswith("  FAILED")]
    assert "host key" in failed
    assert asyncssh.import_public_key(sshd.host_public_key).get_fingerprint() in failed
    (setting,) = [line.split("for the YAML: ")[1] for line in result.stdout.splitlines() if "YAML:" in line]

    path.write_text(path.read_text().replace(f"host public key: {old}", setting))
    keys = load_config(path).destinations[0].model_dump()["host_public_key"]
    assert keys == (old, sshd.host_public_key)
    assert outfeed("preflight", "acme").exit_code == 0


def test_a_failed_step_is_told_as_json_with_exit_code_one_and_shown_again_by_last(
    project: Path, sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-085, DX-086
    place = SftpPlace(sshd)
    write_customer(project, server_options(place))
    assert outfeed("preflight", "acme", "--last").exit_code == 1
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    secret = stranger.export_private_key().decode()
    define(monkeypatch, "acme_sftp", private_key=secret)
    result = outfeed("preflight", "acme", "--json")
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)
    states = {step["step"]: step["state"] for step in found["steps"]}
    assert (states["host key"], states["authenticate"], states["write"]) == ("passed", "failed", "skipped")
    message = next(step["message"] for step in found["steps"] if step["step"] == "authenticate")
    assert f"customer acts: add this line to authorized_keys: {public_line(stranger)}" in message

    last = outfeed("preflight", "acme", "--last", "--json")
    assert last.exit_code == 1
    assert json.loads(last.stdout)[0]["steps"] == found["steps"]
    assert f"by {found['run_id']}" in outfeed("preflight", "acme", "--last").stdout
    ledger = (project / ".outfeed" / "ledger.db").read_bytes()
    for line in secret.strip().splitlines()[1:-1]:
        assert line not in result.output + last.output
        assert line.encode() not in ledger


def test_a_connection_that_is_not_known_here_is_a_failed_step_of_its_destination_alone(
    project: Path, sshd: SshServer
) -> None:
    # XX-07
    write_customer(
        project, server_options(SftpPlace(sshd)), {"name": "folder", "type": "local", "path": "acme"}
    )
    result = outfeed("preflight", "acme")
    assert result.exit_code == 1
    (failed,) = [line for line in result.stdout.splitlines() if line.startswith("  FAILED")]
    assert "credentials" in failed
    assert "AIRFLOW_CONN_ACME_SFTP" in failed
    assert "run `bin/outfeed …` of the project" in failed
    assert result.stdout.count("PASSED") == 5


def test_a_ledger_that_can_not_be_written_is_said_and_hides_no_result(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_customer(project, {"name": "folder", "type": "local", "path": "acme"})
    monkeypatch.setenv("OUTFEED_LEDGER_URL", "sqlite:////proc/nowhere/ledger.db")
    result = outfeed("preflight", "acme")
    assert result.exit_code == 0
    assert "PASSED" in result.stdout
    assert "this preflight was not recorded: " in result.stderr


def test_the_real_program_ends_with_one(project: Path) -> None:
    write_customer(project, {"name": "folder", "type": "local", "path": "/proc/nowhere"})
    done = subprocess.run(
        [os.sys.executable, "-m", "outfeed", "preflight", "acme", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "include")},
    )
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)
    assert found["steps"][0] == {
        "step": "mkdir",
        "state": "failed",
        "message": found["steps"][0]["message"],
        "setting": None,
    }
    assert "operator acts" in found["steps"][0]["message"]


def test_a_preflight_of_the_command_line_does_not_validate_a_destination(project: Path) -> None:
    # DX-089: only a test export does
    write_customer(project, {"name": "folder", "type": "local", "path": "acme"})
    assert outfeed("preflight", "acme").exit_code == 0
    assert Ledger(f"sqlite:///{project}/.outfeed/ledger.db").validated_at("acme", "local:acme") is None
