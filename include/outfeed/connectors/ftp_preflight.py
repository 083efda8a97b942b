"""The test of an FTP destination in named steps, each with a sentence for its reader (VI-D09)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial

from outfeed.connectors.base import Check, CheckState
from outfeed.connectors.ftp_base import FtpBase
from outfeed.connectors.ftp_login import FtpServer, StepError, connect_steps
from outfeed.connectors.ftp_session import FtpLost, FtpRefusal, FtpSession, ftp_fault
from outfeed.connectors.transfer import Step, run_steps
from outfeed.errors import Action, TerminalError

FILE_STEPS = ("list", "mkdir", "write", "size", "rename", "read back", "delete", "clean up")


def preflight(server: FtpServer, base: FtpBase) -> Iterator[Check]:
    """Connects, then tries all that a delivery needs, and removes what it made."""
    session = yield from _connection_checks(server)
    if session is not None:
        try:
            yield from run_steps(_FileSteps(session, base).steps())
        finally:
            session.close()


def _connection_checks(server: FtpServer) -> Generator[Check, None, FtpSession | None]:
    passed = []
    try:
        for step, result in connect_steps(server):
            if isinstance(result, FtpSession):
                return result
            yield Check(step, CheckState.PASSED, result)
            passed.append(step)
    except StepError as failed:
        yield Check(failed.step, CheckState.FAILED, str(failed.error), error=failed.error)
        for step in (*server.steps, *FILE_STEPS):
            if step not in (*passed, failed.step):
                message = f"not tried, because {failed.step!r} did not pass"
                yield Check(step, CheckState.SKIPPED, message)
    return None


class _FileSteps:
    """The steps on an open connection; all that they make lies in this try's temporary folder.

    Each tries one right, and names it when it is missing.
    """

    def __init__(self, session: FtpSession, base: FtpBase) -> None:
        self._session = session
        self._base = base

    def steps(self) -> list[Step]:
        """The steps in their order."""
        step, promise = self._step, self._promise
        return [
            step("list", self._list, "list files (CWD, NLST, MLSD)"),
            step("mkdir", self._mkdir, "create directories (MKD)", "list"),
            step("write", self._write, "upload (STOR)", "mkdir"),
            step("size", self._size, "see its files (SIZE, MLST)", "write"),
            step("rename", self._rename, "rename (RNFR, RNTO)", "size"),
            promise("read back", self._read_back, "read files (RETR)", "rename"),
            promise("delete", self._delete, "delete its own files (DELE)", "rename"),
            promise("clean up", self._clean_up, "delete its own folders (RMD)", "mkdir"),
        ]

    def _step(self, name: str, run: Callable[[], str], right: str, *needs: str) -> Step:
        return Step(name, partial(self._run, name, run, right), needs)

    def _promise(self, name: str, run: Callable[[], str], right: str, *needs: str) -> Step:
        """A step without which files can be delivered, with less of a promise (VI-D09)."""
        return Step(name, partial(self._run, name, run, right), needs, blocks=False)

    def _run(self, name: str, run: Callable[[], str], right: str) -> str:
        try:
            return run()
        except (FtpRefusal, FtpLost) as error:
            raise ftp_fault(error, name, self._base.location, right=right) from error

    def _list(self) -> str:
        self._base.make(self._session)
        folder = self._base.path()
        return f"{folder} has {len(self._session.names(folder))} entries"

    def _mkdir(self) -> str:
        self._base.make_temporary(self._session)
        return f"made {self._base.temporary()}"

    def _write(self) -> str:
        self._base.write_probe(self._session)
        return "wrote a small file"

    def _size(self) -> str:
        command = self._base.probe_looking(self._session)
        if self._base.hashes:
            return f"{command} tells what is there, and the server computes SHA-256"
        if command == "NLST":
            return "only NLST tells what is there: every file is read back after it was sent"
        return f"{command} tells what is there"

    def _rename(self) -> str:
        if not self._base.probe_rename(self._session):
            return (
                "the server can't rename, or does not let our user: files are written under their final "
                "names, and only the completion marker says that a delivery is complete"
            )
        alive = self._base.probe
        colon = f"{alive} 2025-03-16_00:00:00"
        try:
            self._session.rename(alive, colon)
        except FtpRefusal as refusal:
            if refusal.code < 500:
                raise
            raise TerminalError(
                "renamed, but the server refuses a name with ':'",
                where=self._base.location,
                action=Action.ENGINEER,
                remedy="set filename_style: portable for this destination",
            ) from refusal
        self._session.rename(colon, alive)
        return "renamed; the server may overwrite, so each name is looked up before"

    def _read_back(self) -> str:
        if not self._base.read_probe(self._session):
            raise TerminalError(
                "read other bytes than were written",
                where=self._base.location,
                action=Action.CUSTOMER,
                remedy="the server's storage alters files: look for a quota, a filter or a conversion",
            )
        return "read the same bytes back"

    def _delete(self) -> str:
        self._session.ask(f"DELE {self._base.probe}")
        return "deleted the file"

    def _clean_up(self) -> str:
        if not self._base.clean_up(self._session):
            raise TerminalError(
                f"could not remove {self._base.temporary()}",
                where=self._base.location,
                action=Action.CUSTOMER,
                remedy="let the user delete files and folders that it made (DELE, RMD)",
            )
        return "nothing was left behind"
