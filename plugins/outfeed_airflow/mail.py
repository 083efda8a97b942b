"""Sends the library's messages by the SMTP provider's connection."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from outfeed.errors import Action, OutfeedError, RecipientRefusedError, TerminalError, TransientError
from outfeed_airflow import resolve

if TYPE_CHECKING:
    from outfeed.steps.notify import Message


def send_mail(conn_id: str, message: Message) -> None:
    """One mail to one address has been handed to the mail server.

    Raises:
        TransientError: the server can't be reached or asks to try later.
        TerminalError: the connection is not defined or incomplete, or the server refuses for good.
    """
    with _client(conn_id) as (client, sender):
        # The hook's own method would send HTML only and repeat itself; a mail needs its text as well.
        client.send_message(_mail(sender, message))


def probe_mail(conn_id: str, address: str | None) -> None:
    """The mail server would take a mail to the address; without one, it lets us in. Nothing is sent.

    Raises:
        As `send_mail`. A server that takes everything and sends it back later can't be found out.
    """
    with _client(conn_id) as (client, sender):
        client.ehlo_or_helo_if_needed()
        code, said = client.mail(sender)
        if code >= 400:
            raise smtplib.SMTPSenderRefused(code, said, sender)
        if address is not None:
            code, said = client.rcpt(address)
            if code >= 400:
                raise smtplib.SMTPRecipientsRefused({address: (code, said)})
        client.rset()


@contextlib.contextmanager
def _client(conn_id: str) -> Iterator[tuple[Any, str]]:
    """A client that is logged in, and our sender; its errors become ours."""
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    sender = resolve.connection(conn_id).extra_dejson.get("from_email")
    if not sender:
        raise TerminalError(
            f"the Airflow connection {conn_id!r} names no sender",
            action=Action.OPERATOR,
            remedy='add "from_email" to its extra field',
        )
    try:
        with SmtpHook(smtp_conn_id=conn_id) as hook:
            yield hook._smtp_client, sender
    except smtplib.SMTPServerDisconnected as error:
        raise _transient(conn_id, error) from error
    except smtplib.SMTPException as error:
        raise _refused(conn_id, error) from error
    except OSError as error:
        raise _transient(conn_id, error) from error


def _mail(sender: str, message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = message.to
    mail["Subject"] = message.subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = message.message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def _refused(conn_id: str, error: smtplib.SMTPException) -> OutfeedError:
    """SMTP's 5xx replies are final, everything else may pass."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    else:
        codes = [getattr(error, "smtp_code", 0)]
    if codes and all(500 <= code < 600 for code in codes):
        refused = isinstance(error, smtplib.SMTPRecipientsRefused)
        return (RecipientRefusedError if refused else TerminalError)(
            f"the mail server refused the mail: {error}",
            where=f"connection {conn_id}",
            action=Action.OPERATOR,
            remedy="check login, sender and address",
        )
    return _transient(conn_id, error)


def _transient(conn_id: str, error: Exception) -> TransientError:
    return TransientError(
        f"the mail server did not take the mail: {error}",
        where=f"connection {conn_id}",
        action=Action.OPERATOR,
        remedy="check that the mail server runs and that this machine reaches it",
    )
