"""Contents sent to a bucket without what boto3 spends on each request: several times the cost of sending it.

boto3 resolves endpoint, region and identity, and owns the connections; only its models, events and
`Expect: 100-continue` are left out.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

#: The name is taken, or somebody else is creating it.
_TAKEN = (409, 412)

#: Answers that say nothing against sending further requests in this way.
_PASSING = (403, 404, 408, 429)


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a bucket's objects are and who signs for them.

    Attributes:
        url: of the bucket, ending in a slash.
        sign: adds the signature to a request of botocore's.
        headers: of each request.
    """

    url: str
    sign: Callable[[Any], None]
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

    @functools.cached_property
    def _origin(self) -> Origin | None:
        return self._resolve()

    def put(
        self, key: str, content: bytes, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> Answer | None:
        """Sends a content once; all its headers are signed, so one must hold a digest of it."""
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import HTTPClientError

        origin = None if self._refused else self._origin
        if origin is None:
            return None
        arguments = "&".join(f"{name}={quote(value, safe='')}" for name, value in (query or {}).items())
        url = f"{origin.url}{quote(key, safe='/~')}{'?' if arguments else ''}{arguments}"
        request = AWSRequest("PUT", url, headers={**headers, **origin.headers}, data=content)
        origin.sign(request)
        try:
            response = self._client._endpoint.http_session.send(request.prepare())
        except HTTPClientError:
            return None
        return self._understood(response)

    def _understood(self, response: Any) -> Answer | None:
        status = response.status_code
        if status == 200 or status in _TAKEN:
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(status in _TAKEN, names)
        if status < 500 and status not in _PASSING:
            self._refused = True
        return None


def amazon_origin(client: Any, bucket: str) -> Origin | None:
    """A bucket of S3's as boto3 addresses it; None where it would sign in another way than most.

    boto3 tells its endpoint and its region by a signed URL, without a request to the bucket.
    """
    from botocore.config import Config

    signed = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key"}))
    query = dict(parse_qsl(signed.query))
    scope = query.get("X-Amz-Credential", "").split("/")
    if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or scope[-2:] != ["s3", "aws4_request"]:
        return None
    region, signer = scope[-3], client._request_signer
    # The digest that each request carries is part of its signature; a second one would only cost.
    unsigned_payload = Config(s3={"payload_signing_enabled": False})

    def sign(request: Any) -> None:
        request.context["client_config"] = unsigned_payload
        signer.get_auth_instance("s3", region, "s3v4").add_auth(request)

    return Origin(f"{signed.scheme}://{signed.netloc}{signed.path.removesuffix('key')}", sign)
