"""What only FTP has: passwords in clear, TLS sessions, servers that lack commands, rights or honesty."""

from __future__ import annotations

import contextlib
import dataclasses
import ftplib
import io
import logging
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outfeed.connectors import FtpOptions, ftp_login, ftp_session
from outfeed.connectors.base import CheckState, Credentials, Delivered
from outfeed.connectors.ftp_file import FtpDelivery
from outfeed.connectors.transfer import TEMPORARY_FOLDER
from outfeed.errors import (
    Action,
    DestinationConflict,
    OutfeedError,
    SupersededError,
    TerminalError,
    TransientError,
)
from tests.conformance.contents import content, failure, outgoing
from tests.conformance.places import FtpPlace
from tests.servers.certificates import make_certificates
from tests.servers.ftp import FtpServer, ftp_server
from tests.servers.full_queue import full_queue
from tests.servers.odd_ftp import OddFtpServer, odd_ftp_server
from tests.servers.proxy import TcpProxy, tcp_proxy
from tests.servers.small_disk import small_disk

pytestmark = pytest.mark.servers


@pytest.fixture
def place(ftp: FtpServer) -> FtpPlace:
    """An empty base directory, over plain FTP."""
    return FtpPlace(ftp)


@pytest.fixture
def secure(ftp: FtpServer) -> FtpPlace:
    """An empty base directory, over FTPS."""
    return FtpPlace(ftp, "ftps")


@pytest.fixture
def proxy(ftp: FtpServer) -> Iterator[TcpProxy]:
    """A proxy in front of the server's control port; data passes it by."""
    with tcp_proxy(ftp.port) as running:
        yield running


def odd_place(server: OddFtpServer) -> FtpPlace:
    """A base directory at an odd server."""
    place = FtpPlace.__new__(FtpPlace)
    base, place.folder = server.make_base("base")
    place.options = FtpOptions(
        type="ftp",
        name="odd",
        ftp_host=server.host,
        ftp_port=server.port,
        ftp_username=server.username,
        ftp_remote_directory=base,
        connection="odd",
    )
    place.credentials = Credentials(password=server.password)
    return place


def states(checks: Any) -> dict[str, CheckState]:
    return {check.step: check.state for check in checks}


def messages(checks: Any) -> dict[str, str]:
    return {check.step: check.message for check in checks}


# -- who the server is


