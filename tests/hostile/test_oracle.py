"""What the oracle allows is only what was seen to happen."""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from pathlib import Path

import pytest

from tests.hostile.oracle import Allowance, Expected, Seen, Verdict

OURS = b"twelve bytes"
NAME, REVISION = "site/data/day.json", "site/data/day__r2.json"
#: An FTP server without rename, where an orphan went on.
GROWING = Allowance(grows=True, orphans=True)
PART_TOLD = Seen(told={NAME: {4}})


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    """Nothing is there, and nothing is in the ledger."""
    ledger = tmp_path / "ledger.db"
    with sqlite3.connect(ledger) as connection:
        connection.execute("CREATE TABLE files (path, bytes, sha256, location, state)")
        connection.execute("CREATE TABLE deliveries (manifest_path)")
        connection.execute("CREATE TABLE attempts (step, token, state, error, action)")
    return Verdict(Expected({NAME: OURS}, set()), Allowance(), ledger, "place", {})


def _after_a_try(verdict: Verdict, held: dict[str, bytes], allowance: Allowance, seen: Seen) -> list[str]:
    told = dataclasses.replace(verdict, held=held, allowance=allowance, seen=seen, problems=[])
    told.after_a_try()
    return told.problems


@pytest.mark.parametrize(
    ("allowance", "seen", "right"),
    [
        (Allowance(), Seen(), False),
        (GROWING, Seen(), False),
        (GROWING, Seen(told={NAME: {len(OURS)}}), False),
        (GROWING, PART_TOLD, True),
        # A server that renames, without an orphan, never shows a part.
        (Allowance(), PART_TOLD, False),
        (Allowance(orphans=True), PART_TOLD, True),
    ],
)
def test_a_revision_beside_a_whole_file_needs_a_reason_that_was_seen(
    verdict: Verdict, allowance: Allowance, seen: Seen, right: bool
) -> None:
    problems = _after_a_try(verdict, {NAME: OURS, REVISION: OURS}, allowance, seen)

    assert problems == ([] if right else [f"{REVISION} is a revision, but nothing was in the way"])


@pytest.mark.parametrize(
    ("content", "allowance", "seen", "right"),
    [
        (OURS[:5], Allowance(), Seen(), False),
        (OURS[:5], GROWING, Seen(), True),
        (b"other", GROWING, Seen(), False),
        (OURS[:2] + bytes(6) + OURS[8:], GROWING, Seen(), False),
        (OURS[:2] + bytes(6) + OURS[8:], GROWING, Seen(crossed=frozenset({NAME})), True),
        (OURS[:2] + b"other" + OURS[7:], GROWING, Seen(crossed=frozenset({NAME})), False),
        (OURS + b"more", GROWING, Seen(crossed=frozenset({NAME})), False),
    ],
)
def test_a_final_name_holds_a_part_only_where_it_can_not_be_otherwise(
    verdict: Verdict, content: bytes, allowance: Allowance, seen: Seen, right: bool
) -> None:
    problems = _after_a_try(verdict, {NAME: content}, allowance, seen)

    assert problems == ([] if right else [f"{NAME} has {len(content)} bytes that are not {NAME}"])


@pytest.mark.parametrize(("seen", "right"), [(Seen(), False), (Seen(crossed=frozenset({NAME})), True)])
def test_what_the_ledger_calls_delivered_is_there(verdict: Verdict, seen: Seen, right: bool) -> None:
    with sqlite3.connect(verdict.ledger) as connection:
        digest = hashlib.sha256(OURS).hexdigest()
        row = (NAME, len(OURS), digest, "place", "delivered")
        connection.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?)", row)

    problems = _after_a_try(verdict, {}, GROWING, seen)

    assert problems == ([] if right else [f"the ledger calls {NAME} delivered, but it is not there"])


def test_a_second_marker_needs_a_reason_that_was_seen(verdict: Verdict) -> None:
    with sqlite3.connect(verdict.ledger) as connection:
        connection.execute("INSERT INTO deliveries VALUES ('_outfeed/day__r2/MANIFEST')")
    held = {f"_outfeed/{day}/{name}": b"" for day in ("day", "day__r2") for name in ("MANIFEST", "_SUCCESS")}

    def problems(seen: Seen, held: dict[str, bytes] = held) -> list[str]:
        told = dataclasses.replace(verdict, held=held, allowance=GROWING, seen=seen, problems=[])
        told.after_success(undisturbed=False)
        return [problem for problem in told.problems if "markers" in problem]

    assert problems(Seen())
    assert problems(Seen(told={"_outfeed/day/MANIFEST": {7}})) == []
    without_its_own = {path: content for path, content in held.items() if "r2/_SUCCESS" not in path}
    assert problems(Seen(told={"_outfeed/day/MANIFEST": {7}}), without_its_own)


def test_a_file_of_somebody_else_is_left_alone(verdict: Verdict) -> None:
    foreign = Expected({NAME: OURS}, set(), foreign={NAME: b"theirs"})
    raced = dataclasses.replace(foreign, raced={NAME})

    def problems(expected: Expected, content: bytes, allowance: Allowance) -> list[str]:
        return _after_a_try(
            dataclasses.replace(verdict, expected=expected), {NAME: content}, allowance, Seen()
        )

    assert problems(foreign, b"theirs", Allowance()) == []
    assert problems(foreign, OURS, Allowance(overwrites=True))
    assert problems(raced, OURS, Allowance())
    assert problems(raced, OURS, Allowance(overwrites=True)) == []
