"""The page of the stories: batches add up, and what was wrong stays told."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.report import Planted, Row, write_planted, write_stories

ROWS = [
    Row(0, "sftp", 2, "complete", 1.5, "1111111"),
    Row(1, "ftp", 1, "violation", 0.5, "1111111"),
    Row(2, "ftp", 3, "refused", 1.0, "1111111"),
    Row(1, "ftp", 4, "complete", 1.0, "2222222"),
]


def test_a_line_reads_back_as_it_was_written() -> None:
    assert [Row.read(row.line()) for row in ROWS] == ROWS


def test_batches_add_up_and_say_of_which_code_they_are(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_stories(page, ROWS)

    text = page.read_text()
    assert "| ftp | 3 | 8 | 1 | 1 | 0 | 1 |" in text
    assert "| all | 4 | 10 | 2 | 1 | 0 | 1 |" in text
    assert "| `1111111` | 0 to 2 | 3 | 1 |" in text
    assert "| `2222222` | 1 | 1 | none |" in text
    assert "without a violation: 1." in text


def test_each_command_leaves_the_other_ones_part_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    bugs = [Planted("a bug", ("ftp",), 4, "a | b"), Planted("another", ("s3", "gcs"), None, "")]
    write_stories(page, ROWS[:1])
    write_planted(page, bugs, 100)
    write_stories(page, ROWS)
    write_planted(page, bugs[:1], 100)

    text = page.read_text()
    assert text.count("# Servers that fail") == text.count("## Planted bugs") == 1
    assert "| all | 4 |" in text
    assert "| a bug | ftp | 4 | a \\| b |" in text
    assert "another" not in text