def test_the_test_server_demands_that_data_continues_the_session(secure: FtpPlace) -> None:
    """Without this the other tests of FTPS would prove less."""
    server = secure.server
    client = ftplib.FTP_TLS(context=ssl.create_default_context(cadata=server.ca), timeout=10)
    client.connect(server.host, server.port)
    client.login(server.username, server.password)
    client.prot_p()
    with pytest.raises((ftplib.error_perm, OSError)) as caught:
        client.storbinary("STOR /refused", io.BytesIO(b"data"))
    client.close()
    assert "522" in str(caught.value) or "522 SSL connection failed" in server.log.read_text()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_both_versions_of_tls_continue_their_session(
    secure: FtpPlace, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    original = ftp_login._context

    def only(server: Any) -> ssl.SSLContext:
        context = original(server)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        return context

    monkeypatch.setattr(ftp_login, "_context", only)
    files = [outgoing(f"{number}", content(300_000, number)) for number in range(12)]
    results = secure.deliver(*files, verify="read-back")
    assert {result.verified for result in results.values()} == {"read-back"}
    assert secure.names() == {file.path for file in files}
    assert version.replace("_", ".") in messages(secure.connector().preflight())["tls"]


def test_with_ftps_neither_name_nor_password_nor_data_go_in_clear(secure: FtpPlace) -> None:
    # VI-D14
    log = secure.server.log
    before = log.stat().st_size
    secure.deliver(outgoing("file", b"data"))
    commands = [line for line in log.read_text()[before:].splitlines() if "FTP command" in line]
    order = [line.rpartition(', "')[2].split()[0].strip('"') for line in commands]
    assert order[0] == "AUTH"
    assert order.index("PROT") < order.index("STOR")
    assert '"PROT P"' in log.read_text()[before:]


def test_a_certificate_of_another_ca_is_refused_before_anything_is_sent(secure: FtpPlace) -> None:
    log = secure.server.log
    before = log.stat().st_size
    other = make_certificates("127.0.0.1").ca
    for changes in ({"ftps_ca": other}, {"ftps_ca": None}):
        with pytest.raises(TerminalError, match="could not verify the server") as caught:
            secure.deliver(outgoing("file", b"data"), **changes)
        assert caught.value.action is Action.CUSTOMER
    assert "USER" not in log.read_text()[before:]
    found = states(secure.connector(ftps_ca=other).preflight())
    assert (found["connect"], found["tls"]) == (CheckState.PASSED, CheckState.FAILED)
    assert found["authenticate"] is found["write"] is found["clean up"] is CheckState.SKIPPED


def test_a_certificate_for_another_name_is_refused() -> None:
    with ftp_server(names=("files.example.com",)) as server:
        place = FtpPlace(server, "ftps")
        with pytest.raises(TerminalError, match="could not verify the server"):
            place.deliver(outgoing("file", b"data"))
        assert place.names() == set()


def test_the_ca_may_stand_in_the_connection(secure: FtpPlace) -> None:
    secure.credentials = Credentials(password=secure.server.password, extra={"ftps_ca": secure.server.ca})
    assert isinstance(secure.deliver(outgoing("file", b"data"), ftps_ca=None)["file"], Delivered)
    secure.credentials = Credentials(password=secure.server.password, extra={"ftps_ca": "nonsense"})
    with pytest.raises(TerminalError, match="no certificate"):
        secure.deliver(outgoing("file", b"data"), ftps_ca=None)


def test_a_server_without_tls_is_not_spoken_to_in_clear() -> None:
    with odd_ftp_server() as server:
        place = odd_place(server)
        with pytest.raises(TerminalError, match="offers no TLS"):
            place.deliver(outgoing("file", b"data"), ftp_protocol="ftps")
        assert server.logins == 0


def test_a_server_that_wants_tls_is_told_as_such() -> None:
    with ftp_server("force_local_logins_ssl=YES", "force_local_data_ssl=YES") as server:
        with pytest.raises(TerminalError) as caught:
            FtpPlace(server).deliver(outgoing("file", b"data"))
        assert caught.value.remedy == "set ftp_protocol: ftps"
        assert isinstance(FtpPlace(server, "ftps").deliver(outgoing("file", b"data"))["file"], Delivered)


# -- who we are


def test_a_wrong_password_is_terminal_and_never_repeated(
    place: FtpPlace, caplog: pytest.LogCaptureFixture
) -> None:
    # VI-D14, XX-06
    caplog.set_level(logging.DEBUG)
    place.credentials = Credentials(password="battery staple")
    with pytest.raises(TerminalError, match="could not authenticate") as caught:
        place.deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.CUSTOMER
    found = messages(place.connector().preflight())
    assert "530" in found["authenticate"]
    with odd_ftp_server("talks") as server:
        talking = odd_place(server)
        talking.credentials = Credentials(password="battery staple")
        with pytest.raises(TerminalError, match="The password … is wrong"):
            talking.deliver(outgoing("file", b"data"))
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("outfeed")]
    shown = [str(caught.value), *logged, *found.values(), repr(place.connector())]
    assert not any("battery" in text for text in shown)


@pytest.mark.parametrize(
    ("credentials", "problem"),
    [
        (Credentials(), "no password"),
        (Credentials(login="somebody", password="secret"), "another user"),
        (Credentials(password="two\r\nlines"), "line break"),
    ],
    ids=["none", "other user", "line break"],
)
def test_a_connection_that_can_not_be_this_users_sends_nothing(
    place: FtpPlace, credentials: Credentials, problem: str
) -> None:
    # VI-D13, VI-D14
    before = place.server.log.read_text().count("USER")
    place.credentials = credentials
    with pytest.raises(TerminalError, match=problem) as caught:
        place.deliver(outgoing("file", b"data"))
    assert caught.value.action is Action.OPERATOR
    assert place.server.log.read_text().count("USER") == before


