"""What the documents claim of the tests and of the configuration is so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from outfeed.cli import main
from outfeed.connectors.base import PREFLIGHT_STEPS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands(page: Path) -> Iterator[str]:
    """Every command of ours that a page names, in a line of a console or in the text."""
    text = page.read_text()
    for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE) + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
        command = re.sub(r"^([A-Z_]+=\S+ )+", "", line.split("#")[0].strip())
        if re.match(r"(outfeed|make|python -m) \w", command):
            yield command


COMMANDS = sorted({command for page in PAGES for command in commands(page)})


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("outfeed ")])
def test_a_command_of_the_documents_exists_with_its_options(command: str) -> None:
    found: click.Command = main
    words = shlex.split(command.replace("…", ""))[1:]
    while words and isinstance(found, click.Group) and not words[0].startswith("-"):
        inner = found.get_command(click.Context(found), words[0])
        if inner is None:
            break
        found, words = inner, words[1:]
    assert found is not main, f"{command}: there is no such command"
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("make ")])
def test_a_target_of_the_documents_exists(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command


def test_the_documents_name_one_way_to_start_the_command() -> None:
    assert len([one for one in COMMANDS if one.startswith("outfeed ")]) > 15
    # That needs more than one command's name: it is the way of hosts with neither checkout nor image.
    assert not [one for one in COMMANDS if re.match(r"python -m outfeed_airflow [a-z]", one)]
    assert "outfeed_airflow" not in (ROOT / "README.md").read_text()


def test_the_documents_list_the_steps_of_a_preflight_in_their_order() -> None:
    # DX-058
    text = " ".join((ROOT / "docs" / "operations.md").read_text().split())
    listed = text.split("Steps, in this order,")[1].split("For buckets,")[0]
    places = [listed.index(step) for step in PREFLIGHT_STEPS]
    assert places == sorted(places)


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
