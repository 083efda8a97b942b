"""Our key pairs: made, replaced while both work, and never seen where they should not be."""

from __future__ import annotations

import dataclasses
import json
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from outfeed.cli import main
from outfeed.cli.host import EnvironmentHost, SecretPlace
from outfeed.connectors import open_connector
from outfeed.connectors.base import Credentials
from outfeed.connectors.ssh_keys import fingerprint, make_key_pair
from outfeed.errors import Action, ConfigError
from outfeed.ledger import Ledger
from tests.conformance.contents import outgoing
from tests.conformance.places import SftpPlace
from tests.flow.test_preflight import project, server_options, write_customer  # noqa: F401
from tests.servers.process import binary
from tests.servers.sshd import SshServer, ssh_server

pytestmark = pytest.mark.servers

KEYGEN = "apt-get install -y --no-install-recommends openssh-client"


@dataclasses.dataclass
class Store:
    """A host whose connections can be written, as Airflow's database can."""

    extras: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def find(self, conn_id: str) -> Credentials | None:
        return Credentials(extra=self.extras[conn_id]) if conn_id in self.extras else None

    not_found = EnvironmentHost.not_found
    ledger_url = EnvironmentHost.ledger_url

    def secret_place(self, conn_id: str) -> SecretPlace:
        return SecretPlace("a store", writable=True)

    def change_extra(self, conn_id: str, changes: Mapping[str, str | None]) -> None:
        extra = self.extras.setdefault(conn_id, {})
        extra.update({name: value for name, value in changes.items() if value is not None})
        for name in [name for name, value in changes.items() if value is None]:
            del extra[name]


@pytest.fixture
def server() -> Iterator[SshServer]:
    """A server whose authorized_keys the test edits."""
    with ssh_server() as running:
        yield running


@pytest.fixture
def place(server: SshServer, project: Path) -> SftpPlace:  # noqa: F811
    """An empty base directory, the only destination of the customer `acme`."""
    made = SftpPlace(server)
    write_customer(project, server_options(made))
    return made


def run(store: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments, obj=store)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def authorize(server: SshServer, *public: str) -> None:
    """What the customer does with the lines that we send."""
    (server.log.parent / "authorized_keys").write_text("".join(f"{line}\n" for line in public))


def deliver(store: Store, place: SftpPlace, name: str) -> str | None:
    """Delivers a file with what is in the connection; the key that was accepted."""
    with open_connector(place.options, Credentials(extra=store.extras["acme_sftp"]), attempt="w.1") as opened:
        assert [result.path for result in opened.deliver([outgoing(name, b"data")])] == [name]
        return opened.accepted_key


def keygen(*arguments: str) -> str:
    """What OpenSSH's own program says."""
    program = binary("ssh-keygen", KEYGEN)
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def private_lines(private_key: str) -> list[str]:
    """The lines of a private key that are secret."""
    return private_key.strip().splitlines()[1:-1]


def lines_with(result: Result, word: str) -> list[str]:
    return [line for line in result.stdout.splitlines() if word in line]


# -- what is made


@pytest.mark.parametrize(("kind", "bits", "name"), [("ed25519", 256, "ED25519"), ("rsa", 3072, "RSA")])
def test_openssh_reads_both_halves_as_one_pair(tmp_path: Path, kind: Any, bits: int, name: str) -> None:
    # DX-082
    pair = make_key_pair(kind)
    private, public = tmp_path / "key", tmp_path / "key.pub"
    private.write_text(pair.private_key)
    private.chmod(0o600)
    public.write_text(pair.public_key + "\n")
    assert keygen("-y", "-f", str(private)) == pair.public_key
    listed = keygen("-lf", str(public)).split()
    assert (listed[0], listed[1], listed[-1]) == (str(bits), fingerprint(pair.public_key), f"({name})")
    assert pair.private_key not in repr(pair)


def test_a_weak_rsa_key_is_refused(place: SftpPlace) -> None:
    # DX-082
    with pytest.raises(ConfigError, match="2048 bits is too weak") as caught:
        make_key_pair("rsa", 2048)
    assert caught.value.action is Action.OPERATOR
    store = Store()
    result = run(store, "keys", "create", "acme", "--type", "rsa", "--bits", "3071")
    assert (result.exit_code, store.extras) == (1, {})
    assert "3071 bits is too weak" in result.output
    result = run(store, "keys", "create", "acme", "--type", "rsa", "--bits", "16385")
    assert result.exit_code == 2
    assert "16385 is not in the range x<=16384" in result.output


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_created_key_logs_in_when_the_customer_has_the_public_half(
    place: SftpPlace,
    server: SshServer,
    kind: str,
    project: Path,  # noqa: F811
) -> None:
    # DX-082, DX-085
    store = Store()
    result = run(store, "keys", "create", "acme", "--type", kind)
    assert result.exit_code == 0, result.output
    public = result.stdout.strip()
    assert public.startswith("ssh-ed25519 " if kind == "ed25519" else "ssh-rsa ")
    assert fingerprint(public) in result.stderr

    before = run(store, "preflight", "acme")
    assert (before.exit_code, public in before.stdout) == (1, True)
    authorize(server, public)
    assert run(store, "preflight", "acme").exit_code == 0
    assert deliver(store, place, "first") == public
    sheet = run(store, "onboarding", "acme").stdout
    assert f"- {public}\n" in sheet

    again = run(store, "keys", "create", "acme")
    assert again.exit_code == 1
    assert "holds a private key already" in again.output
    secret = private_lines(store.extras["acme_sftp"]["private_key"])
    seen = result.output + before.output + sheet + again.output + run(store, "keys", "show", "acme").output
    ledger = b"".join(file.read_bytes() for file in (project / ".outfeed").glob("ledger.db*"))
    for line in secret:
        assert line not in seen
        assert line.encode() not in ledger


