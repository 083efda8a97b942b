"""What the models refuse, in the words of the file: one problem per mistake, at its line (design §7)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic_core import ErrorDetails

from outfeed.config.document import Document, KeyPath, nearest_key
from outfeed.config.problems import Problem, did_you_mean, nearest

Models = list[type[BaseModel]]

#: Characters of a refused value that a message repeats.
_SHOWN = 80
_EXAMPLE_UUID = "433a60f6-9756-473e-b1e9-9e89e24bb787"
#: The keys by which a destination may name its type (DX-015).
_TYPE_KEYS = ("type", "connector_type")


def explain(error: ValidationError, model: type[BaseModel], document: Document) -> Iterator[Problem]:
    """The problems that pydantic found, without those that only follow from another one."""
    details = error.errors(include_url=False)
    misspelt = set(_misspelt(details, model, document))
    for detail in details:
        loc = detail["loc"]
        path = document.resolve(loc)
        if detail["type"] == "missing":
            path = (*path, loc[-1])
        if path in misspelt or document.withholds(path) or _only_follows(detail):
            continue
        write = _WRITERS.get(detail["type"], _refused)
        # A key that is there twice, under two names, is called unknown: what it stands in is what counts.
        within = loc[:-1] if detail["type"] == "extra_forbidden" else loc
        yield write(detail, path, _models_at(model, within), document)


def unknown_type(tag: str, known: list[str], document: Document, path: KeyPath = ()) -> Problem:
    """The problem of a `type` that nobody knows, at its value, with all the known ones (DX-015, DX-043)."""
    key = next((key for key in _TYPE_KEYS if document.resolve((*path, key))[-1:] == (key,)), "type")
    message = f"unknown type {tag!r}; the known ones are {', '.join(sorted(known))}"
    return Problem(*document.place((*path, key)), message, did_you_mean(tag, known))


def _misspelt(details: list[ErrorDetails], model: type[BaseModel], document: Document) -> Iterator[KeyPath]:
    """The keys that were probably meant by unknown ones: they are not missing as well."""
    for detail in details:
        if detail["type"] == "extra_forbidden":
            path = document.resolve(detail["loc"])
            meant = nearest(str(path[-1]), _keys(_models_at(model, detail["loc"][:-1])))
            if meant and meant != path[-1]:
                yield (*path[:-1], meant)


def _only_follows(detail: ErrorDetails) -> bool:
    """Whether a list is too short only because its items were refused."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _unknown_key(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    known = _keys(models)
    if path[-1] in known:
        names = _names(models, str(path[-1]))
        message = f"{path[-1]!r} is given under another name, too"
        return Problem(*document.place(path, key=True), message, f"keep one of: {', '.join(names)}")
    hint = did_you_mean(str(path[-1]), known, otherwise=f"known: {', '.join(known)}")
    return Problem(*document.place(path, key=True), f"unknown key {path[-1]!r}", hint)


