"""Delivery by a temporary link in a mail: document 000's email connector (DX-040 to DX-045)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, field_validator

from outfeed.connectors.addresses import MailAddress
from outfeed.connectors.base import (
    Capabilities,
    Check,
    Connector,
    Credentials,
    Delivered,
    DestinationOptions,
    ExceptionType,
    FilenameStyle,
    LinkOffer,
    OurSide,
    Outgoing,
    RemoteFile,
    Undelivered,
)
from outfeed.connectors.link_store import checked_uri, connection_of, default_store, open_store
from outfeed.connectors.transfer import Step, run_steps
from outfeed.errors import Action, OutfeedError, TerminalError, TransientError
from outfeed.home import public_url

#: Where the pages are, below the public URL, and how a preflight knows them.
PAGES = "/outfeed/links/"
PAGES_HEADER = "X-Outfeed"


class EmailOptions(DestinationOptions):
    """Mailboxes that get a link each; the files wait in a store of ours."""

    #: The folders are ours, not the customer's.
    has_base: ClassVar[bool] = False

    type: Literal["email"]
    emails: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=50)] = Field(
        description="Who gets a link, each one of their own (DX-044)."
    )
    link_days: int = Field(default=7, ge=1, le=90, description="Days for which a link works (DX-041, D25).")
    storage_uri: str | None = Field(
        default=None,
        description="Our store: a folder, `s3://connection@bucket/folder` or `gs://…`; a relative one lies "
        "under OUTFEED_HOME. Default: OUTFEED_LINK_STORE_URI, or the folder `links`.",
    )
    filename_style: FilenameStyle = Field(
        default=FilenameStyle.PORTABLE,
        description="`portable` has no colon, which Windows does not save; `deepomatic` has.",
    )
    _root: str | None = PrivateAttr(default=None)

    @field_validator("emails")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        seen: set[str] = set()
        for address in value:
            if address.lower() in seen:
                raise ValueError(f"{address!r} is named twice")
            seen.add(address.lower())
        return value

    @field_validator("export_images")
    @classmethod
    def _no_images(cls, value: bool) -> bool:
        if value:
            raise ValueError(
                "a link in a mail gives no access to images (D26); leave it out, or deliver them to a "
                "destination of type sftp, gcs or s3"
            )
        return value

    @field_validator("storage_uri")
    @classmethod
    def _store(cls, value: str | None) -> str | None:
        return None if value is None else checked_uri(value)

    @property
    def store(self) -> str:
        """URI of the store."""
        return self.storage_uri or default_store()

    @property
    def root(self) -> str:
        """URI of the folder that files are put in: of one delivery, or the whole store for a preflight."""
        return self._root or self.store

    @property
    def connection_id(self) -> str | None:
        """The Airflow connection of the store, if it needs one."""
        return connection_of(self.store)

    def link_offer(self) -> LinkOffer:
        """See the base class."""
        return LinkOffer(self.emails, self.link_days, self.store)

    def placed(self, root: str) -> Self:
        """See the base class."""
        copy = self.model_copy()
        copy._root = root
        return copy

    def location(self) -> str:
        """`email:<name>`: people come and go, and their mailboxes are still the same place."""
        return f"email:{self.name}"

    def pool_name(self) -> str:
        """One pool for our stores."""
        return "destination_email"

    def onboarding(self, customer: str, ours: OurSide) -> dict[str, list[str]]:
        """Who gets what, and for how long."""
        return {
            "Each of these mailboxes gets a mail with a link of its own, once per run": list(self.emails),
            "What to know of the link": [
                f"it works for {self.link_days} days, and the mail says until when",
                "it is personal: whoever has it can download the files, and each download is recorded",
                "it leads to the data files with manifest and checksums; images are not among them",
                "downloads need HTTPS to our public address" + (f" {url}" if (url := public_url()) else ""),
            ],
        }


class EmailConnector(Connector):
    """Puts files where a link will lead to; the mails are sent by whoever has the ledger.

    See the base class for the promises: they are those of the connector for the kind of store.
    """

    type = "email"
    capabilities = Capabilities(atomic="put", conditional_create=True, checksum=None, temporary=True)
    options_model = EmailOptions

    def __init__(self, options: EmailOptions, credentials: Credentials, *, attempt: str) -> None:
        super().__init__(options, credentials, attempt=attempt)
        store = open_store(options.root, credentials)
        self._inner = store.connector(attempt=attempt, parallel=options.parallel)
        self.capabilities = dataclasses.replace(self._inner.capabilities, temporary=True)

    def __enter__(self) -> Self:
        with _our_fault():
            self._inner.__enter__()
        return self

    def __exit__(
        self, kind: ExceptionType | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    def deliver(self, files: Iterable[Outgoing]) -> Iterator[Delivered | Undelivered]:
        """See the base class."""
        with _our_fault():
            for result in self._inner.deliver(files):
                if isinstance(result, Undelivered):
                    _blame_us(result.error)
                yield result

    def abandon(self, path: str, state: str) -> None:
        """See the base class."""
        with _our_fault():
            self._inner.abandon(path, state)

    def stat(self, path: str) -> RemoteFile | None:
        """See the base class."""
        with _our_fault():
            return self._inner.stat(path)

    def preflight(self) -> Iterator[Check]:
        """Tries the store as its own connector does, and whether customers reach our pages."""
        with _our_fault():
            for check in self._inner.preflight():
                if check.error is not None:
                    _blame_us(check.error)
                yield check
        yield from run_steps([Step("public url", partial(check_public_url, public_url()))])


@contextlib.contextmanager
def _our_fault() -> Iterator[None]:
    """To its own connector the store is a customer's place; here it is ours."""
    try:
        yield
    except OutfeedError as error:
        _blame_us(error)
        raise


def _blame_us(error: OutfeedError) -> None:
    if error.action is Action.CUSTOMER:
        error.action = Action.OPERATOR


def check_public_url(url: str | None) -> str:
    """The pages with the links answer at the public URL.

    Raises:
        TerminalError: no such URL, or something else answers.
        TransientError: nothing answers.
    """
    import urllib.error
    import urllib.request

    place = require_public_url(url) + PAGES
    request = urllib.request.Request(place, method="HEAD")  # noqa: S310 - the operator's own http(s) URL
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found = answer.headers.get(PAGES_HEADER)
    except urllib.error.HTTPError as error:
        raise _elsewhere(place, f"answered {error.code}") from error
    except OSError as error:
        raise TransientError(
            f"nothing answers: {error}",
            where=place,
            action=Action.OPERATOR,
            remedy="start the API server; let the proxy in front of it pass /outfeed/links/ on",
        ) from error
    if found != "links":
        raise _elsewhere(place, "something else answered")
    return f"{place} answers"


def _elsewhere(place: str, what: str) -> OutfeedError:
    return TerminalError(
        f"the pages with the links are not there: {what}",
        where=place,
        action=Action.OPERATOR,
        remedy="let OUTFEED_PUBLIC_URL name the address at which customers reach Airflow's API server",
    )


def require_public_url(url: str | None) -> str:
    """The address that mails show, without a slash at the end.

    Raises:
        TerminalError: there is none, or it would send links in clear.
    """
    if url is not None:
        return url
    raise TerminalError(
        "a mail with a link needs OUTFEED_PUBLIC_URL: an https address at which customers reach our pages",
        action=Action.OPERATOR,
        remedy="set it for the workers, like https://exports.example.com, and try again (a task: clear it)",
    )