# -- replaced


def test_during_a_rotation_both_keys_work_and_afterwards_only_the_new_one(
    place: SftpPlace,
    server: SshServer,
    caplog: pytest.LogCaptureFixture,
    project: Path,  # noqa: F811
) -> None:
    # DX-082, DX-085
    caplog.set_level("DEBUG")
    store = Store()
    first = run(store, "keys", "create", "acme").stdout.strip()
    authorize(server, first)
    assert deliver(store, place, "with the first") == first

    rotated = run(store, "keys", "rotate", "acme")
    second = rotated.stdout.strip()
    assert second != first
    # The customer has not added the new one yet: nothing stops.
    assert deliver(store, place, "still with the first") == first
    early = run(store, "keys", "rotate", "acme", "--finish")
    assert early.exit_code == 1
    assert f"has not accepted the new key {fingerprint(second)} yet" in early.output
    waiting = run(store, "preflight", "acme")
    assert waiting.exit_code == 0
    assert f"PREVIOUS key {fingerprint(first)}, not yet with the new one" in waiting.stdout
    assert run(store, "keys", "rotate", "acme", "--finish").exit_code == 1
    assert "a rotation is under way" in run(store, "keys", "rotate", "acme").output

    authorize(server, first, second)
    assert deliver(store, place, "with the new one") == second
    authorize(server, second)
    assert deliver(store, place, "only with the new one") == second
    assert run(store, "preflight", "acme").exit_code == 0
    finished = run(store, "keys", "rotate", "acme", "--finish")
    assert finished.exit_code == 0, finished.output
    assert set(store.extras["acme_sftp"]) == {"private_key"}
    assert deliver(store, place, "after the end") == second

    authorize(server, first)
    refused = run(store, "preflight", "acme")
    assert refused.exit_code == 1
    assert f"may not log in with our key {fingerprint(second)} " in refused.stdout
    assert fingerprint(first) not in refused.stdout
    assert "no rotation is under way" in run(store, "keys", "rotate", "acme", "--finish").output
    ledger = b"".join(file.read_bytes() for file in (project / ".outfeed").glob("ledger.db*"))
    outputs = [rotated, early, waiting, finished, refused, run(store, "keys", "show", "acme")]
    for line in private_lines(store.extras["acme_sftp"]["private_key"]):
        assert not any(line in output.output for output in outputs)
        assert line not in caplog.text
        assert line.encode() not in ledger


def test_a_refused_key_is_offered_once_not_by_every_connection(
    place: SftpPlace, server: SshServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "asyncssh")
    store = Store()
    first = run(store, "keys", "create", "acme").stdout.strip()
    authorize(server, first)
    run(store, "keys", "rotate", "acme")
    with open_connector(
        place.options, Credentials(extra=store.extras["acme_sftp"]), attempt="work.1"
    ) as opened:
        files = [outgoing(f"{number}", bytes(400_000)) for number in range(60)]
        assert len(list(opened.deliver(files))) == 60
    accepted = server.log.read_text().count("Accepted publickey")
    assert accepted > 1
    assert caplog.text.count("Trying public key auth") == accepted + 1


def test_an_old_key_with_a_passphrase_goes_on_working(place: SftpPlace, server: SshServer) -> None:
    import asyncssh

    old = asyncssh.generate_private_key("ssh-ed25519")
    encrypted = old.export_private_key(passphrase="correct horse", rounds=1).decode()
    store = Store({"acme_sftp": {"private_key": encrypted, "private_key_passphrase": "correct horse"}})
    old_line = " ".join(old.export_public_key().decode().split()[:2])
    new = run(store, "keys", "rotate", "acme").stdout.strip()
    authorize(server, old_line)
    assert deliver(store, place, "old") == old_line
    authorize(server, new)
    assert deliver(store, place, "new") == new


def test_a_rotation_ends_only_when_every_place_of_the_connection_knows_the_new_key(
    place: SftpPlace,
    server: SshServer,
    project: Path,  # noqa: F811
) -> None:
    with ssh_server() as second:
        other = SftpPlace(second)
        write_customer(project, server_options(place), server_options(other, name="archive"))
        store = Store()
        old = run(store, "keys", "create", "acme").stdout.strip()
        new = run(store, "keys", "rotate", "acme").stdout.strip()
        authorize(server, new)
        authorize(second, old)
        run(store, "preflight", "acme")
        result = run(store, "keys", "rotate", "acme", "--finish")
        assert result.exit_code == 1
        assert f"archive ({other.options.location()}) has not accepted" in result.output
        assert "server (" not in result.output
        authorize(second, new)
        run(store, "preflight", "acme")
        assert run(store, "keys", "rotate", "acme", "--finish").exit_code == 0


