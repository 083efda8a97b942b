"""A hundred stories of servers that fail: nothing is lost, doubled or half there; the ledger says which."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.ground import Ground
from tests.hostile.mutants import MUTANTS, Mutant, planted, seed_that_finds
from tests.hostile.run import run_seed
from tests.hostile.story import CONNECTORS, LASTING, MENUS, TERMINAL, tell

pytestmark = pytest.mark.servers

SEEDS = range(100)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """The servers, started when a story needs them."""
    with Ground() as ground:
        yield ground


@pytest.mark.parametrize("seed", SEEDS)
def test_the_destination_is_complete_or_the_ledger_says_why_not(ground: Ground, seed: int) -> None:
    # XX-03, XX-04
    result = run_seed(ground, seed)

    assert not result.violations, "\n".join(["", *result.lines])
    assert result.outcome in ("complete", "refused", "gave up")
    if result.outcome == "complete" and result.tries == 1:
        return
    assert result.outcome == "complete" or result.reason


#: Those that few stories find; `python -m tests.hostile.mutants` plants all.
_QUICKLY = (
    "SFTP: the size is not compared",
    "SFTP: a file has its final name before it is whole",
    "FTP: the size is not compared",
    "FTP: nobody looks whether the name is free",
    "S3: an object is created without the condition",
    "Local: the size is not compared",
)
_PLANTED = [mutant for mutant in MUTANTS if mutant.what in _QUICKLY]


def test_every_planted_bug_still_has_its_line() -> None:
    assert len(_PLANTED) == len(_QUICKLY)
    for mutant in MUTANTS:
        with planted(mutant):
            pass


@pytest.mark.parametrize("mutant", _PLANTED, ids=[mutant.what for mutant in _PLANTED])
def test_planted_bugs_are_found(ground: Ground, mutant: Mutant) -> None:
    seed, found = seed_that_finds(ground, mutant)

    assert seed is not None, "no story found it"
    assert found


def test_a_seed_tells_the_same_story_each_time() -> None:
    assert [tell(seed) for seed in SEEDS] == [tell(seed) for seed in SEEDS]
    assert {tell(seed).connector for seed in SEEDS} == set(CONNECTORS)


def test_stories_have_faults_of_every_kind() -> None:
    told = [tell(seed) for seed in range(1000)]
    kinds = {fault.kind for story in told for trial in story.trials for fault in trial.faults}

    assert kinds >= TERMINAL
    assert kinds >= {"cut", "deaf", "gone", "down", "stall", "mute", "lost", "half", "flip", "race", "status"}
    assert {story.server for story in told} == set(MENUS) == set(LASTING)
    assert any(story.lasting for story in told)
    assert any(trial.twin for story in told for trial in story.trials)
    assert any(trial.foreign for story in told for trial in story.trials)
    assert any(trial.blocked is not None for story in told for trial in story.trials)
