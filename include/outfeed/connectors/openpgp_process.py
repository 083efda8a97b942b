"""Encrypts standard input to standard output with OpenPGP. First come the key's length and the key."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Ends with a message and code 1 if nobody can encrypt for the key."""
    import pysequoia

    size = int.from_bytes(_exactly(8))
    key = _exactly(size)
    try:
        recipient = pysequoia.Cert.from_bytes(key)
        pysequoia.encrypt_file("/dev/stdin", "/dev/stdout", [recipient], armor=False)
    except Exception as error:  # noqa: BLE001 - the library has no class for its errors
        sys.exit(str(error))


def _exactly(size: int) -> bytes:
    """Unbuffered: what follows the key belongs to the library."""
    content = b""
    while len(content) < size:
        part = os.read(sys.stdin.fileno(), size - len(content))
        if not part:
            raise EOFError
        content += part
    return content


if __name__ == "__main__":
    main()