def test_plain_ftp_warns(place: FtpPlace, secure: FtpPlace) -> None:
    assert "in clear" in str(place.options.warning())
    assert secure.options.warning() is None


# -- getting there


def test_refusal_silence_and_no_greeting_are_told_apart(
    place: FtpPlace, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ftp_login, "CONNECT_TIMEOUT", 1.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(TransientError, match="refuses connections"):
            place.deliver(outgoing("file", b"data"), ftp_port=closed.getsockname()[1])
    with full_queue() as port, pytest.raises(TransientError, match="time-out"):
        place.deliver(outgoing("file", b"data"), ftp_port=port)
    proxy.black_hole()
    with pytest.raises(TransientError, match="did not say hello"):
        place.deliver(outgoing("file", b"data"), ftp_port=proxy.port)
    with pytest.raises(OutfeedError, match=r"resolve|name server"):
        place.deliver(outgoing("file", b"data"), ftp_host="no-such-host.invalid")


def test_a_firewall_before_the_passive_ports_is_named() -> None:
    with odd_ftp_server("no-data") as server:
        with pytest.raises(TransientError, match="data port 1 can't be reached") as caught:
            odd_place(server).deliver(outgoing("file", b"data"))
        assert "passive ports" in caught.value.remedy


def test_fewer_connections_than_wanted_are_enough() -> None:
    with ftp_server("max_per_ip=2") as server:
        place = FtpPlace(server)
        files = [outgoing(f"{number}", content(50_000, number)) for number in range(40)]
        results = place.deliver(*files, parallel=8)
        assert all(isinstance(result, Delivered) for result in results.values())
        assert place.names() == {file.path for file in files}
        assert "too many connections" in server.log.read_text()


def test_a_refusal_of_further_logins_by_530_is_no_wrong_password() -> None:
    with odd_ftp_server("busy") as server:
        place = odd_place(server)
        files = [outgoing(f"{number}", content(50_000, number)) for number in range(20)]
        results = place.deliver(*files, parallel=4)
        assert all(isinstance(result, Delivered) for result in results.values())
        assert server.logins == 1
        with place.connector(), pytest.raises(TransientError) as caught:
            place.deliver(outgoing("file", b"data"))
        assert "more connections" in caught.value.remedy


def test_no_connection_is_opened_that_is_not_needed(place: FtpPlace, proxy: TcpProxy) -> None:
    place.deliver(outgoing("one", b"data"), ftp_port=proxy.port)
    assert proxy.connections == 1
    with place.connector(ftp_port=proxy.port, parallel=4) as connector:
        files = [outgoing(f"{number}", content(300_000, number)) for number in range(40)]
        assert len(list(connector.deliver(files))) == 40
    assert 2 <= proxy.connections <= 1 + 4


def test_a_connection_that_idled_too_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ftp_session, "IDLE", 0.5)
    with ftp_server("idle_session_timeout=1") as server:
        place = FtpPlace(server)
        with place.connector() as connector:
            list(connector.deliver([outgoing("first", b"data")]))
            time.sleep(3)
            assert isinstance(next(iter(connector.deliver([outgoing("second", b"data")]))), Delivered)
        assert place.names() == {"first", "second"}


# -- losing it on the way


class _Cutting(io.BytesIO):
    """Resets the connections of a proxy as soon as more than one block of it is wanted."""

    def __init__(self, data: bytes, proxy: TcpProxy) -> None:
        super().__init__(data)
        self._proxy = proxy

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            self._proxy.cut()
        return super().read(size)


