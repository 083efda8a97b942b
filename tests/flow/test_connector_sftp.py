"""What only SFTP has: host identity, keys, lost connections, full disks, servers that can't rename."""

from __future__ import annotations

import asyncio
import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from outfeed.connectors import sftp_file, ssh, ssh_session
from outfeed.connectors.base import CheckState, Credentials, Delivered
from outfeed.connectors.sftp import SftpOptions
from outfeed.connectors.sftp_base import SftpBase
from outfeed.connectors.transfer import TEMPORARY_FOLDER
from outfeed.errors import (
    Action,
    ConfigError,
    DestinationConflict,
    OutfeedError,
    TerminalError,
    TransientError,
)
from tests.conformance.contents import content, failure, outgoing
from tests.conformance.places import SftpPlace
from tests.servers.full_queue import full_queue
from tests.servers.odd_sftp import odd_sftp_server
from tests.servers.proxy import TcpProxy, tcp_proxy
from tests.servers.small_disk import small_disk
from tests.servers.sshd import SshServer, public_line, ssh_server

pytestmark = pytest.mark.servers


@pytest.fixture
def place(sshd: SshServer) -> SftpPlace:
    """An empty base directory."""
    return SftpPlace(sshd)


@pytest.fixture
def proxy(sshd: SshServer) -> Iterator[TcpProxy]:
    """A proxy in front of the server."""
    with tcp_proxy(sshd.port) as running:
        yield running


def states(checks: Any) -> dict[str, CheckState]:
    return {check.step: check.state for check in checks}


# -- who the server is


def test_another_host_key_is_refused_before_anything_is_sent(place: SftpPlace) -> None:
    # DX-076
    other = public_line(asyncssh.generate_private_key("ssh-ed25519"))
    logins = place.server.log.read_text().count("Accepted publickey")
    with pytest.raises(TerminalError) as caught:
        place.deliver(outgoing("file", b"data"), host_public_key=(other,))

    expected, shown = (
        asyncssh.import_public_key(line).get_fingerprint() for line in (other, place.server.host_public_key)
    )
    assert expected in str(caught.value)
    assert shown in str(caught.value)
    # It may be a stranger's: our operators ask the customer before anything else happens.
    assert caught.value.action is Action.OPERATOR
    assert place.server.host_public_key in caught.value.remedy
    assert place.names() == set()
    assert place.server.log.read_text().count("Accepted publickey") == logins

    checks = states(place.connector(host_public_key=(other,)).preflight())
    assert checks["connect"] is CheckState.PASSED
    assert checks["host key"] is CheckState.FAILED
    assert checks["authenticate"] is checks["write"] is CheckState.SKIPPED


