"""Several files in flight: lazily pulled, all answered, and ended together when one fails for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from io import BytesIO

import pytest

from outfeed.connectors.base import Delivered, Outgoing
from outfeed.connectors.transfer import deliver_in_threads
from outfeed.errors import TransientError


def files(count: int, pulled: list[int]) -> Iterator[Outgoing]:
    for number in range(count):
        pulled.append(number)
        yield Outgoing(str(number), partial(BytesIO, b""))


def delivered(file: Outgoing) -> Delivered:
    return Delivered(file.path, 0, "", "created", "size")


def test_every_file_has_one_result_and_no_more_are_pulled_than_may_be_in_flight() -> None:
    pulled: list[int] = []
    results = []
    for result in deliver_in_threads(files(500, pulled), delivered, 7, threading.Event()):
        # What was pulled and not yet yielded is in flight, or ended and is yielded next.
        results.append(result.path)
        assert len(pulled) - len(results) <= 7
    assert sorted(results, key=int) == [str(number) for number in range(500)]


def test_when_one_fails_for_all_the_others_are_stopped_and_have_ended() -> None:
    stop, waiting, ended = threading.Event(), threading.Barrier(3, timeout=30), []

    def deliver(file: Outgoing) -> Delivered:
        waiting.wait()
        if file.path == "1":
            raise TransientError("the destination is gone")
        assert stop.wait(30)
        ended.append(file.path)
        return delivered(file)

    pulled: list[int] = []
    with pytest.raises(TransientError, match="gone"):
        list(deliver_in_threads(files(500, pulled), deliver, 3, stop))
    assert sorted(ended) == ["0", "2"]
    assert pulled == [0, 1, 2]
    assert not stop.is_set()


def test_what_ended_before_the_failure_is_still_yielded() -> None:
    results = []

    def deliver(file: Outgoing) -> Delivered:
        if file.path == "40":
            raise TransientError("the destination is gone")
        return delivered(file)

    pulled: list[int] = []
    with pytest.raises(TransientError):
        for result in deliver_in_threads(files(500, pulled), deliver, 1, threading.Event()):
            results.append(result.path)
    assert results == [str(number) for number in range(40)]
    assert pulled == list(range(41))
