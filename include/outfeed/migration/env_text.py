"""Settings as a shell, a `.env` file or a text processor writes them, one a line or many in one.

Values may be secrets: they are in no message and no repr.
"""

from __future__ import annotations

import dataclasses
import re

#: Between settings.
_GAP = re.compile(r"(?:[\s;]|\\\r?\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_NAME = r"(?:export[ \t]+)?[A-Z][A-Z0-9_]+[ \t]*="
_ASSIGNMENT = re.compile(r"(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=(?:[ \t]+(?=[\"'“”„‘’‚]))?", re.ASCII)
_WORD = re.compile(r"\S+")

#: What document 002 prints: `"""` is a quote, and `""text""` is text, whatever quotes are in it.
_LONE_QUOTE = re.compile(r'["“”„]{3}(?=[\s;]|$)')
_DOUBLED = re.compile(r'["“”„]{2}(?=[^\s;])([^\n]*?)["“”]{2}(?=[\s;]|$)')
_QUOTED = (
    re.compile(r'"((?:[^"\\\n]|\\.)*)"'),
    re.compile(r"'([^'\n]*)'"),
    re.compile(r"[“”„]([^“”\n]*)[“”]"),
    re.compile(r"[‘’‚]([^‘’\n]*)[‘’]"),
)
#: Without quotes a value may hold spaces, as in `.env` files; the next setting or a comment ends it.
_BARE = re.compile(rf"([^\n]*?)(?=[ \t]*;?[ \t]+{_NAME}|;{_NAME}|[ \t]+#|[ \t\r]*\\?[ \t\r]*(?:\n|$))")
_BARE_REST = re.compile(r"[^\s;\"'“”„‘’‚]+")
_REFERENCE = re.compile(r"\$(?:\{|[A-Za-z_])")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        refers: its value names another variable, so it is not known here.
    """

    name: str
    value: str = dataclasses.field(repr=False)
    line: int
    refers: bool = False

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.name}, line {self.line}"


@dataclasses.dataclass
class EnvText:
    """What a text sets; of a name that is set twice the last one, as a shell has it."""

    settings: dict[str, Setting] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)


def parse_env(text: str) -> EnvText:
    """All settings of a text, and what in it is none; never fails."""
    found = EnvText()
    position, strange = 0, set[int]()
    while position < len(text):
        gap = _GAP.match(text, position) or _COMMENT.match(text, position)
        if gap:
            position = gap.end()
            continue
        line = text.count("\n", 0, position) + 1
        assignment = _ASSIGNMENT.match(text, position)
        if assignment is None:
            strange.add(line)
            position = _end(_WORD, text, position)
            continue
        name = assignment[1]
        value = _Value(text, assignment.end())
        position = value.end
        if not value.closed:
            found.problems.append(
                f"{name}, line {line}: its quote is not closed on the line; it was left out"
            )
            continue
        if name in found.settings:
            before = found.settings[name]
            again = f"line {line}" if line > before.line else "a later one on the same line"
            found.problems.append(f"{before.place}: replaced by {again}")
        found.settings[name] = Setting(name, value.text, line, refers=value.refers)
    found.problems += [f"line {line}: there is text that sets nothing" for line in sorted(strange)]
    return found


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position + 1


class _Value:
    """The value that begins at a position: quoted and bare pieces side by side, as a shell joins them."""

    def __init__(self, text: str, start: int) -> None:
        self.text = ""
        self.end = start
        self.closed = True
        self.refers = False
        if not self._as_printed(text):
            self._pieces(text)

    def _as_printed(self, text: str) -> bool:
        for pattern, value in ((_LONE_QUOTE, '"'), (_DOUBLED, None)):
            match = pattern.match(text, self.end)
            if match:
                self.text = match[1] if value is None else value
                self.end = match.end()
                return True
        return False

    def _pieces(self, text: str) -> None:
        if self.end < len(text) and text[self.end] not in "\"'“”„‘’‚":
            match = _BARE.match(text, self.end)
            bare = match[1] if match else ""
            self.end += len(bare)
            self.text = bare.strip()
            if len(self.text) > 1:
                self.text = self.text.removesuffix(";").rstrip()
            self.refers = bool(_REFERENCE.search(self.text))
            return
        while self.end < len(text) and not text[self.end].isspace() and text[self.end] != ";":
            if not self._piece(text):
                self.closed = False
                self.end = _end(re.compile(r"[^\n]*"), text, self.end)
                return

    def _piece(self, text: str) -> bool:
        for pattern in _QUOTED:
            match = pattern.match(text, self.end)
            if match:
                piece = match[1]
                if match[0][0] == '"':
                    self.refers |= bool(_REFERENCE.search(re.sub(r"\\.", "", piece)))
                    piece = re.sub(r'\\(["\\$`])', r"\1", piece)
                self.text += piece
                self.end = match.end()
                return True
        bare = _BARE_REST.match(text, self.end)
        if bare is None:
            return False
        self.text += bare[0]
        self.end = bare.end()
        return True
