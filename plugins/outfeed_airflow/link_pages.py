"""The pages behind the links in mails, as HTML: what they show, and nothing of where it lies.

No page has a script, a picture, a cookie or a link: mail scanners that open everything change nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence

from outfeed.ledger.links import LinkRecord
from outfeed.ledger.records import FileRecord
from outfeed.windows import format_instant

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
body{color:#1b1f24;background:#fff}
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.4rem 0}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #c9ced6;vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap}code{overflow-wrap:anywhere;font-size:.85rem}
form{margin:0}button{font:inherit;padding:.35rem .8rem;border:1px solid #0b57d0;border-radius:.3rem}
button{background:#0b57d0;color:#fff;cursor:pointer}
button:focus-visible{outline:3px solid #f5b400;outline-offset:2px}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: Of every answer. A page adds where its forms may lead.
HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow, noarchive",
}

ASK = "Please ask whoever sent you the mail with this link."


def policy(forms: str = "'none'") -> str:
    """The content security policy of a page whose forms lead to these places, redirects included."""
    return (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {forms}"
    )


def message_page(title: str, *sentences: str) -> str:
    """A page that says something."""
    paragraphs = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    return _page(title, f"<h1>{html.escape(title)}</h1>{paragraphs}")


def files_page(link: LinkRecord, files: Sequence[FileRecord], token: str) -> str:
    """The files of a delivery, with a button for each and one for all.

    Args:
        token: of the link; the forms' targets are relative to the page's own address.
    """
    window = f"{format_instant(link.start)} to {format_instant(link.end)}"
    until = format_instant(link.expires_at.replace(microsecond=0))
    notes = [f"This link works until {until}. Every download is recorded."]
    if link.revision > 1:
        notes.append(
            f"This is revision {link.revision}. It supersedes what was delivered for this window before; "
            "files that have not changed since are not repeated."
        )
    title = f"{link.customer}: {link.dataset}"
    rows = "".join(_row(number, file, token) for number, file in enumerate(files))
    body = (
        f"<h1>{html.escape(title)}</h1><p>{html.escape(window)} (UTC)</p>"
        + "".join(f"<p>{html.escape(note)}</p>" for note in notes)
        + _form(f"{token}/all", "Download all files", f"all {len(files)} files as one archive")
        + "<table><caption>Files of this delivery</caption><thead><tr><th scope=col>File</th>"
        "<th scope=col class=number>Records</th><th scope=col class=number>Bytes</th>"
        "<th scope=col>SHA-256</th><th scope=col>Download</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        "<p>Archive and files can be checked with <code>sha256sum -c</code> and the list SHA256SUMS.</p>"
    )
    return _page(title, body)


def _row(number: int, file: FileRecord, token: str) -> str:
    rows = "" if file.rows is None else f"{file.rows:,}"
    return (
        f"<tr><td>{html.escape(file.path)}</td><td class=number>{rows}</td>"
        f"<td class=number>{file.bytes or 0:,}</td><td><code>{html.escape(file.sha256 or '')}</code></td>"
        f"<td>{_form(f'{token}/files/{number}', 'Download', file.path)}</td></tr>"
    )


def _form(action: str, text: str, label: str) -> str:
    spoken = f"{text}: {label}" if label else text
    return (
        f'<form method=post action="{html.escape(action)}">'
        f'<button type=submit aria-label="{html.escape(spoken)}">{html.escape(text)}</button></form>'
    )


def _page(title: str, body: str) -> str:
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )
