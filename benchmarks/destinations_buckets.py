"""Many small files, and a big one, to buckets: ours against what others use, in its best setting.

On loopback the server shares the processors with the client and takes more of them, so that any client is
at most as much faster as the server leaves. A store that costs next to nothing shows the clients alone.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.destinations_sides import (
    NUMBERS,
    SMALL,
    Measured,
    Small,
    boto3_big,
    boto3_small,
    deliver,
    google_small,
    s5cmd_small,
)
from benchmarks.processes import in_process
from benchmarks.quick_store import quick_store
from benchmarks.report import Row, ratios, row
from outfeed.connectors import GcsOptions, S3Options
from outfeed.connectors.base import Credentials
from tests.servers.gcs import GcsServer, gcs_server
from tests.servers.proxy import delay_proxy
from tests.servers.s3 import S3Server, s3_server

#: Seconds of a round trip to a server that is not next door.
DELAY = 0.030
BUCKET = "bench"
OURS_AT_ONCE = 64

#: In which settings the others are tried in each round; the faster one counts.
BOTO3_AT_ONCE = (10, 32)
S5CMD_AT_ONCE = (64, 256)
GOOGLE_AT_ONCE = (("thread", 8), ("thread", 32), ("process", 2))

Samples = dict[str, list[Measured]]
#: Looks at what a side has left below a prefix.
Check = Callable[[Small], None]


def bucket_rows(big: Path, files: int, rounds: int) -> list[Row]:
    """All of S3, then all of Google's."""
    rows: list[Row] = []
    content = os.urandom(SMALL)
    with s3_server() as s3:
        s3.make_bucket(BUCKET)
        check = s3_check(s3)
        # The first files of a new bucket wait until it has volumes.
        in_process(s5cmd_small, s3, 64, Small(content, 200, BUCKET, "first/"))
        rows += s3_rows("S3", s3, content, files, rounds, check)
        with delay_proxy(s3.port, DELAY) as port:
            rows += s3_rows("S3 30 ms away", S3Server(port), content, files // 2, rounds, check)
        rows += s3_big(s3, big, rounds)
    with gcs_server() as gcs:
        gcs.make_bucket(BUCKET)
        rows += gcs_rows("GCS", gcs, content, files, rounds, gcs_check(gcs))
    for name, delay in (("", 0.0), (", 30 ms later", DELAY)):
        with quick_store(SMALL, delay) as port:
            rows += s3_rows(f"S3, free server{name}", S3Server(port), content, 2 * files, rounds, None)
        with quick_store(SMALL, delay) as port:
            rows += gcs_rows(f"GCS, free server{name}", GcsServer(port), content, 2 * files, rounds, None)
    return rows


def s3_rows(
    where: str, server: S3Server, content: bytes, files: int, rounds: int, check: Check | None
) -> list[Row]:
    """Small files against boto3's transfer manager and s5cmd."""
    samples: Samples = defaultdict(list)
    for _ in range(rounds):
        sent = Small(content, files, BUCKET, f"p{next(NUMBERS)}/")
        samples["ours"].append(
            in_process(deliver, s3_options(sent.prefix), s3_credentials(server), content, files)
        )
        if check is not None:
            check(sent)
        managers = [partial(in_process, boto3_small, server, count) for count in BOTO3_AT_ONCE]
        samples["boto3"].append(best(managers, content, files // 2, check))
        programs = [partial(in_process, s5cmd_small, server, count) for count in S5CMD_AT_ONCE]
        samples["s5cmd"].append(best(programs, content, files, check))
    ours, boto3, s5cmd = (rates(samples[name]) for name in ("ours", "boto3", "s5cmd"))
    return [
        row(f"{where}, small files, ours", ours, "files/s"),
        row(f"{where}, small files, boto3's transfer manager", boto3, "files/s"),
        row(f"{where}, small files, s5cmd", s5cmd, "files/s"),
        row(f"{where}, small files, ours / boto3", ratios(ours, boto3), "×", ">= 4"),
        row(f"{where}, small files, ours / s5cmd", ratios(ours, s5cmd), "×", ">= 1.2"),
        row(f"{where}, small files, memory", [one.megabytes for one in samples["ours"]], "MB", "<= 128"),
    ]


def s3_big(server: S3Server, big: Path, rounds: int) -> list[Row]:
    """One big file against boto3."""
    ours, theirs = [], []
    for _ in range(rounds):
        prefix = f"p{next(NUMBERS)}/"
        ours.append(in_process(deliver, s3_options(prefix), s3_credentials(server), str(big), 1))
        head = server.client().head_object(Bucket=BUCKET, Key=f"{prefix}big.bin")
        assert head["ContentLength"] == big.stat().st_size
        theirs.append(in_process(boto3_big, server, BUCKET, str(big)))
    seconds, others = ([one.seconds for one in side] for side in (ours, theirs))
    return [
        row("S3, one big file, ours", seconds, "s"),
        row("S3, one big file, boto3's upload_file", others, "s"),
        row("S3, one big file, ours / boto3 (time)", ratios(seconds, others), "×", "<= 1.1"),
        row("S3, one big file, memory", [one.megabytes for one in ours], "MB", "<= 128"),
    ]


def gcs_rows(
    where: str, server: GcsServer, content: bytes, files: int, rounds: int, check: Check | None
) -> list[Row]:
    """Small files against Google's own transfer manager."""
    samples: Samples = defaultdict(list)
    credentials = Credentials(
        extra={"api_endpoint": server.endpoint, "is_anonymous": True, "project": "test"}
    )
    for _ in range(rounds):
        sent = Small(content, files, BUCKET, f"p{next(NUMBERS)}/")
        samples["ours"].append(in_process(deliver, gcs_options(sent.prefix), credentials, content, files))
        if check is not None:
            check(sent)
        managers = [partial(in_process, google_small, server, *setting) for setting in GOOGLE_AT_ONCE]
        samples["google"].append(best(managers, content, files // 2, check))
    ours, google = (rates(samples[name]) for name in ("ours", "google"))
    return [
        row(f"{where}, small files, ours", ours, "files/s"),
        row(f"{where}, small files, google-cloud-storage's transfer manager", google, "files/s"),
        row(f"{where}, small files, ours / google-cloud-storage", ratios(ours, google), "×", ">= 4"),
        row(f"{where}, small files, memory", [one.megabytes for one in samples["ours"]], "MB", "<= 128"),
    ]


def best(
    settings: Sequence[Callable[[Small], Measured]], content: bytes, files: int, check: Check | None
) -> Measured:
    """The fastest of the settings, each below a prefix of its own; what it has left is looked at."""
    found = []
    for run in settings:
        sent = Small(content, files, BUCKET, f"p{next(NUMBERS)}/")
        found.append(run(sent))
        if check is not None:
            check(sent)
    return max(found, key=lambda one: one.rate)


def rates(side: Sequence[Measured]) -> list[float]:
    """Files per second of each round."""
    return [one.rate for one in side]


def s3_options(prefix: str) -> S3Options:
    """A destination below a prefix."""
    return S3Options(
        type="s3",
        name="bench",
        s3_bucket=BUCKET,
        s3_key_prefix=prefix,
        parallel=OURS_AT_ONCE,
        connection="bench",
    )


def s3_credentials(server: S3Server) -> Credentials:
    """The values of its connection."""
    extra = {"endpoint_url": server.endpoint, "region_name": server.region, "addressing_style": "path"}
    return Credentials(login=server.access_key, password=server.secret_key, extra=extra)


def gcs_options(prefix: str) -> GcsOptions:
    """A destination below a prefix."""
    return GcsOptions.model_validate(
        {
            "type": "gcs",
            "name": "bench",
            "storage_uri": f"gs://{BUCKET}/{prefix}",
            "parallel": OURS_AT_ONCE,
            "connection": "bench",
        }
    )


def s3_check(server: S3Server) -> Check:
    """Looks at number, size and MD5 of the objects, with boto3."""

    def check(sent: Small) -> None:
        pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=sent.prefix)
        found = [item for page in pages for item in page.get("Contents", ())]
        digest = hashlib.md5(sent.content, usedforsecurity=False).hexdigest()
        require([(item["Size"], item["ETag"].strip('"')) for item in found], sent, digest)

    return check


def gcs_check(server: GcsServer) -> Check:
    """Looks at number, size and CRC32C of the objects, with Google's client."""
    import base64

    import google_crc32c

    def check(sent: Small) -> None:
        found = server.client().list_blobs(BUCKET, prefix=sent.prefix)
        digest = base64.b64encode(google_crc32c.value(sent.content).to_bytes(4, "big")).decode()
        require([(blob.size, blob.crc32c) for blob in found], sent, digest)

    return check


def require(found: Sequence[tuple[int, str]], sent: Small, digest: str) -> None:
    """All files are there, and each is what was sent."""
    assert list(found) == [(len(sent.content), digest)] * sent.files, (sent.prefix, len(found))
