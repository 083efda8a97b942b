"""How a customer wants files encrypted: the form, and their public keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from outfeed.connectors.ciphers import Stream

#: What no configuration may hold; such a value is never repeated.
_PRIVATE = re.compile(r"AGE-SECRET-KEY-|PRIVATE KEY", re.IGNORECASE)

_REPLACE = "this is a private key, and must be replaced now: whoever could read this file could read it. Give"


def _age_recipient(value: str) -> str:
    from outfeed.connectors.ciphers import age_recipient

    if _PRIVATE.search(value):
        raise ValueError(f"{_REPLACE} what `age-keygen -y` prints of a new one")
    try:
        age_recipient(value)
    except ValueError as error:
        raise ValueError(f"{value[:40]!r} is no public key for age: {error}") from None
    return value


AgeRecipient = Annotated[str, AfterValidator(_age_recipient)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    #: What the name of each encrypted file ends in.
    suffix: ClassVar[str]


class AgeEncryption(_Options):
    """Files are encrypted with age; whoever has one of the private keys can read them."""

    suffix: ClassVar[str] = ".age"

    type: Literal["age"]
    recipients: tuple[AgeRecipient, ...] = Field(
        min_length=1, description="Public keys: `age1…`, or a line of OpenSSH: `ssh-ed25519 …`, `ssh-rsa …`."
    )

    def stream(self) -> Stream:
        """What encrypts one file."""
        from outfeed.connectors.ciphers import AgeStream

        return AgeStream(self.recipients)


class OpenPgpEncryption(_Options):
    """Files are encrypted with OpenPGP, as `gpg --decrypt` reads it."""

    suffix: ClassVar[str] = ".pgp"

    type: Literal["openpgp"]
    public_key: str = Field(description="One public key, as `gpg --armor --export` prints it.")

    @field_validator("public_key")
    @classmethod
    def _one_public_key(cls, value: str) -> str:
        from outfeed.connectors.ciphers import openpgp_problem

        if _PRIVATE.search(value):
            raise ValueError(f"{_REPLACE} what `gpg --armor --export` prints of a new one")
        problem = openpgp_problem(value)
        if problem:
            raise ValueError(f"not one public key of OpenPGP: {problem}")
        return value

    def stream(self) -> Stream:
        """What encrypts one file."""
        from outfeed.connectors.ciphers import OpenPgpStream

        return OpenPgpStream(self.public_key)


#: What the names of encrypted files may end in.
SUFFIXES = (AgeEncryption.suffix, OpenPgpEncryption.suffix)

Encryption = Annotated[AgeEncryption | OpenPgpEncryption, Field(discriminator="type")]
