"""One run in a real Airflow, in which a process of each of the five steps is killed by SIGKILL."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from tests.system.stories.killed import PLACES, Story

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
STORIES = ("killed",)


@pytest.fixture(scope="module")
def story(stories: dict[str, Future[Any]]) -> Story:
    """What happened."""
    told: Story = stories["killed"].result()
    return told


def test_each_step_was_killed_once_and_tried_again(story: Story) -> None:
    # XX-03
    assert story.killed == sorted(PLACES)
    steps = {"parts.extract", "parts.validate", "parts.package", "upload.box", "notify"}
    assert story.tries == {"plan": 1, "preflight.box": 1} | dict.fromkeys(steps, 2)
    for task, log in story.logs.items():
        assert "SIGKILL" in log or "-9" in log, task


def test_the_run_succeeds_and_delivers_what_an_undisturbed_one_delivers(story: Story) -> None:
    # XX-03, XX-04
    assert story.state == "success"
    assert story.tree == story.undisturbed.tree
    assert len([path for path in story.tree if path.endswith("/_SUCCESS")]) == 1
    assert len([path for path in story.tree if "/inputs/" in path]) > 10


def test_a_mail_that_was_sent_but_not_recorded_is_sent_again_under_its_id(story: Story) -> None:
    # XX-03, DX-042
    assert len(story.message_ids["data"]) == 2
    assert len(set(story.message_ids["data"])) == 1
    assert len(story.message_ids["ops"]) == 1
