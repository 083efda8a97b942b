"""What Google allows as the name of a bucket."""

from __future__ import annotations

import re


def bucket_problem(bucket: str) -> str | None:
    """Why `bucket` can't be the name of a bucket of Google's, or None."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket):
        return (
            "a bucket name has 3 to 63 lower-case letters, digits or any of '-_.', and begins and ends well"
        )
    parts = bucket.split(".")
    if any(not 1 <= len(part) <= 63 for part in parts) or len(bucket) > (63 if len(parts) == 1 else 222):
        return "a bucket name, and each part of it between dots, has at most 63 characters"
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", bucket):
        return "a bucket name is no IP address"
    if bucket.startswith("goog") or "google" in bucket:
        return "Google gives no bucket a name that begins with 'goog' or holds 'google'"
    return None
