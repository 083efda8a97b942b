"""Contents sent to a bucket without what boto3 spends on each request: several times the cost of sending it.

boto3 resolves endpoint, region and identity, and its settings count; its models, events and connections
are left out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import hashlib
import hmac
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from outfeed.connectors.http_direct import Connections, Response, host_and_target

#: The name is taken, or somebody else is creating it.
_TAKEN = (409, 412)

#: Answers that say nothing against sending further requests in this way.
_PASSING = (403, 404, 408, 429)

#: Of method, URL, headers and time, makes the headers that sign the request; `Host` is signed, too.
Sign = Callable[[str, str, Mapping[str, str], dt.datetime], Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a bucket's objects are and who signs for them.

    Attributes:
        url: of the bucket, ending in a slash.
        headers: of each request.
    """

    url: str
    sign: Sign
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer that is certain: the content was taken, or its name is.

    Attributes:
        headers: their names are in lower case.
    """

    taken: bool
    headers: Mapping[str, str]


class DirectPuts:
    """Guarantees that an answer is certain, and gives none otherwise: then boto3 is to send the request.

    So boto3 repeats what can be repeated, follows a bucket to its region, and raises the error that is one.
    A store that does not understand such requests is not sent a second one.

    Args:
        client: of boto3.
        resolve: tells the origin when the first content is sent; None leaves all to boto3.
    """

    def __init__(self, client: Any, resolve: Callable[[], Origin | None]) -> None:
        self._client = client
        self._resolve = resolve
        self._refused = False
        self._open = contextlib.ExitStack()

    def close(self) -> None:
        """Closes the connections; nobody may be sending."""
        self._open.close()

    @functools.cached_property
    def _way(self) -> tuple[Origin, Connections] | None:
        origin = self._resolve()
        connections = None if origin is None else _connections(self._client, origin.url)
        if origin is None or connections is None:
            return None
        self._open.callback(connections.close)
        return origin, connections

    def put(
        self, key: str, content: bytes, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> Answer | None:
        """Sends a content once; all its headers are signed, so one must hold a digest of it."""
        way = None if self._refused else self._way
        if way is None:
            return None
        origin, connections = way
        arguments = "&".join(f"{name}={quote(value, safe='')}" for name, value in (query or {}).items())
        url = f"{origin.url}{quote(key, safe='/~')}{'?' if arguments else ''}{arguments}"
        stated = {**headers, **origin.headers}
        signed = {**stated, **origin.sign("PUT", url, stated, dt.datetime.now(dt.UTC))}
        try:
            response = connections.send("PUT", url, signed, [content])
        except OSError:
            return None
        return self._understood(response)

    def _understood(self, response: Response) -> Answer | None:
        status = response.status
        if status == 200 or status in _TAKEN:
            return Answer(status in _TAKEN, response.headers)
        if status < 500 and status not in _PASSING:
            self._refused = True
        return None


def _connections(client: Any, url: str) -> Connections | None:
    """Connections as boto3 would open them; None where a proxy stands between, which is left to boto3."""
    from botocore.httpsession import get_cert_path

    session, config = client._endpoint.http_session, client.meta.config
    if session._proxy_config.proxy_url_for(url) or not session._verify:
        return None
    known = get_cert_path(session._verify)
    tls = ssl.create_default_context(cafile=known) if url.startswith("https:") else None
    timeout = config.connect_timeout, config.read_timeout
    return Connections(url, timeout, config.max_pool_connections, tls)


class AmazonSignature:
    """Amazon's signature, version 4, of a request whose headers hold a digest of its content.

    The key that a day's requests are signed with is derived once.

    Args:
        credentials: of botocore, which renews them when they expire.
    """

    def __init__(self, credentials: Any, region: str) -> None:
        self._credentials = credentials
        self._region = region
        self._derived = ("", "", b"")

    def sign(self, method: str, url: str, headers: Mapping[str, str], now: dt.datetime) -> dict[str, str]:
        """The headers that sign a request; see `Sign`."""
        known = self._credentials.get_frozen_credentials()
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        # The digest among the headers is signed; a second one would only cost.
        own = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "X-Amz-Date": stamp}
        if known.token:
            own["X-Amz-Security-Token"] = known.token
        host, target = host_and_target(url)
        path, _, query = target.partition("?")
        stated = {"host": host, **headers, **own}
        canonical = sorted((name.lower(), value.strip()) for name, value in stated.items())
        names = ";".join(name for name, _ in canonical)
        lines = [f"{name}:{value}" for name, value in canonical]
        ordered = "&".join(sorted(query.split("&")))
        request = "\n".join([method, path, ordered, *lines, "", names, own["X-Amz-Content-SHA256"]])
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key(known.secret_key, scope), text.encode(), "sha256").hex()
        credential = f"Credential={known.access_key}/{scope}"
        own["Authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
        return own

    def _key(self, secret: str, scope: str) -> bytes:
        secret_then, scope_then, key = self._derived
        if (secret_then, scope_then) != (secret, scope):
            key = f"AWS4{secret}".encode()
            for step in scope.split("/"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._derived = (secret, scope, key)
        return key


def amazon_origin(client: Any, bucket: str) -> Origin | None:
    """A bucket of S3's as boto3 addresses it; None where it would sign in another way than most.

    boto3 tells its endpoint and its region by a signed URL, without a request to the bucket.
    """
    signed = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key"}))
    query = dict(parse_qsl(signed.query))
    scope = query.get("X-Amz-Credential", "").split("/")
    if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or scope[-2:] != ["s3", "aws4_request"]:
        return None
    signature = AmazonSignature(client._request_signer._credentials, scope[-3])
    return Origin(f"{signed.scheme}://{signed.netloc}{signed.path.removesuffix('key')}", signature.sign)
