"""The vocabulary of failure: is a retry worth it, and whose action ends it.

Every error that leaves the library is an `OutfeedError`. Its class says whether a retry can help
(`TransientError`) or not (`TerminalError`); its `action` says who must act. The message says what
happened, where, and what to do, and never holds a secret (design §5, XX-06).
"""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """Whose action ends a failure."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    ENGINEER = "engineer"


class OutfeedError(Exception):
    """Guarantees that a message carries what happened, where, who must act and what to do.

    Args:
        what: What happened, one sentence, no secret in it.
        where: The place: `file:line:column` of a YAML, an entity, a path, a host.
        action: Whose action ends the failure.
        remedy: What that person should do.
    """

    def __init__(
        self, what: str, *, where: str = "", action: Action = Action.OPERATOR, remedy: str = ""
    ) -> None:
        self.what = what
        self.where = where
        self.action = action
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.remedy:
            text += f" [{self.action} acts: {self.remedy}]"
        else:
            text += f" [{self.action} acts]"
        return text


class TransientError(OutfeedError):
    """A later try may succeed: the network, a busy or restarting server, throttling."""


class TerminalError(OutfeedError):
    """No retry helps until somebody acts: credentials, permissions, a wrong config, a full disk."""


class ConfigError(TerminalError):
    """A customer YAML, or a request such as a window, asks for something that can't be done."""

    def __init__(
        self, what: str, *, where: str = "", action: Action = Action.ENGINEER, remedy: str = ""
    ) -> None:
        super().__init__(what, where=where, action=action, remedy=remedy)


class SupersededError(TerminalError):
    """A newer try of the same work has begun: this one must stop and may record nothing (design §2)."""


class RecipientRefusedError(TerminalError):
    """The mail server will not take a mail to this address: the others may get theirs."""


class DestinationConflict(TerminalError):  # noqa: N818 - named for what is there, like FileExistsError
    """The destination holds other bytes under the name that we were about to create."""