def _missing(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    message = f"the key {path[-1]!r} is missing{_inside(path[:-1], document)}"
    return Problem(*document.place(path[:-1]), message)


def _unknown_tag(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    return unknown_type(str(detail["ctx"]["tag"]), _tags(models), document, path)


def _no_tag(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    message = f"the key 'type' is missing{_inside(path, document)}"
    return Problem(*document.place(path), message, f"known: {', '.join(_tags(models))}")


def _whole(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    return Problem(*document.place((*path, *detail["ctx"]["at"])), str(detail["ctx"]["message"]))


def _value(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    # What a validator says of a mapping names its keys itself.
    label = "" if isinstance(detail["input"], dict) else f"{nearest_key(path)}: "
    return Problem(*document.place(path), f"{label}{detail['ctx']['error']}")


def _choice(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    allowed = detail["ctx"]["expected"]
    message = f"{nearest_key(path)}: {_shown(detail['input'])} is not {allowed}"
    hint = did_you_mean(str(detail["input"]), re.findall(r"'([^']*)'", allowed))
    return Problem(*document.place(path), message, hint)


def _uuid(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    message = f"{nearest_key(path)}: {_shown(detail['input'])} is not a UUID"
    return Problem(*document.place(path), message, f"write it like {_EXAMPLE_UUID}")


def _length(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    limits, value = detail["ctx"], detail["input"]
    few = detail["type"].endswith("short")
    count = limits["min_length"] if few else limits["max_length"]
    kind = "character" if isinstance(value, str) else "item"
    words = f"at {'least' if few else 'most'} {count} {kind}{'' if count == 1 else 's'}"
    if kind == "character" and count == 1:
        words = "one character"
    return Problem(*document.place(path), f"{nearest_key(path)}: {words}, not {_shown(value)}")


def _list(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    value = detail["input"]
    hint = "" if value is None or isinstance(value, dict) else f"write [{value}]"
    message = f"{nearest_key(path)}: this must be a list, not {_shown(value)}"
    return Problem(*document.place(path), message, hint if len(hint) <= _SHOWN else "")


def _keys_below(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    known = ", ".join(_keys(models))
    message = f"{nearest_key(path)}: 'key: value' lines belong here, indented, not {_shown(detail['input'])}"
    return Problem(*document.place(path), message, f"known: {known}" if len(models) == 1 else "")


def _in_form(example: str) -> Callable[[ErrorDetails, KeyPath, Models, Document], Problem]:
    """For a value that is not in the form that it must have."""

    def write(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
        message = f"{nearest_key(path)}: {_shown(detail['input'])} can't be read"
        return Problem(*document.place(path), message, f"write it like {example}")

    return write


def _refused(detail: ErrorDetails, path: KeyPath, models: Models, document: Document) -> Problem:
    said = detail["msg"][:1].lower() + detail["msg"][1:]
    return Problem(*document.place(path), f"{nearest_key(path)}: {said}, not {_shown(detail['input'])}")


_WRITERS: dict[str, Callable[[ErrorDetails, KeyPath, Models, Document], Problem]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "union_tag_invalid": _unknown_tag,
    "union_tag_not_found": _no_tag,
    "problem": _whole,
    "value_error": _value,
    "literal_error": _choice,
    "enum": _choice,
    "uuid_parsing": _uuid,
    "uuid_type": _uuid,
    **dict.fromkeys(("too_short", "too_long", "string_too_short", "string_too_long"), _length),
    **dict.fromkeys(("tuple_type", "list_type"), _list),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), _keys_below),
    **dict.fromkeys(("time_delta_parsing", "time_delta_type"), _in_form("10m, 2h or 1d")),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        _in_form("2026-03-28"),
    ),
}


def _shown(value: Any) -> str:
    text = "nothing" if value is None else str(value) if isinstance(value, dt.date) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _inside(path: KeyPath, document: Document) -> str:
    """Where a key is missing, as its reader knows the place."""
    if not path:
        return ""
    if isinstance(path[-1], int):
        return f" in item {path[-1] + 1} of {nearest_key(path)!r}"
    return f" in {path[-1]!r}"


def _models_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> Models:
    """The models that apply at an error's location; its steps are keys, indexes and tags of unions."""
    models: Models = [model]
    for step in loc:
        fields = [info for one in models for name, info in _fields(one) if name == step]
        if fields:
            models = [found for info in fields for found in _models_in(info.annotation)]
        elif isinstance(step, str):
            models = [one for one in models if step in _tags([one])] or models
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """The keys that a model understands, aliases included."""
    for name, info in model.model_fields.items():
        yield name, info
        if isinstance(info.validation_alias, AliasChoices):
            yield from ((choice, info) for choice in info.validation_alias.choices if isinstance(choice, str))


def _keys(models: Models) -> list[str]:
    return sorted({name for model in models for name, _ in _fields(model)})


def _names(models: Models, key: str) -> list[str]:
    """All names of the option that has this one."""
    fields = [field for model in models for field in _fields(model)]
    meant = {id(info) for name, info in fields if name == key}
    return sorted({name for name, info in fields if id(info) in meant})


def _tags(models: Models) -> list[str]:
    types: list[Any] = [model.model_fields["type"].annotation for model in models if "type" in _keys([model])]
    return sorted(tag for annotation in types for tag in get_args(annotation))
