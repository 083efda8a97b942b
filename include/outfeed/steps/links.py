"""After a delivery to a store of ours: one mail to each recipient, with their own link (DX-040 to DX-045).

The order is the promise: files, manifest and marker are there before a link is recorded, and the link is
recorded before its mail is sent (DX-045). A try that is killed in between continues with the same link, so a
mail that is sent again is the same mail, under the same Message-ID.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import html
import logging
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

from outfeed.connectors import DestinationModel
from outfeed.connectors.base import Check, DestinationOptions, LinkOffer
from outfeed.connectors.email_link import PAGES, require_public_url
from outfeed.connectors.transfer import Step, run_steps
from outfeed.errors import Action, OutfeedError, RecipientRefusedError, TerminalError, TransientError
from outfeed.home import public_url
from outfeed.ledger.links import LinkRecord
from outfeed.ledger.records import DeliveryRecord, Fence
from outfeed.ledger.store import now
from outfeed.steps.context import RunContext
from outfeed.steps.notify import Message
from outfeed.windows import format_instant

log = logging.getLogger(__name__)

#: Bytes of a token: nobody guesses 256 bits.
TOKEN_BYTES = 32

_STEP = "link"
_OTHER_ADDRESS = "give us an address that takes our mails; what is stored waits for it"


def token_digest(token: str) -> str:
    """What the ledger keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Post:
    """The way to the mail server, as the caller has it.

    Attributes:
        send: hands one mail to the server; RecipientRefusedError if it will never take it.
        probe: asks the server whether it would take a mail to an address, and sends none; for None only
            whether it lets us in.
    """

    send: Callable[[Message], None]
    probe: Callable[[str | None], None]


@dataclasses.dataclass(frozen=True)
class Mailing:
    """The links and mails of one run to one destination."""

    run: RunContext
    options: DestinationOptions
    offer: LinkOffer
    fence: Fence
    post: Post
    #: What the links begin with.
    pages: str

    @classmethod
    def of(
        cls,
        run: RunContext,
        options: DestinationModel,
        fence: Fence,
        post: Post | None,
    ) -> Self | None:
        """The mailing of a destination that offers links; None for all others.

        Raises:
            TerminalError: before anything is stored, if no mail with a link could be sent afterwards.
        """
        offer = options.link_offer()
        if offer is None:
            return None
        if post is None:
            raise TerminalError(
                f"destination {options.name!r} needs a mail server, and this caller has none",
                where=run.plan.customer,
                action=Action.ENGINEER,
                remedy="call upload with a way to the mail server",
            )
        return cls(run, options, offer, fence, post, require_public_url(public_url()) + PAGES)

    def placed(self) -> DestinationOptions:
        """The options with the folder of this run's delivery."""
        root = self.run.ledger.links.folder(self.fence, self.options.location(), self.offer.store)
        return self.options.placed(root)

    def checks(self) -> Iterator[Check]:
        """Steps of a preflight: the mail server lets us in, and takes mails to each recipient."""
        server = Step("mail server", partial(self._probe, None))
        recipients = [
            Step("recipients", partial(self._probe, recipient), ("mail server",))
            for recipient in self.offer.recipients
        ]
        yield from run_steps([server, *recipients])

    def _probe(self, recipient: str | None) -> str:
        try:
            self.post.probe(recipient)
        except RecipientRefusedError as error:
            raise RecipientRefusedError(
                error.what, where=error.where, action=Action.CUSTOMER, remedy=_OTHER_ADDRESS
            ) from error
        return "it lets us in" if recipient is None else f"it takes mails to {recipient}"

    def send_all(self) -> dict[str, int]:
        """Every recipient has been mailed a link to each delivery of this window that can be fetched.

        Also one of an earlier run: a recipient who is new, or was refused then, gets what the others have.

        Raises:
            TransientError: a mail could not be sent; a retry sends only those that are missing.
            TerminalError: an address was refused for good; the customer gives another. Others have theirs.
        """
        sent, failures = 0, list[OutfeedError]()
        for receipt in self._receipts():
            for recipient in self.offer.recipients:
                try:
                    sent += self._send_once(receipt, recipient)
                except OutfeedError as error:
                    log.error("the mail with the link to %s failed: %s", recipient, error)
                    failures.append(error)
        self._raise(failures)
        return {"mails": sent}

    def _receipts(self) -> list[DeliveryRecord]:
        plan, ledger, place = self.run.plan, self.run.ledger, self.options.location()
        receipts = ledger.deliveries_of_window(plan.customer, place, plan.delivery, plan.start, plan.end)
        return [
            receipt
            for receipt in receipts
            if receipt.run_id == plan.run_id
            or ledger.links.offered(plan.customer, place, receipt.run_id, now())
        ]

    def _send_once(self, receipt: DeliveryRecord, recipient: str) -> int:
        ledger, at = self.run.ledger, now()
        theirs = [
            link
            for link in ledger.links.of_delivery(receipt.customer, receipt.location, receipt.run_id)
            if link.recipient == recipient
        ]
        if any(link.sent_at and link.works(at) for link in theirs):
            return 0
        token, link = self._link(receipt, recipient, at)
        if link.sent_at:
            # Of this run, and over since: whoever needs another link starts another run.
            return 0
        try:
            self.post.send(compose(link, receipt, self.pages + token, self._names(receipt)))
        except RecipientRefusedError as error:
            ledger.links.record_refused(self.fence, link.id, error.what, now())
            raise
        ledger.links.record_sent(self.fence, link.id, now())
        return 1

    def _link(self, receipt: DeliveryRecord, recipient: str, at: dt.datetime) -> tuple[str, LinkRecord]:
        """The token and the record of a link: those of an earlier try, if there was one.

        The token waits in the run's staging folder, beside the very data that it leads to.
        """
        part = hashlib.sha256(f"{self.options.name}\n{receipt.run_id}\n{recipient}".encode()).hexdigest()
        made = {"id": secrets.token_hex(5), "token": secrets.token_urlsafe(TOKEN_BYTES)}
        kept = self.run.staging.publish(_STEP, part[:32], made)
        link = LinkRecord(
            id=kept["id"],
            token_sha256=token_digest(kept["token"]),
            customer=receipt.customer,
            location=receipt.location,
            destination=self.options.name,
            run_id=receipt.run_id,
            recipient=recipient,
            dataset=receipt.dataset,
            start=receipt.start,
            end=receipt.end,
            revision=receipt.revision,
            supersedes=self._superseded(receipt, recipient),
            created_at=at,
            expires_at=at + dt.timedelta(days=self.offer.days),
        )
        return kept["token"], self.run.ledger.links.record(self.fence, link)

    def _superseded(self, receipt: DeliveryRecord, recipient: str) -> str | None:
        """The recipient's newest link to an earlier revision of the same window."""
        ledger = self.run.ledger
        earlier = ledger.deliveries_of_window(
            receipt.customer, receipt.location, receipt.dataset, receipt.start, receipt.end
        )
        found = [
            link.id
            for one in earlier
            if one.revision < receipt.revision
            for link in ledger.links.of_delivery(one.customer, one.location, one.run_id)
            if link.recipient == recipient and link.sent_at
        ]
        return found[-1] if found else None

    def _names(self, receipt: DeliveryRecord) -> list[str]:
        found = self.run.ledger.files_of_run(receipt.customer, receipt.run_id, receipt.location)
        return [
            f"{file.path}, {file.rows or 0} records" for file in found if file.part and file.rows is not None
        ]

    def _raise(self, failures: list[OutfeedError]) -> None:
        if not failures:
            return
        transient = [error for error in failures if isinstance(error, TransientError)]
        refused = [error for error in failures if isinstance(error, RecipientRefusedError)]
        first = (transient or refused or failures)[0]
        kind: Any = TransientError if transient else TerminalError
        raise kind(
            f"{len(failures)} mails with links could not be sent: {first.what}",
            where=f"{self.run.plan.customer}, {self.options.name}",
            action=Action.CUSTOMER if first in refused else first.action,
            remedy=_OTHER_ADDRESS if first in refused else first.remedy,
        )


