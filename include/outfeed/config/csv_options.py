"""Options of CSV files, under document 002's names (VI-C01 to VI-C15)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from outfeed.config.models import Model, problem
from outfeed.formats.csv_dialect import CsvDialect
from outfeed.formats.java_date import JavaDatePattern

DEFAULT_DATE_FORMAT = "yyyy-MM-dd'T'HH:mm:ssZ"

#: Documents and mails turn straight quotes into these; no file was ever meant to hold them as a delimiter.
_STRAIGHT = str.maketrans({"“": '"', "”": '"', "„": '"', "’": "'", "‘": "'"})


#: Words of what the dialect says, and the option that each belongs to.
_OPTIONS = {
    "separator": "csv_field_separator",
    "escape": "csv_escape_char",
    "line breaks": "csv_text_row_separator",
    "enclosure": "csv_text_enclosure",
    "line ends": "csv_line_end",
    "texts that begin": "csv_formula_guard",
}


def options_in(message: str) -> list[str]:
    """The options that a message of the dialect is about."""
    return [option for word, option in _OPTIONS.items() if word in message]


def _straight(value: Any) -> Any:
    """Straight quotes where a text processor put typographic ones."""
    return value.translate(_STRAIGHT) if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    """Reads document 002's `1` and `0`, also as text."""
    return {"1": True, "0": False}.get(value, value) if isinstance(value, str) else value


def _text(value: Any) -> Any:
    """A digit that YAML reads as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Switch = Annotated[bool, BeforeValidator(_switch, json_schema_input_type=bool | int | str)]
Character = Annotated[str, BeforeValidator(_straight), Field(min_length=1, max_length=1)]


class CsvOptions(Model):
    """How CSV files are written. The defaults are document 002's and obey RFC 4180."""

    csv_include_header: Switch = Field(default=True, description="A header row (VI-C02).")
    csv_field_separator: Character = Field(default=",", description="Between fields (VI-C03).")
    csv_text_row_separator: Annotated[
        str, BeforeValidator(_text), BeforeValidator(_straight), Field(min_length=1, max_length=1)
    ] = Field(
        default="0",
        description="`0` leaves line breaks in text as they are; another character replaces each (VI-C04).",
    )
    csv_text_enclosure: Character = Field(default='"', description="Around text where it is needed (VI-C05).")
    csv_escape_char: Character = Field(
        default='"', description="Before an enclosure in enclosed text; the same: it is doubled (VI-C06)."
    )
    csv_date_format: Annotated[str, BeforeValidator(_straight)] = Field(
        default=DEFAULT_DATE_FORMAT, description="Java date pattern for dates with a time, in UTC (VI-C07)."
    )
    csv_md5: Switch = Field(default=False, description="An `.md5` beside each file, for `md5sum -c`.")
    csv_quote: Literal["minimal", "text"] = Field(
        default="minimal", description="Enclose text where it must be, or all text."
    )
    csv_line_end: Literal["crlf", "lf"] = Field(default="crlf", description="End of rows; RFC 4180 has crlf.")
    csv_formula_guard: bool = Field(
        default=False,
        description="Put ' before text that a spreadsheet would run as a formula. It changes the data.",
    )

    @field_validator("csv_date_format")
    @classmethod
    def _java_pattern(cls, value: str) -> str:
        JavaDatePattern.parse(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            self.dialect()
        except ValueError as error:
            written = [option for option in options_in(str(error)) if option in self.model_fields_set]
            raise problem(str(error), *written[:1]) from None
        return self

    def dialect(self) -> CsvDialect:
        """The dialect that these options mean."""
        return CsvDialect(
            header=self.csv_include_header,
            separator=self.csv_field_separator,
            enclosure=self.csv_text_enclosure,
            escape=self.csv_escape_char,
            line_break=None if self.csv_text_row_separator == "0" else self.csv_text_row_separator,
            date=JavaDatePattern.parse(self.csv_date_format),
            quote=self.csv_quote,
            line_end=b"\r\n" if self.csv_line_end == "crlf" else b"\n",
            formula_guard=self.csv_formula_guard,
        )