def test_a_cut_leaves_no_final_name_and_the_next_try_completes_and_cleans(
    place: FtpPlace, proxy: TcpProxy
) -> None:
    # XX-04, VI-D10
    files = [outgoing(f"site/{number}.bin", content(300_000, number)) for number in range(5)]
    large = content(3_000_000, 5)
    whole = outgoing("site/5.bin", large)
    cut = dataclasses.replace(whole, open=lambda: _Cutting(large, proxy))
    with pytest.raises(TransientError, match="connection was lost"):
        place.deliver(*files, cut, attempt="work.1", ftp_port=proxy.port, parallel=1)
    left = place.names()
    assert any(name.startswith(f"{TEMPORARY_FOLDER}/work.1~") for name in left)
    assert {name for name in left if not name.startswith(TEMPORARY_FOLDER)} == {file.path for file in files}

    results = place.deliver(*files, whole, attempt="work.2")
    outcomes = [result.outcome for result in results.values()]
    assert sorted(outcomes) == ["created", *["identical"] * 5]
    assert place.names() == {*(file.path for file in files), "site/5.bin"}
    assert place.read("site/5.bin") == large


def test_data_that_breaks_off_publishes_nothing() -> None:
    with odd_ftp_server("breaks") as server:
        place = odd_place(server)
        place.deliver(outgoing("first", b"data"), attempt="work.1")
        with pytest.raises(TransientError):
            place.deliver(outgoing("file", content(5_000_000)), attempt="work.1")
        assert [name for name in place.names() if not name.startswith(TEMPORARY_FOLDER)] == ["first"]
        place.deliver(outgoing("small", b"data"), attempt="work.2")
        assert place.names() == {"first", "small"}


def test_a_rename_whose_answer_was_lost_is_looked_for() -> None:
    with odd_ftp_server("renames-silently") as server:
        place = odd_place(server)
        result = place.deliver(outgoing("a/file", content(300_000)))["a/file"]
        assert (result.outcome, result.verified) == ("created", "read-back")
        assert place.names() == {"a/file"}


def test_a_rename_that_was_not_done_is_not_taken_for_done() -> None:
    with odd_ftp_server("refuses-silently") as server:
        place = odd_place(server)
        with pytest.raises(TransientError, match="connection was lost"):
            place.deliver(outgoing("a/file", content(300_000)))
        assert place.names() == {"a/"}


def test_a_server_that_stops_answering_does_not_hang_us(
    place: FtpPlace, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ftp_session, "STALL_TIMEOUT", 1.0)
    with (
        pytest.raises(TransientError, match="no answer in time"),
        place.connector(ftp_port=proxy.port) as connector,
    ):
        proxy.black_hole()
        list(connector.deliver([outgoing("file", content(1_000_000))]))
    proxy.black_hole(on=False)
    with odd_ftp_server("hangs") as server, pytest.raises(TransientError, match="no answer in time"):
        odd_place(server).deliver(outgoing("file", b"data"))


# -- where files go


def test_a_missing_base_directory_is_created_with_its_parents(place: FtpPlace) -> None:
    # VI-D15
    base = place.options.model_dump()["ftp_remote_directory"]
    place.deliver(outgoing("a/file", b"data"), ftp_remote_directory=f"{base}/new/deep")
    assert place.names() == {"new/deep/a/file"}
    # The login leads to the server's root, where a relative base begins.
    place.deliver(outgoing("a/file", b"data"), ftp_remote_directory=f"{base.lstrip('/')}/other")
    assert place.names() == {"new/deep/a/file", "other/a/file"}


def test_the_default_directory_is_the_servers_root() -> None:
    # VI-D15
    with ftp_server() as server:
        place = FtpPlace(server)
        place.folder.rmdir()
        values = place.options.model_dump(exclude={"ftp_remote_directory"})
        place.options, place.folder = FtpOptions.model_validate(values), server.folder
        place.deliver(outgoing("a/file", b"data"))
        assert place.names() == {"a/file"}
        assert {check.state for check in place.connector().preflight()} == {CheckState.PASSED}