def test_what_the_worker_user_trusts_does_not_count(
    place: SftpPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-076, XX-06
    (tmp_path / ".ssh").mkdir()
    known = f"[{place.server.host}]:{place.server.port} {place.server.host_public_key}\n"
    (tmp_path / ".ssh" / "known_hosts").write_text(known)
    monkeypatch.setenv("HOME", str(tmp_path))
    other = public_line(asyncssh.generate_private_key("ssh-ed25519"))

    with pytest.raises(TerminalError, match="host key"):
        place.deliver(outgoing("file", b"data"), host_public_key=(other,))
    (tmp_path / ".ssh" / "known_hosts").write_text(known.replace(place.server.host_public_key, other))
    assert isinstance(place.deliver(outgoing("file", b"data"))["file"], Delivered)


def test_old_and_new_key_are_both_good_while_a_host_key_rotates(place: SftpPlace) -> None:
    other = public_line(asyncssh.generate_private_key("ssh-ed25519"))
    results = place.deliver(outgoing("file", b"data"), host_public_key=(other, place.server.host_public_key))
    assert isinstance(results["file"], Delivered)


def test_the_pinned_kind_is_asked_of_a_server_that_has_several_keys(place: SftpPlace) -> None:
    results = place.deliver(outgoing("file", b"data"), host_public_key=(place.server.other_host_public_key,))
    assert place.server.other_host_public_key.startswith("ecdsa-")
    assert isinstance(results["file"], Delivered)


def test_a_missing_host_key_needs_an_explicit_switch(place: SftpPlace) -> None:
    # DX-076, D20
    values = place.options.model_dump() | {"host_public_key": ()}
    with pytest.raises(ValueError, match="host_public_key is missing"):
        SftpOptions.model_validate(values)
    assert SftpOptions.model_validate(values | {"trust_on_first_use": True}).warning()
    assert place.options.warning() is None


def test_trust_on_first_use_remembers_the_key(
    place: SftpPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # D20
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    trusting = {"host_public_key": (), "trust_on_first_use": True}
    checks = {check.step: check for check in place.connector(**trusting).preflight()}
    assert place.server.host_public_key in checks["host key"].message
    place.deliver(outgoing("first", b"data"), **trusting)

    (remembered,) = (tmp_path / "known_hosts").iterdir()
    assert remembered.read_text().strip() == place.server.host_public_key
    remembered.write_text(public_line(asyncssh.generate_private_key("ssh-ed25519")))
    with pytest.raises(TerminalError, match="nothing was sent"):
        place.deliver(outgoing("second", b"data"), **trusting)
    assert place.names() == {"first"}


# -- who we are


def test_only_the_key_of_the_connection_logs_in(place: SftpPlace) -> None:
    # DX-085, D21
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    place.credentials = Credentials(extra={"private_key": stranger.export_private_key().decode()})
    with pytest.raises(TerminalError) as caught:
        place.deliver(outgoing("file", b"data"))

    assert caught.value.action is Action.CUSTOMER
    assert public_line(stranger) in caught.value.remedy
    assert stranger.get_fingerprint() in str(caught.value)
    checks = states(place.connector().preflight())
    assert (checks["host key"], checks["authenticate"]) == (CheckState.PASSED, CheckState.FAILED)


@pytest.mark.filterwarnings("ignore:Warning. bcrypt.kdf")
def test_an_encrypted_key_needs_its_passphrase(place: SftpPlace) -> None:
    key = asyncssh.import_private_key(place.server.private_key)
    encrypted = key.export_private_key(passphrase="correct horse", rounds=4).decode()
    place.credentials = Credentials(
        extra={"private_key": encrypted, "private_key_passphrase": "correct horse"}
    )
    assert isinstance(place.deliver(outgoing("file", b"data"))["file"], Delivered)

    for extra in (
        {"private_key": encrypted},
        {"private_key": encrypted, "private_key_passphrase": "battery staple"},
        {"private_key": "nonsense"},
        {},
    ):
        place.credentials = Credentials(extra=extra)
        with pytest.raises(TerminalError, match="private_key") as caught:
            place.deliver(outgoing("file", b"data"))
        assert caught.value.action is Action.OPERATOR
        assert "battery" not in str(caught.value)
        assert "nonsense" not in str(caught.value)


# -- getting there


def test_refusal_and_time_out_are_told_apart(place: SftpPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    # DX-087
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT", 1.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(TransientError, match="refuses connections"):
            place.deliver(outgoing("file", b"data"), sftp_port=closed.getsockname()[1])
    with full_queue() as port:
        with pytest.raises(TransientError, match=r"no answer .*time-out"):
            place.deliver(outgoing("file", b"data"), sftp_port=port)
        checks = {check.step: check for check in place.connector(sftp_port=port).preflight()}
    assert checks["resolve"].state is CheckState.PASSED
    assert checks["connect"].state is CheckState.FAILED
    assert "firewall" in checks["connect"].message
    assert checks["authenticate"].state is CheckState.SKIPPED


def test_a_server_that_accepts_and_says_nothing_ends_in_time(
    place: SftpPlace, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT", 1.0)
    proxy.black_hole()
    with pytest.raises(TransientError, match="did not finish the login"):
        place.deliver(outgoing("file", b"data"), sftp_port=proxy.port)


def test_a_host_without_address_is_the_customers_to_correct(place: SftpPlace) -> None:
    with pytest.raises(OutfeedError, match=r"resolve|name server"):
        place.deliver(outgoing("file", b"data"), sftp_host="no-such-host.invalid")


def test_a_name_that_does_not_exist_is_to_be_told_or_corrected(
    place: SftpPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # What the machine's own name server says of such a name depends on where the test runs.
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    checks = {check.step: check for check in place.connector(sftp_host="gone.example").preflight()}
    assert checks["resolve"].state is CheckState.FAILED
    assert "there is no host named gone.example" in checks["resolve"].message
    assert "[customer acts: tell us the server's right name; if only our YAML has it wrong, the engineer" in (
        checks["resolve"].message
    )


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"220 ftp.example\r\n", b""]
)
def test_what_is_no_ssh_server_is_said_to_be_none(place: SftpPlace, greeting: bytes) -> None:
    class Greets(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(greeting)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greets) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        checks = {check.step: check for check in place.connector(sftp_port=port).preflight()}
        with pytest.raises(TransientError, match="is no SSH server, or lets nobody in now"):
            place.deliver(outgoing("file", b"data"), sftp_port=port)
        server.shutdown()
    assert checks["connect"].state is CheckState.PASSED
    assert checks["host key"].state is CheckState.FAILED
    assert f"127.0.0.1, port {port}, is no SSH server" in checks["host key"].message
    assert checks["authenticate"].state is CheckState.SKIPPED


def test_fewer_connections_than_wanted_are_enough(place: SftpPlace, proxy: TcpProxy) -> None:
    proxy.limit = 2
    files = [outgoing(f"{number}", content(50_000, number)) for number in range(60)]
    results = place.deliver(*files, sftp_port=proxy.port, parallel=32)

    assert all(isinstance(result, Delivered) for result in results.values())
    assert place.names() == {file.path for file in files}


def test_several_connections_are_used_for_many_files_and_one_for_few(
    place: SftpPlace, proxy: TcpProxy
) -> None:
    place.deliver(outgoing("one", b"data"), sftp_port=proxy.port, parallel=32)
    assert proxy.connections == 1
    files = [outgoing(f"{number}", content(50_000, number)) for number in range(60)]
    place.deliver(*files, sftp_port=proxy.port, parallel=32)
    assert proxy.connections == 1 + 8


# -- losing it on the way


def test_a_cut_leaves_no_final_name_and_the_next_try_completes_and_cleans(
    place: SftpPlace, proxy: TcpProxy
) -> None:
    # XX-04
    files = [outgoing(f"site/{number}.bin", content(3_000_000, number)) for number in range(4)]
    proxy.cut_after(7_000_000)
    with pytest.raises(TransientError, match="connection was lost"):
        place.deliver(*files, attempt="work.1", sftp_port=proxy.port)

    left = place.names()
    assert any(name.startswith(f"{TEMPORARY_FOLDER}/work.1~") for name in left)
    for file in files:
        assert file.path not in left or place.read(file.path) == file.open().read()

    results = place.deliver(*files, attempt="work.2", sftp_port=proxy.port)
    assert all(isinstance(result, Delivered) for result in results.values())
    assert place.names() == {file.path for file in files}
    assert place.read("site/3.bin") == content(3_000_000, 3)


def test_a_server_that_stops_answering_does_not_hang_us(
    place: SftpPlace, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_session, "STALL_TIMEOUT", 2.0)
    with (
        pytest.raises(TransientError, match="has not answered for 2 s"),
        place.connector(sftp_port=proxy.port) as connector,
    ):
        proxy.black_hole()
        list(connector.deliver([outgoing("file", content(1_000_000))]))
    proxy.black_hole(on=False)
    assert not [name for name in place.names() if not name.startswith(TEMPORARY_FOLDER)]


def test_a_request_that_is_never_answered_is_given_up_though_the_connection_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssh_session, "STALL_TIMEOUT", 1.0)
    with odd_sftp_server("hangs") as server, pytest.raises(TransientError, match="has not answered"):
        _odd_place(server).deliver(outgoing("file", b"data"))


def test_a_file_that_is_made_after_its_delivery_was_given_up_is_removed() -> None:
    # XX-04
    async def given_up(place: SftpPlace) -> bool:
        base = SftpBase(place.options.sftp_remote_path, "work.1")
        server = place.options.server(place.credentials)
        first, second = await ssh.connect(server), await ssh.connect(server)
        await base.prepare(first)
        asked = asyncio.create_task(base.create(second, base.temporary("late")))
        await asyncio.sleep(0.1)
        clean = await base.clean_up(first)
        await asked
        await asyncio.gather(first.close(), second.close())
        return clean

    with odd_sftp_server("late") as server:
        place = _odd_place(server)
        assert asyncio.run(given_up(place))
        assert place.names() == set()


# -- what the server refuses


def test_a_full_disk_is_the_customers_to_free_and_publishes_nothing(place: SftpPlace) -> None:
    with small_disk(place.folder, 4):
        with pytest.raises(TerminalError, match="disk or the quota at the destination is full") as caught:
            place.deliver(outgoing("large", content(10_000_000)))
        assert caught.value.action is Action.CUSTOMER
        assert place.names() == set()


def test_missing_permission_names_the_path(place: SftpPlace) -> None:
    # DX-086
    os.chown(place.folder, 0, 0)
    with pytest.raises(TerminalError, match="permission denied") as caught:
        place.deliver(outgoing("file", b"data"))
    assert str(place.options.sftp_remote_path) in str(caught.value)  # type: ignore[attr-defined]
    assert caught.value.action is Action.CUSTOMER

    checks = states(place.connector().preflight())
    assert checks["list"] is CheckState.PASSED
    assert checks["mkdir"] is CheckState.FAILED
    assert checks["write"] is CheckState.SKIPPED


def test_a_folder_that_may_not_be_written_names_the_folder(place: SftpPlace) -> None:
    (place.folder / "locked").mkdir()
    with pytest.raises(TerminalError, match=r"permission denied.*") as caught:
        place.deliver(outgoing("locked/file", b"data"))
    assert "locked" in str(caught.value)
    assert place.names() == {"locked/"}


def test_a_missing_base_directory_is_not_created(place: SftpPlace) -> None:
    # DX-074
    missing = f"{place.options.model_dump()['sftp_remote_path']}/typo"
    with pytest.raises(TerminalError, match="does not exist"):
        place.deliver(outgoing("file", b"data"), sftp_remote_path=missing)
    assert place.names() == set()


@pytest.mark.parametrize("below", ["file", "file/below/deep", "folder"])
def test_a_preflight_names_the_file_where_a_folder_must_be(place: SftpPlace, below: str) -> None:
    # DX-074, DX-088
    (place.folder / "file").write_bytes(b"theirs")
    (place.folder / "folder").mkdir()
    (place.folder / "folder" / TEMPORARY_FOLDER).write_bytes(b"theirs")
    base = place.options.model_dump()["sftp_remote_path"]
    connector = place.connector(sftp_remote_path=f"{base}/{below}")
    failed = next(check for check in connector.preflight() if check.state is CheckState.FAILED)
    named, step = (f"folder/{TEMPORARY_FOLDER}", "mkdir") if below == "folder" else ("file", "list")
    assert failed.step == step
    assert f"{base}/{named} is a file; a folder must have this name" in failed.message
    assert "[customer acts: move the file away or rename it, or choose" in failed.message
    assert place.read(named) == b"theirs"
    with pytest.raises(TerminalError, match="is a file; a folder must have this name"):
        place.deliver(outgoing("a", b"data"), sftp_remote_path=f"{base}/{below}")


def test_a_file_in_the_way_of_a_folder_hits_only_its_files(place: SftpPlace) -> None:
    (place.folder / "site").write_bytes(b"a file")
    results = place.deliver(outgoing("site/file", b"data"), outgoing("other/file", b"data"))
    assert isinstance(failure(results["site/file"]), TerminalError)
    assert place.names() == {"site", "other/file"}
    assert place.read("site") == b"a file"


# -- servers unlike OpenSSH


def _odd_place(server: Any) -> SftpPlace:
    place = SftpPlace.__new__(SftpPlace)
    place.server = server
    place.folder = server.folder
    place.options = SftpOptions(
        type="sftp",
        name="odd",
        sftp_host=server.host,
        sftp_port=server.port,
        sftp_remote_path=server.base,
        username=server.username,
        host_public_key=(server.host_public_key,),
        connection="odd",
    )
    place.credentials = Credentials(extra={"private_key": server.private_key})
    return place


def test_a_server_that_cannot_rename_gets_files_under_their_names_and_says_so() -> None:
    # DX-032, XX-04
    with ssh_server(sftp_arguments="-P rename,posix-rename") as server:
        place = SftpPlace(server)
        with place.connector() as connector:
            assert connector.capabilities.atomic == "none"
            results = list(connector.deliver([outgoing("a/file", b"data"), outgoing("empty", b"")]))
        assert all(isinstance(result, Delivered) for result in results)
        assert isinstance(failure(place.deliver(outgoing("a/file", b"else"))["a/file"]), DestinationConflict)
        assert place.deliver(outgoing("a/file", b"data"))["a/file"].outcome == "identical"
        wrong = failure(place.deliver(outgoing("wrong", b"data", size=5))["wrong"])
        assert "declared" in str(wrong)
        assert place.names() == {"a/file", "empty"}
        assert place.read("a/file") == b"data"
        checks = {check.step: check for check in place.connector().preflight()}
        assert "completion marker" in checks["rename"].message


def test_a_server_whose_rename_overwrites_is_asked_before() -> None:
    with odd_sftp_server("overwrites") as server:
        place = _odd_place(server)
        with place.connector() as connector:
            assert not connector.capabilities.conditional_create
            assert isinstance(next(iter(connector.deliver([outgoing("file", b"old")]))), Delivered)
            conflict = next(iter(connector.deliver([outgoing("file", b"new")])))
        assert isinstance(failure(conflict), DestinationConflict)
        assert place.read("file") == b"old"
        assert place.names() == {"file"}


@pytest.mark.parametrize("fault", ["loses", "quota"])
def test_a_server_that_does_not_keep_what_it_was_sent_publishes_nothing(fault: Any) -> None:
    with odd_sftp_server(fault) as server:
        place = _odd_place(server)
        with pytest.raises(OutfeedError):
            place.deliver(outgoing("file", content(300_000)))
        assert place.names() == set()


def test_read_back_finds_what_the_size_does_not_show() -> None:
    with odd_sftp_server("flips") as server:
        place = _odd_place(server)
        with pytest.raises(TransientError, match="reads back"):
            place.deliver(outgoing("file", content(300_000)), verify="read-back")
        assert place.names() == set()


def test_a_growing_file_is_synced_on_the_way(place: SftpPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_file, "SYNC_EVERY", 300_000)
    synced: list[int] = []
    original = sftp_file.SftpDelivery._sync

    async def noted(self: Any, session: Any, handle: Any) -> None:
        synced.append(1)
        await original(self, session, handle)

    monkeypatch.setattr(sftp_file.SftpDelivery, "_sync", noted)
    place.deliver(outgoing("file", content(3_000_000)))
    assert len(synced) == 11
    assert place.read("file") == content(3_000_000)


def test_read_back_is_recorded(place: SftpPlace) -> None:
    result = place.deliver(outgoing("file", content(3_000_000)), verify="read-back")["file"]
    assert result.verified == "read-back"
    assert place.read("file") == content(3_000_000)


def test_a_refused_name_hits_only_its_file_and_names_the_remedy() -> None:
    with odd_sftp_server("colon") as server:
        place = _odd_place(server)
        results = place.deliver(
            outgoing("2025-03-16_00:00:00.json", b"data"), outgoing("2025-03-16T000000Z.json", b"data")
        )
        error = failure(results["2025-03-16_00:00:00.json"])
        assert isinstance(error, TerminalError)
        assert "filename_style" in error.remedy
        assert place.names() == {"2025-03-16T000000Z.json"}
        checks = {check.step: check for check in place.connector().preflight()}
        assert checks["rename"].state is CheckState.FAILED
        assert "filename_style" in checks["rename"].message
        assert checks["clean up"].state is CheckState.PASSED


def test_threads_and_connections_end_with_the_delivery(place: SftpPlace, proxy: TcpProxy) -> None:
    place.deliver(outgoing("warm-up", b"data"), sftp_port=proxy.port)
    before = {thread.name for thread in threading.enumerate()}
    for number in range(3):
        place.deliver(outgoing(f"{number}", b"data"), sftp_port=proxy.port)
    after = {thread.name for thread in threading.enumerate()}
    assert not [name for name in after - before if name.startswith("outfeed")]
    deadline = time.monotonic() + 10
    while proxy.halves and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not proxy.halves


def test_a_host_key_that_is_no_key_is_a_config_error(place: SftpPlace) -> None:
    length = (11).to_bytes(4, "big")
    import base64

    cut = base64.b64encode(length + b"ssh-ed25519" + (5).to_bytes(4, "big") + b"short").decode()
    with pytest.raises(ConfigError, match="can't be used"):
        place.deliver(outgoing("file", b"data"), host_public_key=(f"ssh-ed25519 {cut}",))
