"""The benchmarks' own arithmetic and page: a wrong median or a lost section would go unnoticed otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import run_all
from benchmarks.report import Report, Row, emit, markdown, parse, ratios, row


def _report(name: str, value: float = 1.0) -> Report:
    return Report(name, f"About {name}", {"date": "2026-11-22", "cores": "2"}, (row("speed", value, "s"),))


def test_a_row_is_the_median_with_its_spread_and_says_whether_the_goal_is_met() -> None:
    assert row("x", [3.0, 1.0, 10.0], "s", "<= 3") == Row("x", 3.0, "s", (1.0, 10.0), 3, "<= 3", True)
    assert row("x", [3.0, 1.0, 10.0], "s", ">= 4").met is False
    assert row("x", 5, "s") == Row("x", 5, "s", None, 1, None, None)


def test_ratios_are_paired() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="longer"):
        ratios([2.0], [1.0, 3.0])


def test_what_is_printed_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("b", "B", {}, (row("x", [1.0, 2.0], "s", "<= 1"),), ("a note",))
    print("some progress")
    emit(report)
    assert parse(capsys.readouterr().out) == report
    with pytest.raises(ValueError, match="no report"):
        parse("Traceback: it broke")


def test_a_missed_goal_is_shown_as_missed() -> None:
    page = markdown([Report("b", "B", {}, (row("x", [1234.5, 9.0, 10000.0], "ms", "<= 2"),))])
    assert "| x | 1,234 ms | 9.00 – 10,000 | 3 | <= 2 | **not met** |" in page


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run_all, "run", lambda name, quick: _report(name))
    return tmp_path


def test_one_benchmark_alone_keeps_the_figures_of_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_all.main([]) == 0
    monkeypatch.setattr(run_all, "run", lambda name, quick: _report(name, 2.0))
    assert run_all.main(["--only", "run_overhead"]) == 0
    figures = {
        file.stem: json.loads(file.read_text())["rows"][0]["value"]
        for file in (folder / "results").glob("*.json")
    }
    assert figures == {name: 2.0 if name == "run_overhead" else 1.0 for name in run_all.BENCHES}
    page = (folder / "RESULTS.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        f"## About {name}" for name in run_all.BENCHES
    ]


def test_a_smoke_test_keeps_nothing(folder: Path) -> None:
    assert run_all.main(["--quick"]) == 0
    assert list(folder.iterdir()) == []


def test_a_benchmark_that_breaks_leaves_the_others_and_its_earlier_figures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_all.main([]) == 0

    def broken(name: str, quick: bool) -> Report:
        if name == "work_orders":
            raise RuntimeError("no database")
        return _report(name, 3.0)

    monkeypatch.setattr(run_all, "run", broken)
    assert run_all.main([]) == 1
    page = (folder / "RESULTS.md").read_text()
    assert page.count("| 1.00 s |") == 1
    assert page.count("| 3.00 s |") == len(run_all.BENCHES) - 1