@pytest.mark.parametrize("below", ["file", "file/below/deep", "folder"])
@pytest.mark.parametrize("knows_mlst", [False, True], ids=["SIZE", "MLST"])
def test_a_preflight_names_the_file_where_a_folder_must_be(
    place: FtpPlace, knows_mlst: bool, below: str
) -> None:
    # VI-D09, VI-D15
    with contextlib.ExitStack() as stack:
        if knows_mlst:
            place = odd_place(stack.enter_context(odd_ftp_server()))
        (place.folder / "file").write_bytes(b"theirs")
        (place.folder / "folder").mkdir()
        (place.folder / "folder" / TEMPORARY_FOLDER).write_bytes(b"theirs")
        base = place.options.model_dump()["ftp_remote_directory"]
        connector = place.connector(ftp_remote_directory=f"{base}/{below}")
        failed = next(check for check in connector.preflight() if check.state is CheckState.FAILED)
        named, step = (f"folder/{TEMPORARY_FOLDER}", "mkdir") if below == "folder" else ("file", "list")
        assert failed.step == step
        assert f"{base}/{named} is a file; a folder must have this name" in failed.message
        assert "[customer acts: move the file away or rename it, or choose" in failed.message
        assert place.read(named) == b"theirs"


def test_what_is_in_the_way_hits_only_its_files(place: FtpPlace) -> None:
    (place.folder / "site").write_bytes(b"a file")
    (place.folder / "folder").mkdir()
    results = place.deliver(
        outgoing("site/file", b"data"), outgoing("folder", b"data"), outgoing("other/file", b"data")
    )
    assert isinstance(failure(results["site/file"]), TerminalError)
    assert isinstance(failure(results["folder"]), DestinationConflict)
    assert place.names() == {"site", "folder/", "other/file"}
    assert place.read("site") == b"a file"


# -- what the server refuses


def test_a_missing_permission_names_right_and_folder(place: FtpPlace) -> None:
    # VI-D09
    os.chown(place.folder, 0, 0)
    with pytest.raises(TerminalError, match="could not make the folder") as caught:
        place.deliver(outgoing("file", b"data"))
    assert str(place.options.model_dump()["ftp_remote_directory"]) in str(caught.value)
    assert "create directories" in caught.value.remedy
    assert caught.value.action is Action.CUSTOMER


@pytest.mark.parametrize(
    ("rights", "step", "named"),
    [
        ("elradfw", "mkdir", "create directories"),
        ("elradfm", "write", "upload"),
        ("eladfmw", "read back", "read files"),
        ("elrafmw", "delete", "delete its own files"),
    ],
    ids=["no mkdir", "no upload", "no read", "no delete"],
)
def test_preflight_names_the_right_that_is_missing(rights: str, step: str, named: str) -> None:
    # VI-D09
    with odd_ftp_server(rights=rights) as server:
        checks = list(odd_place(server).connector().preflight())
        assert states(checks)[step] is CheckState.FAILED
        assert f"right to {named}" in messages(checks)[step]
        if step in ("mkdir", "write"):
            with pytest.raises(TerminalError, match=r"550|553") as caught:
                odd_place_again(server).deliver(outgoing("file", b"data"))
            assert named in caught.value.remedy


def odd_place_again(server: OddFtpServer) -> FtpPlace:
    """The same with an empty directory."""
    subprocess.run(["rm", "-rf", str(server.folder / "base")], check=True)
    return odd_place(server)


def test_the_two_rights_of_the_document_are_enough_to_deliver() -> None:
    # VI-D09
    with odd_ftp_server(rights="elmw") as server:
        place = odd_place(server)
        with place.connector() as connector:
            assert connector.capabilities.atomic == "none"
            results = list(connector.deliver([outgoing("a/file", b"data"), outgoing("b/file", b"else")]))
        assert all(isinstance(result, Delivered) for result in results)
        files = {name for name in place.names() if not name.startswith(TEMPORARY_FOLDER)}
        assert files == {"a/file", "b/file"}
        again = failure(place.deliver(outgoing("a/file", b"data"))["a/file"])
        assert "read files" in again.remedy


