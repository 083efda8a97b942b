"""Our key pairs for SSH: the private half for a connection's extra, the public half for the customer."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from typing import Literal

from outfeed.errors import Action, ConfigError, TerminalError

#: RSA below this is refused, ours and whoever's.
MIN_RSA_BITS = 3072

KeyType = Literal["ed25519", "rsa"]


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """Both halves of a key. The private one is in OpenSSH form, without a passphrase, and never repr'd."""

    public_key: str
    private_key: str = dataclasses.field(repr=False)


def make_key_pair(kind: KeyType = "ed25519", bits: int = MIN_RSA_BITS) -> KeyPair:
    """A new Ed25519 key, or an RSA key of at least 3072 bits (DX-082).

    Raises:
        ConfigError: for a shorter RSA key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    if kind == "rsa" and bits < MIN_RSA_BITS:
        raise ConfigError(
            f"an RSA key of {bits} bits is too weak",
            action=Action.OPERATOR,
            remedy=f"ask for {MIN_RSA_BITS} bits or more, or for an Ed25519 key",
        )
    key = Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(65537, bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return KeyPair(public_key=public.decode(), private_key=private.decode())


def public_half(private_key: str, passphrase: str | None) -> str:
    """The public half of a private key in OpenSSH or PEM form, as `<type> <base64>`.

    Raises:
        TerminalError: it can't be read; nothing of it is shown.
    """
    import asyncssh

    try:
        key = asyncssh.import_private_key(private_key, passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise TerminalError(
            "the private key of the connection can't be read",
            action=Action.OPERATOR,
            remedy="it must be in OpenSSH or PEM form; private_key_passphrase must fit if it is encrypted",
        ) from None
    return " ".join(key.export_public_key().decode().split()[:2])


def fingerprint(public_key: str) -> str:
    """`SHA256:…` of a public key line, as ssh-keygen and servers' logs write it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
