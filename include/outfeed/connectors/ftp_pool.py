"""A few FTP connections to one server, shared by threads."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from outfeed.connectors.ftp_session import FtpSession
from outfeed.errors import OutfeedError

log = logging.getLogger(__name__)


class FtpPool:
    """Up to `limit` connections; one is opened only when those before it are busy.

    If the server refuses another while some are open, the delivery goes on with those: a limit is the
    customer's right. One that broke, or that the server closed while it was idle, is replaced.
    """

    def __init__(self, open_session: Callable[[], FtpSession], limit: int) -> None:
        self._open_session = open_session
        self._limit = limit
        self._idle: list[FtpSession] = []
        self._open = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def lease(self) -> Iterator[FtpSession]:
        """A connection for one file; raises the OutfeedError of a connection that can't be made."""
        session = self._taken()
        try:
            yield session
        finally:
            self._give_back(session)

    def _taken(self) -> FtpSession:
        while True:
            session = self._idle_or_room()
            if session is None:
                session = self._opened()
            elif not session.alive():
                self._give_back(session)
                continue
            if session is not None:
                return session

    def _idle_or_room(self) -> FtpSession | None:
        """An idle connection; None when there is room for another one, which is then reserved."""
        with self._changed:
            while not self._idle and self._open >= self._limit:
                self._changed.wait()
            if self._idle:
                return self._idle.pop()
            self._open += 1
            return None

    def _opened(self) -> FtpSession | None:
        """A new connection; None if the server refuses it and others are open."""
        try:
            return self._open_session()
        except BaseException as error:
            with self._changed:
                self._open -= 1
                alone = self._open == 0
                if not alone:
                    self._limit = self._open
                self._changed.notify_all()
            if alone or not isinstance(error, OutfeedError):
                raise
            log.warning("an additional connection was refused, going on with fewer: %s", error)
            return None

    def _give_back(self, session: FtpSession) -> None:
        with self._changed:
            if session.usable:
                self._idle.append(session)
            else:
                self._open -= 1
            self._changed.notify_all()
        if not session.usable:
            session.close()

    @contextlib.contextmanager
    def last(self) -> Iterator[FtpSession | None]:
        """A connection that is open and idle, if there still is one; none is made for it."""
        with self._changed:
            session = self._idle.pop() if self._idle else None
        try:
            yield session
        finally:
            if session is not None:
                self._give_back(session)

    def close(self) -> None:
        """Closes all connections that are not in use."""
        with self._changed:
            sessions, self._idle = self._idle, []
            self._open -= len(sessions)
        for session in sessions:
            session.close()
