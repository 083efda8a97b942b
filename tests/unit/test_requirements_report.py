"""The generator of docs/requirements.md finds what tests say of themselves, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.requirements_report import ROOT, claims, main, mentions, read_requirements

# IDs are put together, so that this file names none of them for itself.
DX, XX, VI = ("DX" + "-0", "XX" + "-0", "VI" + "-S0")
KNOWN = [f"{DX}{number}" for number in (10, 11, 12, 20)] + [f"{XX}1", f"{VI}1"]

SOURCE = f'''
"""A module: {DX}10 belongs to nothing here."""

# {DX}11 belongs to nothing: a line is empty below.

# {DX}10, {XX}1: the lines directly above.
# {DX}11
@mark("x")  # {VI}1
def test_above(): pass

def helper():
    # {DX}20
    pass

async def test_inside():
    """A docstring with {DX}12."""
    if True:  # {DX}10 to {DX}12
        pass
    text = "{DX}20 in a string is no claim"

class TestGroup:
    def test_method(self):
        # {DX}20
        pass

def test_without(): pass
'''


def test_ids_are_tied_to_the_function_that_they_stand_at() -> None:
    found = set(claims(SOURCE, KNOWN))
    assert found == {
        (f"{DX}10", "test_above"),
        (f"{DX}11", "test_above"),
        (f"{XX}1", "test_above"),
        (f"{VI}1", "test_above"),
        (f"{DX}10", "test_inside"),
        (f"{DX}11", "test_inside"),
        (f"{DX}12", "test_inside"),
        (f"{DX}20", "TestGroup::test_method"),
    }


def test_ranges_hold_only_known_ids() -> None:
    assert list(mentions(f"{DX}10 to {DX}20", KNOWN)) == KNOWN[:4]
    assert list(mentions(f"{DX}10 to {DX}99", KNOWN)) == [f"{DX}10", f"{DX}99"]
    assert list(mentions(f"see {DX}10x and a{DX}11, X{XX}1", KNOWN)) == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with six requirements, four of them tested."""
    (tmp_path / "docs").mkdir()
    rows = [f'{name},"Does | this, and that",000' for name in KNOWN]
    (tmp_path / "docs" / "requirements.csv").write_text("\n".join(["id,requirement,document", *rows]) + "\n")
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    source = f"def test_it():\n    # {DX}10, {DX}12\n    pass\n\n# {XX}1\ndef test_other(): pass\n"
    (tmp_path / "tests" / "unit" / "test_a.py").write_text(source)
    (tmp_path / "tests" / "test_b.py").write_text(f"def test_again():\n    # {DX}10\n    pass\n")
    return tmp_path


def test_the_page_lists_tests_gaps_and_counts(project: Path) -> None:
    assert main([], project) == 0
    lines = (project / "docs" / "requirements.md").read_text().splitlines()
    both = "`tests/test_b.py::test_again`<br>`tests/unit/test_a.py::test_it`"
    assert f"| {DX}10 | Does \\| this, and that | {both} |" in lines
    assert f"| {DX}11 | Does \\| this, and that |  |" in lines
    assert f"- DX (2): {DX}11, {DX}20" in lines
    assert f"- VI (1): {VI}1" in lines
    assert not any(line.startswith("- XX") for line in lines)
    assert "| DX: Work-order data export (document 000) | 4 | 2 | 2 |" in lines
    assert "| All | 6 | 3 | 3 |" in lines


def test_a_stale_page_fails_the_check_and_is_left_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], project) == 1
    assert not (project / "docs" / "requirements.md").exists()
    assert main([], project) == 0
    assert main(["--check"], project) == 0
    fresh = (project / "docs" / "requirements.md").read_text()
    (project / "tests" / "test_b.py").write_text(f"def test_again():\n    # {DX}11\n    pass\n")
    assert main(["--check"], project) == 1
    assert "docs/requirements.md is stale" in capsys.readouterr().err
    assert (project / "docs" / "requirements.md").read_text() == fresh


def test_an_id_that_does_not_exist_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests" / "test_b.py").write_text(f"def test_again():\n    # {DX}98\n    pass\n")
    assert main([], project) == 1
    assert f"no such requirement: {DX}98 in tests/test_b.py::test_again" in capsys.readouterr().err
    assert not (project / "docs" / "requirements.md").exists()


def test_the_catalogue_is_whole() -> None:
    requirements = read_requirements(ROOT / "docs" / "requirements.csv")
    families = dict.fromkeys(("DX", "XX", "MC", "VI", "TP"), 0)
    for name, (text, document) in requirements.items():
        families[name[:2]] += 1
        assert len(text) > 3
        assert set(document.split(", ")) <= {"000", "001", "002", "003"}
    assert families == {"DX": 109, "XX": 10, "MC": 38, "VI": 146, "TP": 89}
