"""The web app behind the links in mails (DX-040, DX-041); open to whoever has a token, to nobody else.

Opening a page changes nothing, however often and by whatever program: only a click on a button does, which is
a POST. It is recorded, and answered by a redirect to a URL that works for some minutes: the store's own, or
one of ours. Expired and revoked links are gone (410), unknown ones were never there (404).
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from fastapi import FastAPI, Request
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.exceptions import HTTPException
from starlette.responses import Response

from outfeed.connectors.email_link import PAGES_HEADER
from outfeed.connectors.link_store import disposition
from outfeed.errors import OutfeedError
from outfeed.ledger.links import Click, LinkRecord
from outfeed.ledger.records import FileKind, FileRecord, FileState
from outfeed_airflow.link_archive import BLOCK_SIZE, archive
from outfeed_airflow.link_guard import Guard, Misses
from outfeed_airflow.link_pages import ASK, files_page, message_page, policy

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from outfeed.connectors.link_store import LinkStore
    from outfeed.ledger import Ledger

log = logging.getLogger(__name__)

#: Seconds for which the store's signed URL works, and for which our own does: it may be resumed.
SIGNED_SECONDS = 300
TICKET_LIFE = dt.timedelta(minutes=10)

_OCTETS = "application/octet-stream"
_ORDER = {FileKind.DATA: 0, FileKind.SIDECAR: 1, FileKind.MANIFEST: 2, FileKind.MARKER: 3}


def make_app(
    ledger: Callable[[], Ledger],
    open_folder: Callable[[str], LinkStore],
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> ASGIApp:
    """The app, to be mounted anywhere.

    Args:
        ledger: gives the ledger, always the same.
        open_folder: the folder of a URI, with the credentials that it needs.
        now: the time that decides whether a link works.
    """
    pages = _Pages(ledger, open_folder, now)
    app = FastAPI(
        title="Outfeed links", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    read = ["GET", "HEAD"]
    app.add_api_route("/", pages.front, methods=read, response_class=PlainTextResponse)
    app.add_api_route("/download/{ticket}", pages.download, methods=read, response_class=Response)
    app.add_api_route("/{token}", pages.show, methods=read, response_class=HTMLResponse)
    app.add_api_route("/{token}/all", pages.take_all, methods=["POST"], response_class=Response)
    app.add_api_route("/{token}/files/{number}", pages.take, methods=["POST"], response_class=Response)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(OutfeedError, _failed)
    return Guard(app)


class _Pages:
    """The routes."""

    def __init__(
        self,
        ledger: Callable[[], Ledger],
        open_folder: Callable[[str], LinkStore],
        now: Callable[[], dt.datetime],
    ) -> None:
        self._ledger = ledger
        self._open_folder = open_folder
        self._now = now
        self._misses = Misses()

    def front(self) -> Response:
        """By this a preflight knows that the public URL leads here."""
        return PlainTextResponse("Outfeed: links to deliveries\n", headers={PAGES_HEADER: "links"})

    def show(self, request: Request, token: str) -> Response:
        """The page with the files."""
        link = self._link(request, token)
        origin = self._folder(link).origin()
        # Browsers apply the policy of a form to what its answer redirects to.
        forms = f"'self' {origin}" if origin else "'self'"
        return HTMLResponse(
            files_page(link, self._files(link), token), headers={"content-security-policy": policy(forms)}
        )

    def take(self, request: Request, token: str, number: str) -> Response:
        """A click on the button of one file."""
        link = self._link(request, token)
        files = self._files(link)
        if not (number.isascii() and number.isdigit() and len(number) < 7 and int(number) < len(files)):
            raise HTTPException(404)
        file = files[int(number)]
        signed = self._folder(link).url(file.path, _name(file, files), seconds=SIGNED_SECONDS)
        if signed is None:
            return _redirect(f"../../download/{self._click(request, link, file.path)}")
        self._click(request, link, file.path, ticket=False)
        return _redirect(signed)

    def take_all(self, request: Request, token: str) -> Response:
        """A click on the button of all files."""
        link = self._link(request, token)
        self._folder(link)
        return _redirect(f"../download/{self._click(request, link, None)}")

    def download(self, request: Request, ticket: str) -> Response:
        """What a click asked for; may be resumed as long as the ticket lives."""
        client = self._unblocked(request)
        found = self._ledger().links.by_ticket(_digest(ticket))
        if found is None:
            self._misses.add(client)
            raise HTTPException(404)
        click, link = found
        if not link.works(self._now()) or self._now() >= click.at + TICKET_LIFE:
            raise HTTPException(410)
        folder, files = self._folder(link), self._files(link)
        if click.path is None:
            return _archived(folder, link, files, head=request.method == "HEAD")
        file = next(file for file in files if file.path == click.path)
        return _sent(folder, file, _name(file, files), head=request.method == "HEAD")

    # -- what the routes share

    def _link(self, request: Request, token: str) -> LinkRecord:
        """The link of a token. What is no token at all takes the same way as a wrong one."""
        client = self._unblocked(request)
        link = self._ledger().links.by_token(_digest(token))
        if link is None:
            self._misses.add(client)
            raise HTTPException(404)
        if not link.works(self._now()):
            raise HTTPException(410)
        return link

    def _unblocked(self, request: Request) -> str:
        client = _client(request)
        if self._misses.blocked(client):
            raise HTTPException(429)
        return client

    def _files(self, link: LinkRecord) -> list[FileRecord]:
        """What the delivery brought, data first; a file's place in this list is its number."""
        found = self._ledger().files_of_run(link.customer, link.run_id, link.location)
        delivered = [file for file in found if file.state is FileState.DELIVERED and file.kind in _ORDER]
        return sorted(delivered, key=lambda file: (_ORDER[file.kind], file.path))

    def _folder(self, link: LinkRecord) -> LinkStore:
        root = self._ledger().links.root(link)
        if root is None:
            raise HTTPException(410)
        return self._open_folder(root)

    def _click(self, request: Request, link: LinkRecord, path: str | None, *, ticket: bool = True) -> str:
        """Records the click; gives the ticket."""
        made = secrets.token_urlsafe(32) if ticket else ""
        agent = request.headers.get("user-agent", "")
        self._ledger().links.record_click(
            Click(
                link_id=link.id,
                at=self._now(),
                token_prefix=link.token_sha256[:12],
                path=path,
                client=_client(request),
                user_agent="".join(c if c.isprintable() else "?" for c in agent[:200]),
                ticket_sha256=_digest(made) if ticket else None,
            )
        )
        return made


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _client(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _redirect(url: str) -> Response:
    return RedirectResponse(url, status_code=303)


def _name(file: FileRecord, files: list[FileRecord]) -> str:
    """What a browser saves a file as: its name, or its whole path where two have the same name."""
    name = file.path.rpartition("/")[2]
    same = [other for other in files if other.path.rpartition("/")[2] == name]
    return name if len(same) == 1 else file.path.replace("/", "_")


def _sent(folder: LinkStore, file: FileRecord, name: str, *, head: bool) -> Response:
    headers = {
        # Airflow's API server would compress what passes through it, and the length would be lost.
        "content-encoding": "identity",
        "content-disposition": disposition(name),
        "etag": f'"{file.sha256}"',
    }
    local = folder.local_path(file.path)
    if local is not None:
        if not local.is_file():
            raise _lost(file)
        return FileResponse(local, media_type=_OCTETS, headers=headers)
    headers["content-length"] = str(file.bytes)
    if head:
        return Response(media_type=_OCTETS, headers=headers)
    return StreamingResponse(_blocks(_opened(folder, file)), media_type=_OCTETS, headers=headers)


def _archived(folder: LinkStore, link: LinkRecord, files: list[FileRecord], *, head: bool) -> Response:
    name = f"{link.customer}_{link.dataset}_{link.start:%Y%m%dT%H%M%SZ}_{link.end:%Y%m%dT%H%M%SZ}"
    headers = {
        "content-encoding": "identity",
        "content-disposition": disposition(f"{name}_r{link.revision}.zip"),
    }
    if head:
        return Response(media_type="application/zip", headers=headers)
    contents = ((file.path, functools.partial(_opened, folder, file)) for file in files)
    return StreamingResponse(archive(contents), media_type="application/zip", headers=headers)


def _opened(folder: LinkStore, file: FileRecord) -> BinaryIO:
    try:
        return folder.open(file.path)
    except FileNotFoundError:
        raise _lost(file) from None


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while block := stream.read(BLOCK_SIZE):
            yield block


def _lost(file: FileRecord) -> HTTPException:
    log.error("%s of %s, run %s, is not in the store of links", file.path, file.customer, file.run_id)
    return HTTPException(503)


_PAGES = {
    404: (
        "There is nothing here",
        "This address leads to no delivery. Please check that it is complete.",
        ASK,
    ),
    405: ("This is not possible here", ASK),
    410: ("This link is over", "It has expired or was revoked, or the download took too long to begin.", ASK),
    429: ("Too many attempts", "Please try again in a minute."),
    503: ("This does not work at the moment", "Please try again in some minutes.", ASK),
}


async def _refused(request: Request, error: Any) -> Response:
    status = error.status_code if error.status_code in _PAGES else 404
    headers = {"retry-after": "60"} if status in (429, 503) else {}
    return HTMLResponse(message_page(*_PAGES[status]), status_code=status, headers=headers)


async def _failed(request: Request, error: Any) -> Response:
    log.error("a page of links failed: %s", error)
    return await _refused(request, HTTPException(503))
