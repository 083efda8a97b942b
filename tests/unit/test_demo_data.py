"""The demo platform: the same for the same seed, with everything in it that goes wrong in real life."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outfeed.cli import main
from outfeed.demo_data import amend, demo_data, demo_sites, generate
from outfeed.demo_data.images import jpeg, pdf, png
from outfeed.demo_data.orders import COLUMNS
from outfeed.errors import ConfigError

END = dt.date(2026, 3, 4)


def made(folder: Path, **changes: Any) -> Path:
    file = folder / "platform.db"
    values = {"sites": 2, "orders_per_day": 80, "days": 3, "end": END, "seed": 1} | changes
    generate(f"sqlite:///{file}", folder / "images", **values)
    return file


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def everything(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(file, f"SELECT * FROM {table} ORDER BY 1") for table in COLUMNS}


def test_the_same_seed_makes_the_same_platform(tmp_path: Path) -> None:
    first, second, other = (made(tmp_path / name, seed=seed) for name, seed in [("a", 1), ("b", 1), ("c", 2)])
    assert everything(first) == everything(second)
    assert everything(first) != everything(other)
    images = [
        {image.name: image.read_bytes() for image in (folder / "images").iterdir()}
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    assert images[0] == images[1]


def test_a_day_does_not_depend_on_what_else_is_made(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole")
    day = made(tmp_path / "day", sites=demo_sites(2)[1:], days=1, end=END - dt.timedelta(days=2))
    wanted = rows(day, "SELECT create_date FROM work_order WHERE create_date IS NOT NULL")
    assert wanted
    assert set(wanted) <= set(rows(whole, "SELECT create_date FROM work_order"))


@pytest.mark.parametrize(
    "sql",
    [
        "work_order WHERE site_id IS NULL",
        "work_order WHERE create_date IS NULL AND update_date IS NOT NULL",
        "work_order WHERE update_date IS NULL AND create_date IS NOT NULL",
        "work_order WHERE create_date IS NULL AND update_date IS NULL",
        "work_order WHERE substr(update_date, 1, 10) > substr(create_date, 1, 10)",
        "work_order WHERE update_date LIKE '%T00:00:00.000000+00:00'",
        "work_order WHERE id LIKE 'WO-%'",
        "work_order WHERE json_type(metadata) = 'array'",
        "work_order WHERE metadata IS NULL",
        "input WHERE id IS NULL",
        "input WHERE id LIKE '%-4sfa-%'",
        "input WHERE create_date IS NULL",
        "input WHERE file_extension IS NULL",
        "input WHERE file_extension = '.pdf'",
        "input WHERE file_extension IN ('JPG', 'png')",
        "work_item WHERE pk NOT IN (SELECT work_item_pk FROM input)",
        "job_conformity WHERE json_type(analyzed_value) = 'object'",
        "job_conformity WHERE json_type(corrected_value) = 'array'",
        "job_conformity WHERE json_type(corrected_value) <> 'array' AND corrected_date IS NOT NULL",
        "job_conformity WHERE analyzed_value = '0.0'",
        "data_conformity WHERE level = 'notice'",
        "data_conformity WHERE level IS NULL",
        "data_conformity WHERE code GLOB '*[A-Z]*'",
        "input i WHERE NOT EXISTS (SELECT 1 FROM job_conformity WHERE input_pk = i.pk)"
        " AND EXISTS (SELECT 1 FROM data_conformity WHERE input_pk = i.pk AND level = 'error')",
    ],
)
def test_what_goes_wrong_in_real_life_is_there(tmp_path_factory: pytest.TempPathFactory, sql: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "wrong"
    file = folder / "platform.db"
    if not file.exists():
        made(folder, days=6)
    ((count,),) = rows(file, f"SELECT count(*) FROM {sql}")
    assert count > 0


def test_without_broken_records_no_id_is_wrong(tmp_path: Path) -> None:
    file = made(tmp_path, broken_share=0)
    ids = rows(file, "SELECT id FROM work_order UNION ALL SELECT id FROM input")
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id_) for (id_,) in ids)


def test_every_input_with_an_extension_has_its_image_but_for_a_few(tmp_path: Path) -> None:
    result = generate(
        f"sqlite:///{tmp_path}/platform.db",
        tmp_path / "images",
        sites=1,
        orders_per_day=70,
        days=2,
        end=END,
        seed=4,
    )
    found = rows(tmp_path / "platform.db", "SELECT id, lower(file_extension) FROM input WHERE id IS NOT NULL")
    names = {f"{id_}.{extension.lstrip('.')}" for id_, extension in found if extension}
    present = {image.name for image in (tmp_path / "images").iterdir()}
    assert present < names
    assert len(names - present) == result.missing_images == 3
    assert len(present) == result.images
    assert result.inputs >= len(names)


def test_a_site_is_never_made_twice(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(ConfigError, match="already holds site 433a60f6"):
        made(tmp_path)
    made(tmp_path, sites=["5b0c7d52-41f0-4b1c-9a7e-6f8e2d9c3a10"])
    assert len(rows(tmp_path / "platform.db", "SELECT id FROM site")) == 3


def test_a_failed_making_leaves_nothing(tmp_path: Path) -> None:
    made(tmp_path, sites=1)
    before = everything(tmp_path / "platform.db")
    with pytest.raises(ConfigError):
        made(tmp_path, sites=["9d1f6c1e-7a35-4c52-8f0b-2b6a4e0d7c21", *demo_sites(1)])
    assert everything(tmp_path / "platform.db") == before


def test_amending_changes_orders_of_the_day_and_moves_none(tmp_path: Path) -> None:
    file = made(tmp_path)
    dates = "SELECT pk, id, site_id, create_date, update_date FROM work_order ORDER BY pk"
    moved, before = rows(file, dates), everything(file)
    changed = amend(f"sqlite:///{file}", END - dt.timedelta(days=2), seed=7)
    assert changed > 1
    assert rows(file, dates) == moved
    after = everything(file)
    differing = {
        table for table in COLUMNS for old, new in zip(before[table], after[table], strict=True) if old != new
    }
    assert differing == {"work_order", "job_conformity"}
    assert amend(f"sqlite:///{file}", dt.date(2030, 1, 1), seed=7) == 0


def test_the_command_makes_a_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFEED_HOME", str(tmp_path))
    result = CliRunner().invoke(demo_data, ["--orders-per-day", "5", "--days", "2", "--end", "2026-03-04"])
    assert result.exit_code == 0, result.output
    assert "10 work orders" in result.output
    assert len(rows(tmp_path / "demo" / "platform.db", "SELECT 1 FROM work_order")) == 10
    assert list((tmp_path / "demo" / "images").iterdir())


# -- the files, read by hand: no image library is needed here


def test_a_png_is_whole() -> None:
    content, position, kinds = png("a text"), 8, []
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    while position < len(content):
        length, kind = struct.unpack(">I4s", content[position : position + 8])
        data = content[position + 8 : position + 8 + length]
        (crc,) = struct.unpack(">I", content[position + 8 + length : position + 12 + length])
        assert crc == zlib.crc32(kind + data)
        kinds.append(kind)
        if kind == b"IDAT":
            assert len(zlib.decompress(data)) == 8 * 9
        position += 12 + length
    assert kinds == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
    assert png("another text") != content


def test_a_jpeg_is_whole() -> None:
    content, position, markers = jpeg("a text"), 2, []
    assert content.startswith(b"\xff\xd8")
    while content[position + 1] != 0xDA:
        marker, length = struct.unpack(">HH", content[position : position + 4])
        markers.append(marker)
        position += 2 + length
    assert markers == [0xFFE0, 0xFFFE, 0xFFDB, 0xFFC0, 0xFFC4, 0xFFC4]
    assert content.endswith(b"\xff\xd9")
    assert b"a text" in content


def test_a_pdf_is_whole() -> None:
    content = pdf("a text")
    start = int(content.rpartition(b"startxref\n")[2].split(b"\n")[0])
    table = content[start:].split(b"\n")
    assert table[:2] == [b"xref", b"0 6"]
    for number, entry in enumerate(table[3:8], 1):
        assert content[int(entry[:10]) :].startswith(b"%d 0 obj" % number)
    (length,) = re.findall(rb"/Length (\d+)", content)
    (stream,) = re.findall(rb"stream\n(.*)\nendstream", content, re.DOTALL)
    assert len(stream) == int(length)
    assert content.startswith(b"%PDF-1.4")
    assert content.endswith(b"%%EOF\n")


def test_a_database_that_can_not_be_made_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("no database")
    (tmp_path / "demo" / "platform.db").mkdir(parents=True)
    homes = {str(file): "Not a directory", "/proc/nope": "No such file", str(tmp_path): "unable to open"}
    for home, said in homes.items():
        monkeypatch.setenv("OUTFEED_HOME", home)
        result = CliRunner().invoke(main, ["demo-data", "--days", "1"])
        assert result.exit_code == 1
        assert result.stderr.startswith(
            f"Error: {home}/demo/platform.db: the demo database can't be written: "
        )
        assert said in result.stderr
        assert "set OUTFEED_HOME to a folder of yours" in result.stderr
    result = CliRunner().invoke(main, ["demo-data", "--database-url", f"sqlite:///{file}"])
    assert "file is not a database" in result.stderr
    assert file.read_text() == "no database"
