"""Google's own signature of a request, with an HMAC key: GOOG4-HMAC-SHA256 (VI-D21).

Amazon's signature would do for a plain upload, but its headers begin with `x-amz-`, and Google refuses a
request that mixes them with `x-goog-` ones (ExcessHeaderValues). The only condition that Google honours on a
write is such a header, `x-goog-if-generation-match`; `If-None-Match` is ignored there.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

_ALGORITHM = "GOOG4-HMAC-SHA256"

#: Signed besides `host` and all of Google's own: proxies on the way leave these as they are.
_ALSO_SIGNED = frozenset(["content-md5", "content-type"])


@dataclasses.dataclass(frozen=True)
class HmacKey:
    """An access key and its secret. Never logged, never repr'd."""

    access_key: str
    secret_key: str = dataclasses.field(repr=False)

    def sign(self, request: Any, **_: Any) -> None:
        """Signs a request of botocore's, as often as it is sent; a handler of its event `before-sign`."""
        headers = {name: value for name, value in request.headers.items() if not _is_amazons(name)}
        signed = signed_headers(self, request.method, request.url, headers, dt.datetime.now(dt.UTC))
        for name in set(request.headers.keys()):
            if _is_amazons(name):
                del request.headers[name]
        for name, value in signed.items():
            del request.headers[name]
            request.headers[name] = value


def _is_amazons(name: str) -> bool:
    return name.lower().startswith("x-amz-")


def signed_headers(
    key: HmacKey, method: str, url: str, headers: Mapping[str, Any], now: dt.datetime
) -> dict[str, str]:
    """The headers that sign a request whose body is not part of the signature.

    TLS protects the body on its way, and the store's digest of it is compared afterwards: so a file of any
    size is read once.
    """
    parts = urlsplit(url)
    stamp, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    own = {"x-goog-content-sha256": "UNSIGNED-PAYLOAD", "x-goog-date": stamp}
    lowered = {name.lower(): " ".join(_text(value).split()) for name, value in headers.items()}
    kept = {name: value for name, value in lowered.items() if name in _ALSO_SIGNED or _is_googles(name)}
    canonical = dict(sorted((kept | own | {"host": parts.netloc}).items()))
    names = ";".join(canonical)
    request = "\n".join(
        [
            method,
            parts.path or "/",
            _canonical_query(parts.query),
            *(f"{name}:{value}" for name, value in canonical.items()),
            "",
            names,
            own["x-goog-content-sha256"],
        ]
    )
    scope = f"{day}/auto/storage/goog4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    derived = f"GOOG4{key.secret_key}".encode()
    for step in scope.split("/"):
        derived = hmac.digest(derived, step.encode(), "sha256")
    signature = hmac.digest(derived, text.encode(), "sha256").hex()
    credential = f"Credential={key.access_key}/{scope}"
    authorization = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    return own | {"Authorization": authorization}


def _is_googles(name: str) -> bool:
    return name.startswith("x-goog-")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _canonical_query(query: str) -> str:
    pairs = [
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