@pytest.mark.parametrize("large", [False, True])
def test_a_server_that_cannot_rename_gets_files_under_their_names_and_says_so(large: bool) -> None:
    # XX-04, VI-D10
    data = content(3_000_000) if large else b"data"
    with odd_ftp_server(without=("RNFR", "RNTO")) as server:
        place = odd_place(server)
        with place.connector() as connector:
            assert connector.capabilities.atomic == "none"
            results = list(connector.deliver([outgoing("a/file", data), outgoing("empty", b"")]))
        assert all(isinstance(result, Delivered) for result in results)
        other = failure(place.deliver(outgoing("a/file", data + b"!"))["a/file"])
        assert isinstance(other, DestinationConflict)
        assert "new revision" in other.remedy
        assert place.deliver(outgoing("a/file", data))["a/file"].outcome == "identical"
        wrong = failure(place.deliver(outgoing("wrong", data, size=len(data) + 1))["wrong"])
        assert "declared" in str(wrong)
        assert place.names() == {"a/file", "empty"}
        assert place.read("a/file") == data
        assert "completion marker" in messages(place.connector().preflight())["rename"]


class _Interrupted(io.BytesIO):
    """A content in whose middle something happens, once."""

    def __init__(self, data: bytes, happens: Callable[[], None]) -> None:
        super().__init__(data)
        self._happens = happens

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            self._happens()
            self._happens = lambda: None
        return super().read(size)


