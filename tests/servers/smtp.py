"""A mail server that keeps what it gets; the recipient's name picks a fault."""

from __future__ import annotations

import contextlib
import dataclasses
import email
import email.policy
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

from tests.servers.process import MissingServerError, free_ports

INSTALL = "pip install aiosmtpd"


@dataclasses.dataclass(frozen=True)
class ReceivedMail:
    """One accepted message."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage


@dataclasses.dataclass
class SmtpSink:
    """A running server without TLS or login.

    A recipient that begins with `perm` is refused for good (550), one that begins with `temp` for now (451);
    a message to one that begins with `data` is refused after its text (554).

    Attributes:
        mails: what was accepted, in order.
    """

    host: str
    port: int
    mails: list[ReceivedMail] = dataclasses.field(default_factory=list)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def to(self, recipient: str) -> list[ReceivedMail]:
        """The accepted messages to one address."""
        with self._lock:
            return [mail for mail in self.mails if recipient in mail.recipients]

    def clear(self) -> None:
        """Forgets all messages."""
        with self._lock:
            self.mails.clear()

    # The names and signatures below are aiosmtpd's.

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("perm"):
            return "550 no such mailbox"
        if address.startswith("temp"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if any(address.startswith("data") for address in envelope.rcpt_tos):
            return "554 message refused"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        with self._lock:
            self.mails.append(ReceivedMail(envelope.mail_from, tuple(envelope.rcpt_tos), message))
        return "250 accepted"


@contextlib.contextmanager
def smtp_sink() -> Iterator[SmtpSink]:
    """A mail server on a free port."""
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        raise MissingServerError(f"aiosmtpd is not installed; install it with: {INSTALL}") from None
    (port,) = free_ports(1)
    sink = SmtpSink("127.0.0.1", port)
    controller = Controller(sink, hostname=sink.host, port=sink.port, data_size_limit=64 << 20)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
