"""What is wrong with a customer's file: every problem with its place, and what to do about it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable

from outfeed.errors import Action, ConfigError


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, or worth a warning, at a line and column that count from 1."""

    line: int
    column: int
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        """The message with its hint."""
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.text}"


class InvalidConfigError(ConfigError):
    """All problems of one file together, one `file:line:column: text` per line."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(set(problems)))
        super().__init__(
            "\n".join(f"{file}:{problem}" for problem in self.problems),
            action=Action.ENGINEER,
            remedy="correct the file; `outfeed validate` checks it",
        )


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if any is like it."""
    words = {word.lower(): word for word in sorted(known)}
    near = difflib.get_close_matches(wrong.lower(), words, n=1)
    return words[near[0]] if near else None


def did_you_mean(wrong: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint that names the word that was probably meant, or says something else."""
    meant = nearest(wrong, known)
    return f"did you mean {meant!r}?" if meant else otherwise
