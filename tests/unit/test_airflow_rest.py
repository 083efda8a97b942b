"""The REST client of the demo and the tests beside an Airflow whose SQLite file is locked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from scripts import airflow_rest
from scripts.airflow_rest import AirflowRest
from tests.servers.process import free_ports
from tests.servers.threads import http_thread

_LOCKED = {"detail": {"reason": "Database error", "statement": "hidden", "orig_error": "hidden"}}


@contextmanager
def _airflow(*answers: tuple[int, object]) -> Iterator[tuple[AirflowRest, list[str]]]:
    """A client of a server that answers so, one request after the other, and what was asked."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, content = (201, {"access_token": "t"}) if self.path == "/auth/token" else left.pop(0)
            asked.append(self.path)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    (port,) = free_ports(1)
    with http_thread(port, Handler, "airflow"):
        yield AirflowRest(f"http://127.0.0.1:{port}", "user", "word"), asked


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_rest, "_LOCKED_PAUSE", 0.0)


def test_a_locked_database_is_asked_again() -> None:
    with _airflow((500, _LOCKED), (500, _LOCKED), (200, {"dag_run_id": "manual__1"})) as (rest, asked):
        assert rest.trigger("dag") == "manual__1"
        assert asked == ["/auth/token", *["/api/v2/dags/dag/dagRuns"] * 3]


def test_a_database_that_stays_locked_is_an_error() -> None:
    with _airflow(*[(500, _LOCKED)] * 6) as (rest, asked):
        with pytest.raises(httpx.HTTPStatusError, match="Database error"):
            rest.trigger("dag")
        assert len(asked) == 7


@pytest.mark.parametrize("status", [409, 500])
def test_any_other_error_is_one_at_once(status: int) -> None:
    with _airflow((status, {"detail": "there is such a run"})) as (rest, asked):
        with pytest.raises(httpx.HTTPStatusError, match="there is such a run"):
            rest.trigger("dag")
        assert len(asked) == 2
