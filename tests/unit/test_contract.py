"""The contract of work orders, requirement by requirement, with the `jsonschema` library as second judge."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outfeed.contracts import Contract
from outfeed.datasets import dataset_folder, read_statement
from outfeed.errors import TerminalError
from outfeed.sources.base import RecordRejected
from outfeed.sources.work_orders import WorkOrderInspector

FOLDER = dataset_folder("work-orders")
SCHEMA = json.loads((FOLDER / "contract.schema.json").read_text())
REPAIRED = json.loads((Path(__file__).parents[1] / "data" / "work_order_repaired.json").read_text())
CONTRACT = Contract.load("work-orders")
ORACLE = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())

#: Where things are in a record.
ITEM = ("work_items", 0)
INPUT = (*ITEM, "input", 0)
DATA = (*INPUT, "data_conformity", 0)
JOB = (*INPUT, "job_conformity", 0)

UUID = "a71805b6-93f2-4ea3-9e42-a46b397ad448"
DATE = "2025-03-19T14:21:40.105568+00:00"


def record() -> dict[str, Any]:
    """A complete, valid record with one data check."""
    made: dict[str, Any] = copy.deepcopy(REPAIRED)
    made["work_items"][0]["input"][0]["data_conformity"] = [
        {"check": "blur", "code": 101, "level": "warning"}
    ]
    return made


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def changed(path: tuple[Any, ...], change: Callable[[Any], None]) -> dict[str, Any]:
    made = record()
    change(at(made, path))
    return made


def with_value(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = record()
    at(made, path[:-1])[path[-1]] = value
    return made


def accepts(document: Any) -> bool:
    """Our verdict, which must also be the other library's."""
    _, violations = CONTRACT.check(orjson.dumps(document))
    assert (not violations) == ORACLE.is_valid(document), (violations, list(ORACLE.iter_errors(document)))
    return not violations


def reasons(document: Any) -> list[str]:
    return [str(violation) for violation in CONTRACT.check(orjson.dumps(document))[1]]


REQUIRED: list[tuple[tuple[Any, ...], list[str]]] = [
    # DX-120
    ((), ["id", "name", "site_id", "create_date", "update_date", "metadata", "work_items"]),
    # DX-130
    (ITEM, ["id", "name", "input"]),
    # DX-133
    (INPUT, ["id", "create_date", "file_extension", "metadata", "data_conformity", "job_conformity"]),
    # DX-138
    (DATA, ["check", "code", "level"]),
    # DX-145
    (
        JOB,
        [
            *["task_name", "analyzed_value", "corrected_value", "corrected_date", "message"],
            "is_conformity_validated",
        ],
    ),
]


def test_the_base_record_is_valid() -> None:
    assert accepts(record())


@pytest.mark.parametrize(("path", "key"), [(path, key) for path, keys in REQUIRED for key in keys])
def test_a_missing_key_is_refused(path: tuple[Any, ...], key: str) -> None:
    # DX-120 DX-130 DX-133 DX-138 DX-145
    document = changed(path, lambda value: value.pop(key))
    assert not accepts(document)
    pointer = "".join(f"/{step}" for step in path) or "/"
    assert reasons(document) == [f'{pointer}: "{key}" is a required property']


def test_progress_score_may_be_missing() -> None:
    # DX-127
    assert accepts(changed((), lambda value: value.pop("progress_score")))


@pytest.mark.parametrize("path", [(), ITEM, INPUT, JOB])
def test_an_unknown_key_is_refused(path: tuple[Any, ...]) -> None:
    # DX-129 DX-132 DX-145
    document = changed(path, lambda value: value.update({"surprise": 1}))
    assert not accepts(document)
    assert "'surprise' was unexpected" in reasons(document)[0]


def test_a_data_check_may_have_more_keys() -> None:
    # DX-143
    assert accepts(changed(DATA, lambda value: value.update({"score": 0.7})))