# -- shown


def test_show_tells_public_halves_fingerprints_age_and_the_last_one_accepted(
    place: SftpPlace,
    server: SshServer,
    project: Path,  # noqa: F811
) -> None:
    store = Store()
    assert "holds no key yet" in run(store, "keys", "show", "acme").stdout
    first = run(store, "keys", "create", "acme").stdout.strip()
    second = run(store, "keys", "rotate", "acme").stdout.strip()
    authorize(server, first)
    run(store, "preflight", "acme")
    shown = run(store, "keys", "show", "acme")
    assert lines_with(shown, first) == [first]
    (row,) = lines_with(shown, fingerprint(first))
    assert row.split()[0] == "previous"
    assert row.endswith("the last one")
    (row,) = lines_with(shown, fingerprint(second))
    assert row.split()[:2] == ["current", "ssh-ed25519"]
    assert "the last one" not in row
    authorize(server, second)
    run(store, "preflight", "acme")
    assert lines_with(run(store, "keys", "show", "acme"), fingerprint(second))[0].endswith("the last one")


def test_a_key_that_we_did_not_make_is_known_once_it_was_accepted(
    place: SftpPlace,
    server: SshServer,
    project: Path,  # noqa: F811
) -> None:
    store = Store({"acme_sftp": {"private_key": server.private_key}})
    run(store, "preflight", "acme")
    ledger = Ledger(f"sqlite:///{project}/.outfeed/ledger.db")
    (known,) = ledger.public_keys("acme", "acme_sftp")
    assert (known.made_at, list(known.accepted_by)) == (None, [place.options.location()])
    assert f"- {known.public_key}\n" in run(store, "onboarding", "acme").stdout


# -- where connections can't be written


def test_without_a_writable_store_no_key_is_made_unless_a_file_is_named(
    place: SftpPlace,
    project: Path,  # noqa: F811
) -> None:
    # DX-082
    refused = run(EnvironmentHost(), "keys", "create", "acme")
    assert refused.exit_code == 1
    assert "--private-key-file" in refused.output
    file = project / "acme.key"
    result = run(EnvironmentHost(), "keys", "create", "acme", "--private-key-file", str(file))
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keygen("-y", "-f", str(file)) == result.stdout.strip()
    assert f"copy the content of {file} into the field private_key" in result.stderr
    assert not any(line in result.output for line in private_lines(file.read_text()))

    before = file.read_bytes()
    again = run(EnvironmentHost(), "keys", "create", "acme", "--private-key-file", str(file))
    assert (again.exit_code, file.read_bytes()) == (1, before)
    assert "can't be written: File exists" in again.output


def test_a_rotation_without_a_writable_store_says_what_to_do_by_hand(
    place: SftpPlace,
    server: SshServer,
    project: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def define(**extra: str) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_ACME_SFTP", json.dumps({"conn_type": "sftp", "extra": extra}))

    define(private_key=server.private_key)
    host, file = EnvironmentHost(), project / "new.key"
    result = run(host, "keys", "rotate", "acme", "--private-key-file", str(file))
    assert result.exit_code == 0
    told = [line.strip() for line in result.stderr.splitlines() if line.startswith("  ")]
    assert told == [
        "1. rename the field private_key to private_key_previous",
        f"2. copy the content of {file} into the field private_key",
        f"3. delete {file}",
    ]
    define(private_key=file.read_text(), private_key_previous=server.private_key)
    authorize(server, result.stdout.strip())
    assert run(host, "preflight", "acme").exit_code == 0
    finished = run(host, "keys", "rotate", "acme", "--finish")
    assert finished.exit_code == 0
    assert "1. remove the field private_key_previous" in finished.stderr


def test_the_destination_must_be_named_if_several_have_keys(
    place: SftpPlace,
    project: Path,  # noqa: F811
) -> None:
    write_customer(
        project,
        server_options(place),
        server_options(place, name="archive", connection="acme_archive", sftp_remote_path="/archive"),
        {"name": "folder", "type": "local", "path": "acme"},
    )
    store = Store()
    assert "name one with --destination: server, archive" in run(store, "keys", "create", "acme").output
    assert "only destinations of type sftp" in (
        run(store, "keys", "create", "acme", "--destination", "folder").output
    )
    assert store.extras == {}
    run(store, "keys", "create", "acme", "--destination", "archive")
    assert set(store.extras) == {"acme_archive"}


def test_an_unreadable_key_of_a_connection_is_not_shown(place: SftpPlace) -> None:
    # XX-06
    store = Store({"acme_sftp": {"private_key": "-----BEGIN secret nonsense"}})
    result = run(store, "keys", "show", "acme")
    assert result.exit_code == 1
    assert "can't be read" in result.output
    assert "nonsense" not in result.output
