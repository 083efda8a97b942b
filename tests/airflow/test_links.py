"""Links in mails: who gets which, when, how often, and what happens to what they lead to."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from outfeed.cli import main
from outfeed.errors import Action, TerminalError, TransientError
from outfeed.ledger import Ledger
from outfeed.ledger.links import Links
from outfeed.plan import Reason
from outfeed.steps.housekeeping import remove_expired_links
from outfeed.steps.links import token_digest
from outfeed.steps.notify import Message, notify
from tests.airflow.link_world import ANN, BOB, FIRST, SECOND, LinkWorld, link_world
from tests.flow.world import SITE_A, SITE_B, tree
from tests.servers.smtp import SmtpSink

pytestmark = [pytest.mark.airflow, pytest.mark.servers]

DATA_B = f"{SITE_B}/data/work-orders-timeline/2026-03-27T230000Z_2026-03-28T230000Z"


@pytest.fixture
def links(tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkWorld]:
    """Two recipients, a store in a folder."""
    with link_world(tmp_path, smtp, monkeypatch) as made:
        yield made


def data_names(links: LinkWorld, page: str) -> list[str]:
    return [name for name in links.names(page) if not name.startswith("_outfeed/")]


def test_each_recipient_gets_one_mail_with_a_link_that_downloads_the_file(links: LinkWorld) -> None:
    # DX-003, DX-030, DX-040, DX-042, D1, D25
    assert links.deliver()["mails"] == 2
    assert [mail.recipients for mail in links.smtp.mails] == [(ANN,), (BOB,)]
    assert links.token(ANN) != links.token(BOB)

    page = links.page(ANN)
    names = data_names(links, page)
    assert [name[:36] for name in names] == sorted(FIRST)
    assert {name[:36]: links.download(page, name) for name in names} == FIRST
    text = links.smtp.to(ANN)[0].message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    (record, _) = links.ledger.links.of_delivery("acme", "email:mail", "run-1")
    assert record.expires_at - record.created_at == dt.timedelta(days=7)
    assert f"until {record.expires_at:%Y-%m-%dT%H:%M:%SZ} (7 days)" in text
    assert "2 files with 3 records, 27 bytes" in text
    assert "run-1" not in text


def test_the_files_are_readable_when_the_mail_is_sent(links: LinkWorld) -> None:
    # DX-045
    seen: dict[str, dict[str, bytes]] = {}

    def look_first(message: Message) -> None:
        token = message.text.split("/outfeed/links/")[1].split()[0]
        page = f"{links.url}/outfeed/links/{token}"
        seen[message.to] = {name: links.download(page, name) for name in links.names(page)}

    links.upload(links.plan(), send=look_first)
    assert sorted(seen) == [ANN, BOB]
    for contents in seen.values():
        assert {name[:36]: content for name, content in contents.items() if name[:36] in FIRST} == FIRST
        assert sum(name.endswith("/_SUCCESS") for name in contents) == 1


def test_no_image_is_behind_a_link(links: LinkWorld) -> None:
    # DX-043, D26
    name = links.world.image("9a739279-0904-4710-b740-53971660f2ae.png")
    run = links.world.plan()
    links.world.package(run, FIRST, {SITE_A: [name]})
    links.upload(run)
    assert not [file for file in links.names(links.page(ANN)) if "inputs" in file or "png" in file]
    assert not [path for path in links.stored() if b"PNG" in path.read_bytes()]


def test_the_ledger_and_the_store_have_no_token(links: LinkWorld) -> None:
    # XX-06
    links.deliver()
    tokens = [links.token(ANN), links.token(BOB)]
    for file in links.home.glob("ledger.db*"):
        assert not [token for token in tokens if token.encode() in file.read_bytes()]
    for path in links.stored():
        assert not [token for token in tokens if token in str(path) or token.encode() in path.read_bytes()]
    digests = {link.token_sha256 for link in links.ledger.links.of_delivery("acme", "email:mail", "run-1")}
    assert digests == {token_digest(token) for token in tokens}


@pytest.mark.parametrize("links_to", [["perm@acme.example", ANN], ["data@acme.example", ANN]])
def test_a_refused_recipient_fails_the_destination_and_the_others_get_theirs(
    links_to: list[str], tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    with link_world(tmp_path, smtp, monkeypatch, emails=links_to) as links:
        run = links.plan()
        with pytest.raises(TerminalError, match="1 mails with links could not be sent") as caught:
            links.upload(run)
        refused = links_to[0].startswith("perm")
        assert caught.value.action is (Action.CUSTOMER if refused else Action.OPERATOR)
        assert [mail.recipients for mail in smtp.mails] == [(ANN,)]
        assert links.download(links.page(ANN), data_names(links, links.page(ANN))[0]) == FIRST[SITE_A]
        states = {
            use.link.recipient: use.link.state(links.clock()) for use in links.ledger.links.uses("acme")
        }
        assert states == {links_to[0]: "refused" if refused else "not sent", ANN: "live"}

        with pytest.raises(TerminalError):
            links.upload(run, "2-second")
        assert [mail.recipients for mail in smtp.mails] == [(ANN,)], "nobody is told twice"


def test_an_address_that_replaces_a_refused_one_gets_what_the_others_have(
    tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = link_world(tmp_path, smtp, monkeypatch, emails=["perm@acme.example", ANN])
    with first as links, pytest.raises(TerminalError):
        links.deliver()
    with link_world(tmp_path, smtp, monkeypatch, emails=[BOB, ANN]) as links:
        links.world.runs = 1
        result = links.deliver(reason=Reason.MANUAL)
        assert (result["outcome"], result["mails"]) == ("nothing-new", 1)
        assert [mail.recipients for mail in smtp.mails] == [(ANN,), (BOB,)]
        page = links.page(BOB)
        assert {name[:36]: links.download(page, name) for name in data_names(links, page)} == FIRST
        assert len([path for path in links.stored() if "/data/" in str(path)]) == 2, "stored once"


def test_a_mail_that_waits_for_its_server_is_sent_by_the_retry(
    tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-042
    with link_world(tmp_path, smtp, monkeypatch, emails=[ANN, "temp@acme.example"]) as links:
        run = links.plan()
        with pytest.raises(TransientError, match="1 mails with links could not be sent"):
            links.upload(run)
        sent: list[Message] = []
        assert links.upload(run, "2-second", send=sent.append)["mails"] == 1
        assert [message.to for message in sent] == ["temp@acme.example"]
        assert links.upload(run, "3-third", send=sent.append)["mails"] == 0


@pytest.mark.parametrize(
    ("owner", "method", "after"),
    [
        (Ledger, "record_delivery", False),  # stored, not recorded
        (Ledger, "record_delivery", True),  # recorded, no link
        (Links, "record", True),  # link, no mail
        (LinkWorld, "send", False),
        (Links, "record_sent", True),  # the first mail is sent and recorded
    ],
)
def test_a_retry_after_a_kill_sends_what_is_missing_and_nothing_twice(
    links: LinkWorld, owner: type, method: str, after: bool
) -> None:
    # DX-042, XX-03
    run = links.plan()
    links.killed(run, owner, method, after=after)
    before = tree(links.home / "links")
    links.upload(run, "2-second")
    assert sorted(mail.recipients for mail in links.smtp.mails) == [(ANN,), (BOB,)]
    assert before.items() <= tree(links.home / "links").items()
    assert len([path for path in links.stored() if "/data/" in str(path)]) == 2
    assert len(links.ledger.links.uses("acme")) == 2
    for recipient in (ANN, BOB):
        page = links.page(recipient)
        assert {name[:36]: links.download(page, name) for name in data_names(links, page)} == FIRST


def test_a_kill_between_mail_and_ledger_repeats_the_same_mail_with_the_same_link(links: LinkWorld) -> None:
    # DX-042
    run = links.plan()
    links.killed(run, Links, "record_sent", after=False)
    assert [mail.recipients for mail in links.smtp.mails] == [(ANN,)]
    links.upload(run, "2-second")
    first, repeated = links.smtp.to(ANN)
    assert first.message["Message-ID"] == repeated.message["Message-ID"]
    assert links.token(ANN, 0) == links.token(ANN, 1)
    assert len(links.ledger.links.of_delivery("acme", "email:mail", "run-1")) == 2
    assert len(links.smtp.to(BOB)) == 1


def test_the_same_content_is_neither_stored_nor_announced_again(links: LinkWorld) -> None:
    # XX-03
    links.deliver()
    before = tree(links.home / "links")
    result = links.deliver(reason=Reason.BACKFILL)
    assert (result["outcome"], result["mails"]) == ("nothing-new", 0)
    assert tree(links.home / "links") == before
    assert len(links.smtp.mails) == 2


def test_changed_content_makes_a_link_that_says_what_it_supersedes(links: LinkWorld) -> None:
    # D27
    links.deliver()
    links.deliver(SECOND, reason=Reason.BACKFILL)
    assert len(links.smtp.to(ANN)) == 2
    old, new = links.page(ANN, 0), links.page(ANN, 1)
    assert data_names(links, new) == [f"{DATA_B}__r2.json"]
    assert links.download(new, f"{DATA_B}__r2.json") == SECOND[SITE_B]
    assert links.download(old, f"{DATA_B}.json") == FIRST[SITE_B]
    mail = links.smtp.to(ANN)[1].message
    assert mail["Subject"].endswith(": ready to download (revision 2)")
    assert "supersedes what was delivered for this window before" in str(mail.get_body(("plain",)))
    assert "supersedes what was delivered for this window before" in httpx.get(new).text
    first, second = (link for link in links.ledger.links.uses("acme")[::-1] if link.link.recipient == ANN)
    assert second.link.supersedes == first.link.id


def test_what_has_expired_is_offered_again_when_somebody_asks(links: LinkWorld) -> None:
    links.deliver()
    links.expire()
    assert httpx.get(links.page(ANN)).status_code == 410
    assert links.deliver(reason=Reason.MANUAL)["mails"] == 2
    page = links.page(ANN)
    assert {name[:36]: links.download(page, name) for name in data_names(links, page)} == FIRST
    assert links.deliver(reason=Reason.MANUAL)["mails"] == 0


def test_without_an_https_address_nothing_is_stored(
    links: LinkWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = links.plan()
    for address in ("", "http://exports.example.com", "exports.example.com"):
        monkeypatch.setenv("OUTFEED_PUBLIC_URL", address)
        with pytest.raises(TerminalError, match="needs OUTFEED_PUBLIC_URL"):
            links.upload(run)
    assert links.stored() == []


def test_who_got_a_link_gets_no_second_mail_of_the_run(
    tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-042, D25
    told = {"customer": [ANN, "boss@acme.example"], "operators": ["ops@platform.example"]}
    with link_world(tmp_path, smtp, monkeypatch, notify=told) as links:
        run = links.plan()
        links.upload(run)
        notify(run, links.send)
        assert len(smtp.to(ANN)) == 1
        assert [len(smtp.to(address)) for address in told["customer"] + told["operators"]] == [1, 1, 1]


def test_a_test_export_tries_store_and_public_url_and_validates_the_destination(
    tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-088, DX-089
    with link_world(tmp_path, smtp, monkeypatch, link_days=1) as links:
        links.deliver(reason=Reason.TEST)
        steps = links.ledger.last_preflight("acme", "email:mail")
        assert {step.step: step.state for step in steps}["public url"] == "passed"
        assert [
            (step.step, step.message) for step in steps if step.step in ("mail server", "recipients")
        ] == [
            ("mail server", "it lets us in"),
            ("recipients", f"it takes mails to {ANN}"),
            ("recipients", f"it takes mails to {BOB}"),
        ]
        assert {"write", "read back"} <= {step.step for step in steps}
        assert links.ledger.validated_at("acme", "email:mail")
        links.deliver(SECOND, reason=Reason.TEST)
        assert len(smtp.to(ANN)) == 2

        monkeypatch.setenv("OUTFEED_PUBLIC_URL", links.url.replace("127.0.0.1", "localhost") + "/elsewhere")
        with pytest.raises(TerminalError, match="pages with the links are not there: answered 404"):
            links.deliver(reason=Reason.TEST)


def test_a_test_export_asks_the_mail_server_before_anything_is_stored(
    tmp_path: Path, smtp: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DX-088
    with link_world(tmp_path, smtp, monkeypatch, emails=[ANN, "perm@acme.example"]) as links:
        with pytest.raises(TerminalError, match="preflight failed at 'recipients'") as caught:
            links.deliver(reason=Reason.TEST)
        assert caught.value.action is Action.CUSTOMER
        assert (links.stored(), smtp.mails) == ([], [])
        states = [(step.step, step.state) for step in links.ledger.last_preflight("acme", "email:mail")]
        assert states[-3:] == [("mail server", "passed"), ("recipients", "passed"), ("recipients", "failed")]


def test_housekeeping_removes_what_no_link_leads_to_any_more(links: LinkWorld) -> None:
    # XX-09, DX-041
    links.deliver()
    at = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    assert remove_expired_links(links.ledger, links.open_folder, at + 7.9 * day)["files"] == 0
    assert len(links.stored()) == 5
    removed = remove_expired_links(links.ledger, links.open_folder, at + 8.1 * day)
    assert removed == {"deliveries": 1, "files": 5}
    assert links.stored() == []
    assert remove_expired_links(links.ledger, links.open_folder, at + 9 * day)["deliveries"] == 0
    assert httpx.get(links.page(ANN)).status_code == 410, (
        "it was removed, whatever the clock of the pages says"
    )


def test_housekeeping_removes_what_was_never_announced(links: LinkWorld) -> None:
    # XX-09
    run = links.plan()
    links.killed(run, Ledger, "record_delivery", after=True)
    assert links.stored()
    at, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    assert remove_expired_links(links.ledger, links.open_folder, at + 7 * day)["deliveries"] == 0
    assert remove_expired_links(links.ledger, links.open_folder, at + 8.1 * day)["deliveries"] == 1
    assert links.stored() == []


def test_the_command_line_lists_links_and_revokes_one(links: LinkWorld) -> None:
    # DX-041
    links.deliver()
    page = links.page(ANN)
    links.download(page, data_names(links, page)[0])
    url = ["--ledger", f"sqlite:///{links.home / 'ledger.db'}"]
    run = CliRunner()
    listed = run.invoke(main, ["links", "acme", *url])
    assert listed.exit_code == 0, listed.output
    ann = next(line.split() for line in listed.output.splitlines() if ANN in line)
    assert ann[1:4] == ["acme", "mail", ANN]
    assert "live" in ann
    found = {one["recipient"]: one for one in json.loads(run.invoke(main, ["links", "--json", *url]).output)}
    assert (found[ANN]["clicks"], found[BOB]["clicks"]) == (1, 0)
    assert "token_sha256" not in found[ANN]

    assert run.invoke(main, ["links", "revoke", ann[0], *url]).exit_code == 0
    assert httpx.get(page).status_code == 410
    assert httpx.get(links.page(BOB)).status_code == 200
    assert "revoked" in run.invoke(main, ["links", "acme", *url]).output
    unknown = run.invoke(main, ["links", "revoke", "nothing", *url])
    assert (unknown.exit_code, "there is no link 'nothing'" in unknown.output) == (1, True)

    assert links.deliver(reason=Reason.MANUAL)["mails"] == 1, "a new run gives the one a new link"
    assert httpx.get(links.page(ANN)).status_code == 200
    assert httpx.get(page).status_code == 410