KINDS: dict[str, tuple[list[Any], list[Any]]] = {
    "uuid": (
        [UUID, UUID.upper(), None],
        ["13ead234c-8236-4sfa-b748-sdfb409cfe5", UUID.replace("-", ""), f"{{{UUID}}}", "", 7, True, [], {}],
    ),
    "string": (["", "x", "Étage 🛠", None], [1, 0.5, True, [], {}]),
    "date": (
        [DATE, "2025-03-19T14:21:40Z", "2025-03-19T14:21:40.5+05:30", "2024-02-29T00:00:00Z", None],
        [
            *["2025-03-19T14:21:40", "2025-03-19 14:21:40+00:00", "2025-03-19T14:21:40+0000", "2025-03-19"],
            *[
                "2025-02-29T00:00:00Z",
                "2025-03-19T24:00:00Z",
                "2025-03-19T14:21:60Z",
                "infinity",
                "",
                17,
                True,
            ],
        ],
    ),
    "object": ([{}, {"a": [1, {"b": None}]}, None], [[], ["mobile_app"], "{}", 1, True]),
    "number": ([0, -3, 0.0, 1e3, 101, None], ["101", "", True, [], {}]),
    "value": (["UNAVAILABLE", "", True, False, 0.0, 4, None], [{"value": 1}, ["a"], {}, []]),
    "boolean": ([True, False, None], [0, 1, "true", [], {}]),
    "array": ([[]], [None, {}, "[]", 0]),
    "array or null": ([[], None], [{}, "[]", 0]),
}

FIELDS = [
    # DX-121 DX-122 DX-123 DX-124 DX-125 DX-126 DX-127 DX-128
    (("id",), "uuid"),
    (("name",), "string"),
    (("site_id",), "uuid"),
    (("create_date",), "date"),
    (("update_date",), "date"),
    (("metadata",), "object"),
    (("progress_score",), "number"),
    (("work_items",), "array"),
    # DX-130 DX-132
    ((*ITEM, "id"), "uuid"),
    ((*ITEM, "name"), "string"),
    ((*ITEM, "input"), "array"),
    # DX-134 DX-135 DX-136 DX-137 DX-138 DX-144
    ((*INPUT, "id"), "uuid"),
    ((*INPUT, "create_date"), "date"),
    ((*INPUT, "file_extension"), "string"),
    ((*INPUT, "metadata"), "object"),
    ((*INPUT, "data_conformity"), "array or null"),
    ((*INPUT, "job_conformity"), "array"),
    # DX-139 DX-140 DX-141
    ((*DATA, "check"), "string"),
    ((*DATA, "code"), "number"),
    ((*DATA, "level"), "string"),
    # DX-146 DX-147 DX-148 DX-149 DX-150 DX-151
    ((*JOB, "task_name"), "string"),
    ((*JOB, "analyzed_value"), "value"),
    ((*JOB, "corrected_value"), "value"),
    ((*JOB, "corrected_date"), "date"),
    ((*JOB, "message"), "string"),
    ((*JOB, "is_conformity_validated"), "boolean"),
]


def cases() -> Iterator[tuple[tuple[Any, ...], Any, bool]]:
    for path, kind in FIELDS:
        for good, values in zip((True, False), KINDS[kind], strict=True):
            for value in values:
                yield path, value, good


@pytest.mark.parametrize(("path", "value", "good"), list(cases()))
def test_a_field_takes_its_kind_and_nothing_else(path: tuple[Any, ...], value: Any, good: bool) -> None:
    # DX-121 to DX-151
    document = with_value(path, value)
    assert accepts(document) is good
    if not good:
        pointer = "".join(f"/{step}" for step in path)
        assert [reason.partition(":")[0] for reason in reasons(document)] == [pointer]


def test_job_conformity_may_be_empty_after_a_blocking_error() -> None:
    # DX-142 DX-144
    document = with_value(DATA, {"check": "blur", "code": 101, "level": "error"})
    at(document, INPUT)["job_conformity"] = []
    assert accepts(document)


