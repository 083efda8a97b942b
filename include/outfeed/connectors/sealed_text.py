"""Short secrets that a database may hold: nobody reads them there without the workers' key."""

from __future__ import annotations

import base64
from typing import Any

_PURPOSE = b"outfeed: states of unfinished uploads"


def seal(text: str, key: str) -> str:
    """The text, encrypted and authenticated; `key` may be several with commas, of which the first seals."""
    sealed: str = _fernet(key).encrypt(text.encode()).decode()
    return sealed


def unseal(sealed: str, key: str) -> str | None:
    """The text again; None if it was sealed with none of these keys, or altered."""
    from cryptography.fernet import InvalidToken

    try:
        text: str = _fernet(key).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None
    return text


def _fernet(key: str) -> Any:
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(_derived(one.strip())) for one in key.split(",")])


def _derived(key: str) -> bytes:
    """A key for this purpose alone: what it sealed can't be opened with the key itself, or the reverse."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
    return base64.urlsafe_b64encode(derived)
