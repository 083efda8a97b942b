"""The test of an SFTP destination in named steps, each with a sentence for its reader (DX-081 to DX-088)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from functools import partial
from typing import Any

from outfeed.connectors.base import Check, CheckState
from outfeed.connectors.sftp_base import SftpBase
from outfeed.connectors.ssh import Found, Server, StepError, connect_steps
from outfeed.connectors.ssh_pool import LoopThread
from outfeed.connectors.ssh_session import SshSession
from outfeed.connectors.transfer import Step, run_steps
from outfeed.errors import Action, TerminalError

CONNECTION_STEPS = ("resolve", "connect", "host key", "authenticate", "sftp")
FILE_STEPS = ("list", "mkdir", "write", "rename", "read back", "clean up")

_CONTENT = b"Outfeed was here and will remove this file.\n"


def preflight(server: Server, base: SftpBase) -> Iterator[Check]:
    """Connects, then tries all that a delivery needs, and removes what it made."""
    thread = LoopThread(1)
    try:
        session = yield from _connection_checks(thread, server)
        if session is not None:
            try:
                yield from run_steps(_FileSteps(thread, session, base).steps())
            finally:
                thread.run(session.close())
    finally:
        thread.close()


def _connection_checks(thread: LoopThread, server: Server) -> Generator[Check, None, SshSession | None]:
    progress = connect_steps(server)
    passed = 0
    try:
        while True:
            step, result = thread.run(_next(progress))
            if isinstance(result, SshSession):
                yield Check("sftp", CheckState.PASSED, "SFTP is available")
                return result
            yield Check(step, CheckState.PASSED, result.message, result.setting)
            passed += 1
    except StepError as failed:
        yield from _failed(failed, passed)
    return None


async def _next(progress: AsyncIterator[tuple[str, Found | SshSession]]) -> tuple[str, Found | SshSession]:
    return await anext(progress)


def _failed(failed: StepError, passed: int) -> Iterator[Check]:
    for step in CONNECTION_STEPS[passed:] + FILE_STEPS:
        if step in failed.found:
            found = failed.found[step]
            yield Check(step, CheckState.PASSED, found.message, found.setting)
        elif step == failed.step:
            yield Check(step, CheckState.FAILED, str(failed.error), failed.setting, failed.error)
        else:
            yield Check(step, CheckState.SKIPPED, f"not tried, because {failed.step!r} did not pass")


class _FileSteps:
    """The steps on an open connection; all that they make lies in this try's temporary folder."""

    def __init__(self, thread: LoopThread, session: SshSession, base: SftpBase) -> None:
        self._thread = thread
        self._session = session
        self._base = base
        self._probe = base.temporary("probe")
        self._readable = self._probe

    def steps(self) -> list[Step]:
        """The steps in their order."""
        return [
            Step("list", partial(self._run, self._list)),
            Step("mkdir", partial(self._run, self._mkdir), ("list",)),
            Step("write", partial(self._run, self._write), ("mkdir",)),
            Step("rename", partial(self._run, self._rename), ("write",)),
            Step("read back", partial(self._run, self._read_back), ("write",)),
            # Files arrive without the right to delete; only what a broken try left then stays.
            Step("clean up", partial(self._run, self._clean_up), ("mkdir",), blocks=False),
        ]

    def _run(self, step: Callable[[], Coroutine[Any, Any, str]]) -> str:
        import asyncssh

        try:
            return self._thread.run(step())
        except (asyncssh.Error, OSError) as error:
            raise self._session.fault(error, f"use {self._base.temporary()}") from error

    async def _list(self) -> str:
        await self._base.check(self._session)
        return f"{self._base.path()} has {await self._base.names(self._session)} entries"

    async def _mkdir(self) -> str:
        await self._base.make_temporary(self._session)
        return f"made {self._base.temporary()}"

    async def _write(self) -> str:
        handle = await self._base.create(self._session, self._probe)
        await self._session.ask(handle.write(_CONTENT))
        await self._session.ask(handle.close())
        return f"wrote {len(_CONTENT)} bytes"

    async def _read_back(self) -> str:
        client = self._session.client
        handle = await self._session.ask(client.open(self._readable, "rb", encoding=None))
        content = await self._session.ask(handle.read())
        await self._session.ask(handle.close())
        if content != _CONTENT:
            raise TerminalError(
                f"read {len(content)} bytes that are not the {len(_CONTENT)} that were written",
                where=self._session.location,
                action=Action.CUSTOMER,
                remedy="the server's storage alters files: look for a quota, a filter or a conversion",
            )
        return "read the same bytes back"

    async def _rename(self) -> str:
        found = await self._base.probe_rename(self._session)
        if found == "none":
            return (
                "the server can't rename: files are written under their final names, and only the completion "
                "marker says that a delivery is complete"
            )
        await self._rename_with_colon()
        if found == "overwrites":
            return "renamed; the server would overwrite, so each name is looked up before"
        return "renamed; the server itself refuses to overwrite"

    async def _rename_with_colon(self) -> None:
        import asyncssh

        renamed = f"{self._probe} 2025-03-16_00:00:00"
        try:
            await self._session.ask(self._session.client.rename(self._probe, renamed))
            self._readable = renamed
        except asyncssh.SFTPFailure as error:
            raise TerminalError(
                "renamed, but the server refuses a name with ':'",
                where=self._session.location,
                action=Action.ENGINEER,
                remedy="set filename_style: portable for this destination",
            ) from error

    async def _clean_up(self) -> str:
        if not await self._base.clean_up(self._session):
            # Raises if it is the connection that failed.
            await self._base.attributes(self._session, self._base.temporary())
            raise TerminalError(
                f"could not remove {self._base.temporary()}",
                where=self._session.location,
                action=Action.CUSTOMER,
                remedy="let the user delete files and folders that it made",
            )
        return "nothing was left behind"