@pytest.mark.parametrize("command", ["STOR", "DELE"])
def test_without_rename_an_older_try_that_wakes_up_late_neither_empties_nor_removes_a_newer_ones_file(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XX-03
    data = content(3_000_000)
    whole = outgoing("a/file", data)
    with (
        odd_ftp_server(without=("RNFR", "RNTO")) as server,
        tcp_proxy(server.port) as proxy,
        contextlib.ExitStack() as newer_tries,
    ):
        place = odd_place(server)

        def newer_try_delivers() -> None:
            newer = newer_tries.enter_context(place.connector("work.2"))
            assert [result.outcome for result in newer.deliver([whole])] == ["created"]

        def cut_and_discarded() -> None:
            """Many servers remove what an interrupted STOR has left."""
            proxy.cut()
            (place.folder / "a" / "file").unlink()
            newer_try_delivers()

        late = whole
        if command == "DELE":
            late = dataclasses.replace(whole, open=lambda: _Interrupted(data, cut_and_discarded))
        with place.connector("work.1", ftp_port=proxy.port) as older:
            if command == "STOR":
                looked = FtpDelivery._require_free

                def held_up_after(*arguments: Any) -> None:
                    looked(*arguments)
                    monkeypatch.undo()
                    newer_try_delivers()

                monkeypatch.setattr(FtpDelivery, "_require_free", held_up_after)
            with pytest.raises(SupersededError):
                list(older.deliver([late]))
        assert place.read("a/file") == data


def test_a_full_quota_is_the_customers_to_free_and_publishes_nothing() -> None:
    with odd_ftp_server("quota") as server:
        place = odd_place(server)
        with pytest.raises(TerminalError, match="disk or the quota at the destination is full") as caught:
            place.deliver(outgoing("large", content(5_000_000)))
        assert caught.value.action is Action.CUSTOMER
        assert place.names() == set()


def test_a_full_disk_publishes_nothing(place: FtpPlace) -> None:
    with small_disk(place.folder, 4):
        with pytest.raises(OutfeedError, match=r"451|552|full") as caught:
            place.deliver(outgoing("large", content(10_000_000)))
        assert caught.value.action is Action.CUSTOMER
        assert "disk" in str(caught.value)
        assert place.names() == set()


def test_a_refused_name_hits_only_its_file_and_names_the_remedy() -> None:
    with odd_ftp_server("colon") as server:
        place = odd_place(server)
        results = place.deliver(
            outgoing("2025-03-16_00:00:00.json", b"data"), outgoing("2025-03-16T000000Z.json", b"data")
        )
        error = failure(results["2025-03-16_00:00:00.json"])
        assert isinstance(error, TerminalError)
        assert "filename_style" in error.remedy
        assert place.names() == {"2025-03-16T000000Z.json"}
        checks = list(place.connector().preflight())
        assert states(checks)["rename"] is CheckState.FAILED
        assert "filename_style" in messages(checks)["rename"]
        assert states(checks)["clean up"] is CheckState.PASSED


# -- servers that are not honest, or say little


def test_a_server_that_does_not_keep_what_it_was_sent_publishes_nothing() -> None:
    with odd_ftp_server("loses") as server:
        place = odd_place(server)
        with pytest.raises(TransientError, match="100000 bytes"):
            place.deliver(outgoing("file", content(300_000)))
        assert place.names() == set()


def test_read_back_finds_what_the_size_does_not_show() -> None:
    with odd_ftp_server("flips") as server:
        place = odd_place(server)
        with pytest.raises(TransientError, match="sha256"):
            place.deliver(outgoing("file", content(300_000)), verify="read-back")
        assert place.names() == set()


@pytest.mark.parametrize("fault", ["hash", "xsha256"])
def test_a_digest_that_the_server_announces_is_compared(fault: Any) -> None:
    # Our user may not read: what is verified and what is identical is known by the digest alone.
    with odd_ftp_server(fault, rights="elfdmw") as server:
        place = odd_place(server)
        data = content(300_000)
        assert place.deliver(outgoing("file", data))["file"].verified == "sha256"
        again = place.deliver(outgoing("file", data))["file"]
        assert (again.outcome, again.verified) == ("identical", "sha256")
        assert isinstance(
            failure(place.deliver(outgoing("file", content(300_000, 1)))["file"]), DestinationConflict
        )
        with place.connector() as connector:
            assert connector.capabilities.checksum == "sha256"
            found = connector.stat("file")
        assert found is not None
        assert found.checksum == again.sha256


def test_a_digest_that_differs_publishes_nothing() -> None:
    with odd_ftp_server("lies") as server:
        place = odd_place(server)
        with pytest.raises(TransientError, match="sha256"):
            place.deliver(outgoing("file", content(300_000)))
        assert place.names() == set()


@pytest.mark.parametrize(
    ("faults", "without", "verified"),
    [
        ((), ("SIZE",), "size"),
        (("blind",), (), "size"),
        ((), ("SIZE", "MLST", "MLSD"), "read-back"),
        (("blind",), ("MLST", "MLSD"), "read-back"),
        ((), ("FEAT", "EPSV", "MDTM", "OPTS"), "size"),
    ],
    ids=["no SIZE", "SIZE finds nothing", "NLST only", "NLST, wrong SIZE", "old"],
)
def test_no_server_shows_so_little_that_we_overwrite(
    faults: Any, without: tuple[str, ...], verified: str
) -> None:
    with odd_ftp_server(*faults, without=without) as server:
        place = odd_place(server)
        for size in (5, 3_000_000):
            data = content(size)
            assert place.deliver(outgoing(f"a/{size}", data))[f"a/{size}"].verified == verified
            assert place.deliver(outgoing(f"a/{size}", data))[f"a/{size}"].outcome == "identical"
            other = failure(place.deliver(outgoing(f"a/{size}", content(size, 1)))[f"a/{size}"])
            assert isinstance(other, DestinationConflict)
            assert place.read(f"a/{size}") == data
            with place.connector() as connector:
                found = connector.stat(f"a/{size}")
                assert found is not None
                assert found.bytes == size
        assert place.names() == {"a/5", "a/3000000"}


def test_messages_in_another_encoding_do_no_harm() -> None:
    with odd_ftp_server("latin-1") as server:
        place = odd_place(server)
        assert isinstance(place.deliver(outgoing("Größe 🗺", b"data"))["Größe 🗺"], Delivered)
        assert place.names() == {"Größe 🗺"}


def test_threads_and_connections_end_with_the_delivery(place: FtpPlace, proxy: TcpProxy) -> None:
    files = [outgoing(f"{number}", content(50_000, number)) for number in range(20)]
    place.deliver(*files, ftp_port=proxy.port)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("outfeed")]
    deadline = time.monotonic() + 10
    while proxy.halves and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not proxy.halves