def test_the_documents_example_fails_six_times_and_passes_when_repaired() -> None:
    # DX-152 D2
    example = json.loads((FOLDER / "example.json").read_text())
    assert reasons(example) == [
        f'/work_items/{item}/input/0: "{key}" is a required property'
        for item in range(3)
        for key in ("create_date", "file_extension")
    ]
    assert not ORACLE.is_valid(example)
    assert accepts(REPAIRED)
    jobs = [
        job for item in REPAIRED["work_items"] for entry in item["input"] for job in entry["job_conformity"]
    ]
    assert (len(REPAIRED["work_items"]), len(jobs)) == (3, 17)


@pytest.mark.parametrize(
    "line",
    [
        *[b"", b"{", b"[]", b"null", b"{}{}", b"\xef\xbb\xbf{}", b'{"id":NaN}', b'{"id":Infinity}'],
        *[b'{"name":"\xff"}', b'{"name":"\\ud800"}', b'{"name":"\x02"}', b'{"progress_score":1e400}'],
    ],
)
def test_what_is_no_json_object_is_refused_with_a_reason(line: bytes) -> None:
    # DX-013
    _, violations = CONTRACT.check(line)
    assert violations
    assert all(str(violation).strip("/: ") for violation in violations)


def test_a_reason_names_the_place_but_never_the_value() -> None:
    secret = "hunter2 " * 1000
    document = with_value((*JOB, "analyzed_value"), {"password": secret})
    (reason,) = reasons(document)
    assert reason == (
        "/work_items/0/input/0/job_conformity/0/analyzed_value: "
        'the value is not of types "null", "boolean", "number", "string"'
    )
    (violation,) = CONTRACT.check(orjson.dumps(document))[1]
    assert violation.kind.startswith("/work_items/*/input/*/job_conformity/*/analyzed_value: ")
    assert all(len(text) < 300 for text in reasons(with_value(("x" * 5000,), 1)))


def test_a_record_that_is_wrong_everywhere_is_explained_briefly() -> None:
    document = record()
    document["work_items"] = [{} for _ in range(1000)]
    assert len(reasons(document)) == 20


def test_the_schema_is_named_and_hashed() -> None:
    assert CONTRACT.schema_id == "urn:outfeed:contract:work-orders:1"
    assert len(CONTRACT.sha256) == 64
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_an_unknown_dataset_is_refused() -> None:
    with pytest.raises(TerminalError, match="'nonsense' has no folder"):
        Contract.load("nonsense")


def test_a_missing_statement_is_named() -> None:
    with pytest.raises(TerminalError, match="a file is missing") as caught:
        read_statement("work-orders", "sqlite", "split")
    assert caught.value.where.endswith("work_orders/sqlite/split.sql")


def test_datasets_may_live_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work_orders").mkdir()
    (tmp_path / "work_orders" / "contract.schema.json").write_text('{"$id": "urn:other", "type": "object"}')
    monkeypatch.setenv("OUTFEED_DATASETS", str(tmp_path))
    assert Contract.load("work-orders").schema_id == "urn:other"


# What follows draws records at random: both libraries must agree on each. Values on which they are known to
# differ (a leap second, year 0, digits of other scripts, a line break after a date) are not drawn.

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=8)
_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
)
_DATE = st.one_of(
    st.datetimes().map(lambda value: f"{value.isoformat()}Z"),
    st.sampled_from([DATE, "2025-03-19", "14:21:40Z", None]),
)
_ID = st.one_of(st.uuids().map(str), st.sampled_from([None, "", UUID[:-1]]))
_OBJECT = st.one_of(st.none(), st.dictionaries(_TEXT, _SCALAR, max_size=2), st.lists(_SCALAR, max_size=1))


