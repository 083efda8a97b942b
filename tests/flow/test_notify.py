"""Who is told what, and how often."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from outfeed.errors import Action, TerminalError, TransientError
from outfeed.ledger.records import RunState
from outfeed.plan import Reason
from outfeed.steps.notify import Message, compose, notify
from outfeed.steps.outcome import read_outcome
from tests.flow.world import SITE_A, SITE_B, World, config

FIRST = {SITE_A: b'{"id":1}\n{"id":2}\n', SITE_B: b'{"id":3}\n'}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A customer with two addresses and a validated destination."""
    made = World(
        tmp_path,
        config(
            [{"name": "box", "type": "local", "path": str(tmp_path / "base")}],
            notify={"customer": ["data@acme.example"], "operators": ["ops@platform.example"]},
        ),
    )
    made.ledger.record_validation("acme", made.config.destinations[0].location(), "earlier")
    return made


def mails(world: World, sent: list[Message]) -> dict[str, Message]:
    """Runs the notify step; the mails by address."""
    assert world.context is not None
    notify(world.context, sent.append)
    return {message.to: message for message in sent}


def test_each_address_gets_one_mail_with_what_was_delivered(world: World) -> None:
    # DX-042, DX-045
    world.deliver(FIRST)
    sent: list[Message] = []
    by_address = mails(world, sent)
    assert sorted(by_address) == ["data@acme.example", "ops@platform.example"]
    mail = by_address["data@acme.example"]
    assert mail.subject == "[Outfeed] acme 2026-03-27T23:00:00Z to 2026-03-28T23:00:00Z: delivered"
    assert "box: 2 files with 3 records, 0 images, 27 bytes; manifest _outfeed/" in mail.text
    assert "Nobody needs to act." in mail.text
    assert "run-1" not in mail.text, "our run ids are of no use to the customer"
    assert world.ledger.run("acme", "run-1").state is RunState.COMPLETE


def test_a_retry_sends_only_what_was_not_sent(world: World) -> None:
    # DX-042
    world.deliver(FIRST)
    sent: list[str] = []

    def second_is_refused(message: Message) -> None:
        if message.to == "ops@platform.example" and len(sent) == 1:
            sent.append("refused")
            raise TransientError("451 try again later", where="mail.example")
        sent.append(message.to)

    assert world.context is not None
    with pytest.raises(TransientError, match="1 mails could not be sent: 451 try again later"):
        notify(world.context, second_is_refused)
    assert notify(world.context, second_is_refused)["mails"] == 1
    assert notify(world.context, second_is_refused)["mails"] == 0
    assert sent == ["data@acme.example", "refused", "ops@platform.example"]


def test_a_failure_tells_operators_everything_and_the_customer_what_the_customer_can_do(world: World) -> None:
    # DX-042
    run = world.plan()
    world.package(run, {SITE_A: FIRST[SITE_A]})
    fence = run.begin("extract", "group-0")
    run.ledger.fail_part(
        fence, f"work-orders-timeline/{SITE_B}", "permission denied for table input", Action.OPERATOR
    )
    with pytest.raises(TerminalError):
        world.upload(run, "box")
    sent: list[Message] = []
    with pytest.raises(TerminalError, match="the run is incomplete: 2 failures") as caught:
        mails(world, sent)
    assert caught.value.action is Action.OPERATOR
    customer, operators = sent
    assert "INCOMPLETE" in customer.subject
    assert "permission denied for table input" in operators.text
    assert "permission denied" not in customer.text
    assert "Our operators have been told" in customer.text
    assert world.ledger.run("acme", "run-1").state is RunState.FAILED


def test_the_customer_is_told_when_the_customer_must_act(tmp_path: Path) -> None:
    # DX-042
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    world = World(
        tmp_path,
        config(
            [{"name": "box", "type": "local", "path": str(blocked / "inside")}],
            notify={"customer": ["data@acme.example"]},
        ),
    )
    run = world.plan(Reason.TEST)
    world.package(run, FIRST)
    fence = run.begin("upload", "box")
    run.ledger.end_attempt(
        fence, RunState.FAILED, "sftp://files: disk full [customer acts: free space]", Action.CUSTOMER
    )
    sent: list[Message] = []
    with pytest.raises(TerminalError):
        mails(world, sent)
    assert "disk full [customer acts: free space]" in sent[0].text
    assert "Our operators" not in sent[0].text


def test_a_run_that_brought_nothing_new_says_so(world: World) -> None:
    # DX-042
    world.deliver(FIRST)
    world.deliver(FIRST, reason=Reason.BACKFILL)
    sent: list[Message] = []
    assert mails(world, sent)["data@acme.example"].subject.endswith(": nothing new")


def test_the_same_mail_has_the_same_message_id(world: World) -> None:
    # DX-042
    world.deliver(FIRST)
    first: list[Message] = []
    mails(world, first)
    assert first[0].message_id == first[0].message_id.strip()
    assert first[0].message_id.startswith("<") and first[0].message_id.endswith("@outfeed>")
    assert " " not in first[0].message_id


def test_a_complete_delivery_beside_records_of_no_site_asks_operators_for_nothing_but_their_repair(
    world: World,
) -> None:
    world.deliver(FIRST)
    assert world.context is not None
    outcome = read_outcome(world.context)
    part = dataclasses.replace(outcome.parts[0], unplaced=3)
    outcome = dataclasses.replace(outcome, parts=(part, *outcome.parts[1:]))
    ours = compose(world.context, outcome, "ops@platform.example", for_customer=False).text
    theirs = compose(world.context, outcome, "data@acme.example", for_customer=True).text
    assert "3 records of the platform in this window have no site or no date" in ours
    assert "Nobody needs to act for this delivery." in ours
    assert "Nobody needs to act." in theirs
    assert "no site" not in theirs
