"""What the documents claim of the tests and of the configuration is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMISES = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/semantics.md").read_text())


def test_every_promise_names_tests() -> None:
    text = (ROOT / "docs/semantics.md").read_text().split("## Not promised")[0]
    promises = re.split(r"\n(?=\*\*\d)", text)[1:]
    assert len(promises) == 8
    assert all(re.search(r"`tests/[\w/]+\.py::\w+`", promise) for promise in promises)


@pytest.mark.parametrize(("file", "name"), PROMISES)
def test_a_promise_has_its_test(file: str, name: str) -> None:
    source = (ROOT / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda p: p.name
)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_says_whom_to_ask_for_data_in_near_real_time() -> None:
    # DX-004
    text = " ".join((ROOT / "README.md").read_text().split())
    assert "Outfeed is for scheduled exports and BI." in text
    assert "ask your implementation manager" in text


def test_the_page_on_platform_data_says_whom_to_ask_for_data_in_near_real_time() -> None:
    # VI-006
    text = " ".join((ROOT / "docs" / "platform-data.md").read_text().split())
    assert "Data within seconds of its creation is another service: the platform's event stream" in text
    assert "ask your technical account manager" in text