def _mostly(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A dictionary that now and then lacks a key or has one too many."""
    whole = st.fixed_dictionaries(fields)
    partial = st.fixed_dictionaries({}, optional={**fields, "extra": _SCALAR})
    return st.one_of(whole, whole, whole, partial)


_DATA = _mostly({"check": _SCALAR, "code": _SCALAR, "level": _SCALAR})
_JOB = _mostly(
    {
        "task_name": _TEXT,
        "analyzed_value": st.one_of(_SCALAR, _OBJECT),
        "corrected_value": _SCALAR,
        "corrected_date": _DATE,
        "message": st.one_of(st.none(), _TEXT),
        "is_conformity_validated": st.one_of(st.none(), st.booleans(), st.integers(0, 1)),
    }
)
_INPUT = _mostly(
    {
        "id": _ID,
        "create_date": _DATE,
        "file_extension": _SCALAR,
        "metadata": _OBJECT,
        "data_conformity": st.one_of(st.none(), st.lists(_DATA, max_size=2)),
        "job_conformity": st.lists(_JOB, max_size=2),
    }
)
_RECORD = _mostly(
    {
        "id": _ID,
        "name": st.one_of(st.none(), _TEXT),
        "site_id": _ID,
        "create_date": _DATE,
        "update_date": _DATE,
        "metadata": _OBJECT,
        "progress_score": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), _TEXT),
        "work_items": st.lists(
            _mostly({"id": _ID, "name": st.one_of(st.none(), _TEXT), "input": st.lists(_INPUT, max_size=2)}),
            max_size=2,
        ),
    }
)


@settings(max_examples=150, deadline=None)
@given(_RECORD)
def test_both_libraries_agree_on_any_record(document: dict[str, Any]) -> None:
    # DX-120 to DX-151
    accepts(document)


# -- what the schema can't say: the inspector


def inspect(document: dict[str, Any], site_id: str = REPAIRED["site_id"]) -> list[str]:
    return WorkOrderInspector(site_id).images(document)


def test_an_image_is_named_by_input_id_and_extension() -> None:
    # DX-067 DX-107 DX-108 D8
    assert inspect(REPAIRED) == [
        "9a739279-0904-4710-b740-53971660f2ae.png",
        "9fe06e48-e29e-4735-92df-82bcb8827b51.png",
        "ac58cbf8-d144-408b-9b23-ee78c72e479d.png",
    ]


@pytest.mark.parametrize("extension", [None, ""])
def test_an_input_without_extension_has_no_image(extension: str | None) -> None:
    assert len(inspect(with_value((*INPUT, "file_extension"), extension))) == 2


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ((*INPUT, "id"), None, "id: is null"),  # D31
        (("site_id",), None, "site_id: is null"),  # D36
        (("site_id",), UUID, "another site"),  # XX-07
        ((*INPUT, "file_extension"), "png", "no lower-case extension"),  # D9
        ((*INPUT, "file_extension"), ".png/../../x", "no lower-case extension"),
        ((*INPUT, "file_extension"), "." + "x" * 40, "no lower-case extension"),
        ((*INPUT, "file_extension"), ".png\n", "no lower-case extension"),
    ],
)
def test_a_record_that_can_not_be_placed_is_rejected(path: tuple[Any, ...], value: Any, reason: str) -> None:
    with pytest.raises(RecordRejected, match=reason):
        inspect(with_value(path, value))


def test_levels_that_the_document_does_not_name_are_kept_and_counted() -> None:
    # DX-141
    inspector = WorkOrderInspector(REPAIRED["site_id"])
    levels = ["error", "warning", "information", "Error", "notice", "notice", "fatal", None]
    checks = [{"check": "blur", "code": 1, "level": level} for level in levels]
    document = with_value((*INPUT, "data_conformity"), checks)
    assert accepts(document)
    inspector.images(document)
    assert inspector.noticed == {
        "data_conformity level 'notice' is not error, information or warning": 2,
        "data_conformity level 'fatal' is not error, information or warning": 1,
    }


def test_what_an_inspector_notices_stays_bounded() -> None:
    inspector = WorkOrderInspector(REPAIRED["site_id"])
    checks = [{"check": None, "code": None, "level": f"level {number}"} for number in range(1000)]
    inspector.images(with_value((*INPUT, "data_conformity"), checks))
    assert len(inspector.noticed) <= 101
    assert sum(inspector.noticed.values()) == 1000
