"""The queries of docs/queries.md give the known answers, from delivered files alone, in DuckDB."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from outfeed.contracts import Contract

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
QUERIES = {match[1]: block for block in BLOCKS if (match := re.match(r"-- (\w+)\n", block))}

SITE = "433a60f6-9756-473e-b1e9-9e89e24bb787"
DAY = "2026-03-28T"


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def photo(
    number: int, minute: int, *validated: bool | None, refused: bool = False, corrected: int = 0
) -> Any:
    """An input with one job check per verdict, the first `corrected` of them corrected by hand."""
    when = f"{DAY}10:{minute:02}:00.000000+00:00"
    return {
        "id": uuid(number),
        "create_date": when,
        "file_extension": ".png",
        "metadata": {"timestamp_ms": number},
        "data_conformity": [{"check": "blur", "code": 4, "level": "error"}] if refused else [],
        "job_conformity": [
            {
                "task_name": f"task_{index}",
                "analyzed_value": [True, "KO", 0.0][index % 3],
                "corrected_value": False if index < corrected else None,
                "corrected_date": when if index < corrected else None,
                "message": "OK",
                "is_conformity_validated": verdict,
            }
            for index, verdict in enumerate(validated)
        ],
    }


def order(number: int, created: str, updated: str, **items: list[Any]) -> Any:
    return {
        "id": uuid(number),
        "name": f"order {number}",
        "site_id": SITE,
        "create_date": f"{created}T09:00:00.000000+00:00",
        "update_date": f"{updated}T23:30:00.000000+00:00",
        "metadata": None,
        "progress_score": None,
        "work_items": [
            {"id": uuid(900 + number), "name": name, "input": inputs} for name, inputs in items.items()
        ],
    }


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    """Two days and ten revisions: order 1 changed on the second day, the last one corrected order 3."""
    old = order(1, "2026-03-27", "2026-03-27", open=[photo(1, 0, True)])
    new = order(1, "2026-03-27", "2026-03-28", open=[photo(1, 0, True, None), photo(2, 6, False)])
    second = order(2, "2026-03-28", "2026-03-28", open=[photo(3, 1, False, True, corrected=1)], close=[])
    refused = [photo(4, 0, refused=True), photo(5, 9, True) | {"file_extension": None}]
    files = {
        "2026-03-27_00:00:00_2026-03-28_00:00:00.json": [old],
        "2026-03-28_00:00:00_2026-03-29_00:00:00.json": [new, order(3, "2026-03-28", "2026-03-28", close=[])],
        "2026-03-28_00:00:00_2026-03-29_00:00:00__r9.json": [order(3, "2026-03-28", "2026-03-28", close=[])],
        "2026-03-28_00:00:00_2026-03-29_00:00:00__r10.json": [
            new,
            second,
            order(3, "2026-03-28", "2026-03-28", close=refused),
        ],
    }
    folder = tmp_path / "data" / "work-orders-timeline"
    folder.mkdir(parents=True)
    contract = Contract.load("work-orders")
    for name, records in files.items():
        lines = [json.dumps(record).encode() for record in records]
        assert all(contract.check(line)[1] == () for line in lines), "the records obey the contract"
        (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    connection = duckdb.connect()
    connection.execute(BLOCKS[0])
    yield connection
    connection.close()


def test_every_query_of_the_page_is_tested() -> None:
    assert len(BLOCKS) == 1 + len(QUERIES)
    assert set(QUERIES) == set(ANSWERS)


ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "work_orders_by_day": [(dt.date(2026, 3, 27), 1), (dt.date(2026, 3, 28), 2)],
    "corrections_by_task": [("task_0", 4, 1, 25.0), ("task_1", 2, 0, 0.0)],
    "first_time_right": [("close", 1, 0, 0), ("open", 2, 2, 1)],
    "photos_and_minutes": [("close", 2, 9.0, 1), ("open", 2, 6.0, 0), ("open", 1, 0.0, 0)],
    "image_paths": [(f"{SITE}/inputs/{uuid(number)}.png",) for number in (1, 2, 3, 4)],
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_query_gives_the_known_answer(name: str, database: duckdb.DuckDBPyConnection) -> None:
    # DX-108, DX-109
    assert database.execute(QUERIES[name]).fetchall() == ANSWERS[name]
