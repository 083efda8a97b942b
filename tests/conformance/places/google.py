"""Google Cloud Storage by its XML API, on our stand-in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from outfeed.connectors import GoogleOptions
from outfeed.connectors.base import Credentials
from tests.conformance.places.base import Place, Right
from tests.conformance.places.s3 import BucketPlace
from tests.servers import versions
from tests.servers.google_xml import GoogleXml, google_xml
from tests.servers.s3 import s3_server


class GooglePlace(BucketPlace):
    """With an HMAC key, over the XML API."""

    fixture = "google"
    evidence = "our own stand-in of Google's XML API before a product that speaks S3"
    verified = "md5"

    def __init__(self, google: GoogleXml) -> None:
        super().__init__(google.store)
        self.google = google
        self.options = GoogleOptions(
            type="google",
            name="google",
            google_bucket=self.bucket,
            google_key_prefix=self.prefix,
            connection="customer_google",
        )
        self.credentials = Credentials(
            login=google.access_key, password=google.secret_key, extra={"endpoint_url": google.endpoint}
        )

    def product(self) -> str:
        return f"tests/servers/google_xml.py before {versions.seaweedfs()}"

    @contextlib.contextmanager
    def without(self, right: Right) -> Iterator[tuple[Place, str]]:
        if right == "overwrite":
            self.google.may_overwrite = False
        else:
            self.google.may_delete = False
        yield self, "**mocked**: our stand-in answers 403"

    @contextlib.contextmanager
    def full(self) -> Iterator[tuple[Place, int, Callable[[], None], str]]:
        with s3_server(megabytes=40) as server, google_xml(server) as google:
            how = "the files of the server behind it on a file system of 40 MB"
            yield type(self)(google), 100_000_000, server.give_room, how
