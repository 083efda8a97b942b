"""Mails as a real mail server receives them."""

from __future__ import annotations

import json

import pytest

from outfeed.errors import OutfeedError, TerminalError, TransientError
from outfeed.steps.notify import Message
from tests.servers.process import free_ports
from tests.servers.smtp import SmtpSink

pytestmark = [pytest.mark.airflow, pytest.mark.servers]


def _message(to: str) -> Message:
    return Message(
        to=to,
        subject="[Outfeed] acme: delivered – façade",
        text="2 files\n",
        html="<pre>2 files</pre>",
        message_id="<delivered.acme.run-1@outfeed>",
    )


def _connect(monkeypatch: pytest.MonkeyPatch, port: int, **extra: str) -> None:
    settings = {"disable_ssl": True, "disable_tls": True, "retry_limit": 0, **extra}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": settings}
    monkeypatch.setenv("AIRFLOW_CONN_OUR_MAIL", json.dumps(connection))


def test_a_mail_arrives_once_as_text_and_html_under_its_id(
    smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    from outfeed_airflow.mail import send_mail

    _connect(monkeypatch, smtp.port, from_email="outfeed@example.com")
    send_mail("our_mail", _message("ops@example.com"))

    (mail,) = smtp.to("ops@example.com")
    assert mail.sender == "outfeed@example.com"
    assert mail.message["Message-ID"] == "<delivered.acme.run-1@outfeed>"
    assert mail.message["Subject"] == "[Outfeed] acme: delivered – façade"
    text, html = mail.message.get_body(("plain",)), mail.message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["2 files"]
    assert "<pre>2 files</pre>" in html.get_content()


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("perm@example.com", TerminalError),
        ("temp@example.com", TransientError),
        ("data@example.com", TerminalError),
    ],
)
def test_a_refusal_for_good_is_told_from_one_for_now(
    address: str, kind: type[OutfeedError], smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    from outfeed_airflow.mail import send_mail

    _connect(monkeypatch, smtp.port, from_email="outfeed@example.com")
    with pytest.raises(kind, match="connection our_mail"):
        send_mail("our_mail", _message(address))


def test_a_server_that_does_not_answer_may_answer_later(monkeypatch: pytest.MonkeyPatch) -> None:
    from outfeed_airflow.mail import send_mail

    _connect(monkeypatch, free_ports(1)[0], from_email="outfeed@example.com")
    with pytest.raises(TransientError, match="check that the mail server runs"):
        send_mail("our_mail", _message("ops@example.com"))


def test_a_connection_without_sender_names_what_to_add(
    smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    from outfeed_airflow.mail import send_mail

    _connect(monkeypatch, smtp.port)
    with pytest.raises(TerminalError, match="from_email"):
        send_mail("our_mail", _message("ops@example.com"))
