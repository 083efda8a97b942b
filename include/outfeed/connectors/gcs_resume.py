"""Large objects at Google in several requests: a later try continues what an older one has sent (XX-03).

Whoever has an upload's address can send contents to it, so it is kept sealed with a key of the workers.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any, Protocol

from outfeed.connectors.base import Outgoing
from outfeed.connectors.gcs_session import ResumableSession, SessionGoneError
from outfeed.connectors.sealed_text import seal, unseal
from outfeed.connectors.transfer import FileFault, SourceReader
from outfeed.connectors.upload_state import end_older, forget, read_state, saved_state, write_state
from outfeed.errors import OutfeedError, TerminalError, TransientError

log = logging.getLogger(__name__)

_KIND, _VERSION = "gcs", 1


class Content(Protocol):
    """A content that is read once, and its CRC32C so far."""

    reader: SourceReader

    @property
    def crc32c(self) -> str:
        """Of all that has been read, in base64."""

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end."""


class ResumableCreates:
    """Guarantees that an object appears whole and only if its name is free, and that no byte is sent in vain.

    The service itself compares the CRC32C of the whole before it creates the object: what an older try sent
    was not checked before.

    Args:
        bucket: of Google's client.
        key: seals the addresses of uploads.
        chunk_size: bytes of one request, a multiple of 256 KiB.
        timeout: seconds to connect, and to wait for each answer.
        location: the place in messages.
    """

    def __init__(
        self, bucket: Any, key: str, chunk_size: int, timeout: tuple[float, float], location: str
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._chunk_size = chunk_size
        self._timeout = timeout
        self._location = location

    def create(self, file: Outgoing, name: str, content: Content) -> tuple[int, str]:
        """Creates an object; gives its size and CRC32C as the service reports them.

        Raises:
            PreconditionFailed: the name is taken.
        """
        continued = self._continued(file, name)
        session = continued or self._begun(file, name)
        try:
            while block := content.read(self._chunk_size):
                session.send(block, content.crc32c if content.reader.finished else None)
        except SessionGoneError:
            forget(file)
            raise self._fault(f"somebody ended the upload of {file.path}") from None
        except BaseException as error:
            if not _is_over(error):
                raise
            with contextlib.suppress(OutfeedError):
                session.end()
            forget(file)
            if continued is not None and _is_refused(error):
                what = f"the upload of {file.path} that an older try began can't be completed"
                raise self._fault(what) from error
            raise
        if session.created is None:
            raise self._fault(f"the service has all of {file.path}, but creates nothing of it")
        return int(session.created["size"]), str(session.created["crc32c"])

    def give_up(self, file: Outgoing) -> None:
        """Ends what an older try left of a file whose name is taken."""
        end_older(file, self.abandon)

    def abandon(self, state: str) -> None:
        """Frees what an upload left; the service does so by itself after a week.

        Raises:
            TransientError: the service can't be reached.
        """
        url = unseal(read_state(state, _KIND, _VERSION).get("upload", ""), self._key)
        if url is not None:
            self._session(url, 0).end()

    def _continued(self, file: Outgoing, name: str) -> ResumableSession | None:
        """The upload that an older try left; None if it is of no use."""
        text = saved_state(file)
        if file.unfinished is None or text is None:
            return None
        values = read_state(text, _KIND, _VERSION)
        url = unseal(values.pop("upload", ""), self._key)
        if url is None or values != _described(file, name):
            log.info("the upload of %s begins anew: the older one was begun in another way", file.path)
            with contextlib.suppress(OutfeedError):
                self.abandon(text)
            return None
        session = self._session(url, file.size or 0)
        try:
            session.ask()
        except SessionGoneError:
            log.info("the upload of %s begins anew: the service does not know the older one", file.path)
            return None
        if session.created is not None:
            log.info("the upload of %s begins anew: its object is gone", file.path)
            return None
        # It is not old any more.
        file.unfinished.save(text)
        log.info("the upload of %s goes on after %d bytes", file.path, session.persisted)
        return session

    def _begun(self, file: Outgoing, name: str) -> ResumableSession:
        url = self._bucket.blob(name).create_resumable_upload_session(
            content_type=file.content_type, size=file.size, if_generation_match=0, timeout=self._timeout
        )
        session = self._session(url, file.size or 0)
        if file.unfinished is not None:
            sealed = {"upload": seal(url, self._key)}
            try:
                file.unfinished.save(write_state(_KIND, _VERSION, _described(file, name) | sealed))
            except BaseException:
                with contextlib.suppress(OutfeedError):
                    session.end()
                raise
        return session

    def _session(self, url: str, size: int) -> ResumableSession:
        return ResumableSession(self._bucket.client._http, url, size, self._timeout, self._location)

    def _fault(self, what: str) -> TransientError:
        return TransientError(what, where=self._location, remedy="retried from its start")


def _described(file: Outgoing, name: str) -> dict[str, Any]:
    return {"name": name, "content_type": file.content_type}


def _is_over(error: BaseException) -> bool:
    """Whether no later try can go on after this error."""
    from google.api_core.exceptions import PreconditionFailed

    if isinstance(error, FileFault):
        return isinstance(error.error, TerminalError)
    return isinstance(error, PreconditionFailed) or _is_refused(error)


def _is_refused(error: BaseException) -> bool:
    from google.api_core.exceptions import BadRequest

    return isinstance(error, BadRequest)
