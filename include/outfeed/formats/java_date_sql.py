"""SQL that writes a date as a Java pattern does, per dialect (VI-C07); `JavaDatePattern` says more."""

from __future__ import annotations

import re
from typing import Final

from outfeed.formats.columns import Kind
from outfeed.formats.java_date_tokens import Field, Token, as_iso, as_iso_slice, fixed_text, names

# -- PostgreSQL

#: How `to_char` spells a field; the others are composed.
_POSTGRESQL_FIELDS: Final = {
    "y": "FMYYYY",
    "yy": "YY",
    "yyyy": "YYYY",
    "M": "FMMM",
    "MM": "MM",
    "MMM": "Mon",
    "d": "FMDD",
    "dd": "DD",
    "H": "FMHH24",
    "HH": "HH24",
    "h": "FMHH12",
    "hh": "HH12",
    "m": "FMMI",
    "mm": "MI",
    "s": "FMSS",
    "ss": "SS",
    "SSS": "MS",
}
_POSTGRESQL_TYPES: Final = {Kind.INSTANT: ("timestamptz", "+00"), Kind.LOCAL: ("timestamp", "")}


def postgresql(tokens: tuple[Token, ...], expression: str, kind: Kind) -> str:
    """For a `timestamptz` (`INSTANT`) or `timestamp` (`LOCAL`) column."""
    name, offset = _POSTGRESQL_TYPES[kind]
    first, beyond = (f"{name} '{year}-01-01 00:00:00{offset}'" for year in ("0001", "10000"))
    text = f"({expression})::text"
    inner = _postgresql_slice(tokens, expression) or _postgresql_to_char(tokens, expression)
    return f"CASE WHEN ({expression}) >= {first} AND ({expression}) < {beyond} THEN {inner} ELSE {text} END"


def _postgresql_slice(tokens: tuple[Token, ...], expression: str) -> str:
    """Measured: faster than `to_char` as long as the text is made only once, and cut by its type."""
    iso, piece = as_iso(tokens), as_iso_slice(tokens)
    if piece is not None:
        inner, ending = f"({expression})::varchar({piece.stop})", piece.ending
        if piece.start:
            inner = f"substr({inner}, {piece.start + 1})"
    elif iso is not None and not iso.milliseconds:
        inner = f"replace(({expression})::varchar(19), ' ', {_quoted(iso.separator)})"
        ending = iso.ending
    else:
        return ""
    return f"{inner} || {_quoted(ending)}" if ending else inner


def _postgresql_to_char(tokens: tuple[Token, ...], expression: str) -> str:
    pieces: list[str] = []
    template = ""
    for token in tokens:
        fixed = fixed_text(token)
        if fixed is not None:
            template += '"' + re.sub(r'(["\\])', r"\\\1", fixed) + '"'
        elif isinstance(token, Field):
            field = _postgresql_field(token)
            if field is not None:
                template += field
                continue
            if template:
                pieces.append(f"to_char({expression}, {_quoted(template)})")
                template = ""
            pieces.append(_postgresql_padded(token, expression))
    if template:
        pieces.append(f"to_char({expression}, {_quoted(template)})")
    return " || ".join(pieces)


def _postgresql_field(field: Field) -> str | None:
    if field.letter == "a":
        return "AM"
    if field.letter == "E":
        return "FMDay" if field.count > 3 else "Dy"
    if field.letter == "M" and field.count > 3:
        return "FMMonth"
    return _POSTGRESQL_FIELDS.get(field.letter * field.count)


def _postgresql_padded(field: Field, expression: str) -> str:
    """A number of at least so many digits."""
    if field.letter == "S":
        number = f"to_char({expression}, 'MS')::integer::text"
    else:
        number = f"to_char({expression}, '{_POSTGRESQL_FIELDS[field.letter]}')"
    return f"repeat('0', {field.count} - length({number})) || {number}"


# -- MariaDB and MySQL

#: How `DATE_FORMAT` spells a field, whatever the locale of the session.
_MYSQL_FIELDS: Final = {
    "yy": "%y",
    "yyyy": "%Y",
    "M": "%c",
    "MM": "%m",
    "d": "%e",
    "dd": "%d",
    "H": "%k",
    "HH": "%H",
    "h": "%l",
    "hh": "%h",
    "mm": "%i",
    "ss": "%s",
}
_MYSQL_NUMBERS: Final = {
    "y": "YEAR({0})",
    "M": "MONTH({0})",
    "d": "DAYOFMONTH({0})",
    "H": "HOUR({0})",
    "h": "((HOUR({0}) + 11) % 12 + 1)",
    "m": "MINUTE({0})",
    "s": "SECOND({0})",
    "S": "(MICROSECOND({0}) DIV 1000)",
}
_MYSQL_CHOICES: Final = {"M": "MONTH({0})", "E": "WEEKDAY({0}) + 1", "a": "HOUR({0}) DIV 12 + 1"}