#: Names of files in a mail; the page has all of them.
_NAMES = 20


def compose(link: LinkRecord, receipt: DeliveryRecord, url: str, names: list[str]) -> Message:
    """The mail to one recipient: what there is, where, until when, and what it replaces."""
    window = f"{format_instant(link.start)} to {format_instant(link.end)}"
    until = format_instant(link.expires_at.replace(microsecond=0))
    days = (link.expires_at - link.created_at).days
    head = [
        f"Export of {link.customer}, {link.dataset}, {window}",
        "",
        f"{receipt.files} files with {receipt.rows} records, {receipt.bytes} bytes, can be downloaded from",
        "",
    ]
    rest = [
        "",
        f"until {until} ({days} days). The link is yours alone: whoever has it can download the files.",
        "Every download is recorded. The page shows the SHA-256 of each file.",
    ]
    if link.revision > 1:
        rest += [
            "",
            f"This is revision {link.revision}: it supersedes what was delivered for this window before.",
        ]
    if receipt.rows_rejected:
        rest += [
            "",
            f"{receipt.rows_rejected} records broke the contract and are in quarantine: not delivered.",
        ]
    if names:
        rest += ["", "Files:"] + [f"  {name}" for name in names[:_NAMES]]
        rest += [f"  and {len(names) - _NAMES} more"] if len(names) > _NAMES else []
    above, below = html.escape("\n".join(head)), html.escape("\n".join(rest))
    anchor = f'<a href="{html.escape(url)}">{html.escape(url)}</a>'
    revision = f" (revision {link.revision})" if link.revision > 1 else ""
    return Message(
        to=link.recipient,
        subject=f"[Outfeed] {link.customer} {window}: ready to download{revision}",
        text="\n".join([*head, f"  {url}", *rest]) + "\n",
        html=f"<pre>{above}</pre><p>{anchor}</p><pre>{below}</pre>",
        message_id=f"<link.{link.id}@outfeed>",
    )
