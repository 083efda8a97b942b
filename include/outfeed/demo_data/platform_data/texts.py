"""Texts as people write them, and those that break a careless CSV writer or reader."""

from __future__ import annotations

from random import Random

HOSTILE = (
    'Drama, del "to"',
    "Første linje\nandre linje",
    "Windows\r\nlinje",
    "gammel\rMac",
    "日本語のタイトル",
    "Film 🎬 og 𝒳",
    "Zażółć gęślą jaźń",
    " mellomrom foran og bak ",
    "\\.",
    "\\N",
    'C:\\film\\"natt"\\',
    "=1+1",
    "tabulator\ther; semikolon; 'apostrof'",
    '"',
    '""',
    "NULL",
    "0012",
    "-",
    "e\u0301 og é",
    "",
)

_FIRST = (
    "Den lange",
    "Natt i",
    "Siste",
    "Under",
    "Blå",
    "Hjem til",
    "Ålesund",
    "Fjorden",
    "Nordlys over",
    "Tause",
)
_SECOND = ("vinteren", "byen", "reisen", "havet", "skogen", "øya", "Svolvær", "broen", "fjellet", "vitner")


def title(rng: Random) -> str | None:
    """A title: mostly harmless, now and then hostile, empty or missing."""
    chance = rng.random()
    if chance < 0.12:
        return rng.choice(HOSTILE)
    return None if chance < 0.18 else f"{rng.choice(_FIRST)} {rng.choice(_SECOND)}"


def numbered_title(rng: Random, number: int) -> str | None:
    """A title; of 80 numbers in a row, each hostile text has one."""
    every, kinds = 4, len(HOSTILE)
    return title(rng) if number % every else HOSTILE[number // every % kinds]


def description(rng: Random) -> str | None:
    """Several sentences, some with line breaks, or nothing."""
    chance = rng.random()
    if chance < 0.2:
        return None
    breaks = "\n" if chance < 0.3 else " "
    return breaks.join(f"{rng.choice(_FIRST)} {rng.choice(_SECOND)}." for _ in range(rng.randrange(1, 6)))