def mysql(tokens: tuple[Token, ...], expression: str) -> str:
    """For a `DATETIME` or `TIMESTAMP` column, in a session with time zone +00:00."""
    pieces: list[str] = []
    template = ""
    for token in tokens:
        part = _mysql_template(token)
        if part is not None:
            template += part
        elif isinstance(token, Field):
            if template:
                pieces.append(f"DATE_FORMAT({expression}, {_mysql_quoted(template)})")
                template = ""
            pieces.append(_mysql_field(token, expression))
    if template:
        pieces.append(f"DATE_FORMAT({expression}, {_mysql_quoted(template)})")
    inner = pieces[0] if len(pieces) == 1 else f"CONCAT({', '.join(pieces)})"
    # `0000-00-00`: no month has that name, and a NULL would hide it.
    odd = f"MONTH({expression}) = 0 OR DAYOFMONTH({expression}) = 0"
    return f"CASE WHEN {odd} THEN CAST({expression} AS CHAR) ELSE {inner} END"


def _mysql_template(token: Token) -> str | None:
    fixed = fixed_text(token)
    if fixed is not None or isinstance(token, str):
        return (fixed or "").replace("%", "%%")
    return _MYSQL_FIELDS.get(token.letter * token.count)


def _mysql_field(field: Field, expression: str) -> str:
    if choice := names(field):
        number = _MYSQL_CHOICES[field.letter].format(expression)
        return f"ELT({number}, {', '.join(_quoted(name) for name in choice)})"
    number = _MYSQL_NUMBERS[field.letter].format(expression)
    return f"LPAD({number}, GREATEST({field.count}, LENGTH({number})), '0')"


def _mysql_quoted(text: str) -> str:
    """Without a backslash, which means what the session's mode says."""
    return _quoted(text) if "\\" not in text else f"CONVERT(0x{text.encode().hex()} USING utf8mb4)"


# -- SQLite

_SQLITE_SHAPE: Final = "{0}-{0}-{0}[ T]{0}:{0}:{0}*".replace("{0}", "[0-9][0-9]").replace(
    "[0-9][0-9]", "[0-9][0-9][0-9][0-9]", 1
)
_SQLITE_SLICES: Final = {
    "y": "substr({0}, 1, 4)",
    "M": "substr({0}, 6, 2)",
    "d": "substr({0}, 9, 2)",
    "H": "substr({0}, 12, 2)",
    "h": "(({0}) + 11) % 12 + 1",
    "m": "substr({0}, 15, 2)",
    "s": "substr({0}, 18, 2)",
    # After the digits may come an offset, whose digits are all zero.
    "S": (
        "substr(CASE substr({0}, 20, 1) WHEN '.' THEN rtrim(substr({0}, 21, 3), '+0:Z') ELSE '' END"
        " || '000', 1, 3)"
    ),
}
_SQLITE_WHOLE: Final = frozenset(("yyyy", "MM", "dd", "HH", "mm", "ss", "SSS"))


def sqlite(tokens: tuple[Token, ...], expression: str) -> str:
    """For text `YYYY-MM-DD HH:MM:SS[.ffffff][+00:00 | Z]`, with a space or a `T` in the middle."""
    return _sqlite_guarded(" || ".join(_sqlite_part(token, expression) for token in tokens), expression)


def sqlite_iso(expression: str) -> str:
    """The same text as `2018-01-09 14:56:13.123456`."""
    fraction = f"substr(rtrim(substr({expression}, 20, 7), '+0:Z') || '000000', 1, 7)"
    return _sqlite_guarded(
        f"substr({expression}, 1, 10) || ' ' || substr({expression}, 12, 8)"
        f" || CASE substr({expression}, 20, 1) WHEN '.' THEN {fraction} ELSE '' END",
        expression,
    )


def _sqlite_guarded(inner: str, expression: str) -> str:
    regular = (
        f"({expression}) GLOB '{_SQLITE_SHAPE}'"
        f" AND ltrim(substr({expression}, 20), '.0123456789') IN ('', 'Z', '+00:00', '+00')"
    )
    return f"CASE WHEN {regular} THEN {inner} ELSE {expression} END"


def _sqlite_part(token: Token, expression: str) -> str:
    fixed = fixed_text(token)
    if fixed is not None or isinstance(token, str):
        return _quoted(fixed or "")
    if choice := names(token):
        return _sqlite_name(token, choice, expression)
    number = _SQLITE_SLICES[token.letter].format(expression)
    if token.letter * token.count in _SQLITE_WHOLE:
        return number
    if token.letter == "y" and token.count == 2:
        return f"substr({expression}, 3, 2)"
    if token.letter == "h":
        number = _SQLITE_SLICES["h"].format(_SQLITE_SLICES["H"].format(expression))
    return f"printf('%0{token.count}d', {number})"


def _sqlite_name(field: Field, choice: tuple[str, ...], expression: str) -> str:
    if field.letter == "a":
        number, first = f"({_SQLITE_SLICES['H'].format(expression)}) / 12", 0
    elif field.letter == "M":
        number, first = f"CAST({_SQLITE_SLICES['M'].format(expression)} AS INTEGER)", 1
    else:
        # %w counts from Sunday; the names begin with Monday.
        number, first = f"(strftime('%w', substr({expression}, 1, 10)) + 6) % 7", 0
    whens = " ".join(f"WHEN {index} THEN {_quoted(name)}" for index, name in enumerate(choice, first))
    # A NULL would hide a date that is none.
    return f"CASE {number} {whens} ELSE '?' END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
